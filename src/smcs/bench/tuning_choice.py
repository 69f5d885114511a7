"""One decision about parameters: what was tried, what it gave, and whether the gain is beyond chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcs.bench.statistics import paired_comparison

__all__ = ("WORTHWHILE", "Choice", "choose", "nothing")

WORTHWHILE = 0.002
"""Least gain for which a parameter is changed: with many questions, chance alone no longer rules out trifles."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One parameter, or several that belong together: what it is, and what it should be."""

    parameters: tuple[str, ...]
    """Names in `Settings`; "guard.x" is a field of `Guard`, "guard.shrinkage.x" one of `Shrinkage`."""
    measure: str
    """What was compared, in words."""
    _: KW_ONLY
    present: tuple[Any, ...] = ()
    best: tuple[Any, ...] = ()
    """The values with the best mean; equal to `present` if those have it."""
    present_value: float | None = None
    best_value: float | None = None
    """Mean of the measure, a share of 1; `None` where nothing could be measured."""
    gain: float = 0.0
    low: float = 0.0
    high: float = 0.0
    """Difference of the means and its 95% interval (paired bootstrap over questions)."""
    questions: int = 0
    curve: tuple[tuple[tuple[Any, ...], float], ...] = ()
    """Every value tried with its mean."""
    why_not: str = ""
    """Why nothing was chosen, where nothing was."""

    @property
    def change(self) -> bool:
        """Whether the gain is beyond chance, and worth a change."""
        return self.best != self.present and self.low > 0 and self.gain >= WORTHWHILE


def choose(
    parameters: tuple[str, ...],
    measure: str,
    present: tuple[Any, ...],
    scores: Mapping[tuple[Any, ...], NDArray[np.float64]],
    seed: int,
) -> Choice:
    """Compare what was tried with the present values.

    Args:
        parameters: Names of what is chosen.
        measure: What the scores are.
        present: The present values; among the keys of `scores`.
        scores: Score of each question, NaN where it has none, shape (Q,), by the values tried.
        seed: Of the bootstrap.
    """
    means = {values: float(np.nanmean(score)) for values, score in scores.items() if not np.isnan(score).all()}
    if present not in means:
        return nothing(parameters, "no question has a score under the present values", present)
    # On the questions that both have: where some are missing, means of different questions say nothing.
    gains = {values: scores[values] - scores[present] for values in means}
    ahead = {values: float(np.nanmean(gain)) for values, gain in gains.items() if not np.isnan(gain).all()}
    best = max(ahead, key=lambda values: (ahead[values], values == present))
    compared = paired_comparison(scores[best], scores[present], np.random.default_rng(seed))
    return Choice(
        parameters,
        measure,
        present=present,
        best=best,
        present_value=means[present],
        best_value=means[best],
        gain=compared.difference,
        low=compared.low,
        high=compared.high,
        questions=compared.n,
        curve=tuple(means.items()),
    )


def nothing(parameters: tuple[str, ...], why: str, present: tuple[Any, ...] = ()) -> Choice:
    """Return the decision to leave parameters alone because nothing speaks about them."""
    return Choice(parameters, "", present=present, best=present, why_not=why)
