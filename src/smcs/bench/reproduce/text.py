"""A reproduction as rows of text, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smcs.bench.paper import load_figures
from smcs.bench.reproduce.report import Cell, Claim, Line, Measured, Panel, Reproduction

__all__ = ("Grid", "claim_grid", "figure_text", "grids", "to_markdown")

_MEAN = "mean"
_RECOMPUTED = "mean of the cells"
_CLAIM_COLUMNS = ("", "stated", "by its own cells", "ours", "where")


def figure_text(figure: Measured) -> str:
    """Return a figure of ours with its interval or deviation, and how many questions of all it rests on."""
    size = max(abs(figure.value), abs(figure.high or 0.0))
    # Percentages to two places, intervals to one; money and seconds below one to four.
    places, ends = (2, 1) if size >= 10 else (2, 2) if size >= 1 or size == 0 else (4, 4)
    text = f"{figure.value:.{places}f}"
    if figure.low is not None and figure.high is not None:
        text += f" [{figure.low:.{ends}f}, {figure.high:.{ends}f}]"
    if figure.deviation is not None:
        text += f" ± {figure.deviation:.2f}"
    text += f" n={figure.n:,}"
    return f"{text} of {figure.n + figure.left_out:,}" if figure.left_out else text


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as text."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: tuple[str, ...] = ()
    """What [1], [2], ... in the rows stand for."""


def grids(panel: Panel) -> tuple[Grid, ...]:
    """Return a panel as text.

    What is ours follows the paper's row of the same name. Where the paper has columns that ours has not, its table
    comes first and whole, and then ours beside those of its rows that it is compared with.
    """
    title = f"{panel.title} ({panel.unit})" if panel.unit else panel.title
    ours = {cell.column for line in panel.lines for cell in line.cells if cell.ours is not None}
    theirs = {cell.column for line in panel.lines for cell in line.cells if cell.paper is not None}
    printed = tuple(line for line in panel.lines if not line.source)
    if not ours or theirs <= ours:
        return (_grid(title, panel.columns, panel.lines),)
    own = tuple(line for line in panel.lines if line.source)
    names = {_base(line) for line in own}
    beside = [line for line in printed if line.name in names and any(_find(line, column) for column in ours)]
    shown = tuple(column for column in panel.columns if column in ours)
    return _grid(f"{title}: the paper", panel.columns, printed), _grid(f"{title}: ours", shown, (*beside, *own))


def _grid(title: str, columns: Sequence[str], lines: Sequence[Line]) -> Grid:
    shown = [column for column in columns if any(_find(line, column) for line in lines)]
    recomputed = _MEAN in shown and any(line.recomputed is not None for line in lines)
    sources = list(dict.fromkeys(line.source for line in lines if line.source))
    rows = []
    for line in _in_order(lines):
        name = f"{line.name}, {line.remark}" if line.remark else line.name
        cells = [_cell_text(_find(line, column), about=line.about) for column in shown]
        if recomputed:
            cells.append("" if line.recomputed is None else f"{line.recomputed:.2f}")
        whose = f"ours [{sources.index(line.source) + 1}]" if line.source else "paper"
        rows.append((name, whose, *cells))
    header = ("", "whose", *map(load_figures().label, shown), *((_RECOMPUTED,) if recomputed else ()))
    legend = tuple(f"[{number}] {source}" for number, source in enumerate(sources, start=1))
    return Grid(title, header, tuple(rows), legend)


def claim_grid(claims: Iterable[Claim]) -> Grid:
    """Return what the paper's text states as text."""
    rows = []
    for claim in claims:
        stated = f"{claim.bound or ('about' if claim.about else '')} {claim.stated:g} {claim.unit}".strip()
        own = "" if claim.recomputed is None else f"{claim.recomputed:.2f}"
        ours = "" if claim.ours is None else figure_text(claim.ours)
        name = f"{claim.name} ({claim.note})" if claim.note else claim.name
        rows.append((name, stated, own, ours, claim.where))
    return Grid("What the text says", _CLAIM_COLUMNS, tuple(rows))


def to_markdown(found: Sequence[Reproduction]) -> str:
    """Return reproductions as one Markdown text."""
    return "\n".join(line for one in found for line in _one(one))


def _one(found: Reproduction) -> list[str]:
    lines = [f"## {found.name}: {_plain(found.title)}", "", f"Source: {_plain(found.source)}.", ""]
    for panel in found.panels:
        for table in grids(panel):
            lines += [f"### {_plain(table.title)}", "", *_table(table), ""]
        lines += [f"- {_plain(note)}" for note in panel.notes] + [""] * bool(panel.notes)
    if found.claims:
        lines += ["### What the text says", "", *_table(claim_grid(found.claims)), ""]
    lines += [f"- {_plain(note)}" for note in found.notes] + [""] * bool(found.notes)
    for missing in found.missing:
        lines += [f"Missing: {_plain(missing.what)}. It comes from:", "", "```sh", missing.command, "```", ""]
    return lines


def _table(table: Grid) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(_plain(cell) for cell in cells)} |"

    legend = ["", "; ".join(map(_plain, table.legend))] if table.legend else []
    return [row(table.header), f"|{'---|' * len(table.header)}", *map(row, table.rows), *legend]


def _plain(text: str) -> str:
    """Return text of a file that cannot leave its cell, nor become markup."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(escaped.replace("|", "\\|").replace("`", "'").split())


def _in_order(lines: Sequence[Line]) -> list[Line]:
    """Put each line of ours behind the paper's line of its name; the others keep their order at the end."""
    printed = [line for line in lines if not line.source]
    own = [line for line in lines if line.source]
    ordered: list[Line] = []
    for line in printed:
        ordered.append(line)
        ordered += [other for other in own if _base(other) == line.name]
    return ordered + [line for line in own if not any(line is placed for placed in ordered)]


def _base(line: Line) -> str:
    """Return the name of the paper's row that a line of ours belongs to."""
    return line.name.partition(" (")[0]


def _find(line: Line, column: str) -> Cell | None:
    return next((cell for cell in line.cells if cell.column == column), None)


def _cell_text(cell: Cell | None, *, about: bool) -> str:
    if cell is None:
        return ""
    texts = [] if cell.paper is None else [f"{'about ' if about else ''}{cell.paper:g}"]
    texts += [] if cell.ours is None else [figure_text(cell.ours)]
    return " | ".join(texts)
