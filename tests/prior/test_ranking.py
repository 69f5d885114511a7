import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smcs.errors import InputError
from smcs.prior import pairwise_ranking_score

nan = math.nan


@st.composite
def rankings(draw: st.DrawFn) -> tuple[list[list[float]], list[list[float]]]:
    questions, llms = draw(st.integers(1, 6)), draw(st.integers(2, 6))

    def matrix(cells: st.SearchStrategy[float]) -> list[list[float]]:
        row = st.lists(cells, min_size=llms, max_size=llms)
        return draw(st.lists(row, min_size=questions, max_size=questions))

    return matrix(st.sampled_from([0.0, 0.5, 1.0, 2.0, nan])), matrix(st.sampled_from([0.0, 1.0, nan]))


def plain_score(priors: list[list[float]], correct: list[list[float]], tie_credit: float) -> float | None:
    points, pairs = 0.0, 0
    for prior, verdict in zip(priors, correct, strict=True):
        for good in range(len(prior)):
            for bad in range(len(prior)):
                if verdict[good] == 1 and verdict[bad] == 0 and not math.isnan(prior[good] + prior[bad]):
                    pairs += 1
                    points += 1.0 if prior[good] > prior[bad] else tie_credit if prior[good] == prior[bad] else 0.0
    return points / pairs if pairs else None


@given(rankings(), st.sampled_from([0.0, 0.5, 1.0]))
def test_equals_the_plain_reading(case: tuple[list[list[float]], list[list[float]]], tie_credit: float) -> None:
    expected = plain_score(*case, tie_credit)
    assume(expected is not None)
    assert pairwise_ranking_score(*case, tie_credit=tie_credit) == pytest.approx(expected)


def test_pairs_are_pooled_over_questions() -> None:
    priors = [[3.0, 2.0, 1.0, 0.0], [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 1.0, 2.0]]
    correct = [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0], [nan, nan, 1.0, 0.0]]
    # 3 of 3, 2 of 3 and 0 of 1 pairs are in order: pooled 5/7, while the mean over questions would be 5/9.
    assert pairwise_ranking_score(priors, correct) == pytest.approx(5 / 7)


def test_a_tie_is_not_in_the_right_order_unless_asked() -> None:
    assert pairwise_ranking_score([[1.0, 1.0]], [[1, 0]]) == 0.0
    assert pairwise_ranking_score([[1.0, 1.0]], [[1, 0]], tie_credit=0.5) == 0.5


def test_booleans_are_verdicts() -> None:
    assert pairwise_ranking_score([[0.2, 0.1]], np.array([[True, False]])) == 1.0


@pytest.mark.parametrize(
    ("priors", "correct", "options", "message"),
    [
        ([[1, 2]], [[1, 0], [0, 1]], {}, "one shape"),
        ([[1, 2]], [[0.5, 0]], {}, "0, 1 or NaN"),
        ([[1, 2]], [[1, 1]], {}, "no pair to rank"),
        ([[1, nan]], [[1, 0]], {}, "no pair to rank"),
        ([[1, math.inf]], [[1, 0]], {}, "finite or NaN"),
        ([1, 2], [1, 0], {}, "2 dimension"),
        ([[1, 2]], [[1, 0]], {"tie_credit": 2.0}, "`tie_credit` must be from 0 to 1"),
    ],
)
def test_unusable_input_is_refused(
    priors: list[list[float]], correct: list[list[float]], options: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pairwise_ranking_score(priors, correct, **options)
