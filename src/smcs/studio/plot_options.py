"""Plots as options of Apache ECharts: pure functions from values to plain JSON.

Options hold no code, and every key is a constant of this file: NiceGUI runs a key that begins with a colon as a script.
Text from elsewhere is a value only and drawn as SVG text: tooltips are drawn, too, instead of becoming HTML. Colours of
text and lines are the page's CSS variables, so that plots follow the theme. Nothing moves by itself.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from smcs.studio.plot_data import PALETTE, ROLES, Axis, HeatMap, Plot, Series, figure_text, number, plain_text
from smcs.studio.plot_points import bar_share, bars, base_axis, pieces, places_drawn, position

__all__ = ("MOST_CELLS", "MOST_POINTS", "Drawn", "draw", "draw_heat", "draw_plot", "fitting_height")

MOST_POINTS: Final = 4_000
"""Points drawn of one plot; of more, an even selection."""

MOST_CELLS: Final = 6_000
"""Cells drawn of one heat map; of more, the first rows."""

INK: Final = "var(--smcs-ink, #6b7280)"
MUTED: Final = "var(--smcs-muted, #6b7280)"
LINE: Final = "var(--smcs-line, #9aa4af)"
SURFACE: Final = "var(--smcs-surface, #ffffff)"
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_SHADES: Final = ("#3b1c6b", "#3f4f8f", "#2a7d8f", "#3fae7a", "#a5d350", "#fbe44b")
_SYMBOLS: Final = ("circle", "rect", "triangle", "diamond", "roundRect", "pin")
_MOST_LABELS = 40  # categories that stand side by side; more can be scrolled
_ALL_NAMED = 16  # categories that each have their name
_BESIDE = 48  # characters that fit side by side on a phone
_SHORT = 14  # characters of a name that stands level beside another
_LABELLED_CELLS = 150
_TIP: Final = textwrap.TextWrapper(46, break_on_hyphens=False)
_DARK_UP_TO = 0.5  # share up to which a heat map's cells are dark


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plot as options.

    Attributes:
        options: Options of ECharts.
        places: For each series drawn, which value of the series each point is: not all points of many are drawn.
        note: What a reader should know of the drawing: the plot's own note and what was left out.
    """

    options: dict[str, Any]
    places: tuple[tuple[int, ...], ...]
    note: str


def draw(plot: Plot | HeatMap) -> Drawn:
    """Return any plot as options."""
    return draw_heat(plot) if isinstance(plot, HeatMap) else draw_plot(plot)


def fitting_height(plot: Plot | HeatMap) -> str:
    """Return the CSS height at which names of rows can be read, for 40 rows at most; 20rem where rows have none."""
    if plot.y.kind != "category":
        return "20rem"
    rows = min(len(plot.y.labels), _MOST_LABELS)
    beside = 1 if isinstance(plot, HeatMap) or plot.stacked else max(1, len(bars(plot)))
    frame = 8 if isinstance(plot, HeatMap) or len(plot.series) > 1 else 6
    return f"{frame + rows * max(1.7, 0.9 * beside):g}rem"


def draw_plot(plot: Plot) -> Drawn:
    """Return bars, lines and points as options."""
    base = base_axis(plot)
    crowded = base is not None and len(base.labels) > _MOST_LABELS
    most = max(2, MOST_POINTS // max(1, len(plot.series)))
    places = tuple(places_drawn(series, plot, most) for series in plot.series)
    drawn = [_series(plot, index, places[index]) for index in range(len(plot.series))]
    intervals = [] if crowded or plot.stacked else _intervals(plot, places)
    options = _common(plot.title) | {
        "grid": _grid(legend=len(plot.series) > 1, zoomed=crowded),
        "legend": _legend(plot),
        "xAxis": [_axis(plot.x, "x", plot), _hidden(plot.x, "x", base)],
        "yAxis": [_axis(plot.y, "y", plot), _hidden(plot.y, "y", base)],
        "dataZoom": _zoom("x" if base is plot.x else "y") if crowded else [],
        "series": drawn + intervals,
    }
    notes = [plot.note]
    total, shown = sum(len(s.values) for s in plot.series), sum(map(len, places))
    if any(len(s.values) > most for s in plot.series):
        notes.append(f"{shown:,} of {total:,} points are drawn; the data has all.")
    if crowded and any(s.low for s in plot.series):
        notes.append("Intervals are in the data.")
    return Drawn(options, places, " ".join(filter(None, notes)))


def draw_heat(heat: HeatMap) -> Drawn:
    """Return a heat map as options: known cells coloured, unknown ones a dash."""
    rows = max(1, MOST_CELLS // max(1, len(heat.x.labels)))
    kept = [(place, cell) for place, cell in enumerate(heat.cells) if cell[1] < rows]
    known = [(place, cell) for place, cell in kept if number(cell[2]) is not None]
    unknown = [(place, cell) for place, cell in kept if number(cell[2]) is None]
    crowded = min(rows, len(heat.y.labels)) > _MOST_LABELS
    labelled = len(known) <= _LABELLED_CELLS
    shown = Axis(heat.y.name, heat.y.unit, "category", heat.y.labels[:rows])
    options = _common(heat.title) | {
        "grid": _grid(legend=False, zoomed=crowded) | {"bottom": 56},
        "legend": {"show": False},
        "xAxis": [_axis(heat.x, "x", None)],
        "yAxis": [_axis(shown, "y", None)],
        "dataZoom": _zoom("y") if crowded else [],
        "visualMap": _shades(heat.value_name, heat.highest),
        "series": [
            {
                "type": "heatmap",
                "name": plain_text(heat.value_name),
                "data": [_cell(heat, cell, labelled) for _, cell in known],
                "itemStyle": {"borderColor": SURFACE, "borderWidth": 1},
                "emphasis": {"itemStyle": {"borderColor": INK, "borderWidth": 2}},
            },
            {
                "type": "scatter",
                "name": "unknown",
                "symbol": "rect",
                "symbolSize": [9, 2],
                "itemStyle": {"color": MUTED},
                "emphasis": {"disabled": True},
                "data": [_cell(heat, cell, False) for _, cell in unknown],
            },
        ],
    }
    places = tuple(tuple(place for place, _ in cells) for cells in (known, unknown))
    left_out = f"The first {rows:,} of {len(heat.y.labels):,} rows are drawn." if len(heat.y.labels) > rows else ""
    return Drawn(options, places, " ".join(filter(None, (heat.note, left_out))))


def _common(title: str) -> dict[str, Any]:
    return {
        "animation": False,
        "useUTC": True,
        "backgroundColor": "transparent",
        "color": list(PALETTE),
        "textStyle": {"fontFamily": _FONT, "color": INK},
        "aria": {
            "enabled": True,
            "label": {"description": f"{plain_text(title)}. Its figures are in the table below."},
        },
        "tooltip": {
            "trigger": "item",
            "renderMode": "richText",
            "confine": True,
            "transitionDuration": 0,
            "backgroundColor": SURFACE,
            "borderColor": LINE,
            "borderWidth": 1,
            "textStyle": {"color": INK, "fontSize": 13, "fontFamily": _FONT},
        },
    }


def _grid(*, legend: bool, zoomed: bool) -> dict[str, Any]:
    return {
        "left": 8,
        "right": 36 if zoomed else 16,
        "top": 36 if legend else 8,
        "bottom": 36 if zoomed else 12,
        "outerBoundsMode": "same",
        "outerBoundsContain": "all",
    }


def _legend(plot: Plot) -> dict[str, Any]:
    return {
        "show": len(plot.series) > 1,
        "type": "scroll",
        "top": 0,
        "left": 0,
        "textStyle": {"color": INK},
        "inactiveColor": LINE,
        "pageIconColor": INK,
        "pageIconInactiveColor": LINE,
        "pageTextStyle": {"color": MUTED},
        "data": [plain_text(series.name) for series in plot.series],
    }


def _axis(axis: Axis, side: str, plot: Plot | None) -> dict[str, Any]:
    inverse = axis.kind == "category" and side == "y"
    options: dict[str, Any] = {
        "type": axis.kind,
        "name": plain_text(axis.title),
        "nameLocation": "middle" if side == "x" else "start" if inverse else "end",
        "nameTextStyle": {"color": MUTED, "fontSize": 12} | ({} if side == "x" else {"align": "left"}),
        "nameGap": 30 if side == "x" else 12,
        "nameMoveOverlap": side == "x",
        "axisLine": {"show": axis.kind == "category" or side == "x", "onZero": False, "lineStyle": {"color": LINE}},
        "axisTick": {"show": False},
        "axisLabel": {"color": INK if axis.kind == "category" else MUTED, "fontSize": 12, "hideOverlap": True},
        "splitLine": {
            "show": axis.kind != "category" and plot is not None,
            "lineStyle": {"color": LINE, "opacity": 0.5},
        },
        "minorSplitLine": {"show": False},
        "inverse": inverse,
        "min": None,
        "max": None,
        "data": [],
    }
    if axis.kind == "category":
        options["data"] = [plain_text(label, 60) for label in axis.labels]
        options["axisLabel"] |= _labels(axis.labels, side)
    else:
        options["min"], options["max"] = number(axis.low), number(axis.high)
        options["scale"] = plot is not None and all(series.kind != "bar" for series in plot.series)
    return options


def _labels(labels: tuple[str, ...], side: str) -> dict[str, Any]:
    """How names along an axis are set: slanted where they would not fit side by side."""
    if side == "y":
        return {"width": 180, "overflow": "truncate", "interval": 0 if len(labels) <= _ALL_NAMED else "auto"}
    if len(labels) > _ALL_NAMED:
        return {"rotate": 0, "interval": "auto"}
    lengths = [max(4, min(len(label), 20)) for label in labels]
    slanted = sum(lengths) > _BESIDE or (len(labels) > 1 and max(lengths) > _SHORT)
    return {"rotate": 38 if slanted else 0, "width": 150, "overflow": "truncate", "interval": 0}


def _hidden(axis: Axis, side: str, base: Axis | None) -> dict[str, Any]:
    """An axis of numbers over the categories, on which intervals stand in the middle of their own bars."""
    if axis is not base:
        return {"type": "value", "show": False}
    most = max(0.5, len(axis.labels) - 0.5)
    return {"type": "value", "show": False, "min": -0.5, "max": most, "inverse": side == "y"}


def _zoom(side: str) -> list[dict[str, Any]]:
    where = {"xAxisIndex": [0]} if side == "x" else {"yAxisIndex": [0]}
    window = where | {"startValue": 0, "endValue": _MOST_LABELS - 1, "filterMode": "filter"}
    slider = {"brushSelect": False, "borderColor": LINE, "textStyle": {"color": MUTED}, "showDetail": False}
    place = {"bottom": 4, "height": 18} if side == "x" else {"right": 4, "width": 18}
    return [{"type": "slider"} | slider | place | window]


def _shades(name: str, highest: float) -> dict[str, Any]:
    return {
        "type": "continuous",
        "min": 0,
        "max": highest,
        "seriesIndex": 0,
        "orient": "horizontal",
        "left": "center",
        "bottom": 4,
        "itemHeight": 160,
        "itemWidth": 12,
        "precision": 2,
        "hoverLink": False,
        "text": [figure_text(highest), f"{plain_text(name)}  0"],
        "textStyle": {"color": INK},
        "inRange": {"color": list(_SHADES)},
    }


def _cell(heat: HeatMap, cell: tuple[int, int, float | None, str], labelled: bool) -> dict[str, Any]:
    column, row, raw, text = cell
    value = number(raw)
    names = (_name(heat.y.labels, row), _name(heat.x.labels, column))
    lines = [*names, f"{heat.value_name}: {figure_text(value)}", text]
    item: dict[str, Any] = {"value": [column, row, value], "tooltip": {"formatter": _tip(lines)}}
    if labelled and value is not None:
        color = "#ffffff" if value <= _DARK_UP_TO * heat.highest else "#111418"
        item["label"] = {"show": True, "formatter": f"{value:.2f}", "color": color, "fontSize": 11}
    return item


def _series(plot: Plot, index: int, places: tuple[int, ...]) -> dict[str, Any]:
    series = plot.series[index]
    color = _color(series, index)
    points = len(places) > 200
    options: dict[str, Any] = {
        "type": series.kind,
        "name": plain_text(series.name),
        "data": [_item(plot, series, place) for place in places],
        "itemStyle": {"color": color},
        "emphasis": {"disabled": True},
    }
    if series.labels:
        options["label"] = {"show": True, "position": "top", "color": INK, "fontSize": 11}
        options["labelLayout"] = {"hideOverlap": True}
    if series.kind == "bar":
        share = bar_share(plot)
        options |= {"barGap": "0%", "barCategoryGap": f"{100 * (1 - share):.6g}%"}
        options["itemStyle"] |= {"decal": _pattern(index)} | (
            {} if plot.stacked else {"borderColor": SURFACE, "borderWidth": 1}
        )
        if plot.stacked:
            options["stack"] = "all"
    else:
        options |= {
            "symbol": _SYMBOLS[index % len(_SYMBOLS)] if series.points else "none",
            "symbolSize": (3 if points else 7) + 2 * (series.kind == "scatter"),
            "lineStyle": {"color": color, "width": 2},
            "connectNulls": False,
        }
        if series.kind == "scatter":
            options["z"] = 3
            options["itemStyle"] |= {"opacity": 0.7 if points else 0.95}
    return options


def _item(plot: Plot, series: Series, place: int) -> dict[str, Any]:
    x, y, text = position(plot, series, place)
    lines = [series.name, *(_coordinate(axis, value) for axis, value in ((plot.x, x), (plot.y, y)))]
    if series.low and (series.low[place] is not None or series.high[place] is not None):
        unit = plot.x.unit if base_axis(plot) is plot.y else plot.y.unit
        lines.append(f"Interval: {figure_text(series.low[place], unit)} to {figure_text(series.high[place], unit)}")
    item: dict[str, Any] = {"value": [x, y], "tooltip": {"formatter": _tip([*lines, text])}}
    if series.labels:
        item["label"] = {"formatter": plain_text(series.labels[place], 32)}
    return item


def _coordinate(axis: Axis, value: float | None) -> str:
    if axis.kind == "category":
        return "" if value is None else f"{axis.name}: {_name(axis.labels, int(value))}"
    if axis.kind == "time":
        return "" if value is None else f"{axis.name}: {datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M}"
    return f"{axis.name}: {figure_text(value, axis.unit)}"


def _name(labels: tuple[str, ...], place: int) -> str:
    return labels[place] if 0 <= place < len(labels) else "unknown"


def _tip(lines: list[str]) -> str:
    return "\n".join(_wrapped(plain_text(line, 300)) for line in lines if line)


def _wrapped(line: str) -> str:
    return line if len(line) <= _TIP.width else _TIP.fill(line)


def _color(series: Series, index: int) -> str:
    if series.color in ROLES:
        return f"var(--smcs-{series.color}, {PALETTE[index % len(PALETTE)]})"
    return series.color or PALETTE[index % len(PALETTE)]


def _pattern(index: int) -> dict[str, Any]:
    """Stripes that tell the second, third, ... series of bars from the first without colour."""
    if index % 4 == 0:
        return {"symbol": "none"}
    return {
        "symbol": "rect",
        "color": "#ffffff73",
        "dashArrayX": [1, 0],
        "dashArrayY": [2, 5],
        "rotation": (0.0, 0.785, 2.356, 0.0)[index % 4],
    }


def _intervals(plot: Plot, places: tuple[tuple[int, ...], ...]) -> list[dict[str, Any]]:
    """Intervals as thin lines: one series of pieces for each series that has them."""
    return [
        {
            "type": "line",
            "name": plain_text(series.name),
            "silent": True,
            "symbol": "none",
            "tooltip": {"show": False},
            "emphasis": {"disabled": True},
            "connectNulls": False,
            "lineStyle": _interval_style(series, index),
            "z": 4,
            "xAxisIndex": int(base_axis(plot) is plot.x),
            "yAxisIndex": int(base_axis(plot) is plot.y),
            "data": pieces(plot, index, places[index]),
        }
        for index, series in enumerate(plot.series)
        if series.low
    ]


def _interval_style(series: Series, index: int) -> dict[str, Any]:
    """Dark on bars; elsewhere in the colour of their points, which they belong to."""
    if series.kind == "bar":
        return {"color": INK, "width": 1.25}
    return {"color": _color(series, index), "width": 1.5, "opacity": 0.65}
