import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.errors import InputError
from smcs.prior import support_set
from smcs.types import Compat

cosines = st.floats(-1, 1, width=32)


def plain_support(similarities: list[float], base: int, tolerance: float, compat: Compat) -> list[int]:
    """Eq. 3 read aloud, with a full sort and lists only."""
    ranked = sorted(similarities, reverse=True)
    k = min(base, len(ranked))
    chosen = []
    for i, value in enumerate(similarities):
        if compat == "official" and len(ranked) > base:
            reaches = value > tolerance * ranked[base]
        else:
            reaches = value >= tolerance * ranked[k - 1]
        if reaches or value >= ranked[k - 1]:
            chosen.append(i)
    return sorted(chosen, key=lambda i: (-similarities[i], i))


@given(
    st.lists(cosines, min_size=1, max_size=400),
    st.integers(1, 20),
    st.floats(0, 1),
    st.sampled_from(["paper", "official"]),
    st.sampled_from([np.float32, np.float64]),
)
def test_equals_the_plain_reading(
    values: list[float], base: int, tolerance: float, compat: Compat, dtype: type[np.floating]
) -> None:
    support = support_set(np.array(values, dtype), base=base, tolerance=tolerance, compat=compat)
    expected = plain_support(values, base, tolerance, compat)
    assert support.indices.tolist() == expected
    assert support.similarities.tolist() == [values[i] for i in expected]
    assert len(support) >= min(base, len(values))


@pytest.mark.parametrize("compat", ["paper", "official"])
@pytest.mark.parametrize("levels", [None, 50, 1])
def test_long_arrays_take_the_folded_way_to_the_same_set(compat: Compat, levels: int | None) -> None:
    values = np.random.default_rng(3).random(20_011, dtype=np.float32)
    if levels:
        values = np.round(values * levels) / np.float32(levels)
    for base in (1, 7, 400, 20_010, 20_011):
        support = support_set(values, base=base, tolerance=0.98, compat=compat)
        assert support.indices.tolist() == plain_support(values.tolist(), base, 0.98, compat)


def test_default_follows_the_paper_by_hand() -> None:
    values = [0.95, 1.0, 0.9, 0.8, 0.3]
    # 2nd largest 0.95; 0.95 x 0.95 = 0.9025, so 0.9 stays out. With 0.9 as factor the threshold is 0.855.
    assert support_set(values, base=2).indices.tolist() == [1, 0]
    assert support_set(values, base=2, tolerance=0.9).indices.tolist() == [1, 0, 2]


def test_official_takes_the_next_value_and_is_strict() -> None:
    values = [1.0, 0.5, 0.4, 0.25]
    # paper: 0.5 x 1.0, reached by 0.5. official: 0.5 x 0.5 = 0.25, exceeded by 0.4 and not by 0.25.
    assert support_set(values, base=1, tolerance=0.5).indices.tolist() == [0, 1]
    assert support_set(values, base=1, tolerance=0.5, compat="official").indices.tolist() == [0, 1, 2]


@pytest.mark.parametrize("compat", ["paper", "official"])
@pytest.mark.parametrize("base", [3, 4, 400])
def test_a_small_bank_is_taken_whole(compat: Compat, base: int) -> None:
    assert support_set([0.1, 0.9, -0.5], base=base, compat=compat).indices.tolist() == [1, 0, 2]


@pytest.mark.parametrize("compat", ["paper", "official"])
def test_negative_similarities_never_shrink_the_set_below_base(compat: Compat) -> None:
    assert support_set([-0.5, -0.2, -0.9, -0.6], base=2, compat=compat).indices.tolist() == [1, 0]


@pytest.mark.parametrize("compat", ["paper", "official"])
def test_all_equal_similarities_are_all_kept(compat: Compat) -> None:
    assert support_set(np.zeros(9), base=2, tolerance=1.0, compat=compat).indices.tolist() == list(range(9))


def test_thresholds_are_exact_for_float32() -> None:
    top = np.float32(0.7)
    threshold = 0.95 * float(top)
    around = np.float32(threshold)
    below, above = np.nextafter(around, np.float32(0)), np.nextafter(around, np.float32(1))
    values = np.array([top, below, around, above], np.float32)
    expected = [i for i, value in enumerate(values.tolist()) if value >= threshold]
    assert sorted(support_set(values, base=1).indices.tolist()) == expected


def test_other_numeric_types_and_views_are_read() -> None:
    values = np.array([1, 0, 1, 0], np.int8)
    assert support_set(values, base=1).indices.tolist() == [0, 2]
    assert support_set(np.array([0.5, 0.25], np.float16), base=1).similarities.tolist() == [0.5]
    assert support_set(np.linspace(1, 0, 10)[::3], base=1, tolerance=1).indices.tolist() == [0]


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "must not be empty"),
        ([[0.1, 0.2]], {}, "1 dimension"),
        ([0.1, math.nan], {}, "1 NaN or infinite of 2"),
        ([0.1, -math.inf], {}, "must be finite"),
        (["a"], {}, "real numbers"),
        ([0.1], {"base": 0}, "`base` must be at least 1, got 0"),
        ([0.1], {"tolerance": 1.01}, "`tolerance` must be from 0 to 1"),
        ([0.1], {"tolerance": -0.1}, "`tolerance` must be from 0 to 1"),
        ([0.1], {"tolerance": math.nan}, "`tolerance` must be from 0 to 1"),
        ([0.1], {"compat": "oficial"}, "Did you mean 'official'"),
    ],
)
def test_unusable_input_is_refused(values: list[float], options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        support_set(values, **options)  # type: ignore[arg-type]
