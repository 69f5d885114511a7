"""Replayed priors and votes against plain loops over questions and LLMs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_replay import make_recording, make_vectors
from smcs.bench import pairwise_ranking_score
from smcs.bench.replay_arrays import MISSING_AS_WRONG, Replay, SweepSetting, sweep, sweep_grid, z_softmax
from smcs.bench.replay_figures import arm_figures, cost_curve, replay_header, replay_rows
from smcs.bench.results import ResultWriter, read_results
from smcs.errors import ConfigError, InputError
from smcs.posterior import drop_distribution, vote_probabilities
from smcs.prior import PRIORS, prior_vector, recruit, support_set


@pytest.fixture(scope="module")
def over() -> Replay:
    recording = make_recording()
    return Replay(recording, make_vectors(recording))


def plain_rps(over: Replay, base: int, tolerance: float) -> list[list[float]]:
    known = over.recording.scores[~over.recording.is_test]
    rows = over.vectors[over.recording.is_test] @ over.vectors[~over.recording.is_test].T
    return [prior_vector(known, support_set(row, base=base, tolerance=tolerance)).tolist() for row in rows]


def plain_vote(ballots: list[int], weights: list[float]) -> int:
    totals: dict[int, float] = {}
    for ballot, weight in zip(ballots, weights, strict=True):
        if ballot >= 0:
            totals[ballot] = totals.get(ballot, 0.0) + weight
    best = max(totals.values(), default=0.0)
    return next((answer for answer, total in totals.items() if math.isclose(total, best, rel_tol=1e-12)), -1)


def test_priors_choose_and_rank_as_a_loop_does(over: Replay) -> None:
    arm = over.prior_arm("rps")
    priors = np.array(plain_rps(over, 400, 0.95))
    assert arm.ranking == pytest.approx(priors)
    chosen = [int(recruit(row, 1)[0]) for row in priors]
    assert arm.answered_by is not None
    assert arm.answered_by.tolist() == chosen
    expected = [over.scores[row, column] for row, column in enumerate(chosen)]
    assert np.array_equal(arm.scores, expected, equal_nan=True)
    ordered, pairs = arm.pairs.sum(axis=0)
    assert ordered / pairs == pytest.approx(pairwise_ranking_score(priors, over.verdicts))
    assert arm.costs is not None
    assert over.recording.costs is not None
    assert arm.costs[3] == over.recording.costs[over.asked[3], chosen[3]]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_votes_are_counted_as_a_loop_does(over: Replay, k: int) -> None:
    of = over.recording
    assert of.answers is not None
    assert of.gold is not None
    majority, weighted = (over.vote_arm("a", "equal", k=k), over.vote_arm("b", "prior", k=k))
    everyone = over.vote_arm("c", "equal")
    for place, row in enumerate(over.asked):
        prior = over.prior("rps")[place]
        order = recruit(prior, k)
        ballots = of.answers[row, order].tolist()
        weights = drop_distribution(prior)[order].tolist()
        assert majority.scores[place] == (plain_vote(ballots, [1.0] * k) == of.gold[row])
        assert weighted.scores[place] == (plain_vote(ballots, weights) == of.gold[row])
        assert everyone.scores[place] == (plain_vote(of.answers[row].tolist(), [1.0] * 5) == of.gold[row])
        cast = sum(weight for ballot, weight in zip(ballots, weights, strict=True) if ballot >= 0)
        for llm, answer in enumerate(of.answers[row].tolist()):
            same = sum(w for b, w in zip(ballots, weights, strict=True) if b == answer and b >= 0)
            assert weighted.ranking[place, llm] == pytest.approx(same / cast if cast else 0.0)


def test_learned_votes_are_vote_probabilities(over: Replay) -> None:
    of = over.recording
    arm = over.vote_arm("learned", "learned")
    assert of.answers is not None
    assert of.gold is not None
    for place, row in enumerate(over.asked):
        chances = vote_probabilities(of.answers[row], over.vote_weights)
        assert arm.ranking[place] == pytest.approx(chances)
        decided = of.answers[row][chances.argmax()] if chances.max() > 0 else -1
        assert arm.scores[place] == (decided == of.gold[row])


def test_every_prior_and_vote_is_replayed(over: Replay) -> None:
    arms = over.all_arms()
    names = [arm.name for arm in arms]
    assert names[: len(PRIORS)] == list(PRIORS)
    assert MISSING_AS_WRONG in names
    assert len(names) == len(set(names)) == len(PRIORS) + 9
    by_name = {arm.name: arm for arm in arms}
    wrong = np.nan_to_num(over.recording.scores[~over.recording.is_test])
    expected = [prior_vector(wrong, support_set(row)) for row in over.similarities]
    assert by_name[MISSING_AS_WRONG].ranking == pytest.approx(np.array(expected))
    # The two specialists are found on their subject by whatever looks at the question.
    assert np.nanmean(by_name["stacked"].scores) > np.nanmean(by_name["global"].scores)


@given(st.lists(st.lists(st.floats(-50, 50), min_size=4, max_size=4), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_weights_of_many_rows_are_the_drop_distribution_of_each(rows: list[list[float]]) -> None:
    expected = [drop_distribution(row) for row in rows]
    assert z_softmax(np.array(rows)) == pytest.approx(np.array(expected), rel=1e-9)


def test_an_unknown_prior_weighs_like_the_mean() -> None:
    assert z_softmax(np.array([[1.0, 3.0, np.nan]])) == pytest.approx(drop_distribution([1.0, 3.0, 2.0])[None, :])


def test_a_sweep_equals_a_replay_of_each_setting(over: Replay) -> None:
    grid = sweep_grid((5, 20), (0.8, 1.0), (2, 5), ("equal", "prior"))
    points = sweep(over, grid)
    assert [point.setting for point in points] == list(grid)
    known = over.recording.scores[~over.recording.is_test]
    assert over.recording.answers is not None
    assert over.recording.gold is not None
    for point in points:
        setting = point.setting
        supports = [support_set(row, base=setting.base, tolerance=setting.tolerance) for row in over.similarities]
        priors = np.array([prior_vector(known, support) for support in supports])
        assert point.support == pytest.approx(np.mean([len(support) for support in supports]))
        assert point.ranking == pytest.approx(pairwise_ranking_score(priors, over.verdicts))
        hits = []
        for place, row in enumerate(over.asked):
            order = recruit(priors[place], setting.k)
            shares = drop_distribution(priors[place])[order]
            weights = shares.tolist() if setting.weighting == "prior" else [1.0] * setting.k
            ballots = over.recording.answers[row, order].tolist()
            hits.append(plain_vote(ballots, weights) == over.recording.gold[row])
        assert point.vote == pytest.approx(np.mean(hits))


def test_a_sweep_needs_no_answers(over: Replay) -> None:
    graded = Replay(replace(over.recording, answers=None, gold=None), over.vectors)
    (point,) = sweep(graded, [SweepSetting(base=10)])
    assert point.vote is None
    assert graded.votes() == ()
    with pytest.raises(InputError, match="no answers"):
        graded.vote_arm("x", "equal")


def test_figures_compare_every_arm_with_rps(over: Replay) -> None:
    arms = (*over.priors(["rps", "global"]), over.vote_arm("majority", "equal"))
    rps, whole, vote = arm_figures(arms)
    assert rps.ranking_difference is None
    assert rps.score_difference is None
    assert whole.ranking_difference is not None
    assert vote.score_difference is not None
    ordered, pairs = arms[1].pairs.sum(axis=0)
    assert whole.ranking.value == pytest.approx(ordered / pairs)
    assert whole.ranking.low < whole.ranking.value < whole.ranking.high
    difference = whole.ranking_difference
    assert difference.value == pytest.approx(whole.ranking.value - rps.ranking.value)
    assert difference.low < difference.value < difference.high < 0
    assert vote.score_difference.difference == pytest.approx(arms[2].scores.mean() - arms[0].scores.mean())
    assert arm_figures(arms)[1].ranking_difference == difference
    with pytest.raises(InputError, match="nobody"):
        arm_figures(arms, yardstick="nobody")


def test_cost_aware_routing_trades_grades_for_money(over: Replay) -> None:
    curve = cost_curve(over, "graded")
    assert over.recording.costs is not None
    paid = over.recording.costs[over.asked]
    cheapest = over.recording.costs[over.bank].mean(axis=0).argmin()
    free = over.prior("graded").argmax(axis=1)
    assert curve.weights[0] == 0
    assert curve.costs[0] == pytest.approx(np.take_along_axis(paid, free[:, None], axis=1).mean())
    assert curve.costs[-1] == pytest.approx(paid[:, cheapest].mean())
    assert (np.diff(curve.costs) < 1e-4).all()
    assert curve.scores.min() <= curve.area <= curve.hull_area + 1e-12 <= curve.scores.max() + 1e-12
    assert cost_curve(over, "rps").scores[0] == pytest.approx(np.nanmean(over.prior_arm("rps").scores))
    with pytest.raises(InputError, match="no costs"):
        cost_curve(Replay(make_recording(costs=False), over.vectors), "rps")


def test_rows_make_a_result_file(over: Replay, tmp_path_factory: pytest.TempPathFactory) -> None:
    arms = (*over.priors(["rps", "graded"]), over.vote_arm("majority", "equal"))
    header = replay_header(over, arms, embedder="e", command="smcs", created="2026-01-01T00:00:00+00:00")
    with ResultWriter(tmp_path_factory.mktemp("results") / "r.jsonl", header) as writer:
        for row in replay_rows(over, arms):
            writer.append(row)
        found = read_results(writer.finish())
    assert len(found.rows) == 3 * len(over.asked)
    row = next(row for row in found.rows if row.arm == "graded")
    place = over.recording.ids.index(row.question) - int((~over.recording.is_test).sum())
    assert row.score == over.prior_arm("graded").scores[place]
    assert (row.task, row.subject, row.status) == ("task", str(over.recording.groups[over.asked[place]]), "ok")
    assert list(row.priors.values()) == pytest.approx(over.prior("graded")[place], rel=1e-4)
    assert not row.reference_scores
    first = next(row for row in found.rows if row.arm == "rps" and row.question == found.rows[0].question)
    assert set(first.reference_scores) == set(over.recording.llms)


def test_vectors_and_names_are_checked(over: Replay) -> None:
    with pytest.raises(InputError, match="85 rows"):
        Replay(over.recording, over.vectors[1:])
    with pytest.raises(ConfigError, match="no prior"):
        over.prior("nothing")
