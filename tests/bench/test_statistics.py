"""Statistics against plain loops: every sign flip, every pair, every threshold."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcs.bench import statistics
from smcs.bench.statistics import (
    bootstrap_interval,
    holm,
    macro_interval,
    multiple_correct,
    one_correct,
    paired_comparison,
    ranking_pairs,
    ranking_score_interval,
    seed_spread,
)
from smcs.errors import InputError
from smcs.prior import pairwise_ranking_score

NAN = math.nan


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def flips_by_hand(terms: list[float]) -> float:
    """Two-sided p-value over all 2^n signs."""
    observed = abs(sum(terms)) - 1e-9
    sums = [
        abs(sum(s * t for s, t in zip(signs, terms, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(terms))
    ]
    return sum(value >= observed for value in sums) / len(sums)


@pytest.mark.parametrize("values", [np.array([1.0] * 60 + [0.0] * 40), np.linspace(0, 1, 100) ** 2])
def test_draws_have_the_spread_of_drawing_questions_anew(values: np.ndarray) -> None:
    """Few distinct values are drawn as counts, many as indices: both must be the bootstrap distribution."""
    sums = statistics._resampled_sums(values[:, None], 20_000, rng())[:, 0]
    assert sums.mean() == pytest.approx(values.sum(), rel=0.005)
    assert sums.std() == pytest.approx(values.std() * math.sqrt(len(values)), rel=0.02)


def test_the_interval_agrees_with_resampling_in_a_loop() -> None:
    values = np.array([1.0] * 130 + [0.0] * 70)
    generator = np.random.default_rng(1)
    means = sorted(generator.choice(values, 200).mean() for _ in range(4000))
    interval = bootstrap_interval(values, rng=rng())
    assert interval.value == pytest.approx(0.65)
    assert interval.low == pytest.approx(means[100], abs=0.01)
    assert interval.high == pytest.approx(means[3900], abs=0.01)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator, draws = np.random.default_rng(3), rng()
    intervals = [bootstrap_interval(generator.random(150) < 0.7, rng=draws, draws=1000, level=0.9) for _ in range(300)]
    assert 0.84 < np.mean([interval.low <= 0.7 <= interval.high for interval in intervals]) < 0.95


def test_missing_values_are_left_out_and_counted() -> None:
    interval = bootstrap_interval([1.0, NAN, 0.0, NAN, 1.0], rng=rng())
    assert interval.value == pytest.approx(2 / 3)
    assert (interval.n, interval.left_out) == (3, 2)


def test_the_mean_over_tasks_weighs_tasks_equally() -> None:
    interval = macro_interval([[1.0] * 90, [0.0, 0.0, 1.0, 1.0]], rng=rng())
    assert interval.value == pytest.approx(0.75)
    assert interval.low == pytest.approx(0.5)
    assert interval.high == pytest.approx(1.0)


def test_equal_seeds_give_equal_intervals() -> None:
    values = np.random.default_rng(5).random(50)
    assert bootstrap_interval(values, rng=rng()) == bootstrap_interval(values, rng=rng())


@pytest.mark.parametrize(
    ("keywords", "message"), [({"level": 1.0}, "`level`"), ({"level": 0.0}, "`level`"), ({"draws": 0}, "`draws`")]
)
def test_bad_arguments_are_refused(keywords: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        bootstrap_interval([1.0], rng=rng(), **keywords)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        paired_comparison([1.0], [0.0], rng(), **keywords)  # type: ignore[arg-type]


def test_no_known_value_is_refused() -> None:
    with pytest.raises(InputError, match="at least one known value"):
        bootstrap_interval([NAN], rng=rng())
    with pytest.raises(InputError, match="no question in common"):
        paired_comparison([NAN, 1.0], [1.0, NAN], rng())
    with pytest.raises(InputError, match="one shape"):
        paired_comparison([1.0], [1.0, 0.0], rng())


score = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(score, score, st.sampled_from("xy")), min_size=1, max_size=10))
def test_the_p_value_is_that_of_all_sign_flips(pairs: list[tuple[float, float, str]]) -> None:
    a, b, groups = (list(column) for column in zip(*pairs, strict=True))
    paired = paired_comparison(a, b, rng(), groups=groups, draws=50)
    sizes = {group: groups.count(group) for group in groups}
    terms = [(x - y) / sizes[g] / len(sizes) for x, y, g in pairs]
    assert paired.difference == pytest.approx(sum(terms))
    assert paired.p_value == pytest.approx(flips_by_hand(terms))
    assert paired.wins == sum(x > y for x, y, _ in pairs)
    assert paired.losses == sum(x < y for x, y, _ in pairs)
    assert paired.wins + paired.ties + paired.losses == paired.n == len(pairs)


@pytest.mark.parametrize(("wins", "losses", "ties"), [(9, 2, 30), (120, 90, 900), (0, 5, 1), (6, 6, 0)])
def test_verdicts_give_mcnemars_exact_test(wins: int, losses: int, ties: int) -> None:
    a = [1.0] * wins + [0.0] * losses + [1.0] * ties
    b = [0.0] * wins + [1.0] * losses + [1.0] * ties
    n, fewer = wins + losses, min(wins, losses)
    exact = min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n)
    assert paired_comparison(a, b, rng()).p_value == pytest.approx(exact)


def test_random_flips_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(2).normal(0.35, 1, 14)
    exact = flips_by_hand(list(differences))
    monkeypatch.setattr(statistics, "_EXACT_OUTCOMES", 10)
    drawn = paired_comparison(differences, np.zeros(14), rng(), draws=40_000).p_value
    assert drawn == pytest.approx(exact, abs=0.012)


def test_equal_arms_do_not_differ() -> None:
    paired = paired_comparison([1.0, 0.0, NAN], [1.0, 0.0, 1.0], rng())
    assert (paired.difference, paired.low, paired.high, paired.p_value) == (0, 0, 0, 1)
    assert (paired.wins, paired.ties, paired.losses, paired.n, paired.left_out) == (0, 2, 0, 2, 1)


def test_pairing_narrows_the_interval() -> None:
    generator = np.random.default_rng(4)
    hardness = generator.random(400)
    a, b = hardness < 0.7, hardness < 0.66
    paired = paired_comparison(a, b, rng())
    apart = bootstrap_interval(a, rng=rng())
    assert paired.high - paired.low < 0.6 * (apart.high - apart.low)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_agrees_with_its_definition(p_values: list[float]) -> None:
    m = len(p_values)
    order = sorted(range(m), key=lambda index: p_values[index])
    expected = {
        index: min(1.0, max(p_values[order[j]] * (m - j) for j in range(rank + 1))) for rank, index in enumerate(order)
    }
    assert holm(p_values) == pytest.approx(tuple(expected[index] for index in range(m)))


verdict = st.sampled_from([0.0, 1.0, NAN])
prior = st.sampled_from([0.0, 1.0, 2.0, NAN])


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(prior, verdict), min_size=3, max_size=3), min_size=1, max_size=6))
def test_ranking_pairs_agree_with_a_loop(rows: list[list[tuple[float, float]]]) -> None:
    priors = [[pair[0] for pair in row] for row in rows]
    correct = [[pair[1] for pair in row] for row in rows]
    pairs = ranking_pairs(priors, correct)
    for number, row in enumerate(rows):
        known = [(p, c) for p, c in row if not (math.isnan(p) or math.isnan(c))]
        matches = [(p, q) for (p, c), (q, d) in itertools.product(known, known) if c == 1 and d == 0]
        assert tuple(pairs[number]) == (sum(p > q for p, q in matches), len(matches))
    if pairs[:, 1].sum():
        interval = ranking_score_interval(priors, correct, rng=rng(), draws=20)
        assert interval.value == pytest.approx(pairwise_ranking_score(priors, correct))
        assert interval.low <= interval.high


def test_rows_of_one_question_are_drawn_together() -> None:
    generator = np.random.default_rng(6)
    priors = generator.random((80, 5))
    correct = (generator.random((80, 5)) < priors).astype(float)
    once = ranking_score_interval(priors, correct, rng=rng())
    labels = [f"q{number}" for number in range(80)] * 3
    thrice = ranking_score_interval(np.tile(priors, (3, 1)), np.tile(correct, (3, 1)), questions=labels, rng=rng())
    assert thrice.value == pytest.approx(once.value)
    assert thrice.n == once.n
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low, rel=0.1)


def test_ranking_needs_verdicts_and_a_pair() -> None:
    with pytest.raises(InputError, match="0, 1 or NaN"):
        ranking_pairs([[1.0]], [[0.5]])
    with pytest.raises(InputError, match="no pair to rank"):
        ranking_score_interval([[1.0, 2.0]], [[1.0, 1.0]], rng=rng())


def test_candidates_are_counted_as_far_as_they_are_known() -> None:
    candidates: list[list[float | None]] = [[1.0, 0.0], [1.0, 0.6], [0.0, 0.4], [0.0, None], [1.0, None], [1.0], []]
    np.testing.assert_array_equal(one_correct(candidates), [1, 1, 0, NAN, 1, 1, NAN])
    np.testing.assert_array_equal(multiple_correct(candidates), [0, 1, 0, 0, NAN, 0, NAN])


def test_seeds_have_a_deviation_from_two_on() -> None:
    spread = seed_spread([0.5, 0.7, NAN])
    assert spread.mean == pytest.approx(0.6)
    assert spread.deviation == pytest.approx(math.sqrt(0.02))
    assert spread.n == 2
    assert seed_spread([0.5]).deviation is None
    with pytest.raises(InputError, match="known value"):
        seed_spread([NAN])
