from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.bench.frontier import area_under_front, matched_budget, pareto_front
from smcs.errors import InputError

NAN = math.nan
points = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=9)


@given(points)
def test_the_front_is_what_nothing_beats(pairs: list[tuple[int, int]]) -> None:
    costs, values = [float(c) for c, _ in pairs], [float(v) for _, v in pairs]
    front = pareto_front(costs, values)
    unbeaten = {
        (c, v) for c, v in pairs if not any((d <= c and w >= v) and (d, w) != (c, v) for d, w in pairs)
    }  # fmt: skip
    assert [pairs[index] for index in front] == sorted(unbeaten)


@given(points)
def test_the_area_is_the_mean_of_what_budgets_buy(pairs: list[tuple[int, int]]) -> None:
    costs, values = [float(c) for c, _ in pairs], [float(v) for _, v in pairs]
    low, high = min(costs), max(costs)
    budgets = np.linspace(low, high, 2001)[:-1] + (high - low) / 4000 if high > low else np.array([low])
    bought = [max(v for c, v in pairs if c <= budget) for budget in budgets]
    area = area_under_front(costs, values)
    assert area == pytest.approx(float(np.mean(bought)), abs=0.02)
    assert area_under_front(costs, values, interpolate=True) >= area - 1e-9


def test_splitting_questions_buys_the_line_between_two_points() -> None:
    costs, values = [0.0, 1.0, 2.0], [0.0, 0.2, 1.0]
    assert area_under_front(costs, values) == pytest.approx(0.1)
    assert area_under_front(costs, values, interpolate=True) == pytest.approx(0.5)
    assert area_under_front(costs, values, interpolate=True, low=1.0, high=3.0) == pytest.approx((0.75 + 1.0) / 2)


def test_unknown_costs_are_not_zero() -> None:
    assert pareto_front([NAN, 1.0], [0.9, 0.5]) == (1,)
    assert matched_budget([NAN, 1.0, 2.0], [0.9, 0.5, NAN]) == (None, 1, None)
    assert area_under_front([NAN, 1.0, 3.0], [0.9, 0.5, 0.6]) == pytest.approx(0.5)


@given(points)
def test_the_matched_arm_is_the_best_within_the_budget(pairs: list[tuple[int, int]]) -> None:
    costs, values = [float(c) for c, _ in pairs], [float(v) for _, v in pairs]
    for (cost, _), best in zip(pairs, matched_budget(costs, values), strict=True):
        assert best is not None
        assert pairs[best][1] == max(v for c, v in pairs if c <= cost)
        assert pairs[best][0] == min(c for c, v in pairs if v == pairs[best][1] and c <= cost)


def test_slack_lets_a_rival_cost_a_little_more() -> None:
    assert matched_budget([10.0, 10.5], [0.5, 0.6]) == (0, 1)
    assert matched_budget([10.0, 10.5], [0.5, 0.6], slack=0.1) == (1, 1)
    with pytest.raises(InputError, match="`slack`"):
        matched_budget([1.0], [1.0], slack=-1)


def test_impossible_budgets_are_refused() -> None:
    with pytest.raises(InputError, match="Budgets must run from"):
        area_under_front([1.0, 2.0], [0.1, 0.2], low=0.5)
    with pytest.raises(InputError, match="at least one known point"):
        area_under_front([NAN], [1.0])
    with pytest.raises(InputError, match="one shape"):
        pareto_front([1.0], [1.0, 2.0])
