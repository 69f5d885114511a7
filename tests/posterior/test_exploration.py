import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.errors import InputError
from smcs.posterior import draw_subsets, drop_distribution
from smcs.types import Compat

priors = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=12)
compats = st.sampled_from(["paper", "official"])


def softmax(logits: list[float]) -> list[float]:
    top = max(logits)
    weights = [math.exp(logit - top) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def plain_distribution(values: list[float], compat: Compat) -> list[float]:
    """Eq. 6 and the released formula, read aloud."""
    k = len(values)
    if max(values) - min(values) <= 1e-12 * max(1.0, *map(abs, values)):
        return [1 / k] * k
    if compat == "paper":
        mean = math.fsum(values) / k
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / k)
        return softmax([(value - mean) / deviation for value in values])
    d = [value - min(values) for value in values]
    temperature = math.fsum(x * x for x in d) / math.sqrt(k)
    return softmax([(x - math.fsum(d) / k) / temperature for x in d])


@given(st.lists(st.floats(-1e4, 1e4).map(lambda x: round(x, 3)), min_size=1, max_size=12), compats)
def test_equals_the_plain_reading(values: list[float], compat: Compat) -> None:
    np.testing.assert_allclose(
        drop_distribution(values, compat=compat), plain_distribution(values, compat), rtol=1e-6, atol=1e-9
    )


@given(priors, compats)
def test_is_a_distribution_that_follows_the_order_of_priors(values: list[float], compat: Compat) -> None:
    shares = drop_distribution(values, compat=compat)
    assert np.isfinite(shares).all()
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1)
    order = np.argsort(values)
    assert (np.diff(shares[order]) >= -1e-12).all()


def test_both_formulas_by_hand_on_seven_evenly_spaced_priors() -> None:
    values = [340 - 40 * i / 6 for i in range(7)]
    # z = 1.5, 1, 0.5, 0, -0.5, -1, -1.5
    weights = [4.48169, 2.71828, 1.64872, 1.0, 0.60653, 0.36788, 0.22313]
    np.testing.assert_allclose(drop_distribution(values), [w / sum(weights) for w in weights], rtol=1e-4)
    # d = 40, 33.3, ..., 0: sum d^2 / sqrt 7 = 4044.4 / 2.6458 = 1528.6, so the ends are exp(+-20 / 1528.6)
    official = drop_distribution(values, compat="official")
    assert official[0] == pytest.approx(0.1447, abs=5e-5)
    assert official[3] == pytest.approx(1 / 7, abs=2e-5)
    assert official[-1] == pytest.approx(0.1410, abs=5e-5)


def test_official_sharpens_as_priors_draw_together_and_the_paper_does_not_care() -> None:
    wide, narrow = ([300 + spread * x for x in (1.0, 0.5, 0.0)] for spread in (40.0, 0.1))
    np.testing.assert_allclose(drop_distribution(wide), drop_distribution(narrow))
    assert drop_distribution(wide, compat="official")[0] < 0.34
    # d = 0.1, 0.05, 0: temperature 0.0125 / sqrt 3, so neighbours are exp(6.93) apart
    np.testing.assert_allclose(drop_distribution(narrow, compat="official"), softmax([13.8564, 6.9282, 0.0]), rtol=1e-3)


@pytest.mark.parametrize("compat", ["paper", "official"])
@pytest.mark.parametrize("values", [[5.0], [0.0, 0.0], [0.1, 0.1, 0.1], [340.0, 340.0 + 6e-14, 340.0], [-2.0] * 7])
def test_equal_priors_are_uniform(values: list[float], compat: Compat) -> None:
    assert drop_distribution(values, compat=compat).tolist() == [1 / len(values)] * len(values)


@pytest.mark.parametrize(
    ("values", "compat", "message"),
    [
        ([], "paper", "must not be empty"),
        ([1.0, math.nan], "paper", "got nan at index 1"),
        ([1.0, math.inf], "paper", "must be finite"),
        ([[1.0]], "paper", "1 dimension"),
        ([1.0], "Paper", "Did you mean 'paper'"),
    ],
)
def test_unusable_priors_are_refused(values: list[float], compat: Compat, message: str) -> None:
    with pytest.raises(InputError, match=message):
        drop_distribution(values, compat=compat)


def subset_law(shares: list[float], size: int) -> dict[tuple[int, ...], float]:
    """Exact law of successive sampling: add up every order in which a subset can be drawn."""
    law: dict[tuple[int, ...], float] = {}
    for order in itertools.permutations(range(len(shares)), size):
        chance, left = 1.0, 1.0
        for i in order:
            chance *= shares[i] / left
            left -= shares[i]
        key = tuple(sorted(order))
        law[key] = law.get(key, 0.0) + chance
    return law


def chi_square(counts: Counter[tuple[int, ...]], law: dict[tuple[int, ...], float], n: int) -> float:
    return sum((counts[key] - n * chance) ** 2 / (n * chance) for key, chance in law.items())


def test_subsets_follow_successive_sampling() -> None:
    shares, n = [0.4, 0.25, 0.2, 0.1, 0.05], 40_000
    counts = Counter(draw_subsets(shares, size=3, n=n, rng=np.random.default_rng(2012)))
    law = subset_law(shares, 3)
    assert sum(law.values()) == pytest.approx(1)
    assert set(counts) == set(law)
    # 10 subsets, 9 degrees of freedom: the 99% point is 21.67
    assert chi_square(counts, law, n) < 21.67
    # The same count of draws tells this law from its closest rival, weights multiplied without renormalising.
    products = {key: math.prod(shares[i] for i in key) for key in law}
    rival = {key: value / sum(products.values()) for key, value in products.items()}
    assert chi_square(counts, rival, n) > 200


def test_single_draws_follow_the_distribution() -> None:
    shares, n = [0.5, 0.3, 0.15, 0.05], 40_000
    counts = Counter(draw_subsets(shares, size=1, n=n, rng=np.random.default_rng(7)))
    # 3 degrees of freedom: the 99% point is 11.34
    assert chi_square(counts, {(i,): share for i, share in enumerate(shares)}, n) < 11.34


@given(priors, st.integers(1, 20), st.integers(0, 2**32 - 1), compats, st.data())
def test_subsets_are_ascending_positions_drawn_without_replacement(
    values: list[float], n: int, seed: int, compat: Compat, data: st.DataObject
) -> None:
    shares = drop_distribution(values, compat=compat)
    size = data.draw(st.integers(1, len(values)))
    subsets = draw_subsets(shares, size=size, n=n, rng=np.random.default_rng(seed))
    assert len(subsets) == n
    for subset in subsets:
        assert len(subset) == size
        assert list(subset) == sorted(set(subset))
        assert set(subset) <= set(range(len(values)))
        assert all(type(position) is int for position in subset)
    assert draw_subsets(shares, size=size, n=n, rng=np.random.default_rng(seed)) == subsets
    assert draw_subsets(shares, size=size, n=n + 3, rng=np.random.default_rng(seed))[:n] == subsets


def test_only_the_given_generator_is_used() -> None:
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state(legacy=True)[1].tolist()  # type: ignore[index] # noqa: NPY002
    rng = np.random.default_rng(1)
    first, second = (draw_subsets([0.25] * 4, size=2, n=50, rng=rng) for _ in range(2))
    assert first != second
    assert np.random.get_state(legacy=True)[1].tolist() == before  # type: ignore[index] # noqa: NPY002


def test_impossible_positions_come_last_and_equally_often() -> None:
    rng = np.random.default_rng(4)
    assert set(draw_subsets([0.0, 0.7, 0.0, 0.3], size=2, n=500, rng=rng)) == {(1, 3)}
    counts = Counter(draw_subsets([0.0, 0.7, 0.0, 0.3], size=3, n=4_000, rng=rng))
    assert set(counts) == {(0, 1, 3), (1, 2, 3)}
    assert abs(counts[0, 1, 3] - 2_000) < 150
    assert draw_subsets([0.0, 1.0], size=2, n=1, rng=rng) == ((0, 1),)
    assert set(draw_subsets([1.0 - 1e-12, 5e-324, 0.0], size=2, n=200, rng=rng)) == {(0, 1)}


@pytest.mark.parametrize(
    ("shares", "size", "n", "message"),
    [
        ([0.5, 0.5], 0, 1, "`size` must be from 1 to 2"),
        ([0.5, 0.5], 3, 1, "`size` must be from 1 to 2 .* got 3"),
        ([0.5, 0.5], 1, 0, "`n` must be at least 1"),
        ([0.5, 0.6], 1, 1, "must add up to 1, got 1.1"),
        ([1.5, -0.5], 1, 1, "must not be negative, got -0.5"),
        ([math.nan, 1.0], 1, 1, "must be finite"),
        ([], 1, 1, "must not be empty"),
        ([[1.0]], 1, 1, "1 dimension"),
    ],
)
def test_unusable_draws_are_refused(shares: list[float], size: int, n: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_subsets(shares, size=size, n=n, rng=np.random.default_rng(0))
