"""The heat map of LLMs and subjects: which cells are shown, in what order, and how sure each is."""

from __future__ import annotations

from dataclasses import dataclass

from smcs.bank import Accuracy, BankInfo
from smcs.studio.bank.catalogue import Label
from smcs.studio.bank.intervals import wilson

__all__ = ("Cell", "Heat", "HeatChoice", "heat_of", "label_of")

_SUBJECTS = 30
_LLMS = 20
_MOST_CELLS = 6_000
"""What one drawing takes."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One LLM on one subject."""

    figures: Accuracy
    low: float | None
    """Lower end of the 95% interval of its accuracy; `None` where nothing is graded."""
    high: float | None

    @property
    def text(self) -> str:
        """How sure it is, in words."""
        if self.low is None or self.high is None:
            return f"none of {self.figures.questions:,} questions graded"
        sure = f"95% interval {100 * self.low:.0f}% to {100 * self.high:.0f}%"
        return f"{sure}; {self.figures.graded:,} of {self.figures.questions:,} questions graded"


@dataclass(frozen=True, slots=True)
class HeatChoice:
    """Which part of the heat map is looked at."""

    llm: str = ""
    """Part of the names of LLMs."""
    subject: str = ""
    """Part of the names of tasks and subjects."""
    everything: bool = False
    """Whether all subjects are columns, not only the largest ones."""
    page: int = 1
    """Which LLMs, from the most accurate: pages count from 1."""


@dataclass(frozen=True, slots=True)
class Heat:
    """A part of the heat map."""

    llms: tuple[Accuracy, ...]
    """Rows: each LLM over the whole bank, most accurate first, those without a grade last."""
    labels: tuple[Label, ...]
    """Columns, sorted by name."""
    cells: tuple[tuple[Cell, ...], ...]
    """Per row and column."""
    page: int
    pages: int
    llms_in_all: int
    """LLMs that fit the choice."""
    labels_in_all: int
    """Tasks and subjects that fit the choice."""


def heat_of(info: BankInfo, choice: HeatChoice) -> Heat:
    """Return the part of the heat map that was chosen.

    Args:
        info: The bank in figures.
        choice: Which part; a page past the end is the last one.
    """
    llms = sorted((row for row in info.llms if choice.llm.casefold() in row.llm.casefold()), key=_by_accuracy)
    # Every LLM has a row on every subject, so one of them tells them all.
    sizes = {label_of(row): row.questions for row in info.subjects if row.llm == info.llms[0].llm}
    fitting = [label for label in sizes if choice.subject.casefold() in label.name.casefold()]
    largest = sorted(fitting, key=lambda label: (-sizes[label], label))
    labels = sorted(largest[:_MOST_CELLS] if choice.everything else largest[:_SUBJECTS])
    size = max(1, min(_LLMS, _MOST_CELLS // max(1, len(labels))))
    pages = max(1, -(-len(llms) // size))
    page = min(max(1, choice.page), pages)
    shown = llms[(page - 1) * size : page * size]
    names = {row.llm for row in shown}
    found = {(row.llm, label_of(row)): row for row in info.subjects if row.llm in names}
    cells = tuple(tuple(_cell(found[row.llm, label]) for label in labels) for row in shown)
    return Heat(tuple(shown), tuple(labels), cells, page, pages, len(llms), len(fitting))


def label_of(row: Accuracy) -> Label:
    """Return where the questions of some figures belong."""
    return Label(row.task or "", row.subject or "")


def _cell(figures: Accuracy) -> Cell:
    if figures.accuracy is None:
        return Cell(figures, None, None)
    return Cell(figures, *wilson(figures.accuracy, figures.graded))


def _by_accuracy(row: Accuracy) -> tuple[bool, float, str]:
    return row.accuracy is None, -(row.accuracy or 0.0), row.llm
