"""A report as values: everything that its pages, tables and plots show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smcs.bench.report.analyses import (
    Ablations,
    Budget,
    CandidateQuality,
    Scaling,
    ablations,
    budget,
    candidate_quality,
    scaling,
)
from smcs.bench.report.evidence import Evidence, merge_results
from smcs.bench.report.retrieval import Ranking, SupportSources, ranking, support_sources
from smcs.bench.report.summary import Estimator, Summary, default_baseline, summarise
from smcs.bench.results import Header, ResultFile
from smcs.bench.statistics import Paired

__all__ = ("Report", "build_report")


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and under what."""

    title: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    llms: tuple[str, ...]
    files: tuple[tuple[str, tuple[Header, ...]], ...]
    """File names with the headers of all their sittings."""
    summary: Summary
    budget: Budget | None
    scaling: tuple[Scaling, ...]
    ablations: tuple[Ablations, ...]
    candidates: tuple[CandidateQuality, ...]
    support: SupportSources | None
    ranking: tuple[Ranking, ...]
    cautions: tuple[str, ...]
    """What a reader must know before believing the figures."""

    @property
    def ablation_bars(self) -> tuple[tuple[str, Paired], ...]:
        """What each ablation lacks, and it against its full arm, which is named where there are several."""
        return tuple(
            (
                f"without {', '.join(part.without)}" + (f" ({group.full.arm})" if len(self.ablations) > 1 else ""),
                part.against_full,
            )
            for group in self.ablations
            for part in group.arms
            if part.against_full is not None
        )


def build_report(
    files: Sequence[tuple[Path | str, ResultFile]],
    *,
    baseline: str | None = None,
    title: str | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Report:
    """Compute a report from result files.

    Args:
        files: Where each was read from, and its content; at least one.
        baseline: Arm that the others are compared with; the first single LLM, else the first arm, if left out.
        title: The experiments' names if left out.
        level: Share of draws inside the intervals, in (0, 1).
        draws: Bootstrap draws per interval, at least 1.
        seed: Seed of the draws: equal files give an equal report.

    Raises:
        ConfigError: The files contradict each other, nothing is graded, the baseline is unknown or shares no graded
            question with any other arm.
        InputError: `level` or `draws` is out of range.
    """
    evidence = merge_results(files)
    estimator = Estimator(evidence, np.random.default_rng(seed), level, draws)
    summary = summarise(evidence, estimator, baseline or default_baseline(evidence))
    ranks = ranking(evidence, estimator)
    names = dict.fromkeys(file.header.name for _, file in files)
    return Report(
        title=title or ", ".join(names),
        tasks=evidence.tasks,
        seeds=evidence.seeds,
        llms=evidence.llms,
        files=tuple((name, (file.header, *file.resumed)) for name, file in evidence.files),
        summary=summary,
        budget=budget(evidence, estimator, summary),
        scaling=scaling(evidence, estimator),
        ablations=ablations(evidence, estimator),
        candidates=candidate_quality(evidence, estimator),
        support=support_sources(evidence),
        ranking=ranks,
        cautions=_cautions(evidence, summary, ranks),
    )


def _cautions(evidence: Evidence, summary: Summary, ranks: Sequence[Ranking]) -> tuple[str, ...]:
    """Say what is missing or doubtful, the gravest first."""
    said = []
    answered = [arm for arm in summary.arms if arm.mean.counts.ok]
    if nothing := [arm.name for arm in summary.arms if not arm.mean.counts.ok]:
        said.append(f"No answer of {', '.join(nothing)} is graded: there is no figure for it.")
    planned_tasks = dict.fromkeys(task for header in evidence.headers for task in header.tasks)
    if unasked := [task for task in planned_tasks if task not in evidence.tasks]:
        said.append(f"No question of {', '.join(unasked)} was answered yet: left out of every mean.")
    planned = sum(arm.mean.counts.planned for arm in summary.arms)
    for status, meaning in (
        ("failed", "failed: no answer. They are left out of accuracy, not counted as wrong"),
        ("missing", "are missing: the replay's store does not hold a call they need. They are left out"),
        ("not_run", "were not run, though other arms answered those questions. They are left out"),
        ("ungraded", "have no verdict. They are left out, not counted as wrong"),
        ("degraded", "are degraded: made with less than was asked for. They are counted"),
    ):
        counts = {arm.name: getattr(arm.mean.counts, status) for arm in summary.arms}
        worst = max(counts, key=lambda name: counts[name])
        if total := sum(counts.values()):
            said.append(f"Of {planned:,} planned answers, {total:,} {meaning} (most: {worst}, {counts[worst]:,}).")
    if any(arm.mean.accuracy is None or arm.mean.accuracy.n != summary.common for arm in answered):
        said.append(
            f"Arms have verdicts on different questions: all of them on {summary.common:,} of {summary.questions:,}. "
            "Compare them in pairs or on the common questions, not by their own accuracies."
        )
    if summary.baseline in {arm.name for arm in answered} and (
        apart := [arm.name for arm in answered if arm.mean.against is None and arm.name != summary.baseline]
    ):
        said.append(
            f"{', '.join(apart)} cannot be compared with {summary.baseline} over all tasks: no common questions."
        )
    said.extend(
        f"The cost of {arm.name} is known for {arm.mean.usage.cost_usd.share:.0%} of its answers only."
        for arm in answered
        if 0 < arm.mean.usage.cost_usd.share < 1
    )
    for name, file in evidence.files:
        said.extend(_doubts(name, file))
    if conflicts := max((rank.conflicts for rank in ranks), default=0):
        said.append(f"{conflicts:,} grades of an LLM's own answer differ between arms: they did not share references.")
    return tuple(said)


def _doubts(name: str, file: ResultFile) -> list[str]:
    said = []
    headers = (file.header, *file.resumed)
    if any(header.dirty for header in headers):
        said.append(f"{name} was made by code with changes that are in no commit.")
    if any(header.commit is None for header in headers):
        said.append(f"{name} does not say by which commit it was made.")
    if file.resumed:
        commits = {header.commit for header in headers}
        differing = "of different commits" if len(commits) > 1 else "of different circumstances (see provenance)"
        said.append(f"{name} was made in {len(headers)} sittings {differing}.")
    return said
