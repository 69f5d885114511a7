"""How a bank has grown: what its log says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from smcs.bank import Change

__all__ = ("Growth", "Point", "did", "growth_of", "what_of")

_KINDS: Final[Mapping[str, str]] = {
    "add": "added",
    "replace": "replaced",
    "remove": "removed",
    "merge": "merged",
    "import": "imported",
    "undo": "undone",
    "feedback": "learned from feedback",
}


@dataclass(frozen=True, slots=True)
class Point:
    """The bank right after a change."""

    created: float
    """Unix seconds."""
    questions: int
    """All there were."""
    outcomes: int
    """Outcomes that changes up to this one had added, as far as they still stand."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A bank's log as figures."""

    changes: tuple[Change, ...]
    """Newest first."""
    points: tuple[Point, ...]
    """Oldest first."""
    questions: int
    outcomes: int
    dated: int
    """Outcomes that came by a logged change; when the others were graded is not kept."""


def growth_of(changes: Sequence[Change], *, questions: int, outcomes: int) -> Growth:
    """Work out from the log how a bank grew.

    Every question comes and goes by a logged change, so their number is counted back from today's. Outcomes of ordinary
    grading are not logged: of outcomes, only those that changes brought have a date.

    Args:
        changes: The log, oldest first.
        questions: How many the bank has.
        outcomes: How many it has.
    """
    after = questions
    totals: list[int] = []
    for change in reversed(changes):
        totals.append(max(0, after))
        after -= change.counts.get("questions_added", 0) - change.counts.get("questions_removed", 0)
    points: list[Point] = []
    dated = 0
    for change, total in zip(changes, reversed(totals), strict=True):
        if change.undoes is None and change.undone_by is None:
            dated += change.counts.get("outcomes_added", 0)
        points.append(Point(change.created, total, dated))
    return Growth(tuple(reversed(changes)), tuple(points), questions, outcomes, min(dated, outcomes))


def did(change: Change) -> str:
    """Return what a change was, in a word or two."""
    word = _KINDS.get(change.kind, change.kind)
    if change.undoes is not None:
        word = f"change {change.undoes} undone"
    return word if change.undone_by is None else f"{word} (undone by {change.undone_by})"


def what_of(change: Change) -> str:
    """Return how much a change did."""
    return ", ".join(_counted(name, count) for name, count in change.counts.items()) or "nothing"


def _counted(name: str, count: int) -> str:
    """Return a count of rows as people read it: "questions_added" as "1 question added"."""
    rows, _, what = name.partition("_")
    noun = "LLM" if rows == "llms" else rows.removesuffix("s")
    return f"{count:,} {noun}{'s' * (count != 1)} {what.replace('_', ' ')}"
