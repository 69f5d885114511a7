"""The plots of a report, made of its values; intervals, fronts and tests are the report's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from smcs.bench.report import Report
from smcs.bench.report.cells import Section, Value
from smcs.bench.report.sections import MEASURES
from smcs.bench.statistics import Interval, Paired
from smcs.studio.plots import Axis, HeatMap, Plot, Series, Table

__all__ = ("plot_of", "table_of")

_WIDE: Final = 15.0
"""Ratio of the dearest to the cheapest from which budgets are spread by their ratios."""

_ROOM: Final = 0.12
"""Room beside the points, as a share of their spread."""

_MOST_NAMED: Final = 8
"""Arms off the front whose names are drawn; those of more are shown with their figures only."""

_Row = tuple[str, Interval | Paired]


def plot_of(report: Report, section: Section) -> Plot | HeatMap | None:
    """Return the plot of a section; `None` where it has none."""
    maker = _MAKERS.get(section.key)
    return None if maker is None else maker(report, section)


def table_of(section: Section) -> Table:
    """Return the first table of a section as text, small print in brackets."""
    table = section.tables[0]
    return Table(table.columns, tuple(tuple(_text(value) for value in row) for row in table.rows))


def _text(value: Value) -> str:
    return f"{value.text} ({value.detail})" if value.detail else value.text


def _accuracy(report: Report, section: Section) -> Plot | None:
    rows = [(arm.name, arm.mean.accuracy) for arm in report.summary.arms if arm.mean.accuracy is not None]
    name = "Accuracy, mean over tasks" if len(report.tasks) > 1 else "Accuracy"
    return _dots("Accuracy of each arm", Axis(name, "%"), rows, section, _interval_note(report))


def _comparison(report: Report, section: Section) -> Plot | None:
    rows = [(arm.name, arm.mean.against) for arm in report.summary.arms if arm.mean.against is not None]
    axis = Axis(f"Difference to {report.summary.baseline}", "points")
    return _dots(f"Each arm against {report.summary.baseline}", axis, rows, section, _interval_note(report))


def _ranking(report: Report, section: Section) -> Plot | None:
    rows = [(entry.name, entry.score) for entry in report.ranking]
    note = f"{_interval_note(report)} 50% is chance."
    return _dots("Ranking of LLMs by the priors", Axis("Pairs ordered rightly", "%"), rows, section, note)


def _ablations(report: Report, section: Section) -> Plot | None:
    rows = report.ablation_bars
    if not rows:
        return None
    axis = Axis("Difference to the full arm", "points")
    return _rows("What each part is worth", axis, rows, section, _interval_note(report), kind="bar")


def _budget(report: Report, section: Section) -> Plot | None:
    budget = report.budget
    if budget is None or len(budget.points) < 2:
        return None
    spent = [point.spent for point in budget.points]
    wide = min(spent) > 0 and max(spent) / min(spent) > _WIDE
    front = sorted((point for point in budget.points if point.arm in budget.front), key=lambda point: point.spent)
    others = [point for point in budget.points if point.arm not in budget.front]
    groups = (("on the Pareto front", front, "accent"), ("others", others, "muted"))
    series = [
        Series(
            name,
            tuple((point.spent, 100 * point.accuracy.value, point.arm) for point in points),
            "scatter",
            low=tuple(100 * point.accuracy.low for point in points) if points is front else (),
            high=tuple(100 * point.accuracy.high for point in points) if points is front else (),
            color=color,
            labels=tuple(point.arm for point in points) if points is front or len(others) <= _MOST_NAMED else (),
        )
        for name, points, color in groups
        if points
    ]
    steps: list[tuple[float, float]] = []
    for point in front:
        if steps:
            steps.append((point.spent, steps[-1][1]))
        steps.append((point.spent, 100 * point.accuracy.value))
    steps.append((max(spent), steps[-1][1]))
    series.append(Series("best accuracy a budget buys", tuple(steps), "line", color="accent", points=False))
    unit = MEASURES[budget.measure]
    return Plot(
        "Accuracy against what it costs",
        _budget_axis(spent, unit, wide=wide),
        Axis("Accuracy", "%"),
        tuple(series),
        table_of(section),
        f"{_interval_note(report)} On the front: no other arm is both cheaper and better.",
    )


def _budget_axis(spent: Sequence[float], unit: str, *, wide: bool) -> Axis:
    """Budgets with room for names on both sides, spread by their ratios where they differ much."""
    low, high = min(spent), max(spent)
    if wide:
        room = (high / low) ** _ROOM
        return Axis("Spent per question", unit, "log", low=_short(low / room), high=_short(high * room))
    margin = (high - low or high or 1.0) * _ROOM
    return Axis("Spent per question", unit, low=_short(max(0.0, low - margin)), high=_short(high + margin))


def _short(value: float) -> float:
    """A bound that is written in two digits."""
    return float(f"{value:.2g}")


def _scaling(report: Report, section: Section) -> Plot | None:
    series = tuple(
        Series(
            each.name,
            tuple((size, 100 * span.value) for size, span in each.points),
            "line",
            low=tuple(100 * span.low for _, span in each.points),
            high=tuple(100 * span.high for _, span in each.points),
        )
        for each in report.scaling
    )
    axes = Axis("LLMs in the pool"), Axis("Accuracy", "%")
    return Plot("Accuracy by pool size", *axes, series, table_of(section), _interval_note(report))


def _candidates(report: Report, section: Section) -> Plot | None:
    entries = report.candidates
    kinds = (
        ("chosen answer correct", [entry.chosen for entry in entries]),
        ("more than one candidate correct (MCA)", [entry.multiple for entry in entries]),
        ("at least one candidate correct (OCA)", [entry.one for entry in entries]),
    )
    return Plot(
        "What the candidates hold",
        Axis("Questions", "%"),
        Axis("Arm", kind="category", labels=tuple(entry.arm for entry in entries)),
        tuple(Series(name, tuple(100 * span.value for span in spans), "scatter") for name, spans in kinds),
        table_of(section),
        "Intervals are in the table.",
    )


def _support(report: Report, section: Section) -> HeatMap | None:
    sources = report.support
    if sources is None:
        return None
    cells = tuple(
        (column, row, share, "") for row, shares in enumerate(sources.shares) for column, share in enumerate(shares)
    )
    return HeatMap(
        "Where support comes from",
        Axis(f"{sources.level.capitalize()} of the bank", kind="category", labels=sources.sources),
        Axis(f"{sources.level.capitalize()} asked", kind="category", labels=sources.targets),
        cells,
        table_of(section),
        value_name="Share of similarity",
        highest=max((max(shares) for shares in sources.shares), default=1.0) or 1.0,
    )


_MAKERS: Final[Mapping[str, Callable[[Report, Section], Plot | HeatMap | None]]] = {
    "accuracy": _accuracy,
    "comparison": _comparison,
    "budget": _budget,
    "scaling": _scaling,
    "ablations": _ablations,
    "candidates": _candidates,
    "ranking": _ranking,
    "support": _support,
}


def _interval_note(report: Report) -> str:
    return f"Lines are {report.summary.level:.0%} intervals over questions."


def _dots(title: str, axis: Axis, rows: Sequence[_Row], section: Section, note: str) -> Plot | None:
    """Points with their intervals, the largest on top."""
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: -_middle(row[1]))
    return _rows(title, axis, ordered, section, note, kind="scatter")


def _rows(title: str, axis: Axis, rows: Sequence[_Row], section: Section, note: str, *, kind: str) -> Plot:
    values = tuple(100 * _middle(span) for _, span in rows)
    low, high = tuple(100 * span.low for _, span in rows), tuple(100 * span.high for _, span in rows)
    series = Series(axis.name, values, "bar" if kind == "bar" else "scatter", low=low, high=high)
    names = Axis("Arm", kind="category", labels=tuple(name for name, _ in rows))
    return Plot(title, axis, names, (series,), table_of(section), note)


def _middle(span: Interval | Paired) -> float:
    return span.value if isinstance(span, Interval) else span.difference
