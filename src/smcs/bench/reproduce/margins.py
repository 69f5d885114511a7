"""Claims of tables 1 and 6 on our runs: how far one method is ahead of another, and what a pool of single LLMs does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from smcs.bench.paper import PaperFigure
from smcs.bench.reproduce.arms import ArmRows
from smcs.bench.reproduce.report import Cell, Line, Measured
from smcs.bench.statistics import paired_comparison

__all__ = ("margins", "pool_lines")

_SEED = 20_250_714


def margins(arms: Sequence[ArmRows], figure: PaperFigure) -> dict[str, Measured]:
    """Return the margins that the text claims as they are in our runs, by the statement's name.

    Both methods must be in one result file, with no settings of their own; the interval is that of a paired comparison
    on the questions that both have a grade for, mean over tasks.
    """
    strategies = {row.name: row.strategy for row in figure.rows if row.strategy not in (None, "single")}
    found: dict[str, Measured] = {}
    for statement in figure.stated:
        ahead, behind = (strategies.get(name) for name in statement.difference or ("", ""))
        pair = _in_one_file(arms, ahead, behind)
        if pair is not None:
            found[statement.name] = _difference(*pair)
    return {name: margin for name, margin in found.items() if margin.n}


def pool_lines(arms: Sequence[ArmRows]) -> tuple[Line, ...]:
    """Return average and upper bound of the LLMs that a result file has alone, task by task; no interval."""
    alone: dict[str, list[ArmRows]] = defaultdict(list)
    for arm in arms:
        if arm.spec.strategy == "single" and arm.settings.get("llm"):
            alone[arm.file].append(arm)
    lines = []
    for file, singles in alone.items():
        if len(singles) < 2:
            continue
        means = {
            task: np.array([np.nanmean(arm.scores(task)) for arm in singles])
            for task in singles[0].by_task
            if all(np.isfinite(arm.scores(task)).any() for arm in singles)
        }
        n = {task: len(singles[0].scores(task)) for task in means}
        for name, value in (("average", np.mean), ("upper bound", np.max)):
            cells = tuple(Cell(task, ours=Measured(100 * float(value(each)), n[task])) for task, each in means.items())
            lines.append(Line(f"Open-source {name} ({len(singles)} LLMs)", cells, group="summary", source=file))
    return tuple(line for line in lines if line.cells)


def _in_one_file(arms: Sequence[ArmRows], ahead: str | None, behind: str | None) -> tuple[ArmRows, ArmRows] | None:
    plain = {(arm.file, arm.spec.strategy): arm for arm in reversed(arms) if not any(arm.spec.settings.values())}
    for arm in arms:
        first, second = plain.get((arm.file, str(ahead))), plain.get((arm.file, str(behind)))
        if first is not None and second is not None:
            return first, second
    return None


def _difference(first: ArmRows, second: ArmRows) -> Measured:
    a, b = _grades(first), _grades(second)
    both = sorted(set(a) & set(b))
    left_out = len(_asked(first) | _asked(second)) - len(both)
    if not both:
        return Measured(0.0, 0, left_out=left_out)
    compared = paired_comparison(
        [a[key] for key in both],
        [b[key] for key in both],
        np.random.default_rng(_SEED),
        groups=[task for task, _ in both],
    )
    low, high = 100 * compared.low, 100 * compared.high
    return Measured(100 * compared.difference, compared.n, low=low, high=high, left_out=left_out)


def _grades(arm: ArmRows) -> dict[tuple[str, str], float]:
    """Return (task, question) -> mean grade over seeds."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in arm.rows:
        if row.score is not None:
            found[row.task, row.question].append(row.score)
    return {key: float(np.mean(scores)) for key, scores in found.items()}


def _asked(arm: ArmRows) -> set[tuple[str, str]]:
    return {(row.task, row.question) for row in arm.rows}
