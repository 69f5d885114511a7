"""Plots of the studio: interactive, in the page's theme, with their figures as a table and as CSV.

`show_plot` draws a `Plot` or `HeatMap`; `PlotView.set` replaces what is shown. A plot cannot be worked by keyboard, so
whatever a click on it does, a button or link must do as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nicegui import ui
from nicegui.events import EChartPointClickEventArguments

from smcs.studio.plot_data import PALETTE, ROLES, Axis, HeatMap, Plot, Series, Table, figure_text
from smcs.studio.plot_options import Drawn, draw, fitting_height

__all__ = (
    "PALETTE",
    "ROLES",
    "Axis",
    "HeatMap",
    "Plot",
    "PlotClick",
    "PlotView",
    "Prepared",
    "Series",
    "Table",
    "figure_text",
    "file_name",
    "prepare",
    "show_plot",
    "show_table",
    "where_clicked",
)

_MOST_ROWS: Final = 1_000
_ROWS_A_PAGE: Final = 20


@dataclass(frozen=True, slots=True)
class PlotClick:
    """A click on a point, bar or cell.

    Attributes:
        series: Which series; 0 for a heat map.
        index: Which of `Series.values`, or of `HeatMap.cells`.
    """

    series: int
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A plot and its drawing."""

    plot: Plot | HeatMap
    drawn: Drawn


def prepare(plot: Plot | HeatMap) -> Prepared:
    """Return a plot that is quickly shown: one of thousands of points is prepared in a thread."""
    return Prepared(plot, draw(plot))


def show_plot(
    plot: Plot | HeatMap | Prepared, *, height: str = "", on_click: Callable[[PlotClick], None] | None = None
) -> PlotView:
    """Show a plot here.

    Args:
        plot: What to show.
        height: CSS length of the drawing, a constant of the caller's; empty fits it to the number of rows.
        on_click: Called with the point, bar or cell that was clicked.
    """
    return PlotView(plot, height=height, on_click=on_click)


class PlotView(ui.element):
    """A plot with its heading, a button for its data as CSV and one for its figures as a table."""

    def __init__(
        self,
        plot: Plot | HeatMap | Prepared,
        *,
        height: str = "",
        on_click: Callable[[PlotClick], None] | None = None,
    ) -> None:
        super().__init__("figure")
        self.classes("smcs-plot").props("data-testid=plot").style("margin: 0; min-width: 0; width: 100%")
        prepared = plot if isinstance(plot, Prepared) else prepare(plot)
        self._plot, self._drawn = prepared.plot, prepared.drawn
        self._height = height
        self._on_click = on_click
        with self:
            with ui.element("figcaption").style(
                "display: flex; flex-wrap: wrap; align-items: center; gap: .25rem .5rem"
            ):
                self._title = ui.label().props("role=heading aria-level=3").style("font-weight: 600; flex: 1 1 12rem")
                self._title.props("data-testid=plot-title")
                self._toggle = ui.button("Table", icon="table_rows", color=None, on_click=self._turn_table)
                self._toggle.props("flat dense no-caps size=sm aria-expanded=false data-testid=plot-table-toggle")
                self._toggle.style("color: var(--smcs-accent)")
                self._button = data_button(lambda: self._plot.title, lambda: self._plot.table)
            self._canvas = ui.element("div")
            self._note = ui.label().classes("smcs-muted").style("font-size: .85rem")
            self._figures = ui.element("div").style("margin-top: .5rem")
            self._figures.set_visibility(False)
        self._chart = self._new_chart()
        self._show_texts()

    @property
    def plot(self) -> Plot | HeatMap:
        """What is shown."""
        return self._plot

    def set(self, plot: Plot | HeatMap) -> None:
        """Show another plot in this one's place; an equal one costs nothing."""
        if plot == self._plot:
            return
        another_kind = type(plot) is not type(self._plot)
        self._plot, self._drawn = plot, draw(plot)
        if another_kind:
            self._chart.delete()
            self._chart = self._new_chart()
        else:
            self._chart.options.clear()
            self._chart.options.update(_unwatched(self._drawn))
            self._chart.style(f"height: {self._room}")
            self._chart.update()
        self._show_texts()

    def _new_chart(self) -> ui.echart:
        handler = self._clicked if self._on_click is not None else None
        with self._canvas:
            # SVG, as its colours may be the page's CSS variables.
            chart = ui.echart(_unwatched(self._drawn), on_point_click=handler, renderer="svg")
        return chart.style(f"width: 100%; height: {self._room}").props("role=img data-testid=plot-chart")

    @property
    def _room(self) -> str:
        return self._height or fitting_height(self._plot)

    def _show_texts(self) -> None:
        self._title.set_text(self._plot.title)
        self._note.set_text(self._drawn.note)
        self._note.set_visibility(bool(self._drawn.note))
        self._toggle.props["aria-label"] = f"Figures of {self._plot.title} as a table"
        self._button.props["aria-label"] = _data_of(self._plot.title)
        if self._figures.visible:
            self._fill_table()

    def _turn_table(self) -> None:
        shown = not self._figures.visible
        self._figures.set_visibility(shown)
        self._toggle.props["aria-expanded"] = "true" if shown else "false"
        self._toggle.update()
        if shown:
            self._fill_table()
        else:
            self._figures.clear()

    def _fill_table(self) -> None:
        self._figures.clear()
        with self._figures:
            show_table(self._plot.table)

    def _clicked(self, event: EChartPointClickEventArguments) -> None:
        click = where_clicked(self._drawn, event.series_index, event.data_index)
        if click is not None and self._on_click is not None:
            self._on_click(click)


def _unwatched(drawn: Drawn) -> dict[str, Any]:
    """Return options whose points NiceGUI does not watch for changes, which takes longer than drawing them."""
    return drawn.options | {"series": tuple(drawn.options["series"])}


def show_table(table: Table) -> ui.table:
    """Show figures as a table; of very many the first, as the CSV has all."""
    columns = [
        {
            "name": f"c{place}",
            "label": name,
            "field": f"c{place}",
            "align": "right" if _is_numeric(table, place) else "left",
            "sortable": True,
        }
        for place, name in enumerate(table.columns)
    ]
    rows = [
        {"row": number} | {f"c{place}": _shown(cell) for place, cell in enumerate(row)}
        for number, row in enumerate(table.rows[:_MOST_ROWS])
    ]
    paging = _ROWS_A_PAGE if len(rows) > _ROWS_A_PAGE else None
    view = ui.table(columns=columns, rows=rows, row_key="row", pagination=paging)
    view.props("flat dense data-testid=plot-table").classes("smcs-scroll smcs-num").style("background: transparent")
    if len(table.rows) > _MOST_ROWS:
        ui.label(f"The first {_MOST_ROWS:,} of {len(table.rows):,} rows; Data has all.").classes("smcs-muted")
    return view


def data_button(title: Callable[[], str], table: Callable[[], Table]) -> ui.button:
    """Show the button that gives the figures of a plot as CSV.

    Args:
        title: Returns what the plot shows.
        table: Returns the figures, when they are wanted.
    """

    def download() -> None:
        ui.download.content(table().to_csv().encode("utf-8-sig"), file_name(title(), "csv"), "text/csv")

    button = ui.button("Data", icon="download", color=None, on_click=download)
    button.props["aria-label"] = _data_of(title())
    return button.props("flat dense no-caps size=sm data-testid=plot-data").style("color: var(--smcs-accent)")


def _data_of(title: str) -> str:
    return f"Data of {title} as CSV"


def file_name(title: str, suffix: str) -> str:
    """Return a file's name made of a title: letters, digits and hyphens only."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]
    return f"{name or 'data'}.{suffix}"


def where_clicked(drawn: Drawn, series: Any, index: Any) -> PlotClick | None:
    """Return what a browser says was clicked; None where that cannot be true."""
    if not isinstance(series, int) or not isinstance(index, int) or not 0 <= series < len(drawn.places):
        return None
    places = drawn.places[series]
    if not 0 <= index < len(places):
        return None
    heat_map = "visualMap" in drawn.options
    return PlotClick(0 if heat_map else series, places[index])


def _is_numeric(table: Table, place: int) -> bool:
    """Whether a column holds nothing but numbers and unknowns; the first one names the rows unless it has a number."""
    cells = [row[place] for row in table.rows[:_MOST_ROWS] if row[place] is not None]
    return all(isinstance(cell, int | float) for cell in cells) and (place > 0 or bool(cells))


def _shown(cell: str | float | int | None) -> str | float:
    if isinstance(cell, float):
        return float(f"{cell:.6g}") if cell == cell and abs(cell) != float("inf") else "unknown"
    return "unknown" if cell is None else cell
