"""Plots: options that carry no code, figures that fit their axes, tables and CSV that cannot do harm."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from smcs.studio.plot_data import number, plain_text
from smcs.studio.plot_options import MOST_CELLS, MOST_POINTS, draw, fitting_height
from smcs.studio.plot_points import bar_share, pieces
from smcs.studio.plots import (
    PALETTE,
    Axis,
    HeatMap,
    Plot,
    PlotClick,
    Series,
    Table,
    figure_text,
    file_name,
    where_clicked,
)

EVIL = "<img src=x onerror=alert(1)> {a} {b|c}\n:run"
FIGURES = Table(("LLM", "share"), (("a", 0.5),))
ARMS = Axis("Strategy", kind="category", labels=("smcs", EVIL, "single best"))
ACCURACY = Axis("Accuracy", "%", low=0, high=100)


def _plot(*series: Series, x: Axis = ARMS, y: Axis = ACCURACY, stacked: bool = False) -> Plot:
    return Plot("Accuracy of " + EVIL, x, y, series, FIGURES, stacked=stacked)


def _bars(low: tuple[float | None, ...] = (50.0, None, 40.0)) -> Series:
    return Series("GPQA", (60.0, None, 45.0), low=low, high=(70.0, None, 50.0))


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield key, part
            yield from _walk(part)
    elif isinstance(value, list):
        for part in value:
            yield from _walk(part)


EVERY = (
    _plot(_bars(), Series(EVIL, (1.0, 2.0, 3.0))),
    _plot(_bars(), x=ACCURACY, y=ARMS),
    _plot(Series(EVIL, ((0.1, 50.0, EVIL),), "scatter"), x=Axis(EVIL, "USD", kind="log")),
    _plot(Series(EVIL, ((date(2026, 1, 2), 5.0),), "line"), x=Axis("Day", kind="time")),
    HeatMap(EVIL, ARMS, ARMS, ((0, 0, 0.25, EVIL), (1, 0, None, EVIL)), FIGURES, value_name=EVIL),
)


@pytest.mark.parametrize("plot", EVERY)
def test_options_are_plain_json_without_code_or_html(plot: Plot | HeatMap) -> None:
    options = draw(plot).options
    assert json.loads(json.dumps(options, allow_nan=False)) == options
    for key, value in _walk(options):
        assert re.fullmatch(r"[a-zA-Z]\w*", key), "a key that begins with a colon is run as a script"
        if isinstance(value, str):
            assert not re.search(r"image://|url\(|function", value)
            assert not re.search(r"\{\w+(\||\})", value), "read as a template"
    assert options["tooltip"]["renderMode"] == "richText"
    assert options["animation"] is False


def test_axes_have_names_and_units_and_their_bounds() -> None:
    options = draw(_plot(_bars())).options
    assert [options["xAxis"][0]["name"], options["yAxis"][0]["name"]] == ["Strategy", "Accuracy (%)"]
    assert (options["yAxis"][0]["min"], options["yAxis"][0]["max"]) == (0, 100)
    assert options["xAxis"][0]["data"][2] == "single best"


def test_a_tooltip_gives_figures_with_units_interval_and_text() -> None:
    first, second = (item["tooltip"]["formatter"] for item in draw(_plot(_bars())).options["series"][0]["data"][:2])
    assert first.split("\n") == ["GPQA", "Strategy: smcs", "Accuracy: 60%", "Interval: 50% to 70%"]
    assert second.endswith("Accuracy: unknown")
    point = draw(_plot(Series("a", ((0.5, 50.0, "300 questions"),), "scatter"), x=Axis("Cost", "USD"))).options
    tip = point["series"][0]["data"][0]["tooltip"]["formatter"]
    assert tip.split("\n") == ["a", "Cost: $0.5", "Accuracy: 50%", "300 questions"]


def test_intervals_stand_in_the_middle_of_their_own_bars() -> None:
    plot = _plot(_bars(), _bars())
    width = bar_share(plot) / 2
    left, right = (pieces(plot, index, (0, 1, 2)) for index in (0, 1))
    assert left[:3] == [[-width / 2, 50.0], [-width / 2, 70.0], [None, None]]
    assert right[0] == [width / 2, 50.0]
    assert [point[0] for point in left[9:11]] == [2 - width / 2] * 2, "the unknown one is left out"
    assert len(left) == 2 * 9, "a stroke and two caps each"
    options = draw(plot).options
    interval, axis = options["series"][2], options["xAxis"][1]
    assert (interval["xAxisIndex"], interval["yAxisIndex"], interval["silent"]) == (1, 0, True)
    assert (axis["min"], axis["max"]) == (-0.5, 2.5)


def test_intervals_of_horizontal_bars_lie_on_their_side() -> None:
    plot = _plot(_bars(), x=ACCURACY, y=ARMS)
    assert pieces(plot, 0, (0, 2))[:2] == [[50.0, 0.0], [70.0, 0.0]]
    options = draw(plot).options
    assert options["yAxis"][0]["inverse"]
    assert options["yAxis"][1]["inverse"]
    assert (options["series"][1]["xAxisIndex"], options["series"][1]["yAxisIndex"]) == (0, 1)


def test_stacked_bars_have_one_width_and_no_intervals() -> None:
    drawn = draw(_plot(_bars(), _bars(), stacked=True)).options["series"]
    assert [series["stack"] for series in drawn] == ["all", "all"]
    assert bar_share(_plot(_bars(), _bars(), stacked=True)) == pytest.approx(0.3)


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show() -> None:
    series = Series("a", ((0.0, 1.0), (0.1, 2.0)), "scatter")
    data = draw(_plot(series, x=Axis("Cost", "USD", kind="log"))).options["series"][0]["data"]
    assert [item["value"] for item in data] == [[None, 1.0], [0.1, 2.0]]


def test_of_many_points_an_even_selection_is_drawn_and_said() -> None:
    count = 20_000
    drawn = draw(_plot(Series("a", tuple((i, i) for i in range(count)), "scatter"), x=Axis("x")))
    assert len(drawn.options["series"][0]["data"]) == MOST_POINTS
    assert drawn.places[0][0] == 0
    assert drawn.places[0][-1] == count - 1
    assert f"{MOST_POINTS:,} of {count:,}" in drawn.note


def test_many_categories_can_be_scrolled_and_intervals_are_said_to_be_in_the_data() -> None:
    labels = tuple(f"llm-{i}" for i in range(500))
    series = Series("a", (1.0,) * 500, low=(0.5,) * 500, high=(2.0,) * 500)
    drawn = draw(_plot(series, x=Axis("LLM", kind="category", labels=labels)))
    assert drawn.options["dataZoom"][0]["endValue"] < 60
    assert len(drawn.options["series"]) == 1
    assert "Intervals are in the data" in drawn.note


def test_a_heat_map_keeps_unknown_apart_from_nothing() -> None:
    cells = ((0, 0, 0.0, "0 of 4"), (1, 0, None, "not measured"), (2, 1, 0.9, ""))
    drawn = draw(HeatMap("t", ARMS, ARMS, cells, FIGURES))
    known, unknown = drawn.options["series"]
    assert [item["value"] for item in known["data"]] == [[0, 0, 0.0], [2, 1, 0.9]]
    assert unknown["data"][0]["value"] == [1, 0, None]
    assert unknown["data"][0]["tooltip"]["formatter"].endswith("Share correct: unknown\nnot measured")
    assert drawn.places == ((0, 2), (1,))
    assert drawn.options["visualMap"]["seriesIndex"] == 0
    assert known["data"][0]["label"]["color"] != known["data"][1]["label"]["color"]


def test_a_click_is_believed_only_where_something_is() -> None:
    drawn = draw(HeatMap("t", ARMS, ARMS, ((0, 0, None, ""), (1, 0, 0.5, "")), FIGURES))
    assert where_clicked(drawn, 0, 0) == PlotClick(0, 1)
    assert where_clicked(drawn, 1, 0) == PlotClick(0, 0)
    lies: tuple[tuple[Any, Any], ...] = ((2, 0), (0, 1), (-1, 0), (0, -1), ("0", 0), (0, None), (0.0, 0))
    assert [where_clicked(drawn, *lie) for lie in lies] == [None] * len(lies)


def test_of_a_huge_heat_map_the_first_rows_are_drawn_and_said() -> None:
    rows = Axis("LLM", kind="category", labels=tuple(str(i) for i in range(5000)))
    cells = tuple((column, row, 0.5, "") for row in range(5000) for column in range(3))
    drawn = draw(HeatMap("t", ARMS, rows, cells, FIGURES))
    assert len(drawn.options["series"][0]["data"]) == MOST_CELLS
    assert "The first 2,000 of 5,000 rows" in drawn.note
    assert fitting_height(HeatMap("t", ARMS, rows, (), FIGURES)) == "76rem"


def test_csv_is_quoted_and_no_text_is_a_formula() -> None:
    texts = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", " =1", "＝1", 'say "a,b"\nc')  # noqa: RUF001
    content = Table(("=name", "b"), tuple((text, -1.5) for text in texts)).to_csv()
    header, *rows = csv.reader(io.StringIO(content, newline=""))
    assert header == ["'=name", "b"]
    assert [row[0] for row in rows] == [*(f"'{text}" for text in texts[:-1]), texts[-1]]
    assert rows[0][1] == "-1.5", "numbers stay numbers"
    assert Table(("a",), ((None,), (float("nan"),), (10**12,))).to_csv().split("\r\n")[1:4] == ['""', '""', str(10**12)]


def test_labels_stand_beside_points_and_a_line_may_go_without() -> None:
    named = Series("a", ((1, 2.0),), "scatter", labels=(EVIL,))
    drawn = draw(_plot(named, Series("front", ((1, 2.0),), "line", points=False), x=Axis("Cost", "USD"))).options
    label = drawn["series"][0]["data"][0]["label"]["formatter"]
    assert label == plain_text(EVIL, 32)
    assert drawn["series"][0]["labelLayout"] == {"hideOverlap": True}
    assert [series["symbol"] for series in drawn["series"]] == ["circle", "none"]


def test_series_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="both ends"):
        Series("a", (1.0, 2.0), low=(0.5,), high=(1.5,))
    with pytest.raises(ValueError, match="label"):
        Series("a", (1.0, 2.0), labels=("one",))
    with pytest.raises(ValueError, match="colour"):
        Series("a", (1.0,), color="url(https://example.org)")


def test_numbers_and_names() -> None:
    assert number(date(1970, 1, 2)) == 86_400_000
    assert number(datetime(1970, 1, 2, tzinfo=UTC)) == 86_400_000
    assert (number(float("inf")), number("3"), number(True)) == (None, None, None)
    assert [
        figure_text(v, u) for v, u in ((1234.6, ""), (0.01234567, "USD"), (None, "USD"), (-2.0, "USD"), (3, "s"))
    ] == [
        "1,235",
        "$0.01235",
        "unknown",
        "-$2",
        "3 s",
    ]
    assert plain_text("a\x00b\u202e\n c") == "a b c"
    assert len(plain_text("x" * 1000, 50)) == 50
    assert file_name("../Ünï <b>", "csv") == "n-b.csv"
    assert file_name("结果", "csv") == "data.csv"


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("color", PALETTE)
@pytest.mark.parametrize("page", ["#ffffff", "#12161c"])
def test_colours_stand_out_on_light_and_dark_pages(color: str, page: str) -> None:
    light, dark = sorted((_luminance(color), _luminance(page)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3
