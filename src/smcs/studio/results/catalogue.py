"""What stands in result files: read off the event loop, one file at a time, and once per state of a file."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from smcs.bench import ResultFile, read_results
from smcs.bench.report import Report, build_report
from smcs.errors import SmcsError
from smcs.studio.results.folder import LARGEST_BYTES, FoundFile

__all__ = ("CATALOGUE", "Broken", "Catalogue", "Summary")

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_SUMMARIES: Final = 1_000
_REPORTS: Final = 16


@dataclass(frozen=True, slots=True)
class Summary:
    """A result file in a line."""

    name: str
    """Of the experiment."""
    created: str
    """ISO 8601, UTC."""
    commit: str | None
    dirty: bool | None
    tasks: tuple[str, ...]
    arms: tuple[str, ...]
    questions: int
    """With at least one answer."""
    answers: int


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a file cannot be shown."""

    why: str


class Catalogue:
    """Reads files and remembers what it read; for one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._summaries: OrderedDict[Hashable, asyncio.Task[Any]] = OrderedDict()
        self._reports: OrderedDict[Hashable, asyncio.Task[Any]] = OrderedDict()

    async def summary(self, file: FoundFile) -> Summary | Broken:
        """Return what a file holds, or why that cannot be told."""
        return await self._once(self._summaries, _SUMMARIES, file, lambda: _attempt(file, lambda: _summary(file)))

    async def report(self, file: FoundFile, baseline: str | None = None) -> Report | Broken:
        """Return the report on a file, or why there is none; takes seconds the first time.

        Args:
            file: The file.
            baseline: Arm that the others are compared with; the report's own choice if not given.
        """
        key = (file, baseline)
        return await self._once(self._reports, _REPORTS, key, lambda: _attempt(file, lambda: _report(file, baseline)))

    async def _once(
        self, kept: OrderedDict[Hashable, asyncio.Task[Any]], most: int, key: Hashable, make: Callable[[], _T]
    ) -> _T:
        task = kept.get(key)
        if task is None:
            task = kept[key] = asyncio.create_task(self._in_turn(make), name="read a result file")
            while len(kept) > most:
                kept.popitem(last=False)
        kept.move_to_end(key)
        made: _T = await asyncio.shield(task)
        return made

    async def _in_turn(self, make: Callable[[], _T]) -> _T:
        async with self._turn:
            return await asyncio.to_thread(make)


CATALOGUE: Final = Catalogue()
"""The one of this process, which has one event loop: files are the same for every page."""


def _attempt(file: FoundFile, make: Callable[[], _T]) -> _T | Broken:
    """Make something of a file that anybody may have written."""
    if file.size > LARGEST_BYTES:
        size = f"{file.size / (1 << 20):,.0f} MiB"
        return Broken(f"It is too large to be read here ({size}). Use 'smcs bench report {file.name}'.")
    try:
        return make()
    except SmcsError as error:
        return Broken(str(error).replace(str(file.path), file.name))
    except Exception as error:  # noqa: BLE001 - one strange file must not break the page of all the others
        _log.warning("the result file %s cannot be used", file.name, exc_info=True)
        return Broken(f"It cannot be used ({type(error).__name__}); the server's log says more.")


def _summary(file: FoundFile) -> Summary:
    found: ResultFile = read_results(file.path)
    header = found.header
    return Summary(
        name=header.name,
        created=header.created,
        commit=header.commit,
        dirty=header.dirty,
        tasks=header.tasks,
        arms=tuple(arm.name for arm in header.arms),
        questions=len({row.question for row in found.rows}),
        answers=len(found.rows),
    )


def _report(file: FoundFile, baseline: str | None) -> Report:
    return build_report([(file.path, read_results(file.path))], baseline=baseline)
