"""Loading and checking the paper's printed figures."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

from smcs.errors import ConfigError, suggest

__all__ = (
    "NAMES",
    "PaperFigure",
    "PaperFigures",
    "PaperRow",
    "Statement",
    "load_figures",
    "paper_figure",
    "parse_figures",
    "recomputed",
)

NAMES: Final = (
    "table1",
    "table2",
    "table3",
    "table4",
    "table6",
    "table7",
    "table8",
    "table9",
    "table10",
    "table11",
    "table12",
    "table13",
    "fig4",
    "fig5",
    "fig6",
    "fig7",
)
"""Tables and figures that can be reproduced, numbered as in v2 of the paper (its table 5 is the preset `paper-15`)."""

_ROUNDING = 0.0101
"""The paper's means are rounded or cut to two places."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class PaperRow(_Strict, frozen=True):
    """One row of a printed table."""

    name: str
    group: Literal["closed", "open", "method", "summary", "ours"]
    values: tuple[float | None, ...]
    """A cell per column; `None` where the number is not in the text."""
    mean: float | None = None
    """As printed."""
    strategy: str | None = None
    """Our strategy that it is."""
    settings: dict[str, Any] = {}
    """Our settings that tell it from the others of its strategy."""
    release: str | None = None
    """Date of the LLM's release, where printed."""
    about: bool = False
    """Whether the text says "approximately" or the like."""

    @property
    def recomputed_mean(self) -> float | None:
        """Mean of the cells; `None` when one is not known, or no mean is printed."""
        known = [value for value in self.values if value is not None]
        if self.mean is None or len(known) != len(self.values):
            return None
        return math.fsum(known) / len(known)


class Statement(_Strict, frozen=True):
    """A number that stands in the text."""

    name: str
    value: float
    unit: str
    where: str
    """Version and section."""
    about: bool = False
    bound: Literal["at least", "at most", "below"] | None = None
    difference: tuple[str, str] | None = None
    """Rows whose means it claims to be the difference of."""
    cells: tuple[tuple[str, str], tuple[str, str]] | None = None
    """(row, column) pairs whose cells it claims to be the difference of."""
    note: str = ""


class PaperFigure(_Strict, frozen=True):
    """One table or figure."""

    title: str
    v2: str
    """Its number in v2."""
    v1: str | None
    """Its number in v1; `None` if it is not there."""
    read_from: Literal["v1", "v2"]
    """Version whose text the numbers are from."""
    metric: str
    unit: str
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    stated: tuple[Statement, ...] = ()
    notes: tuple[str, ...] = ()
    wrong_means: dict[str, str] = {}
    """Rows whose printed mean is not the mean of their cells, and what is known about it."""
    task: str | None = None
    """The one task it is about, where the columns are something else."""

    def row(self, name: str) -> PaperRow:
        """Return a row by name.

        Raises:
            ConfigError: There is none of this name.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise ConfigError(f"{self.v2} has no row {name!r}.{suggest(name, [row.name for row in self.rows])}")


class PaperFigures(_Strict, frozen=True):
    """The whole file."""

    arxiv: str
    versions: dict[str, dict[str, str]]
    tasks: dict[str, tuple[str, ...]]
    """Our name of a benchmark -> the paper's names, the one in its tables first."""
    figures: dict[str, PaperFigure]

    def source(self, name: str) -> str:
        """Say where a table or figure stands."""
        figure = self.figures[name]
        elsewhere = f"; v1: {figure.v1}" if figure.v1 else "; not in v1"
        return f"arXiv {self.arxiv}v2, {figure.v2}{elsewhere}; numbers read from the text of {figure.read_from}"

    def label(self, task: str) -> str:
        """Return the paper's name of a benchmark, or the name itself."""
        return self.tasks[task][0] if task in self.tasks else task

    def task_of(self, name: str) -> str:
        """Return our name of a benchmark that others call `name`, or the name itself."""
        wanted = _plain(name)
        for task, labels in self.tasks.items():
            if wanted in {_plain(task), *map(_plain, labels)}:
                return task
        return name


@cache
def load_figures() -> PaperFigures:
    """Return what ships with smcs.

    Raises:
        ConfigError: The installed file was altered.
    """
    return parse_figures((files("smcs.bench.paper") / "figures.json").read_bytes())


def paper_figure(name: str) -> PaperFigure:
    """Return one table or figure.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in NAMES:
        raise ConfigError(f"Unknown table or figure {name!r}.{suggest(name, NAMES)}")
    return load_figures().figures[name]


def parse_figures(raw: bytes) -> PaperFigures:
    """Read and check the file.

    Raises:
        ConfigError: It is malformed, a name is missing or unknown, a row's length differs from the columns', two rows
            have one name, or a printed mean is wrong (or right) although the file says otherwise.
    """
    try:
        read = msgspec.json.decode(raw, type=PaperFigures)
    except msgspec.DecodeError as error:
        raise ConfigError(f"The paper's figures cannot be read: {error}.") from error
    if set(read.figures) != set(NAMES):
        raise ConfigError(f"The paper's figures must be {', '.join(NAMES)}, got {', '.join(read.figures)}.")
    for name, figure in read.figures.items():
        for fault in _faults(figure):
            raise ConfigError(f"The paper's figures, {name}: {fault}.")
    return read


def recomputed(figure: PaperFigure, statement: Statement) -> float | None:
    """Return what a statement should say by the cells of its table; `None` when it rests on none."""
    if statement.difference is not None:
        means = [figure.row(name).recomputed_mean for name in statement.difference]
        return None if means[0] is None or means[1] is None else means[0] - means[1]
    if statement.cells is not None:
        cells = [figure.row(row).values[figure.columns.index(column)] for row, column in statement.cells]
        return None if cells[0] is None or cells[1] is None else cells[0] - cells[1]
    return None


def _faults(figure: PaperFigure) -> list[str]:
    names = [row.name for row in figure.rows]
    found = [f"the row {name!r} is there twice" for name in sorted(set(names)) if names.count(name) > 1]
    found += [f"a mean of no row is called wrong: {name!r}" for name in figure.wrong_means if name not in names]
    for row in figure.rows:
        if len(row.values) != len(figure.columns):
            found.append(f"the row {row.name!r} has {len(row.values)} cells for {len(figure.columns)} columns")
        elif (mean := row.recomputed_mean) is not None and row.mean is not None:
            wrong = abs(mean - row.mean) > _ROUNDING
            if wrong != (row.name in figure.wrong_means):
                found.append(f"the mean of {row.name!r} is printed as {row.mean} and recomputed as {mean:.2f}")
    for statement in figure.stated:
        named = {*(statement.difference or ()), *(row for row, _ in statement.cells or ())}
        found += [f"{statement.name!r} rests on an unknown row {name!r}" for name in sorted(named - set(names))]
    return found


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
