"""What a reproduction says: the paper's figure beside ours, and which run is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any

from smcs.bench.paper import PaperFigure, PaperRow, load_figures, paper_figure, recomputed

__all__ = ("Cell", "Claim", "Line", "Measured", "Missing", "Panel", "Reproduction", "assemble", "paper_lines")


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure of ours."""

    value: float
    n: int
    """Questions it rests on (or pairs, orders, values: the panel says which)."""
    _: KW_ONLY
    low: float | None = None
    """Lower end of the 95% interval; `None` where there is none."""
    high: float | None = None
    deviation: float | None = None
    """Standard deviation over seeds or orders."""
    left_out: int = 0
    """Questions without a grade: failed, missing or ungraded, never counted as wrong."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of the paper's, one of ours, or both."""

    column: str
    paper: float | None = None
    ours: Measured | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table."""

    name: str
    cells: tuple[Cell, ...]
    _: KW_ONLY
    group: str = ""
    about: bool = False
    """Whether the paper's numbers are approximate."""
    source: str = ""
    """Where ours come from: a result file and its arm, or the outcomes of a bank."""
    recomputed: float | None = None
    """Mean of the paper's cells, where it prints a mean."""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One table of figures in one unit."""

    title: str
    unit: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A number that the paper's text states."""

    name: str
    stated: float
    unit: str
    where: str
    about: bool = False
    bound: str | None = None
    recomputed: float | None = None
    """What it should be by the cells of the paper's own table."""
    ours: Measured | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A run that would make more of a table."""

    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Reproduction:
    """One table or figure of the paper."""

    name: str
    title: str
    source: str
    panels: tuple[Panel, ...]
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    missing: tuple[Missing, ...]

    @property
    def measured(self) -> int:
        """How many figures of ours it holds."""
        cells = (cell for panel in self.panels for line in panel.lines for cell in line.cells)
        return sum(cell.ours is not None for cell in cells) + sum(claim.ours is not None for claim in self.claims)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {**asdict(self), "measured": self.measured}


def paper_lines(figure: PaperFigure, *, mean: str = "mean") -> tuple[Line, ...]:
    """Return the paper's rows as they are printed, with their means recomputed."""
    return tuple(_paper_line(figure, row, mean) for row in figure.rows)


def assemble(
    name: str,
    panels: Sequence[Panel],
    *,
    missing: Sequence[Missing] = (),
    notes: Sequence[str] = (),
    claims: dict[str, Measured] | None = None,
) -> Reproduction:
    """Put panels under the paper's title, source, claims and notes.

    Args:
        name: One of `smcs.bench.paper.NAMES`.
        panels: Panels with rows; those without are left out.
        missing: Runs that would add to it.
        notes: Ours, after the paper's.
        claims: Figures of ours by the name of the paper's statement.
    """
    figure = paper_figure(name)
    stated = tuple(
        Claim(
            statement.name,
            statement.value,
            statement.unit,
            statement.where,
            about=statement.about,
            bound=statement.bound,
            recomputed=recomputed(figure, statement),
            ours=(claims or {}).get(statement.name),
            note=statement.note,
        )
        for statement in figure.stated
    )
    wrong = tuple(
        f"The printed mean of {row!r} is not that of its cells: {why}." for row, why in figure.wrong_means.items()
    )
    return Reproduction(
        name,
        figure.title,
        load_figures().source(name),
        tuple(panel for panel in panels if panel.lines),
        stated,
        (*figure.notes, *wrong, *notes),
        tuple(missing),
    )


def _paper_line(figure: PaperFigure, row: PaperRow, mean: str) -> Line:
    cells = [Cell(column, value) for column, value in zip(figure.columns, row.values, strict=True)]
    if row.mean is not None:
        cells.append(Cell(mean, row.mean))
    remark = f"released {row.release}" if row.release else ""
    return Line(row.name, tuple(cells), group=row.group, about=row.about, recomputed=row.recomputed_mean, remark=remark)
