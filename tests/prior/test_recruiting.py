import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.errors import InputError
from smcs.prior import prior_is_used, recruit
from smcs.types import Compat


@given(st.lists(st.one_of(st.sampled_from([math.nan, 0.0, -0.0, 1.0]), st.floats(-9, 9)), min_size=1), st.data())
def test_equals_the_plain_reading(prior: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(prior)))
    known = sorted((i for i in range(len(prior)) if not math.isnan(prior[i])), key=lambda i: (-prior[i], i))
    unknown = [i for i in range(len(prior)) if math.isnan(prior[i])]
    assert recruit(prior, k).tolist() == (known + unknown)[:k]


def test_by_hand() -> None:
    assert recruit([0.5, math.nan, 0.9, 0.5, -1.0], 5).tolist() == [2, 0, 3, 4, 1]
    assert recruit([math.nan, math.nan], 1).tolist() == [0]


@pytest.mark.parametrize(
    ("prior", "k", "message"),
    [
        ([1.0, 2.0], 3, "`k` must be from 1 to 2 .* got 3. Lower `k` or add LLMs"),
        ([1.0], 0, "`k` must be from 1 to 1"),
        ([], 1, "must not be empty"),
        ([[1.0]], 1, "1 dimension"),
        ([math.inf], 1, "finite or NaN"),
    ],
)
def test_unusable_input_is_refused(prior: list[float], k: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recruit(prior, k)


@pytest.mark.parametrize(
    ("k", "pool_size", "compat", "used"),
    [
        (7, 15, "paper", True),
        (7, 7, "paper", True),
        (9, 7, "paper", True),
        (6, 7, "official", True),
        (7, 7, "official", False),
        (8, 7, "official", False),
    ],
)
def test_the_released_code_ignores_the_prior_of_a_pool_it_recruits_whole(
    k: int, pool_size: int, compat: Compat, used: bool
) -> None:
    assert prior_is_used(k, pool_size, compat) is used


def test_prior_is_used_refuses_nonsense() -> None:
    with pytest.raises(InputError, match="at least 1, got 0 and 3"):
        prior_is_used(0, 3)
    with pytest.raises(InputError, match="Choose one of: 'official', 'paper'"):
        prior_is_used(1, 3, "code")  # type: ignore[arg-type]
