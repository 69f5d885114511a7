import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcs.errors import InputError
from smcs.posterior import Shrinkage, fit_vote_weights, fit_vote_worth, fit_votes, vote_probabilities


def plain_objective(
    answers: list[list[int]], correct: list[int], features: np.ndarray, ridge: list[float], worth: np.ndarray
) -> float:
    total: float = -sum(ridge[d] / 2 * worth[r, d] ** 2 for r in range(worth.shape[0]) for d in range(worth.shape[1]))
    for q, row in enumerate(answers):
        sums: dict[int, float] = {}
        for r, answer in enumerate(row):
            if answer >= 0:
                weight = sum(features[q, r, d] * worth[r, d] for d in range(worth.shape[1]))
                sums[answer] = sums.get(answer, 0.0) + weight
        if correct[q] in sums:
            total += sums[correct[q]] - math.log(sum(math.exp(value) for value in sums.values()))
    return total


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3))
def test_the_fit_is_the_maximum(seed: int, voters: int, dimensions: int) -> None:
    rng = np.random.default_rng(seed)
    answers = rng.integers(-1, 4, size=(10, voters))
    correct = rng.integers(0, 4, size=10)
    features = rng.normal(size=(10, voters, dimensions))
    ridge = [0.5, 1.0, 3.0][:dimensions]
    best = fit_votes(answers, correct, features, ridge)
    top = plain_objective(answers.tolist(), correct.tolist(), features, ridge, best)
    for place in np.ndindex(best.shape):
        for step in (-0.02, 0.02):
            other = best.copy()
            other[place] += step
            assert plain_objective(answers.tolist(), correct.tolist(), features, ridge, other) < top


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_one_constant_feature_is_the_plain_fit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers, correct = rng.integers(-1, 3, size=(20, 3)), rng.integers(0, 3, size=20)
    got = fit_votes(answers, correct, np.ones((20, 3, 1)), [1.0])[:, 0]
    np.testing.assert_allclose(got, fit_vote_weights(answers, correct), atol=1e-4)


def two_regions(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors in two directions, and which of the two each lies in."""
    side = rng.integers(0, 2, size=size)
    vectors = rng.normal(scale=0.1, size=(size, 4))
    vectors[np.arange(size), side] += 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), side


def test_each_voter_counts_where_it_is_good() -> None:
    rng = np.random.default_rng(0)
    vectors, side = two_regions(2000, rng)
    share = np.where(side[:, None] == [0, 1], 0.8, 0.35)
    answers = np.where(rng.random((2000, 2)) < share, 0, rng.integers(1, 4, size=(2000, 2)))
    worth = fit_vote_worth(answers, np.zeros(2000, int), vectors)
    weights = worth.log_weights(np.eye(4)[:2], np.full((2, 2), np.nan))
    assert weights[0, 0] > weights[0, 1] + 0.5
    assert weights[1, 1] > weights[1, 0] + 0.5
    flat = fit_vote_worth(answers, np.zeros(2000, int), vectors, shrinkage=Shrinkage(regions=0))
    everywhere = flat.log_weights(np.eye(4)[:2], np.full((2, 2), np.nan))
    np.testing.assert_allclose(everywhere[0], everywhere[1])
    # A question that could not be embedded gets what lies between.
    unknown = worth.log_weights(np.zeros((1, 4)), np.full((1, 2), np.nan))[0]
    assert weights.min() < unknown.min() <= unknown.max() < weights.max()


def test_a_voter_who_is_unusually_long_winded_counts_less_if_that_gives_it_away() -> None:
    rng = np.random.default_rng(1)
    vectors, _ = two_regions(2000, rng)
    answers = np.where(rng.random((2000, 3)) < 0.6, 0, rng.integers(1, 4, size=(2000, 3)))
    lengths = np.where(answers == 0, 100.0, 300.0) * rng.lognormal(0, 0.3, size=(2000, 3))
    worth = fit_vote_worth(answers, np.zeros(2000, int), vectors, lengths)
    short, long = worth.log_weights(vectors[:2], [[100.0, 200.0, 200.0], [400.0, 200.0, 200.0]])
    assert short[0] > long[0] + 0.5
    unknown = worth.log_weights(vectors[:1], np.full((1, 3), np.nan))[0]
    assert long[0] < unknown[0] < short[0]
    held = vote_probabilities([[0, 1, 1]] * 2, [short, long])
    assert held[0, 0] > held[1, 0]


def test_little_data_gives_one_weight_per_voter() -> None:
    rng = np.random.default_rng(2)
    vectors, _ = two_regions(60, rng)
    answers = rng.integers(0, 3, size=(60, 2))
    assert fit_vote_worth(answers, np.zeros(60, int), vectors).centres.shape == (0, 4)
    same = np.tile(vectors[:1], (200, 1))
    assert len(fit_vote_worth(rng.integers(0, 3, size=(200, 2)), np.zeros(200, int), same).centres) <= 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Shrinkage(region=0.0), "`region` must be a finite number above 0"),
        (lambda: Shrinkage(regions=-1), "`regions` must be 0 or more"),
        (lambda: fit_votes([[0]], [0], np.ones((1, 2, 1)), [1.0]), "do not fit each other"),
        (lambda: fit_votes([[0]], [0], np.ones((1, 1, 1)), [0.0]), "`ridge` must be above 0"),
        (lambda: fit_vote_worth([[0]], [0], np.ones((2, 3))), "one row per question"),
    ],
)
def test_what_does_not_fit_is_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        call()
