"""The main figures of a report: accuracy, comparisons with the baseline, cost and what is missing, per arm and task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from smcs.bench.report.evidence import Evidence
from smcs.bench.results import Row
from smcs.bench.statistics import (
    Interval,
    Paired,
    Spread,
    holm,
    macro_interval,
    paired_comparison,
    seed_spread,
)
from smcs.errors import ConfigError, suggest

__all__ = ("ArmSummary", "Cell", "Counts", "Estimator", "Mean", "Summary", "Usage", "default_baseline", "summarise")

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of an arm's questions (times seeds)."""

    ok: int
    ungraded: int
    failed: int
    missing: int
    not_run: int
    degraded: int
    """Part of `ok` and `ungraded`: answered with less than was asked for."""

    @property
    def planned(self) -> int:
        """All of them."""
        return self.ok + self.ungraded + self.failed + self.missing + self.not_run


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over answered questions, some of whose values may be unknown."""

    value: float | None
    """`None` as soon as one is unknown."""
    known: float | None
    """Mean of those that are known; `None` when none is."""
    share: float
    """Share of the questions whose value is known."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Means per answered question."""

    calls: Mean
    prompt_tokens: Mean
    cached_tokens: Mean
    completion_tokens: Mean
    cost_usd: Mean
    call_seconds: Mean
    latency: Mean

    @property
    def tokens(self) -> float | None:
        """Prompt and completion tokens; `None` when unknown."""
        prompt, completion = self.prompt_tokens.value, self.completion_tokens.value
        return None if prompt is None or completion is None else prompt + completion


@dataclass(frozen=True, slots=True)
class Cell:
    """An arm on a task, or over all of them."""

    task: str | None
    """`None` for the mean over tasks."""
    accuracy: Interval | None
    """`None` when nothing is graded; for the mean over tasks: when a task has nothing graded."""
    seeds: Spread | None
    """Accuracy of each seed; `None` likewise."""
    counts: Counts
    usage: Usage
    against: Paired | None = None
    """Comparison with the baseline; `None` for the baseline itself, and where they share no graded question."""
    adjusted_p: float | None = None
    """Its p-value, adjusted for the number of arms compared (Holm)."""
    at_least: float | None = None
    """Accuracy if everything without a verdict were wrong; `None` when nothing was planned."""


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm's figures."""

    name: str
    strategy: str
    cells: tuple[Cell, ...]
    """By task."""
    mean: Cell
    common: Interval | None
    """Accuracy on the questions that all arms have a verdict for, mean over tasks."""


@dataclass(frozen=True, slots=True)
class Summary:
    """All arms' figures."""

    baseline: str
    arms: tuple[ArmSummary, ...]
    common: int
    """Questions that all arms have a verdict for."""
    questions: int
    level: float
    draws: int


@dataclass(frozen=True, slots=True)
class Estimator:
    """Makes intervals for means over tasks of values per question."""

    evidence: Evidence
    rng: np.random.Generator
    level: float = 0.95
    draws: int = 10_000
    _made: dict[tuple[bytes, int | None], Interval] = field(default_factory=dict[tuple[bytes, int | None], Interval])
    """Equal values get one interval, wherever in a report they stand."""

    def mean(self, values: _Floats, task: int | None = None) -> Interval | None:
        """Return the mean over tasks (or on one) of values per question, shape (Q,).

        `None` when a task has no known value.
        """
        key = values.tobytes(), task
        if key in self._made:
            return self._made[key]
        groups = self.evidence.by_task(values)
        chosen = groups if task is None else (groups[task],)
        if any(not (~np.isnan(group)).any() for group in chosen):
            return None
        interval = macro_interval(chosen, level=self.level, draws=self.draws, rng=self.rng)
        self._made[key] = interval
        return interval

    def compare(self, a: _Floats, b: _Floats, task: int | None = None) -> Paired | None:
        """Compare two arms' values per question; `None` where they share none (over tasks: where one task has none)."""
        inside = np.full(a.shape, True) if task is None else self.evidence.task_of == task
        labels = self.evidence.task_of[inside]
        shared = ~np.isnan(a[inside]) & ~np.isnan(b[inside])
        if len(np.unique(labels[shared])) < len(np.unique(labels)):
            return None
        return paired_comparison(a[inside], b[inside], self.rng, groups=labels, level=self.level, draws=self.draws)


def default_baseline(evidence: Evidence) -> str:
    """Return the arm to compare with unless told: the first that is a single LLM, else the first."""
    return next((arm.name for arm in evidence.arms if arm.strategy == "single"), evidence.arms[0].name)


def summarise(evidence: Evidence, estimator: Estimator, baseline: str) -> Summary:
    """Compute the main figures.

    Args:
        evidence: The result files.
        estimator: Makes the intervals.
        baseline: Arm that all others are compared with.

    Raises:
        ConfigError: There is no such arm, nothing is graded, or it shares no graded question with any other arm.
    """
    names = [arm.name for arm in evidence.arms]
    if baseline not in names:
        raise ConfigError(f"Unknown baseline {baseline!r}.{suggest(baseline, names)}")
    scores = evidence.question_scores
    graded = ~np.isnan(scores)
    if not graded.any():
        raise ConfigError("No answer is graded, so there is nothing to report.")
    against = evidence.index(baseline)
    others = [index for index in range(len(names)) if index != against and graded[index].any()]
    if others and not any((graded[index] & graded[against]).any() for index in others):
        raise ConfigError(
            f"Arm {baseline!r} has no graded question in common with any other arm, so nothing can be compared. "
            "Choose another --baseline, or run the arms on the same questions."
        )
    shared = graded[graded.any(axis=1)].all(axis=0)
    arms = []
    for index in range(len(names)):
        cells = tuple(_cell(evidence, estimator, scores, index, against, task) for task in range(len(evidence.tasks)))
        mean = _cell(evidence, estimator, scores, index, against, None)
        common = estimator.mean(np.where(shared, scores[index], np.nan))
        lowest = [cell.at_least for cell in cells if cell.at_least is not None]
        if len(lowest) == len(cells):
            mean = replace(mean, at_least=float(np.mean(lowest)))
        arms.append(ArmSummary(names[index], evidence.arms[index].strategy, cells, mean, common))
    return Summary(
        baseline=baseline,
        arms=_adjusted(arms),
        common=int(shared.sum()),
        questions=len(evidence.questions),
        level=estimator.level,
        draws=estimator.draws,
    )


def _adjusted(arms: Sequence[ArmSummary]) -> tuple[ArmSummary, ...]:
    """Fill in the p-values adjusted over arms, for the mean over tasks."""
    compared = [(index, arm.mean.against) for index, arm in enumerate(arms)]
    p_values = {index: paired.p_value for index, paired in compared if paired is not None}
    adjusted = dict(zip(p_values, holm(tuple(p_values.values())), strict=True))
    return tuple(replace(arm, mean=replace(arm.mean, adjusted_p=adjusted.get(index))) for index, arm in enumerate(arms))


def _cell(
    evidence: Evidence, estimator: Estimator, scores: _Floats, index: int, against: int, task: int | None
) -> Cell:
    arm = evidence.arms[index]
    name = None if task is None else evidence.tasks[task]
    rows = [row for row in arm.rows if name is None or row.task == name]
    not_run = sum(arm.not_run.values()) if name is None else arm.not_run.get(name, 0)
    counts = _counts(rows, not_run)
    total = sum(row.score for row in rows if row.score is not None)
    return Cell(
        task=name,
        accuracy=estimator.mean(scores[index], task),
        seeds=_seeds(evidence, index, task),
        counts=counts,
        at_least=total / counts.planned if name is not None and counts.planned else None,
        usage=_usage([row for row in rows if row.status in ("ok", "ungraded")]),
        against=None if index == against else estimator.compare(scores[index], scores[against], task),
    )


def _seeds(evidence: Evidence, index: int, task: int | None) -> Spread | None:
    """Return mean and deviation over the seeds that have a verdict on every task asked for."""
    values = []
    for seed in range(len(evidence.seeds)):
        groups = evidence.by_task(evidence.scores[index, seed])
        chosen = [group[~np.isnan(group)] for group in (groups if task is None else (groups[task],))]
        if all(group.size for group in chosen):
            values.append(float(np.mean([group.mean() for group in chosen])))
    return seed_spread(values) if values else None


def _counts(rows: Sequence[Row], not_run: int) -> Counts:
    def having(status: str) -> int:
        return sum(row.status == status for row in rows)

    return Counts(
        ok=having("ok"),
        ungraded=having("ungraded"),
        failed=having("failed"),
        missing=having("missing"),
        not_run=not_run,
        degraded=sum(bool(row.degraded) for row in rows if row.status in ("ok", "ungraded")),
    )


def _usage(rows: Sequence[Row]) -> Usage:
    def mean(name: str) -> Mean:
        values = [getattr(row, name) for row in rows]
        known = [float(value) for value in values if value is not None]
        if not known:
            return Mean(None, None, 0.0)
        average = sum(known) / len(known)
        return Mean(average if len(known) == len(values) else None, average, len(known) / len(values))

    names = ("calls", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd", "call_seconds", "latency")
    return Usage(**{name: mean(name) for name in names})
