"""What replayed arms are worth: figures with intervals, differences to RPS, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcs.bench.frontier import area_under_front
from smcs.bench.replay_arrays import Arm, Replay
from smcs.bench.results import RESULT_FORMAT, ArmSpec, Header, Row, describe_commit, describe_machine
from smcs.bench.statistics import Interval, Paired, bootstrap_interval, paired_comparison
from smcs.errors import InputError
from smcs.prior.models import Rps

__all__ = ("ArmFigures", "CostCurve", "Difference", "arm_figures", "cost_curve", "replay_header", "replay_rows")

Floats = NDArray[np.float64]

_DRAWS = 10_000
_CHUNK = 500
_WEIGHTS = 60
_DIGITS = 5
"""Of a prior in a result file."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two ratios over the same questions, with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """One arm; scores and differences are shares from 0 to 1, differences are the arm minus the yardstick."""

    arm: Arm
    ranking: Interval
    """Pairwise ranking score (Eq. 8)."""
    score: Interval
    """Mean grade of what the arm decides for."""
    ranking_difference: Difference | None
    """`None` for the yardstick."""
    score_difference: Paired | None


def arm_figures(arms: Sequence[Arm], *, yardstick: str = "rps", seed: int = 0) -> tuple[ArmFigures, ...]:
    """Estimate every arm, and compare it with one of them on the same questions.

    Intervals are 95% percentile intervals of bootstrap draws of questions; ranking scores of all arms use the same
    draws.

    Args:
        arms: Of one replay.
        yardstick: Name of the arm to compare with.
        seed: Of the bootstrap.

    Raises:
        InputError: No arm has that name, or no question can be ranked.
    """
    base = next((place for place, arm in enumerate(arms) if arm.name == yardstick), None)
    if base is None:
        raise InputError(f"No arm is called {yardstick!r}. There are: {', '.join(arm.name for arm in arms)}.")
    pairs = np.stack([arm.pairs for arm in arms]).astype(np.float64)
    useful = (pairs[:, :, 1] > 0).any(axis=0)
    if not useful.any():
        raise InputError("No question has both a right and a wrong LLM, so there is no pair to rank. Add questions.")
    drawn = _drawn_ratios(pairs[:, useful], np.random.default_rng(seed))
    whole = pairs[:, :, 0].sum(axis=1) / pairs[:, :, 1].sum(axis=1)
    found = []
    for place, arm in enumerate(arms):
        rng = np.random.default_rng(seed)
        ranking = Interval(float(whole[place]), *_ends(drawn[place]), int(useful.sum()), int((~useful).sum()))
        score = bootstrap_interval(arm.scores, draws=_DRAWS, rng=rng)
        if place == base:
            found.append(ArmFigures(arm, ranking, score, None, None))
            continue
        difference = Difference(float(whole[place] - whole[base]), *_ends(drawn[place] - drawn[base]))
        paired = paired_comparison(arm.scores, arms[base].scores, rng, draws=_DRAWS)
        found.append(ArmFigures(arm, ranking, score, difference, paired))
    return tuple(found)


def _drawn_ratios(pairs: Floats, rng: np.random.Generator) -> Floats:
    """Return the ranking score of each arm in each draw of questions: (A, Q, 2) -> (A, draws)."""
    arms, questions, _ = pairs.shape
    columns = pairs.transpose(1, 0, 2).reshape(questions, 2 * arms)
    ratios = np.empty((_DRAWS, arms))
    for start in range(0, _DRAWS, _CHUNK):
        picks = rng.integers(questions, size=(_CHUNK, questions))
        offsets = np.arange(_CHUNK)[:, None] * questions
        counts = np.bincount((picks + offsets).ravel(), minlength=_CHUNK * questions).reshape(_CHUNK, questions)
        sums = (counts.astype(np.float64) @ columns).reshape(_CHUNK, arms, 2)
        ratios[start : start + _CHUNK] = sums[:, :, 0] / sums[:, :, 1]
    return ratios.T


def _ends(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True, slots=True, eq=False)
class CostCurve:
    """Routing by prior minus weight times cost, for many weights."""

    prior: str
    weights: Floats
    """(W,) what a dollar more per question is worth, in grade; from paying any price to taking the cheapest."""
    costs: Floats
    """(W,) mean USD a question."""
    scores: Floats
    """(W,) mean grade."""
    area: float
    """Mean grade over budgets between the cheapest and the dearest single LLM, a budget buying the best point in it."""
    hull_area: float
    """The same when questions may be split at random between two points: on the convex hull, as in RouterBench."""


def cost_curve(over: Replay, prior: str) -> CostCurve:
    """Route at many prices of accuracy.

    The cost of an LLM is expected to be its mean over the bank; what counts in the end is the recorded cost of the
    answer itself. The prior is used as an expected grade, so RPS is divided by its largest possible value, the total
    similarity, which leaves its order as it is.

    Raises:
        InputError: No cost was recorded.
    """
    costs = over.recording.costs
    if costs is None:
        raise InputError(f"The recording {over.recording.name!r} has no costs.")
    expected = np.nanmean(costs[over.bank], axis=0)
    grades = _as_grades(over, prior)
    reach = 1.0 / max(float(np.diff(np.unique(expected)).min(initial=np.inf)), 1e-12)
    weights = np.concatenate([[0.0], np.geomspace(1e-3 / float(expected.max()), reach, _WEIGHTS)])
    paid, got = costs[over.asked], over.scores
    known = ~np.isnan(paid).any(axis=1) & ~np.isnan(got).any(axis=1)
    paid, got, grades = paid[known], got[known], grades[known]
    rows = np.arange(len(paid))
    chosen = [np.where(np.isnan(grades), -np.inf, grades - weight * expected).argmax(axis=1) for weight in weights]
    spent = np.array([paid[rows, column].mean() for column in chosen])
    earned = np.array([got[rows, column].mean() for column in chosen])
    low, high = float(paid.mean(axis=0).min()), float(paid.mean(axis=0).max())
    # The cheapest LLM alone is a choice that every router has, so that every curve begins at the same budget.
    cheapest = int(paid.mean(axis=0).argmin())
    points = np.append(spent, low), np.append(earned, got[:, cheapest].mean())
    areas = (area_under_front(*points, low=low, high=high, interpolate=hull) for hull in (False, True))
    return CostCurve(prior, weights, spent, earned, *areas)


def _as_grades(over: Replay, prior: str) -> Floats:
    values = over.prior(prior)
    if prior != "rps":
        return values
    perfect = np.ones((len(over.bank), 1))
    whole = Rps().fit(over.vectors[over.bank], perfect, over.recording.groups[over.bank])
    return values / whole.predict(over.vectors[over.asked], over.recording.groups[over.asked])


def replay_header(
    over: Replay,
    arms: Sequence[Arm],
    *,
    embedder: str,
    command: str,
    created: str,
    config: dict[str, Any] | None = None,
) -> Header:
    """Return the header of a result file of a replay; `config` is what else was chosen, JSON-ready."""
    versions, hardware = describe_machine()
    commit, dirty = describe_commit()
    of = over.recording
    return Header(
        format=RESULT_FORMAT,
        name=f"replay-{of.name}",
        created=created,
        command=command,
        tasks=tuple(dict.fromkeys(of.tasks[row] for row in over.asked)),
        arms=tuple(ArmSpec(arm.name, arm.name if arm.kind == "prior" else "vote", {"kind": arm.kind}) for arm in arms),
        seeds=(0,),
        llms=of.llms,
        aggregators=(),
        bank={"questions": len(over.bank), "embedder": embedder, "recording": of.name},
        config={"asked": len(over.asked), **(config or {})},
        commit=commit,
        dirty=dirty,
        versions=versions,
        hardware=hardware,
    )


def replay_rows(over: Replay, arms: Sequence[Arm]) -> list[Row]:
    """Return a row per question and arm; the LLMs' own grades stand with the first arm only, once per question."""
    of, rows = over.recording, []
    for arm in arms:
        for place, row in enumerate(over.asked.tolist()):
            score = arm.scores[place]
            cost = None if arm.costs is None or np.isnan(arm.costs[place]) else float(arm.costs[place])
            group = str(of.groups[row])
            rows.append(
                Row(
                    of.ids[row],
                    of.tasks[row],
                    arm.name,
                    0,
                    subject="" if group == of.tasks[row] else group,
                    score=None if np.isnan(score) else float(score),
                    status="missing" if np.isnan(score) else "ok",
                    answered_by="" if arm.answered_by is None else of.llms[arm.answered_by[place]],
                    cost_usd=cost,
                    priors=_named(of.llms, arm.ranking[place]) if arm.kind == "prior" else {},
                    reference_scores=_named(of.llms, over.scores[place]) if arm is arms[0] else {},
                )
            )
    return rows


def _named(llms: Sequence[str], values: Floats) -> dict[str, float | None]:
    return {
        llm: None if np.isnan(value) else float(f"{value:.{_DIGITS}g}")
        for llm, value in zip(llms, values.tolist(), strict=True)
    }
