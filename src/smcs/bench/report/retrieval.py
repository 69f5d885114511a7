"""What retrieval did: where support questions came from, and how well priors rank the LLMs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smcs.bench.report.evidence import Evidence
from smcs.bench.report.summary import Estimator
from smcs.bench.results import Row
from smcs.bench.statistics import Interval, ranking_score_interval
from smcs.errors import InputError

__all__ = ("Ranking", "SupportSources", "ranking", "support_sources")

_VERDICT = 0.5
_SOURCES_SHOWN = 20

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SupportSources:
    """Where the support questions come from."""

    arm: str
    level: Literal["task", "subject"]
    targets: tuple[str, ...]
    """Tasks (subjects) that were asked."""
    sources: tuple[str, ...]
    """Tasks (subjects) of the bank."""
    shares: tuple[tuple[float, ...], ...]
    """Mean share of the support set's similarity, by target and source."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Pairwise ranking score of the priors of one or several arms (Eq. 8)."""

    arms: tuple[str, ...]
    """Arms with these very priors."""
    score: Interval
    conflicts: int
    """Grades of an LLM's own answer that differed between arms; the arm's own came first."""

    @property
    def name(self) -> str:
        """The first arm, and how many more there are."""
        more = len(self.arms) - 1
        return self.arms[0] + (f" +{more}" if more else "")


def support_sources(evidence: Evidence) -> SupportSources | None:
    """Return the support sources of the arm that has most of them recorded; by subject where there is only one task."""
    counts = [sum(bool(row.support) for row in arm.rows) for arm in evidence.arms]
    if not max(counts):
        return None
    arm = evidence.arms[counts.index(max(counts))]
    rows = [row for row in arm.rows if row.support]
    level: Literal["task", "subject"] = "task"
    if len({row.task for row in rows}) == 1 and any(row.subject for row in rows):
        level = "subject"
    totals: dict[str, dict[str, float]] = {}
    numbers: dict[str, int] = {}
    for row in rows:
        target = row.subject or row.task if level == "subject" else row.task
        numbers[target] = numbers.get(target, 0) + 1
        shares = totals.setdefault(target, {})
        for source, share in row.support.items():
            task, _, subject = source.partition("/")
            name = subject or task if level == "subject" else task
            shares[name] = shares.get(name, 0.0) + share
    weight = {
        source: sum(shares.get(source, 0.0) for shares in totals.values())
        for shares in totals.values()
        for source in shares
    }
    # Sources that were asked too come first and in the same order, which puts "from its own kind" on the diagonal.
    targets = sorted(totals, key=lambda name: (-numbers[name], name))[:_SOURCES_SHOWN]
    sources = [name for name in targets if name in weight]
    sources += sorted((name for name in weight if name not in sources), key=lambda name: (-weight[name], name))
    shown = sources[:_SOURCES_SHOWN]
    matrix = [tuple(totals[target].get(source, 0.0) / numbers[target] for source in shown) for target in targets]
    if len(sources) > len(shown):
        shown.append("others")
        matrix = [
            (*shares, max(0.0, sum(totals[t].values()) / numbers[t] - sum(shares)))
            for t, shares in zip(targets, matrix, strict=True)
        ]
    return SupportSources(arm.name, level, tuple(targets), tuple(shown), tuple(matrix))


def ranking(evidence: Evidence, estimator: Estimator) -> tuple[Ranking, ...]:
    """Return the ranking score of each distinct set of priors.

    An LLM's correctness on a question under a seed comes from the arm's own references, then from any arm's.
    """
    graded: dict[tuple[str, int], dict[str, float]] = {}
    for arm in evidence.arms:
        for row in arm.rows:
            known = graded.setdefault((row.question, row.seed), {})
            for llm, score in row.reference_scores.items():
                if score is not None:
                    known.setdefault(llm, score)
    found: dict[bytes, tuple[list[str], Interval, int]] = {}
    for arm in evidence.arms:
        rows = [row for row in arm.rows if any(prior is not None for prior in row.priors.values())]
        if not rows:
            continue
        llms = sorted({llm for row in rows for llm in row.priors})
        priors = np.array([[_nan(row.priors.get(llm)) for llm in llms] for row in rows])
        correct, conflicts = _correct(rows, llms, graded)
        questions = np.array([row.question for row in rows])
        order = np.lexsort((np.array([row.seed for row in rows]), questions))
        key = b"\0".join((priors[order].tobytes(), correct[order].tobytes(), "\0".join(questions[order]).encode()))
        if key in found:
            found[key][0].append(arm.name)
            continue
        try:
            interval = ranking_score_interval(
                priors, correct, questions=questions, level=estimator.level, draws=estimator.draws, rng=estimator.rng
            )
        except InputError:
            continue  # no question has both a correct and a wrong LLM: there is no pair to rank
        found[key] = ([arm.name], interval, conflicts)
    return tuple(Ranking(tuple(names), score, conflicts) for names, score, conflicts in found.values())


def _correct(
    rows: Sequence[Row], llms: Sequence[str], graded: dict[tuple[str, int], dict[str, float]]
) -> tuple[_Floats, int]:
    """Return 1 where an LLM's own answer was correct, 0 where wrong, NaN where unknown; and how many grades differ."""
    correct = np.full((len(rows), len(llms)), np.nan)
    conflicts = 0
    for number, row in enumerate(rows):
        known = graded.get((row.question, row.seed), {})
        for column, llm in enumerate(llms):
            own, any_arm = row.reference_scores.get(llm), known.get(llm)
            score = any_arm if own is None else own
            if score is not None and any_arm is not None:
                conflicts += (score >= _VERDICT) != (any_arm >= _VERDICT)
                correct[number, column] = score >= _VERDICT
    return correct, conflicts


def _nan(value: float | None) -> float:
    return np.nan if value is None else value
