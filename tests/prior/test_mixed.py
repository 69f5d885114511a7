import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.errors import InputError
from smcs.prior import SupportSet, experts_to_merge, mixed_support, weighted_accuracy


def plain(
    similarities: list[float],
    lengths: list[list[float]],
    live: list[float],
    meaning: list[list[float]] | None,
    keep: float,
) -> list[tuple[int, float]]:
    rows = range(len(similarities))
    largest = [
        max((abs(lengths[j][m] ** 2 - live[m] ** 2) for j in rows if not math.isnan(lengths[j][m])), default=0.0)
        for m in range(len(live))
    ]
    weights = []
    for i in rows:
        terms = [
            1 - abs(lengths[i][m] ** 2 - live[m] ** 2) / (largest[m] or 1)
            for m in range(len(live))
            if not math.isnan(lengths[i][m])
        ]
        difficulty = sum(terms) / len(terms) if terms else 0.0
        likeness = difficulty if meaning is None else 0.6 * sum(meaning[i]) / len(meaning[i]) + 0.4 * difficulty
        weights.append(0.9 * likeness + 0.1 * similarities[i])
    order = sorted(rows, key=lambda i: -weights[i])
    return [(i, weights[i]) for i in order[: max(1, int(keep * len(weights)))]]


@given(st.data())
def test_the_second_look_equals_the_plain_reading(data: st.DataObject) -> None:
    questions, needles = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 3))
    length = st.one_of(st.just(math.nan), st.integers(0, 50).map(float))
    lengths = data.draw(
        st.lists(st.lists(length, min_size=needles, max_size=needles), min_size=questions, max_size=questions)
    )
    live = data.draw(st.lists(st.integers(0, 50).map(float), min_size=needles, max_size=needles))
    similarities = sorted(data.draw(st.lists(st.floats(0, 1), min_size=questions, max_size=questions)), reverse=True)
    cosine = st.lists(st.floats(-1, 1), min_size=needles, max_size=needles)
    meaning = data.draw(st.none() | st.lists(cosine, min_size=questions, max_size=questions))
    keep = data.draw(st.sampled_from([0.25, 0.5, 1.0]))
    support = SupportSet(np.arange(questions) + 100, np.array(similarities))
    got = mixed_support(support, lengths, live, meaning, query_share=0.1, keep=keep)
    expected = plain(similarities, lengths, live, meaning, keep)
    if expected[0][1] <= 0:
        assert got is support
        return
    np.testing.assert_allclose(got.similarities, [weight for _, weight in expected], atol=1e-12)
    weights = {100 + i: weight for i, weight in plain(similarities, lengths, live, meaning, 1.0)}
    np.testing.assert_allclose([weights[i] for i in got.indices.tolist()], got.similarities, atol=1e-12)
    assert len(set(got.indices.tolist())) == len(expected)


def test_questions_answered_at_the_same_length_come_first() -> None:
    support = SupportSet(np.array([5, 6, 7, 8]), np.array([0.9, 0.8, 0.7, 0.6]))
    got = mixed_support(support, [[100.0], [10.0], [12.0], [math.nan]], [11.0])
    assert sorted(got.indices.tolist()) == [6, 7]


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0, math.nan])), min_size=1, max_size=8))
def test_accuracy_equals_the_plain_reading(rows: list[tuple[float, float]]) -> None:
    support = SupportSet(np.arange(len(rows)), np.array([weight for weight, _ in rows]))
    known = [(weight, grade) for weight, grade in rows if not math.isnan(grade)]
    total = sum(weight for weight, _ in known)
    expected = sum(weight * grade for weight, grade in known) / total if total > 0 else math.nan
    np.testing.assert_allclose(weighted_accuracy([[grade] for _, grade in rows], support), [expected], rtol=1e-9)


@pytest.mark.parametrize(
    ("scores", "lengths", "count"),
    [
        ([0.9, 0.71, 0.5], [10, 10, 10], 1),
        ([0.9, 0.73, 0.5], [10, 10, 10], 2),
        ([0.9, 0.9, 0.9, 0.9], [10, 10, 10, 10], 3),
        ([0.9, 0.9, 0.9], [5000, 5000, 5000], 2),
        ([0.9, 0.9], [9000, 9000], 2),
        ([0.0, 0.0], [1, 1], 1),
        ([0.4], [1], 1),
    ],
)
def test_how_many_experts_are_merged(scores: list[float], lengths: list[int], count: int) -> None:
    assert experts_to_merge(scores, lengths) == count


def test_what_does_not_fit_is_refused() -> None:
    support = SupportSet(np.array([0, 1]), np.array([0.9, 0.8]))
    with pytest.raises(InputError, match=r"shape \(2, 1\), got \(1, 1\)"):
        mixed_support(support, [[1.0]], [1.0])
    with pytest.raises(InputError, match="`keep`"):
        mixed_support(support, [[1.0], [1.0]], [1.0], keep=0.0)
    with pytest.raises(InputError, match="`semantics`"):
        mixed_support(support, [[1.0], [1.0]], [1.0], [[1.0]])
    with pytest.raises(InputError, match="one value per expert"):
        experts_to_merge([1.0], [1.0, 2.0])
