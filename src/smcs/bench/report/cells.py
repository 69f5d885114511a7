"""Tables without markup: cells that know what they show and what they are sorted by."""

from __future__ import annotations

from dataclasses import dataclass

from smcs.bench.report.summary import Mean
from smcs.bench.statistics import Interval, Paired

__all__ = (
    "Section",
    "Table",
    "Value",
    "count_cell",
    "difference_cell",
    "interval_cell",
    "mean_cell",
    "number",
    "p_cell",
    "percent",
)

_SMALLEST_P = 0.001
_WHOLE_FROM = 100


@dataclass(frozen=True, slots=True)
class Value:
    """A table cell."""

    text: str
    detail: str = ""
    """An interval or another smaller print."""
    order: float | None = None
    """What it is sorted by, where that is a number."""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; its first column names the rows."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    key: str
    """Its anchor, and the name of its figure."""
    title: str
    text: str
    tables: tuple[Table, ...]
    figure: bool = True


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as a percentage without its sign, a dash when it is unknown."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def _points(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:+.1f}"  # adding zero turns -0.0 into +0.0


def p_cell(value: float | None) -> Value:
    """Return a p-value, a dash when there is none."""
    if value is None:
        return Value("-")
    return Value("<0.001" if value < _SMALLEST_P else f"{value:.3f}", order=value)


def number(value: float) -> str:
    """Return a count as it is, another quantity with three significant digits or all of its whole ones."""
    return f"{value:,.0f}" if value >= _WHOLE_FROM or value == int(value) else f"{value:#.3g}"


def interval_cell(interval: Interval | None, *, best: bool = False) -> Value:
    """Return a share in percent with its interval."""
    if interval is None:
        return Value("-")
    return Value(
        percent(interval.value), f"{percent(interval.low)} to {percent(interval.high)}", interval.value, best=best
    )


def difference_cell(paired: Paired | None) -> Value:
    """Return a difference in percentage points with its interval."""
    if paired is None:
        return Value("-")
    low, high = _points(paired.low), _points(paired.high)
    return Value(_points(paired.difference), f"{low} to {high}", paired.difference)


def mean_cell(mean: Mean, digits: int | None = None) -> Value:
    """Return a mean, or "unknown" and what is known of it."""

    def write(value: float) -> str:
        return number(value) if digits is None else f"{value:.{digits}f}"

    if mean.value is not None:
        return Value(write(mean.value), order=mean.value)
    if mean.known is None:
        return Value("unknown")
    return Value("unknown", f"{write(mean.known)} where known ({mean.share:.0%})")


def count_cell(count: int) -> Value:
    """Return a count."""
    return Value(f"{count:,}", order=count)
