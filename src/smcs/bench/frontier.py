"""What money or calls buy: the Pareto front of arms, the area under it, and comparisons under one budget."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import finite_array
from smcs.errors import InputError

__all__ = ("area_under_front", "matched_budget", "pareto_front")

_TOLERANCE = 1e-9

_Floats = NDArray[np.float64]


def pareto_front(costs: ArrayLike, values: ArrayLike) -> tuple[int, ...]:
    """Return the indices of the points that no other point beats in cost and value, cheapest first.

    Args:
        costs: Cost of each point, shape (P,), 0 or more; a point with an unknown (NaN) cost is not on the front.
        values: What it buys, shape (P,); more is better; NaN likewise.

    Raises:
        InputError: Shapes differ.
    """
    price, worth = _points(costs, values)
    known = np.flatnonzero(~np.isnan(price) & ~np.isnan(worth))
    front: list[int] = []
    for index in known[np.lexsort((-worth[known], price[known]))]:
        if not front or worth[index] > worth[front[-1]]:
            front.append(int(index))
    return tuple(front)


def area_under_front(
    costs: ArrayLike,
    values: ArrayLike,
    *,
    low: float | None = None,
    high: float | None = None,
    interpolate: bool = False,
) -> float:
    """Return the mean of the best value that a budget buys, over budgets spread evenly from `low` to `high`.

    Args:
        costs: Cost of each point, shape (P,); NaN (unknown) leaves it out.
        values: What it buys, shape (P,); more is better; NaN likewise.
        low: Least budget; the cheapest known point's cost if left out, below which nothing can be bought.
        high: Largest budget; the dearest known point's cost if left out.
        interpolate: Whether questions may be split between two points, which buys what lies on the line between them
            (the convex hull of RouterBench's AIQ); otherwise a budget buys the best point within it.

    Raises:
        InputError: Shapes differ, no point is known, or `low` is below the cheapest point or above `high`.
    """
    price, worth = _points(costs, values)
    front = list(pareto_front(price, worth))
    if not front:
        raise InputError("`costs` and `values` must hold at least one known point.")
    begin = float(price[front[0]]) if low is None else low
    end = float(np.nanmax(np.where(np.isnan(worth), np.nan, price))) if high is None else high
    if begin < price[front[0]] or end < begin:
        raise InputError(f"Budgets must run from at least {price[front[0]]:g} upwards, got {begin:g} to {end:g}.")
    if interpolate:
        front = _hull(front, price, worth)
    x, y = price[front], worth[front]
    if end == begin:
        return float(np.interp(begin, x, y) if interpolate else y[np.searchsorted(x, begin, side="right") - 1])
    knots = np.unique(np.concatenate([[begin, end], x[(x > begin) & (x < end)]]))
    if interpolate:
        return float(np.trapezoid(np.interp(knots, x, y), knots) / (end - begin))
    steps = y[np.searchsorted(x, knots[:-1], side="right") - 1]
    return float((steps * np.diff(knots)).sum() / (end - begin))


def matched_budget(costs: ArrayLike, values: ArrayLike, *, slack: float = 0.0) -> tuple[int | None, ...]:
    """Return, for each point, the index of the best point that costs no more than it does.

    Args:
        costs: Cost of each point, shape (P,), 0 or more; NaN where unknown.
        values: What it buys, shape (P,); more is better; NaN where unknown.
        slack: How much more a rival may cost, as a share of the point's own cost.

    Returns:
        One index per point, its own where nothing beats it (of equals, the cheapest); `None` where its cost or value is
        unknown.

    Raises:
        InputError: Shapes differ, or `slack` is negative.
    """
    price, worth = _points(costs, values)
    if not slack >= 0:
        raise InputError(f"`slack` must be 0 or more, got {slack}.")
    known = ~np.isnan(price) & ~np.isnan(worth)
    best: list[int | None] = []
    for index in range(price.size):
        if not known[index]:
            best.append(None)
            continue
        rivals = np.flatnonzero(known & (price <= price[index] * (1 + slack) + _TOLERANCE * price[index]))
        best.append(min((int(rival) for rival in rivals), key=lambda rival: (-worth[rival], price[rival], rival)))
    return tuple(best)


def _points(costs: ArrayLike, values: ArrayLike) -> tuple[_Floats, _Floats]:
    price = finite_array("costs", costs, ndim=1, allow_nan=True)
    worth = finite_array("values", values, ndim=1, allow_nan=True)
    if price.shape != worth.shape:
        raise InputError(f"`costs` and `values` must have one shape, got {price.shape} and {worth.shape}.")
    return price, worth


def _hull(front: list[int], price: _Floats, worth: _Floats) -> list[int]:
    """Return the part of a front that no line between two others passes above."""
    hull: list[int] = []
    for index in front:
        while len(hull) > 1:
            left, middle = hull[-2], hull[-1]
            rise = (worth[middle] - worth[left]) * (price[index] - price[left])
            if rise > (worth[index] - worth[left]) * (price[middle] - price[left]):
                break
            hull.pop()
        hull.append(index)
    return hull
