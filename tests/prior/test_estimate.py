import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.errors import InputError
from smcs.prior import SupportSet, prior_vector, weighted_prior

grades = st.one_of(st.sampled_from([0.0, 1.0, math.nan]), st.floats(0, 1))


@st.composite
def supports(draw: st.DrawFn, low: float = -1.0) -> tuple[list[list[float]], list[float]]:
    rows, llms = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    matrix = draw(st.lists(st.lists(grades, min_size=llms, max_size=llms), min_size=rows, max_size=rows))
    weights = draw(st.lists(st.floats(low, 1, allow_subnormal=False), min_size=rows, max_size=rows))
    return matrix, [0.0 if abs(weight) < 1e-6 else weight for weight in weights]


def plain_prior(matrix: list[list[float]], weights: list[float]) -> list[float]:
    """Eq. 4 read aloud: first fill the gaps of each LLM with its own mean, then add up."""
    result = []
    for llm in range(len(matrix[0])):
        column = [row[llm] for row in matrix]
        seen = [(abs(weight), grade) for weight, grade in zip(weights, column, strict=True) if not math.isnan(grade)]
        evidence = sum(weight for weight, _ in seen)
        if len(seen) < len(column):
            mean = sum(weight * grade for weight, grade in seen) / evidence if evidence else math.nan
            column = [mean if math.isnan(grade) else grade for grade in column]
        result.append(sum(weight * grade for weight, grade in zip(weights, column, strict=True)))
    return result


@given(supports())
def test_equals_the_plain_reading(case: tuple[list[list[float]], list[float]]) -> None:
    matrix, weights = case
    np.testing.assert_allclose(weighted_prior(matrix, weights), plain_prior(matrix, weights), rtol=1e-9, atol=1e-12)


@given(supports(low=1e-3))
def test_a_gap_rescales_to_the_full_weight(case: tuple[list[list[float]], list[float]]) -> None:
    matrix, weights = case
    for llm, prior in enumerate(weighted_prior(matrix, weights)):
        seen = [(w, row[llm]) for w, row in zip(weights, matrix, strict=True) if not math.isnan(row[llm])]
        if not seen:
            assert math.isnan(prior)
            continue
        mean = sum(w * grade for w, grade in seen) / sum(w for w, _ in seen)
        assert prior == pytest.approx(mean * sum(weights), rel=1e-9, abs=1e-12)


def test_equation_four_by_hand() -> None:
    outcomes = [[1, 0, 1], [0, 0, 1], [1, 1, 1], [1, 0, 0]]
    support = SupportSet(np.array([2, 0]), np.array([0.9, 0.8]))
    np.testing.assert_allclose(prior_vector(outcomes, support), [1.7, 0.9, 1.7])


def test_a_missing_outcome_is_not_a_zero() -> None:
    nan = math.nan
    outcomes = [[1, 1, 0, nan], [1, nan, nan, nan], [0, 0, nan, nan]]
    support = SupportSet(np.arange(3), np.array([0.5, 0.3, 0.2]))
    # second LLM: (0.5 x 1 + 0.2 x 0) / 0.7 of the full weight 1.0
    np.testing.assert_allclose(prior_vector(outcomes, support), [0.8, 0.5 / 0.7, 0.0, nan])


def test_gaps_of_one_llm_leave_the_others_exactly_as_they_were() -> None:
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 2, (300, 9)).astype(np.float32)
    similarities = rng.random(300)
    before = weighted_prior(scores, similarities)
    scores[::3, 4] = math.nan
    after = weighted_prior(scores, similarities)
    assert np.delete(after, 4).tolist() == np.delete(before, 4).tolist()
    assert after[4] != before[4]


def test_a_negative_similarity_weighs_negatively_and_the_mean_stays_a_mean() -> None:
    np.testing.assert_allclose(weighted_prior([[1, 0], [0, 1]], [0.5, -0.4]), [0.5, -0.4])
    # The signed weights of the observed rows nearly cancel; the filled-in grade is still (0.5 + 0) / 0.999 of 1.
    filled = 0.5 / 0.999
    np.testing.assert_allclose(weighted_prior([[1.0], [0.0], [math.nan]], [0.5, -0.499, 0.3]), [0.5 + 0.3 * filled])


def test_zero_weights() -> None:
    assert weighted_prior([[1.0, 0.5]], [0.0]).tolist() == [0.0, 0.0]
    unknown = weighted_prior([[1.0], [math.nan]], [0.0, 0.7])
    assert np.isnan(unknown).all()


@pytest.mark.parametrize("llms", [2, 5, 13, 17, 200])
def test_equal_llms_tie_to_the_last_bit(llms: int) -> None:
    rng = np.random.default_rng(llms)
    column = rng.random(777)
    column[::10] = math.nan
    for scores in (np.repeat(column[:, None], llms, 1), np.asfortranarray(np.repeat(column[:, None], llms, 1))):
        priors = weighted_prior(scores, rng.random(777))
        assert len(set(priors.tolist())) == 1
        assert not np.isnan(priors).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int64, np.float16, np.float32])
def test_every_real_dtype_gives_the_same(dtype: type[np.generic]) -> None:
    scores = np.array([[1, 0], [1, 1], [0, 1]])
    np.testing.assert_array_equal(weighted_prior(scores.astype(dtype), [0.5, 0.25, 0.125]), [0.75, 0.375])


@pytest.mark.parametrize(
    ("scores", "similarities", "message"),
    [
        ([[1.0], [0.0]], [0.5], "one row per similarity"),
        ([1.0], [0.5], "2 dimension"),
        ([[1.0]], [math.nan], "`similarities` must be finite, got nan at index 0"),
        ([[1.0]], [], "must not be empty"),
        (np.empty((1, 0)), [0.5], "must not be empty"),
        ([[87.0]], [0.5], "from 0 to 1.*Divide percentages by 100"),
        ([[math.nan, -0.5]], [0.5], "from 0 to 1"),
        ([[math.inf]], [0.5], "from 0 to 1"),
        ([[1.0], [1.0, 0.0]], [0.5, 0.5], "unequal length"),
        ([[None]], [0.5], "missing value as NaN"),
    ],
)
def test_unusable_scores_are_refused(scores: list[list[float]], similarities: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        weighted_prior(scores, similarities)


@pytest.mark.parametrize(
    ("indices", "similarities", "message"),
    [
        ([0, 2], [0.5, 0.5], "from 0 to 1 .*same bank"),
        ([-1], [0.5], "from 0 to 1"),
        ([], [], "must not be empty"),
        ([0.0], [0.5], "must be integers"),
        ([0, 1], [0.5], "one row per similarity"),
    ],
)
def test_an_unusable_support_is_refused(indices: list[int], similarities: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prior_vector([[1.0], [0.0]], SupportSet(np.array(indices), np.array(similarities)))
