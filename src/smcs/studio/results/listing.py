"""The list of experiments, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from smcs.studio.frame import format_count
from smcs.studio.results.catalogue import Broken, Summary
from smcs.studio.results.folder import FoundFile

__all__ = ("ResultRow", "address", "newest_first", "result_row")

_TASKS_NAMED = 4


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One file, in the words of the page."""

    file: str
    name: str
    href: str = ""
    """Empty where there is nothing to see."""
    made: str = ""
    commit: str = ""
    tasks: str = ""
    arms: str = ""
    questions: str = ""
    answers: str = ""
    why: str = ""
    """Why there are no figures; empty where there are."""
    broken: bool = False


def address(file: str, baseline: str | None = None) -> str:
    """Return where an experiment is shown."""
    return f"/results?{urlencode({'file': file} | ({} if baseline is None else {'baseline': baseline}))}"


def result_row(file: FoundFile, found: Summary | Broken | None) -> ResultRow:
    """Return the row of a file.

    Args:
        file: The file.
        found: What it holds; None while it is being read.
    """
    if found is None:
        return ResultRow(file.name, file.stem, why="reading …")
    if isinstance(found, Broken):
        return ResultRow(file.name, file.stem, why=found.why, broken=True)
    return ResultRow(
        file.name,
        found.name or file.stem,
        href=address(file.name),
        made=_moment(found.created),
        commit=_commit(found),
        tasks=_tasks(found.tasks),
        arms=format_count(len(found.arms)),
        questions=format_count(found.questions),
        answers=format_count(found.answers),
    )


def newest_first(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Return rows by when their experiments were made, which a copy of a file keeps; those without a date come last."""
    return sorted(rows, key=lambda row: row.made, reverse=True)


def _moment(created: str) -> str:
    try:
        return f"{datetime.fromisoformat(created).astimezone(UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):
        return created[:40]


def _commit(found: Summary) -> str:
    if found.commit is None:
        return "unknown"
    return found.commit[:10] + (" and changes" if found.dirty else "")


def _tasks(tasks: tuple[str, ...]) -> str:
    named = ", ".join(tasks[:_TASKS_NAMED])
    return f"{named} and {len(tasks) - _TASKS_NAMED:,} more" if len(tasks) > _TASKS_NAMED else named
