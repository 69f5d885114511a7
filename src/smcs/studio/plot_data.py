"""What a plot shows, as values: axes, series, cells and the table behind them. Knows no drawing library.

All text may come from anywhere (names of LLMs, tasks, files): it is cleaned where it is drawn or written.
"""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

__all__ = (
    "PALETTE",
    "ROLES",
    "Axis",
    "HeatMap",
    "Plot",
    "Series",
    "Table",
    "evenly",
    "figure_text",
    "number",
    "plain_text",
)

PALETTE: Final = ("#3b76ce", "#c2660a", "#06796e", "#6151f6", "#29a366", "#1a94b3")
"""Colours of several series: at least 3:1 on a light and a dark page, and apart for the three kinds of colour vision.

Lines and points differ by shape and bars by pattern too.
"""

ROLES: Final = ("accent", "good", "bad", "warn", "muted")
"""Colours that mean something, as the style sheet has them in each theme."""

Cell = str | float | int | None
Value = tuple[Any, ...] | float | None

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        name: What it measures; shown beside the axis.
        unit: Unit of its figures ("USD", "%", "s"); nothing for counts and shares.
        kind: How positions become places. Times are `datetime`, `date` or milliseconds since 1970, and shown in UTC.
        labels: Names of the positions of a category axis, in order.
        low: Least value shown; None lets the data say.
        high: Largest value shown; None lets the data say.
    """

    name: str
    unit: str = ""
    kind: Literal["category", "value", "time", "log"] = "value"
    labels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True, slots=True)
class Series:
    """One series of values.

    Attributes:
        name: What it is called in the legend.
        values: A number or None per label of the category axis, or `(x, y)` or `(x, y, text)` for axes without labels;
            the text is shown with the figures.
        kind: How it is drawn.
        low: Lower ends of the intervals, one per value; empty where there are none.
        high: Upper ends of the intervals, one per value.
        color: One of `ROLES` or "#rrggbb"; None takes the next of `PALETTE`.
        labels: Names drawn beside the points, one per value, where there is room; empty where there are none.
        points: Whether a line shows its points; one without shows no figures either.

    Raises:
        ValueError: Ends of intervals or labels do not fit the values, or the colour is none.
    """

    name: str
    values: tuple[Value, ...]
    kind: Literal["bar", "line", "scatter"] = "bar"
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    color: str | None = None
    labels: tuple[str, ...] = ()
    points: bool = True

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or len(self.low) not in {0, len(self.values)}:
            raise ValueError("a series needs both ends of an interval for every value, or for none")
        if len(self.labels) not in {0, len(self.values)}:
            raise ValueError("a series needs a label for every value, or for none")
        if self.color is not None and self.color not in ROLES and not _COLOR.fullmatch(self.color):
            raise ValueError(f"a colour is one of {', '.join(ROLES)} or #rrggbb, not {self.color!r}")


@dataclass(frozen=True, slots=True)
class Table:
    """The figures behind a plot, for readers of tables and for downloads."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def to_csv(self) -> str:
        """Return the table as CSV (RFC 4180); unknown is empty, and no text can be taken for a formula."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\r\n")
        writer.writerow([_csv_cell(name) for name in self.columns])
        writer.writerows([_csv_cell(cell) for cell in row] for row in self.rows)
        return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot with two axes.

    Attributes:
        title: What it shows.
        x: The horizontal axis.
        y: The vertical axis; a category axis here gives horizontal bars, which long names need.
        series: What is drawn, in the order of the legend.
        table: The figures behind it.
        note: One line below it: what an interval means, what is left out.
        stacked: Whether bars stand on one another; intervals are then not drawn.
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    table: Table
    note: str = ""
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Shares over two category axes.

    Attributes:
        title: What it shows.
        x: Columns.
        y: Rows, from the top.
        cells: `(column, row, value, text)`: value from 0 to 1, None where unknown; the text is shown with it.
        table: The figures behind it.
        note: One line below it.
        value_name: What the values are.
        highest: Value of the last colour, above 0.
    """

    title: str
    x: Axis
    y: Axis
    cells: tuple[tuple[int, int, float | None, str], ...]
    table: Table
    note: str = ""
    value_name: str = "Share correct"
    highest: float = 1.0


def plain_text(text: str, longest: int = 120) -> str:
    """Return text that a plot shows as it is: one line, no control characters, nothing read as a template.

    Args:
        text: From anywhere.
        longest: Characters kept.
    """
    start = text[: 4 * longest]
    if not start.isprintable():
        start = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in start)
    line = " ".join(start.split())
    short = line if len(line) <= longest else f"{line[: longest - 1]}…"
    return short.replace("{", "{\u200b")


def figure_text(value: float | None, unit: str = "") -> str:
    """Return a number as people read it, four digits and its unit; "unknown" for None."""
    if value is None or not math.isfinite(value):
        return "unknown"
    size = abs(value)
    digits = f"{value:,.0f}" if size >= 1000 or value == int(value) else f"{value:.4g}"
    if unit == "USD":
        return f"${digits}" if value >= 0 else f"-${digits.removeprefix('-')}"
    return f"{digits}{unit}" if unit == "%" else f"{digits} {unit}".rstrip()


def number(value: Any) -> float | None:
    """Return a position as a number: times as milliseconds since 1970, what is no finite number as None."""
    if isinstance(value, datetime):
        return value.timestamp() * 1000
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() * 1000
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def evenly(count: int, most: int) -> Sequence[int]:
    """Return `most` indices spread evenly over `count`, or all where there are fewer; first and last are among them."""
    if count <= most:
        return range(count)
    if most == 1:
        return (0,)
    return tuple(round(i * (count - 1) / (most - 1)) for i in range(most))


def _csv_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
    return str(cell) if isinstance(cell, int) else ("" if not math.isfinite(cell) else f"{cell:.10g}")
