"""Where the values of a plot stand on its axes, which of many are drawn, and the strokes of their intervals."""

from __future__ import annotations

from typing import Any, Final

from smcs.studio.plot_data import Axis, Plot, Series, evenly, number

__all__ = ("bar_share", "bars", "base_axis", "pieces", "places_drawn", "position")


_LYING_SHARE: Final = 0.62


def base_axis(plot: Plot) -> Axis | None:
    """Return the axis of categories, on which bars stand; None for axes of numbers only."""
    return next((axis for axis in (plot.x, plot.y) if axis.kind == "category"), None)


def places_drawn(series: Series, plot: Plot, most: int) -> tuple[int, ...]:
    """Return which values are drawn: all over categories, an even selection of `most` elsewhere."""
    count = len(series.values)
    return tuple(range(count) if base_axis(plot) is not None else evenly(count, most))


def position(plot: Plot, series: Series, place: int) -> tuple[float | None, float | None, str]:
    """Return x, y and the own text of a value; None where it has no place on that axis."""
    value = series.values[place]
    if isinstance(value, tuple):
        return _on(plot.x, value[0]), _on(plot.y, value[1]), str(value[2]) if len(value) > 2 else ""
    if base_axis(plot) is plot.y:
        return _on(plot.x, value), place, ""
    return place, _on(plot.y, value), ""


def bars(plot: Plot) -> list[int]:
    """Return which series are bars."""
    return [index for index, series in enumerate(plot.series) if series.kind == "bar"]


def bar_share(plot: Plot) -> float:
    """Return the share of a category's room that its bars fill: few upright bars stay slim on a wide page."""
    base = base_axis(plot)
    if base is plot.y:
        return _LYING_SHARE
    beside = 1 if plot.stacked else max(1, len(bars(plot)))
    return min(0.8, 0.1 * (len(base.labels) if base is not None else 8) * beside)


def pieces(plot: Plot, index: int, places: tuple[int, ...]) -> list[list[float | None]]:
    """Return the strokes of a series' intervals as one broken line.

    Args:
        plot: The plot.
        index: Which series.
        places: Which of its values are drawn.

    Returns:
        Points `[x, y]`; a point of two Nones ends a stroke. Over categories, places are numbers, and bars side by side
        have their intervals in their own middle.
    """
    series, base = plot.series[index], base_axis(plot)
    sideways, beside = base is plot.y, bars(plot)
    width = bar_share(plot) / max(1, len(beside))
    shift = width * (beside.index(index) - (len(beside) - 1) / 2) if index in beside else 0.0
    cap = min(0.12, width / 4) if base is not None else 0.0
    axis = plot.x if sideways else plot.y
    line: list[list[float | None]] = []
    for place in places:
        x, y, _ = position(plot, series, place)
        middle = y if sideways else x
        low, high = _on(axis, series.low[place]), _on(axis, series.high[place])
        if middle is None or low is None or high is None:
            continue
        for start, end in _strokes(middle + shift, low, high, cap):
            line += [[*reversed(start)], [*reversed(end)]] if sideways else [[*start], [*end]]
            line.append([None, None])
    return line


def _on(axis: Axis, value: Any) -> float | None:
    found = number(value)
    return None if axis.kind == "log" and found is not None and found <= 0 else found


def _strokes(
    middle: float, low: float, high: float, cap: float
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The lines of one interval: from end to end, and a cap at each where there is room."""
    strokes = [((middle, low), (middle, high))]
    if cap:
        strokes += [((middle - cap, end), (middle + cap, end)) for end in (low, high)]
    return strokes
