"""Figures with their intervals, always from the same bootstrap draws, so that a command repeats itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from smcs.bench.reproduce.report import Cell, Measured
from smcs.bench.statistics import (
    Interval,
    bootstrap_interval,
    macro_interval,
    ranking_pairs,
    ranking_score_interval,
    seed_spread,
)

__all__ = ("group_cells", "macro", "mean", "ranking", "spread")

_SEED: Final = 20_250_714
_Floats = NDArray[np.float64]


def mean(values: _Floats, *, scale: float = 100.0) -> Measured | None:
    """Return a mean over questions, (Q,) with NaN for what is left out; `None` when nothing is known."""
    if not np.isfinite(values).any():
        return None
    return _measured(bootstrap_interval(values, rng=np.random.default_rng(_SEED)), scale)


def macro(groups: Sequence[_Floats], *, scale: float = 100.0) -> Measured | None:
    """Return the mean over groups of each group's mean; `None` when a group has nothing known."""
    if not groups or not all(np.isfinite(values).any() for values in groups):
        return None
    return _measured(macro_interval(groups, rng=np.random.default_rng(_SEED)), scale)


def ranking(priors: _Floats, correct: _Floats, *, questions: Sequence[str] | None = None) -> Measured | None:
    """Return the pairwise ranking score (Eq. 8) in percent; `None` when there is no pair.

    Args:
        priors: (Q, R), NaN leaves an LLM out.
        correct: (Q, R) of 0, 1 and NaN.
        questions: (Q,) ids, where a question stands in several rows (seeds).
    """
    if not ranking_pairs(priors, correct)[:, 1].any():
        return None
    rng = np.random.default_rng(_SEED)
    return _measured(ranking_score_interval(priors, correct, questions=questions, rng=rng), 100.0)


def spread(values: Sequence[float]) -> Measured:
    """Return mean and deviation over seeds or orders; `n` counts them."""
    found = seed_spread(values)
    return Measured(found.mean, found.n, deviation=found.deviation)


def group_cells(
    columns: Sequence[str], values: Sequence[_Floats], *, paper: Sequence[str] = (), mean_column: str = "mean"
) -> tuple[Cell, ...]:
    """Return a cell per group and one for the mean over groups.

    The mean stands in the paper's column only if it is over the paper's groups; another mean has a column of its own.

    Args:
        columns: Names of the groups.
        values: Values of each group, NaN for what is left out.
        paper: Groups that the paper's mean is over.
        mean_column: The paper's column.
    """
    known = [(column, group) for column, group in zip(columns, values, strict=True) if np.isfinite(group).any()]
    cells = [Cell(column, ours=mean(group)) for column, group in known]
    if len(known) > 1:
        whole = {column for column, _ in known} == set(paper)
        column = mean_column if whole else f"{mean_column} of {len(known)}"
        cells.append(Cell(column, ours=macro([group for _, group in known])))
    return tuple(cells)


def _measured(found: Interval, scale: float) -> Measured:
    low, high = scale * found.low, scale * found.high
    return Measured(scale * found.value, found.n, low=low, high=high, left_out=found.left_out)
