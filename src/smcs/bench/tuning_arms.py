"""What a result file says about parameters that a bank alone cannot judge: n, lambda, and the worth of merging."""

from __future__ import annotations

import numpy as np

from smcs.bench.results import ResultFile, Row
from smcs.bench.tuning_choice import Choice, choose, nothing
from smcs.strategies import Settings

__all__ = ("aggregator_accuracy", "candidates_of_arms")

_FEWEST = 50
"""Runs below which no accuracy is taken from a file."""


def candidates_of_arms(results: ResultFile, settings: Settings, seed: int) -> Choice:
    """Choose n and lambda among the SMCS arms of a result file that differ in nothing else."""
    fields = ("n", "balance")
    arms = {arm.name: {**settings.to_dict(), **arm.settings} for arm in results.header.arms if arm.strategy == "smcs"}
    present = tuple(getattr(settings, name) for name in fields)
    base = {name: value for name, value in settings.to_dict().items() if name not in (*fields, "seed")}
    alike = {
        name: tuple(values[field] for field in fields)
        for name, values in arms.items()
        if all(values[key] == value for key, value in base.items())
    }
    if present not in alike.values() or len(alike) < 2:
        return nothing(fields, "the result file has no two SMCS arms that differ only here, one as at present", present)
    keys = sorted({(row.question, row.seed) for row in results.rows if row.arm in alike})
    position = {key: at for at, key in enumerate(keys)}
    scores = {values: np.full(len(keys), np.nan) for values in alike.values()}
    for row in results.rows:
        if row.arm in alike and row.score is not None:
            scores[alike[row.arm]][position[row.question, row.seed]] = row.score
    return choose(fields, "right in the result file", present, scores, seed)


def aggregator_accuracy(results: ResultFile, settings: Settings) -> Choice:
    """Measure how often a merged answer is right, over the SMCS runs of a result file."""
    smcs = {arm.name for arm in results.header.arms if arm.strategy == "smcs"}
    shares = [share for row in results.rows if row.arm in smcs and (share := _share(row)) is not None]
    present = (settings.guard.aggregator_accuracy,)
    if len(shares) < _FEWEST:
        why = f"{len(shares)} runs with graded candidates are too few; {_FEWEST} are needed"
        return nothing(("guard.aggregator_accuracy",), why, present)
    mean = round(float(np.mean(shares)), 3)
    error = float(np.std(shares) / np.sqrt(len(shares)))
    # A measurement, not a choice: it replaces whatever stood there, and its interval is that of the mean.
    return Choice(
        ("guard.aggregator_accuracy",),
        "merged answers that are right",
        present=present,
        best=(mean,),
        best_value=mean,
        gain=mean,
        low=max(mean - 1.96 * error, 1e-9),
        high=mean + 1.96 * error,
        questions=len(shares),
    )


def _share(row: Row) -> float | None:
    known = [score for score in row.candidate_scores if score is not None]
    return sum(known) / len(known) if known else None
