"""What else a report looks at: budgets, pool sizes, ablations and candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smcs.bench.frontier import area_under_front, matched_budget, pareto_front
from smcs.bench.report.evidence import Arm, Evidence
from smcs.bench.report.summary import ArmSummary, Estimator, Summary
from smcs.bench.statistics import (
    Interval,
    Paired,
    multiple_correct,
    one_correct,
)

__all__ = (
    "Ablation",
    "Ablations",
    "Budget",
    "BudgetPoint",
    "CandidateQuality",
    "Measure",
    "Scaling",
    "ablations",
    "budget",
    "candidate_quality",
    "scaling",
)

Measure = Literal["cost_usd", "tokens", "calls"]
"""What a budget is counted in, per question."""


_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """An arm, and the best arm that costs no more."""

    arm: str
    spent: float
    """Per question."""
    accuracy: Interval
    best: str
    """The arm itself where nothing within its budget is better."""
    best_spent: float
    best_accuracy: float
    gain: Paired | None
    """The best arm against it; `None` where it is the best itself."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Accuracy against what it costs."""

    measure: Measure
    points: tuple[BudgetPoint, ...]
    front: tuple[str, ...]
    """Arms that no other arm beats in both, cheapest first."""
    area: float
    """Mean of the best accuracy that a budget buys, over budgets from the cheapest to the dearest arm."""
    left_out: tuple[str, ...]
    """Arms without accuracy over all tasks, or whose cost is unknown."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """One strategy with pools of several sizes."""

    name: str
    points: tuple[tuple[int, Interval], ...]
    """Pool size and accuracy, smallest first; where arms share a size, the mean over them."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """An arm without some part."""

    arm: str
    without: tuple[str, ...]
    accuracy: Interval
    against_full: Paired | None
    """It against the full arm; `None` for the full arm."""


@dataclass(frozen=True, slots=True)
class Ablations:
    """A full arm and its ablations; the full one first."""

    arms: tuple[Ablation, ...]

    @property
    def full(self) -> Ablation:
        """The full arm."""
        return self.arms[0]


@dataclass(frozen=True, slots=True)
class CandidateQuality:
    """How often an arm's candidates hold a correct answer, and how often it is the one chosen."""

    arm: str
    chosen: Interval
    """Accuracy of the chosen answer."""
    one: Interval
    """OCA: at least one candidate is correct."""
    multiple: Interval
    """MCA: more than one is."""


def budget(evidence: Evidence, estimator: Estimator, summary: Summary) -> Budget | None:
    """Set accuracy against money, or tokens, or calls: the first that is known for all arms and not all zero."""
    graded = [arm for arm in summary.arms if arm.mean.accuracy is not None]
    if not graded:
        return None
    measure = next(
        (
            measure
            for measure in ("cost_usd", "tokens")
            if all(_spent(arm, measure) is not None for arm in graded) and any(_spent(arm, measure) for arm in graded)
        ),
        "calls",
    )
    chosen: Measure = "calls" if measure == "calls" else "cost_usd" if measure == "cost_usd" else "tokens"
    usable = [
        (arm, arm.mean.accuracy, spent)
        for arm in graded
        if arm.mean.accuracy is not None and (spent := _spent(arm, chosen)) is not None
    ]
    costs, values = [spent for _, _, spent in usable], [accuracy.value for _, accuracy, _ in usable]
    scores = evidence.question_scores
    points = []
    for (arm, accuracy, spent), best in zip(usable, matched_budget(costs, values), strict=True):
        assert best is not None  # noqa: S101 - every cost and value is known here
        rival = usable[best]
        gain = None
        if rival[0].name != arm.name:
            gain = estimator.compare(scores[evidence.index(rival[0].name)], scores[evidence.index(arm.name)])
        points.append(BudgetPoint(arm.name, spent, accuracy, rival[0].name, rival[2], rival[1].value, gain))
    named = {arm.name for arm, _, _ in usable}
    return Budget(
        measure=chosen,
        points=tuple(points),
        front=tuple(usable[index][0].name for index in pareto_front(costs, values)),
        area=area_under_front(costs, values),
        left_out=tuple(arm.name for arm in summary.arms if arm.name not in named),
    )


def scaling(evidence: Evidence, estimator: Estimator) -> tuple[Scaling, ...]:
    """Return the series of arms that differ in the pool's size only, where there are at least two sizes."""
    series: dict[str, list[int]] = {}
    for index, arm in enumerate(evidence.arms):
        series.setdefault(arm.settings_but("llms"), []).append(index)
    scores = evidence.question_scores
    found = []
    for members in series.values():
        sizes: dict[int, list[int]] = {}
        for index in members:
            sizes.setdefault(evidence.arms[index].pool_size, []).append(index)
        points = []
        for size in sorted(sizes):
            accuracy = estimator.mean(np.mean(scores[sizes[size]], axis=0))
            if accuracy is not None:
                points.append((size, accuracy))
        if len(points) > 1:
            found.append(Scaling(_series_name(evidence, members), tuple(points)))
    return tuple(found)


def ablations(evidence: Evidence, estimator: Estimator) -> tuple[Ablations, ...]:
    """Return each full arm with the arms that lack some part of it and differ in nothing else."""
    scores = evidence.question_scores
    full = {arm.settings_but("without"): index for index, arm in enumerate(evidence.arms) if not arm.without}
    groups: dict[int, list[int]] = {}
    for index, arm in enumerate(evidence.arms):
        key = arm.settings_but("without")
        if arm.without and key in full:
            groups.setdefault(full[key], []).append(index)
    found = []
    for whole, parts in groups.items():
        entries = []
        for index in (whole, *parts):
            accuracy = estimator.mean(scores[index])
            if accuracy is None:
                continue
            paired = None if index == whole else estimator.compare(scores[index], scores[whole])
            entries.append(Ablation(evidence.arms[index].name, evidence.arms[index].without, accuracy, paired))
        if len(entries) > 1 and entries[0].arm == evidence.arms[whole].name:
            found.append(Ablations(tuple(entries)))
    return tuple(found)


def candidate_quality(evidence: Evidence, estimator: Estimator) -> tuple[CandidateQuality, ...]:
    """Return OCA and MCA of the arms that had more than one candidate to choose from."""
    found = []
    for index, arm in enumerate(evidence.arms):
        candidates = [row.candidate_scores for row in arm.rows]
        if not any(len(grades) > 1 for grades in candidates):
            continue
        chosen = estimator.mean(evidence.question_scores[index])
        one = estimator.mean(evidence.per_question(index, one_correct(candidates)))
        multiple = estimator.mean(evidence.per_question(index, multiple_correct(candidates)))
        if chosen is not None and one is not None and multiple is not None:
            found.append(CandidateQuality(arm.name, chosen, one, multiple))
    return tuple(found)


def _spent(arm: ArmSummary, measure: str) -> float | None:
    usage = arm.mean.usage
    if measure == "tokens":
        return usage.tokens
    return usage.cost_usd.value if measure == "cost_usd" else usage.calls.value


def _series_name(evidence: Evidence, members: Sequence[int]) -> str:
    """Return the strategy's name, or the largest arm's where several series have that strategy."""
    arms: list[Arm] = [evidence.arms[index] for index in members]
    mine = {arm.settings_but("llms") for arm in arms}
    rivals = [arm for arm in evidence.arms if arm.strategy == arms[0].strategy and arm.settings_but("llms") not in mine]
    return max(arms, key=lambda arm: arm.pool_size).name if rivals else arms[0].strategy
