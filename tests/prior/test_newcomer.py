from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_newcomer import World, world
from smcs.errors import InputError
from smcs.prior.growth import (
    Ability,
    Survey,
    choose_questions,
    estimate_accuracy,
    flat_survey,
    infer,
    predict,
    survey,
)

NEWCOMER = 5


@pytest.fixture(scope="module")
def made() -> World:
    return world()


@pytest.fixture(scope="module")
def known(made: World) -> Survey:
    return survey(np.delete(made.outcomes, NEWCOMER, axis=1), made.embeddings, np.random.default_rng(0))


def nobody(known: Survey) -> np.ndarray:
    return np.zeros(len(known.features), dtype=np.bool_)


def plain_survey(features: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> Survey:
    everything = (np.arange(len(features)), np.full(len(features), 1 / len(features)))
    return Survey(features.astype(np.float32), mean, covariance, (everything,), 3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40), width=st.integers(1, 4))
def test_infer_finds_the_mode_and_its_curvature(seed: int, count: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((width, width))
    covariance = root @ root.T + 0.2 * np.eye(width)
    mean, features = rng.standard_normal(width), rng.standard_normal((60, width)).astype(np.float32)
    rows, scores = rng.choice(60, count, replace=False), rng.random(count).round(1)
    found = infer(plain_survey(features, mean, covariance), rows, scores)

    def loss(weights: list[float]) -> float:
        total = 0.5 * (np.array(weights) - mean) @ np.linalg.solve(covariance, np.array(weights) - mean)
        for row, score in zip(rows, scores, strict=True):
            z = math.fsum(float(x) * w for x, w in zip(features[row], weights, strict=True))
            total += max(z, 0.0) + math.log1p(math.exp(-abs(z))) - score * z
        return float(total)

    best, step = found.mean.tolist(), 1e-3
    here = loss(best)
    for k in range(width):
        aside = [[w + side * step * (i == k) for i, w in enumerate(best)] for side in (-1, 1)]
        below, above = loss(aside[0]), loss(aside[1])
        assert abs(above - below) / (2 * step) < 1e-2
        curved = (above - 2 * here + below) / step**2
        np.testing.assert_allclose(curved, np.linalg.inv(found.covariance)[k, k], rtol=1e-2, atol=1e-2)


def test_without_outcomes_the_prior_comes_back(known: Survey) -> None:
    found = infer(known, (), ())
    np.testing.assert_allclose(found.mean, known.mean)
    np.testing.assert_allclose(found.covariance, known.covariance, rtol=1e-6, atol=1e-9)


def test_choice_is_the_greedy_one_and_never_repeats() -> None:
    rng = np.random.default_rng(3)
    features = rng.standard_normal((30, 3))
    features[:, 0] = 1
    known = plain_survey(features, rng.standard_normal(3), np.diag([1.0, 0.5, 0.3]))
    ability = infer(known, (), ())
    chosen = choose_questions(known, ability, nobody(known), 12, np.random.default_rng(0))
    # By the definition: after each choice, the one that leaves the least variance of the mean prior.
    chance = predict(known, ability)
    target = ((chance * (1 - chance))[:, None] * known.features).mean(axis=0)
    precision = np.linalg.inv(known.covariance)
    left = set(range(30))
    for row in chosen.tolist():
        after = {}
        for i in left:
            x = known.features[i].astype(np.float64)
            after[i] = target @ np.linalg.inv(precision + chance[i] * (1 - chance[i]) * np.outer(x, x)) @ target
        assert after[row] <= min(after.values()) * (1 + 1e-9)
        left.remove(row)
        x = known.features[row].astype(np.float64)
        precision += chance[row] * (1 - chance[row]) * np.outer(x, x)


def test_a_smaller_choice_begins_a_larger_one_and_asked_questions_are_left_out(known: Survey) -> None:
    ability = infer(known, (), ())
    many = choose_questions(known, ability, nobody(known), 400, np.random.default_rng(7))
    few = choose_questions(known, ability, nobody(known), 70, np.random.default_rng(7))
    assert many[:70].tolist() == few.tolist()
    assert len(set(many.tolist())) == 400
    asked = nobody(known)
    asked[many] = True
    others = choose_questions(known, ability, asked, 5000, np.random.default_rng(7))
    assert sorted([*others.tolist(), *many.tolist()]) == list(range(len(asked)))


def test_chosen_questions_tell_more_than_random_ones_and_predictions_see_topics(made: World, known: Survey) -> None:
    chosen = choose_questions(known, infer(known, (), ()), nobody(known), 40, np.random.default_rng(0))
    outcomes = made.outcomes[:, NEWCOMER]
    ability = infer(known, chosen, outcomes[chosen])
    drawn = np.random.default_rng(1).choice(len(outcomes), 40, replace=False)
    by_chance = infer(known, drawn, outcomes[drawn])
    seen, seen_by_chance = (np.full(len(outcomes), np.nan) for _ in range(2))
    seen[chosen], seen_by_chance[drawn] = outcomes[chosen], outcomes[drawn]
    sure, unsure = estimate_accuracy(known, ability, seen), estimate_accuracy(known, by_chance, seen_by_chance)
    assert sure.high - sure.low < 0.95 * (unsure.high - unsure.low)
    missed = np.abs(predict(known, ability) - made.chances[:, NEWCOMER]).mean()
    assert missed < 0.6 * np.abs(outcomes[chosen].mean() - made.chances[:, NEWCOMER]).mean()


def test_intervals_cover_the_accuracy(made: World) -> None:
    covered, errors = [], []
    for newcomer in range(made.outcomes.shape[1]):
        known = survey(np.delete(made.outcomes, newcomer, axis=1), made.embeddings, np.random.default_rng(0))
        outcomes = made.outcomes[:, newcomer]
        rows = choose_questions(known, infer(known, (), ()), nobody(known), 60, np.random.default_rng(0))
        seen = np.full(len(outcomes), np.nan)
        seen[rows] = outcomes[rows]
        guess = estimate_accuracy(known, infer(known, rows, outcomes[rows]), seen)
        assert 0 <= guess.low <= guess.value <= guess.high <= 1
        covered.append(guess.low <= outcomes.mean() <= guess.high)
        errors.append(guess.value - outcomes.mean())
    assert np.mean(covered) >= 0.75
    assert np.sqrt(np.mean(np.square(errors))) < 0.05


def test_everything_asked_leaves_nothing_open(made: World, known: Survey) -> None:
    outcomes = made.outcomes[:, NEWCOMER]
    guess = estimate_accuracy(known, infer(known, np.arange(len(outcomes)), outcomes), outcomes)
    assert guess.value == pytest.approx(outcomes.mean())
    assert guess.low == pytest.approx(guess.high)
    part = estimate_accuracy(known, infer(known, (), ()), outcomes, rows=[3, 4, 5])
    assert part.value == pytest.approx(outcomes[3:6].mean())
    assert (part.observed, part.questions) == (3, 3)


def test_survey_uses_llms_with_gaps_and_does_not_depend_on_their_order(made: World) -> None:
    rng = np.random.default_rng(5)
    holed = made.outcomes.copy()
    holed[rng.random(holed.shape) < 0.3] = np.nan
    first = survey(holed[:, :8], made.embeddings, np.random.default_rng(0))
    again = survey(holed[:, :8], made.embeddings, np.random.default_rng(0))
    assert np.array_equal(first.features, again.features)
    assert np.isfinite(first.features).all()
    turned = survey(holed[:, 7::-1], made.embeddings, np.random.default_rng(0))
    np.testing.assert_allclose(np.abs(first.features), np.abs(turned.features), rtol=1e-2, atol=1e-2)
    whole = survey(made.outcomes[:, :8], made.embeddings, np.random.default_rng(0))
    assert np.corrcoef(first.features[:, 1], whole.features[:, 1])[0, 1] > 0.9


@pytest.mark.parametrize("kind", ["identical", "all right", "three", "long vectors"])
def test_survey_of_degenerate_banks_is_finite(kind: str) -> None:
    drawn = world(120, 6, dimensions=600 if kind == "long vectors" else 5)
    outcomes = {
        "identical": np.repeat(drawn.outcomes[:, :1], 5, axis=1),
        "all right": np.ones((120, 4)),
        "three": drawn.outcomes[:, 1:4],
        "long vectors": drawn.outcomes,
    }[kind]
    known = survey(outcomes, drawn.embeddings, np.random.default_rng(0))
    rows = choose_questions(known, infer(known, (), ()), nobody(known), 10, np.random.default_rng(0))
    chances = predict(known, infer(known, rows, np.ones(10)))
    assert np.isfinite(known.features).all()
    assert ((chances > 0) & (chances < 1)).all()
    assert np.linalg.eigvalsh(known.covariance).min() > 0


def test_a_flat_survey_predicts_the_shrunk_mean() -> None:
    known = flat_survey(np.full((50, 0), np.nan))
    chances = predict(known, infer(known, np.arange(20), np.ones(20)))
    assert np.ptp(chances) == 0
    assert 0.8 < chances[0] < 1.0
    assert predict(known, infer(known, (), ()))[0] == pytest.approx(0.5)
    helped = flat_survey(np.full((50, 1), 0.9))
    assert predict(helped, infer(helped, (), ()))[0] == pytest.approx(0.9, abs=0.02)
    assert len(choose_questions(known, infer(known, (), ()), nobody(known), 10, np.random.default_rng(0))) == 10


def test_what_cannot_be_used_is_refused(made: World, known: Survey) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="at least 3"):
        survey(made.outcomes[:, :2], made.embeddings, rng)
    with pytest.raises(InputError, match="one row per question"):
        survey(made.outcomes[:, :4], made.embeddings[:-1], rng)
    with pytest.raises(InputError, match="0 to 1"):
        survey(made.outcomes[:, :4] * 2, made.embeddings, rng)
    empty = made.outcomes[:, :4].copy()
    empty[:, 0] = np.nan
    with pytest.raises(InputError, match="without any outcome"):
        survey(empty, made.embeddings, rng)
    with pytest.raises(InputError, match="one length"):
        infer(known, [1, 2], [1.0])
    with pytest.raises(InputError, match="`rows`"):
        infer(known, [len(known.features)], [1.0])
    with pytest.raises(InputError, match="none missing"):
        infer(known, [1], [math.nan])
    ability = Ability(known.mean, known.covariance)
    with pytest.raises(InputError, match="at least 1"):
        choose_questions(known, ability, nobody(known), 0, rng)
    with pytest.raises(InputError, match="one entry per question"):
        choose_questions(known, ability, [False], 1, rng)
    with pytest.raises(InputError, match="no question"):
        estimate_accuracy(known, ability, made.outcomes[:, 0], rows=[])
    with pytest.raises(InputError, match="one entry per question"):
        estimate_accuracy(known, ability, [1.0])
