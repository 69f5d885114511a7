"""The plots of a report, each from the values it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from smcs.bench.report.analyses import BudgetPoint
from smcs.bench.report.labels import place_labels
from smcs.bench.report.model import Report
from smcs.bench.report.sections import MEASURES
from smcs.bench.report.theme import LIGHT, SERIES, Role
from smcs.bench.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ("FIGURES", "draw")

_WIDTH = 5.2
_ROW = 0.26
_FRAME = 0.75
_NAME = 26
_WIDE = 15.0
_ROOM = 0.22
_WHOLE = 1000
_ROOMY_COLUMNS = 12
_ROOMY_CHARACTERS = 45
_MARKERS = ("o", "s", "^", "D", "v", "P")

Dot = tuple[str, Interval]


def draw(report: Report, key: str) -> Figure | None:
    """Return the figure of a section, `None` where the report has nothing to draw.

    Call it under `theme.drawing`.
    """
    figure = FIGURES[key](report) if key in FIGURES else None
    if figure is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, for all the files it is saved to
    return figure


def _accuracy(report: Report) -> Figure | None:
    dots = [(arm.name, arm.mean.accuracy) for arm in report.summary.arms if arm.mean.accuracy is not None]
    over = ", mean over tasks" if len(report.tasks) > 1 else ""
    return _dots(dots, f"accuracy (%){over}", report.summary.baseline)


def _comparison(report: Report) -> Figure | None:
    dots = [
        (arm.name, Interval(paired.difference, paired.low, paired.high, paired.n))
        for arm in report.summary.arms
        if (paired := arm.mean.against) is not None
    ]
    figure = _dots(dots, f"difference to {_short(report.summary.baseline)} (points)", None)
    if figure is not None:
        figure.axes[0].axvline(0, color=LIGHT["muted"], linewidth=1)
    return figure


def _ranking(report: Report) -> Figure | None:
    dots = [(entry.name, entry.score) for entry in report.ranking]
    return _dots(dots, "pairs ordered rightly (%)", None)


def _budget(report: Report) -> Figure | None:
    budget = report.budget
    if budget is None or len(budget.points) < 2:
        return None
    figure, axes = _canvas(4.2)
    front = sorted((point for point in budget.points if point.arm in budget.front), key=lambda point: point.spent)
    others = [point for point in budget.points if point.arm not in budget.front]
    dearest = max(point.spent for point in budget.points)
    x, y = [point.spent for point in front], [100 * point.accuracy.value for point in front]
    axes.plot([*x, dearest], [*y, y[-1]], drawstyle="steps-post", color=LIGHT["blue"], linewidth=1.4, zorder=2)
    groups: tuple[tuple[list[BudgetPoint], Role], ...] = ((others, "gray"), (front, "blue"))
    for points, role in groups:
        axes.scatter(
            [point.spent for point in points],
            [100 * point.accuracy.value for point in points],
            s=30,
            color=LIGHT[role],
            edgecolor=LIGHT["surface"],
            zorder=3,
        )
    for point in front:
        span = [100 * point.accuracy.low, 100 * point.accuracy.high]
        axes.plot([point.spent] * 2, span, color=LIGHT["blue"], linewidth=0.9, alpha=0.45, zorder=1)
    _budget_axis(axes, [point.spent for point in budget.points])
    axes.set_xlabel(f"{MEASURES[budget.measure]} per question")
    axes.set_ylabel("accuracy (%)")
    steps = list(zip([*x, dearest], [*y, y[-1]], strict=True))
    lines = [((left, low), (right, low)) for (left, low), (right, _) in pairwise(steps)]
    lines += [((right, low), (right, high)) for (_, low), (right, high) in pairwise(steps)]
    lines += [((p.spent, 100 * p.accuracy.low), (p.spent, 100 * p.accuracy.high)) for p in front]
    place_labels(axes, [(p.spent, 100 * p.accuracy.value, _short(p.arm)) for p in budget.points], lines)
    return figure


def _budget_axis(axes: Axes, spent: Sequence[float]) -> None:
    """Spread budgets by their ratios where they differ much, and leave room for names on both sides."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = min(spent), max(spent)
    if low > 0 and high / low > _WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        room = (high / low) ** _ROOM
        axes.set_xlim(low / room, high * room)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        room = (high - low or high or 1.0) * _ROOM
        axes.set_xlim(max(0.0, low - room), high + room)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= _WHOLE else f"{value:g}"))


def _scaling(report: Report) -> Figure | None:
    if not report.scaling:
        return None
    figure, axes = _canvas(3.1)
    for number, series in enumerate(report.scaling):
        colour = LIGHT[SERIES[number % len(SERIES)]]
        sizes = [size for size, _ in series.points]
        spans = [interval for _, interval in series.points]
        lows, highs = [100 * span.low for span in spans], [100 * span.high for span in spans]
        axes.fill_between(sizes, lows, highs, color=colour, alpha=0.14, linewidth=0)
        axes.plot(
            sizes,
            [100 * span.value for span in spans],
            color=colour,
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            linewidth=1.6,
            label=_short(series.name),
        )
    axes.set_xticks(sorted({size for series in report.scaling for size, _ in series.points}))
    axes.set_xlabel("LLMs in the pool")
    axes.set_ylabel("accuracy (%)")
    axes.legend(loc="best")
    return figure


def _ablations(report: Report) -> Figure | None:
    bars = report.ablation_bars
    if not bars:
        return None
    figure, axes = _canvas(_FRAME + 0.32 * len(bars))
    for position, (_, paired) in enumerate(bars):
        role: Role = "orange" if paired.difference < 0 else "blue"
        axes.barh(position, 100 * paired.difference, height=0.62, color=LIGHT[role], alpha=0.85)
        axes.plot([100 * paired.low, 100 * paired.high], [position] * 2, color=LIGHT["ink"], linewidth=1.1)
    axes.axvline(0, color=LIGHT["muted"], linewidth=1)
    _name_rows(axes, [name for name, _ in bars])
    axes.set_xlabel("difference to the full arm (points)")
    return figure


def _candidates(report: Report) -> Figure | None:
    entries = report.candidates
    if not entries:
        return None
    figure, axes = _canvas(_FRAME + 0.3 + _ROW * len(entries))
    for position, entry in enumerate(entries):
        ends = [100 * span.value for span in (entry.chosen, entry.multiple, entry.one)]
        axes.plot([min(ends), max(ends)], [position] * 2, color=LIGHT["grid"], linewidth=2, zorder=1)
    kinds: tuple[tuple[str, Role], ...] = (("chosen answer", "ink"), ("MCA", "orange"), ("OCA", "blue"))
    for number, (label, role) in enumerate(kinds):
        spans = [(entry.chosen, entry.multiple, entry.one)[number] for entry in entries]
        axes.scatter(
            [100 * span.value for span in spans],
            range(len(entries)),
            s=30,
            marker=_MARKERS[number],
            color=LIGHT[role],
            label=label,
            zorder=2,
        )
    _name_rows(axes, [entry.arm for entry in entries])
    axes.set_xlabel("questions (%)")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _support(report: Report) -> Figure | None:
    sources = report.support
    if sources is None:
        return None
    from matplotlib.patches import Rectangle

    columns, rows = len(sources.sources), len(sources.targets)
    figure, axes = _canvas(1.3 + 0.27 * rows)
    largest = max(max(shares) for shares in sources.shares) or 1.0
    small = columns > _ROOMY_COLUMNS
    for row, shares in enumerate(sources.shares):
        for column, share in enumerate(shares):
            strength = 0.04 + 0.56 * share / largest
            axes.add_patch(Rectangle((column, row), 0.96, 0.94, color=LIGHT["blue"], alpha=strength, linewidth=0))
            if not small or share >= 0.1 * largest:
                text = f"{100 * share:.0f}"
                axes.text(column + 0.48, row + 0.49, text, ha="center", va="center", fontsize=6.5 if small else 8.5)
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_yticks([row + 0.5 for row in range(rows)], [_short(name) for name in sources.targets])
    axes.set_xticks([column + 0.5 for column in range(columns)], [_short(name) for name in sources.sources])
    crowded = sum(len(_short(name)) for name in sources.sources) > _ROOMY_CHARACTERS
    axes.tick_params(axis="x", labelrotation=40 if crowded else 0, labelcolor=LIGHT["ink"])
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right" if crowded else "center")
        label.set_rotation_mode("anchor")
    axes.set_xlabel("support from (share of similarity, %)")
    axes.set_ylabel("asked")
    return figure


FIGURES: dict[str, Callable[[Report], Figure | None]] = {
    "accuracy": _accuracy,
    "comparison": _comparison,
    "budget": _budget,
    "scaling": _scaling,
    "ablations": _ablations,
    "candidates": _candidates,
    "ranking": _ranking,
    "support": _support,
}
"""The drawing function of each section that has one."""


def _dots(dots: Sequence[Dot], unit: str, baseline: str | None) -> Figure | None:
    """Draw shares with their intervals, the largest on top."""
    if not dots:
        return None
    figure, axes = _canvas(_FRAME + _ROW * len(dots))
    ordered = sorted(dots, key=lambda dot: -dot[1].value)
    for position, (name, span) in enumerate(ordered):
        colour = LIGHT["gray"] if name == baseline else LIGHT["blue"]
        axes.plot([100 * span.low, 100 * span.high], [position] * 2, color=colour, linewidth=1.6)
        axes.plot(100 * span.value, position, marker="o", markersize=5.5, color=colour)
        if name == baseline:
            axes.axvline(100 * span.value, color=LIGHT["gray"], linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    _name_rows(axes, [name for name, _ in ordered])
    axes.set_xlabel(unit)
    return figure


def _canvas(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _short(name: str) -> str:
    """Cut a long name in its middle: names of one experiment often differ at their ends only."""
    return name if len(name) <= _NAME else f"{name[: _NAME - 13]}...{name[-10:]}"
