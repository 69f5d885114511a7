"""A made-up but lifelike result file: two tasks, many arms, two seeds, and all that may be missing from one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from smcs.bench.results import RESULT_FORMAT, ArmSpec, Header, ResultFile, ResultWriter, Row

__all__ = ("ARMS", "LLMS", "TASKS", "keep_arms", "make_header", "make_results", "write_results")

TASKS = ("arithmetic", "mmlu_pro")
LLMS = ("amber-1b", "birch-3b", "cedar-7b", "delta-8b", "elm-14b", "fern-32b", "grove-70b")
_SUBJECTS = {"arithmetic": ("sums", "products"), "mmlu_pro": ("law", "physics", "history")}
_SKILL = dict(zip(LLMS, (0.35, 0.42, 0.5, 0.52, 0.58, 0.62, 0.66), strict=True))
_PRICE = dict(zip(LLMS, (0.05, 0.1, 0.2, 0.2, 0.4, 0.8, 0.9), strict=True))

ARMS: tuple[tuple[ArmSpec, int, int, float], ...] = (
    (ArmSpec("single", "single"), 1, 0, 0.0),
    (ArmSpec("simple_router", "simple_router"), 1, 0, 0.02),
    (ArmSpec("rps", "rps"), 1, 0, 0.03),
    (ArmSpec("majority_vote", "majority_vote"), 7, 0, 0.04),
    (ArmSpec("prior_vote", "prior_vote"), 7, 0, 0.06),
    (ArmSpec("self_consistency", "self_consistency", {"samples": 8}), 8, 8, 0.03),
    (ArmSpec("moa", "moa"), 8, 1, 0.02),
    (ArmSpec("smcs", "smcs", {"k": 7, "without": []}), 15, 8, 0.07),
    (ArmSpec("smcs_guarded", "smcs_guarded"), 15, 8, 0.1),
    (ArmSpec("smcs-without-rps", "smcs", {"k": 7, "without": ["rps"]}), 15, 8, 0.04),
    (ArmSpec("smcs-without-similarity", "smcs", {"k": 7, "without": ["similarity"]}), 15, 8, 0.03),
    (ArmSpec("smcs-without-perplexity", "smcs", {"k": 7, "without": ["perplexity"]}), 15, 8, 0.065),
    (ArmSpec("smcs-without-prior_drop", "smcs", {"k": 7, "without": ["prior_drop"]}), 15, 8, 0.06),
    (ArmSpec("smcs-3-llms", "smcs", {"k": 7, "without": [], "llms": 3}), 11, 8, 0.01),
    (ArmSpec("smcs-5-llms", "smcs", {"k": 7, "without": [], "llms": 5}), 13, 8, 0.045),
)
"""Arms with calls per question, candidates, and accuracy above the best LLM's."""


def make_header(**changes: Any) -> Header:
    """Return a header of all arms."""
    header = Header(
        format=RESULT_FORMAT,
        name="made-up",
        created="2026-01-02T03:04:05+00:00",
        command="smcs bench run --tasks arithmetic,mmlu_pro",
        tasks=TASKS,
        arms=tuple(arm for arm, _, _, _ in ARMS),
        seeds=(0, 1),
        llms=LLMS,
        aggregators=("grove-70b",),
        bank={"content_hash": "0123abcd", "questions": 900, "embedder": "hashing-384"},
        config={"profile": "paper"},
        commit="0123456789abcdef0123456789abcdef01234567",
        dirty=False,
        versions={"python": "3.11.7", "smcs": "0.1.0"},
        hardware={"cpu": "A CPU", "cores": 2, "memory_gb": 8.0},
    )
    return replace(header, **changes)


def make_results(questions: int = 120, *, seed: int = 0, holes: bool = True, priced: bool = True) -> ResultFile:
    """Return results on `questions` questions of each task.

    Args:
        questions: Per task.
        seed: Of what is made up.
        holes: Whether some answers failed, are missing, ungraded or degraded.
        priced: Whether the calls have a price.
    """
    rng = np.random.default_rng(seed)
    header = make_header()
    rows: list[Row] = []
    for task in TASKS:
        for number in range(questions):
            hardness = rng.normal(0, 0.25)
            subject = _SUBJECTS[task][number % len(_SUBJECTS[task])]
            priors: dict[str, float | None] = {
                llm: float(100 * np.clip(_SKILL[llm] + rng.normal(0, 0.1), 0, 1)) for llm in LLMS
            }
            for at_seed in header.seeds:
                references = {llm: float(rng.random() < _SKILL[llm] - hardness) for llm in LLMS}
                luck = rng.random()
                for arm, calls, candidates, gain in ARMS:
                    row = _row(rng, arm, calls, candidates, gain - hardness, references, luck, priced=priced)
                    row = replace(row, question=f"{task}-{number}", task=task, seed=at_seed, subject=subject)
                    if arm.strategy not in ("single", "simple_router", "majority_vote"):
                        row = replace(row, priors=priors, support=_support(rng, task, subject))
                    rows.append(_with_hole(rng, row) if holes else row)
    return ResultFile(header, tuple(rows))


def keep_arms(results: ResultFile, *names: str) -> ResultFile:
    """Return the results of these arms only."""
    header = replace(results.header, arms=tuple(arm for arm in results.header.arms if arm.name in names))
    return ResultFile(header, tuple(row for row in results.rows if row.arm in names))


def write_results(folder: Path, results: ResultFile, name: str = "results") -> Path:
    """Write a result file and return the path of the finished one."""
    writer = ResultWriter(folder / f"{name}.jsonl", results.header)
    for row in results.rows:
        writer.append(row)
    return writer.finish()


def _row(
    rng: np.random.Generator,
    arm: ArmSpec,
    calls: int,
    candidates: int,
    gain: float,
    references: dict[str, float],
    luck: float,
    *,
    priced: bool,
) -> Row:
    chance = 0.62 + gain
    right = float(0.7 * luck + 0.3 * rng.random() < chance)
    prompt = calls * int(rng.integers(200, 400)) + candidates * 900
    completion = calls * int(rng.integers(100, 300))
    asked = LLMS[: min(calls, len(LLMS))] if calls > 1 else LLMS[-1:]
    return Row(
        "?",
        "?",
        arm.name,
        0,
        score=right,
        status="ok",
        answered_by="grove-70b",
        extracted="ABCD"[int(rng.integers(4))],
        calls=calls,
        prompt_tokens=prompt,
        cached_tokens=candidates * 700,
        completion_tokens=completion,
        cost_usd=(prompt + 3 * completion) * _PRICE["grove-70b"] / 1e6 if priced else None,
        call_seconds=calls * float(rng.uniform(1, 4)),
        latency=float(rng.uniform(2, 5)) * (2 if candidates else 1),
        reference_scores={llm: references[llm] for llm in asked},
        candidate_scores=tuple(float(rng.random() < chance) for _ in range(candidates)),
    )


def _support(rng: np.random.Generator, task: str, subject: str) -> dict[str, float]:
    sources = [f"{name}/{part}" for name in (*TASKS, "other") for part in _SUBJECTS.get(name, ("misc",))]
    weights = np.array(
        [1.0 + 6 * source.startswith(task) + 12 * source.endswith(subject) + rng.random() for source in sources]
    )
    return {source: float(share) for source, share in zip(sources, weights / weights.sum(), strict=True)}


def _with_hole(rng: np.random.Generator, row: Row) -> Row:
    lot = rng.random()
    if lot < 0.01:
        return replace(row, status="failed", score=None, error="time-out", calls=0, candidate_scores=())
    if lot < 0.015:
        return replace(row, status="missing", score=None, error="not in the answer store", candidate_scores=())
    if lot < 0.02:
        return replace(row, status="ungraded", score=None)
    return replace(row, degraded=("2 of 7 references failed",)) if lot < 0.04 else row
