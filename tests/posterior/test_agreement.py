import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcs.errors import InputError
from smcs.posterior import answer_shares, fit_vote_weights, plurality, vote_probabilities

Answers = list[int]


@st.composite
def votes(draw: st.DrawFn, low: float = 0.0) -> tuple[Answers, list[float]]:
    answers = draw(st.lists(st.integers(-1, 4), min_size=1, max_size=8))
    weights = draw(st.lists(st.floats(low, 3), min_size=len(answers), max_size=len(answers)))
    return answers, weights


def plain_totals(answers: Answers, weights: list[float]) -> dict[int, float]:
    totals: dict[int, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer >= 0:
            totals[answer] = totals.get(answer, 0.0) + weight
    return totals


@given(votes())
def test_shares_equal_the_plain_reading(case: tuple[Answers, list[float]]) -> None:
    answers, weights = case
    totals = plain_totals(answers, weights)
    everything = sum(totals.values())
    expected = [totals[answer] / everything if answer >= 0 and everything else 0.0 for answer in answers]
    np.testing.assert_allclose(answer_shares(answers, weights), expected, rtol=1e-12)


def test_shares_by_hand() -> None:
    assert answer_shares([2, 2, -1, 0]).tolist() == pytest.approx([2 / 3, 2 / 3, 0, 1 / 3])
    assert answer_shares([1, 0], [3.0, 1.0]).tolist() == [0.75, 0.25]
    assert answer_shares([-1, -1]).tolist() == [0, 0]


@given(st.lists(votes(), min_size=1, max_size=5))
def test_plurality_equals_the_plain_reading(cases: list[tuple[Answers, list[float]]]) -> None:
    width = max(len(answers) for answers, _ in cases)
    ballots = [answers + [-1] * (width - len(answers)) for answers, _ in cases]
    weights = [[round(4 * weight) / 4 for weight in row] + [0.0] * (width - len(row)) for _, row in cases]
    expected = []
    for ballot, row in zip(ballots, weights, strict=True):
        totals = plain_totals(ballot, row)  # a dict keeps the order of first votes, and max takes the first of a tie
        expected.append(max(totals, key=lambda answer, totals=totals: totals[answer]) if totals else -1)  # type: ignore[misc]
    assert plurality(ballots, weights).tolist() == expected


@pytest.mark.parametrize(
    ("ballots", "weights", "winners"),
    [
        ([[0, 1, 1]], None, [1]),
        ([[3, 1, 1, 3]], None, [3]),
        ([[-1, -1, 2]], None, [2]),
        ([[-1, -1], [-1, 0]], None, [-1, 0]),
        ([[-1, -1]], None, [-1]),
        ([[0, 1, 1]], [[0.6, 0.2, 0.2]], [0]),
        ([[0, 1, 1]], [[0.5, 0.25, 0.25]], [0]),
        ([[1, 0, 0]], [[0.5, 0.25, 0.25]], [1]),
    ],
)
def test_plurality_by_hand(ballots: list[list[int]], weights: list[list[float]] | None, winners: list[int]) -> None:
    assert plurality(np.array(ballots, dtype=np.int8), weights).tolist() == winners


@given(votes(low=-3.0))
def test_probabilities_equal_the_plain_reading(case: tuple[Answers, list[float]]) -> None:
    answers, weights = case
    powers = {answer: math.exp(total) for answer, total in plain_totals(answers, weights).items()}
    expected = [powers[answer] / sum(powers.values()) if answer >= 0 else 0.0 for answer in answers]
    np.testing.assert_allclose(vote_probabilities(answers, weights), expected, rtol=1e-9)


def test_probabilities_survive_large_weights() -> None:
    assert vote_probabilities([0, 1, -1], [1e4, -1e4, 5.0]).tolist() == [1.0, 0.0, 0.0]


def plain_objective(answers: list[Answers], correct: Answers, weights: list[float], ridge: float) -> float:
    """The penalised log-likelihood, question by question."""
    total = -ridge / 2 * sum(weight**2 for weight in weights)
    for row, right in zip(answers, correct, strict=True):
        sums = plain_totals(row, weights)
        if right in sums:
            total += sums[right] - math.log(sum(math.exp(value) for value in sums.values()))
    return total


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([0.3, 1.0, 5.0]))
def test_the_fit_is_the_maximum(seed: int, voters: int, ridge: float) -> None:
    rng = np.random.default_rng(seed)
    answers = rng.integers(-1, 4, size=(12, voters)).tolist()
    correct = rng.integers(0, 4, size=12).tolist()
    best = fit_vote_weights(answers, correct, ridge=ridge).tolist()
    top = plain_objective(answers, correct, best, ridge)
    for voter in range(voters):
        for step in (-0.01, 0.01):
            other = [weight + step * (number == voter) for number, weight in enumerate(best)]
            assert plain_objective(answers, correct, other, ridge) < top


def test_the_fit_finds_who_is_reliable_and_discounts_a_copy() -> None:
    rng = np.random.default_rng(5)
    gold = rng.integers(0, 4, size=4000)

    def voter(accuracy: float) -> np.ndarray:
        return np.where(rng.random(4000) < accuracy, gold, (gold + rng.integers(1, 4, size=4000)) % 4)

    good, weak, guess = voter(0.8), voter(0.5), voter(0.25)
    weights = fit_vote_weights(np.stack([good, weak, guess, weak], axis=1), gold)
    # An independent voter right with p among m options is worth log(p (m - 1) / (1 - p)), a little less where only
    # questions count on which somebody is right.
    assert weights[0] == pytest.approx(math.log(0.8 * 3 / 0.2), abs=0.3)
    assert weights[1] + weights[3] == pytest.approx(math.log(0.5 * 3 / 0.5), abs=0.3)
    assert weights[1] == pytest.approx(weights[3])
    assert weights[2] == pytest.approx(0, abs=0.3)


def test_the_fit_learns_nothing_from_nothing() -> None:
    assert fit_vote_weights([[0, 1], [-1, -1]], [3, 0]).tolist() == [0, 0]
    assert Counter(fit_vote_weights(np.full((5, 3), -1), np.zeros(5, int)).tolist()) == {0.0: 3}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: answer_shares([0, 1], [1.0]), r"shape \(2,\) of the answers, got \(1,\)"),
        (lambda: answer_shares([0, 1], [1.0, -1.0]), "must not be negative"),
        (lambda: answer_shares([0, -2]), "whole numbers from -1"),
        (lambda: answer_shares([0.5]), "whole numbers from -1"),
        (lambda: plurality([0, 1]), "2 dimension"),
        (lambda: vote_probabilities([0], [math.nan]), "finite"),
        (lambda: fit_vote_weights([[0]], [0, 1]), "shape"),
        (lambda: fit_vote_weights([[0]], [0], ridge=0.0), "above 0"),
    ],
)
def test_what_does_not_fit_is_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        call()
