"""What is worked out about a bank is worked out once per state of it, in a thread, for everybody who looks."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from smcs.bank import QuestionBank

__all__ = ("forget", "once", "version_of")

T = TypeVar("T")

_KEPT_AT_MOST: Final = 48
"""Results per bank: the pages of a few dozen LLMs, the last used ones."""

_SLOW: Final = 1.0
"""Seconds of work from which on an earlier result may stand in for a new one."""

_REST: Final = 20.0
"""Times as long as it took: so long slow work is not done again, however often the bank changes."""


@dataclass(eq=False)
class _Entry:
    version: str
    task: asyncio.Task[Any]
    begun: float
    """On the monotonic clock."""
    made: float = math.inf
    """When it was done."""
    newer: _Entry | None = None
    """What is being made and will take its place."""

    @property
    def is_slow(self) -> bool:
        """Whether it is there and took long."""
        return self.task.done() and self.made - self.begun >= _SLOW

    @property
    def has_rested(self) -> bool:
        """Whether it may be made again."""
        return time.monotonic() - self.made >= _REST * (self.made - self.begun)


_Entries = OrderedDict[Hashable, _Entry]

_BANKS: Final[WeakKeyDictionary[QuestionBank, _Entries]] = WeakKeyDictionary()


async def version_of(bank: QuestionBank) -> str:
    """Return what names the present content of a bank: another content, another version.

    Raises:
        RunError: The database cannot be read.
    """
    return await asyncio.to_thread(lambda: bank.content_hash)


async def once(
    bank: QuestionBank,
    version: str,
    key: Hashable,
    make: Callable[[], T],
    *,
    seconds: Callable[[T], float] | None = None,
    late: bool = False,
) -> T:
    """Return what was made under a key for this version, or make it in a thread; all who ask meanwhile wait for it.

    Who stops waiting does not stop the work. What raised is forgotten, so the next one tries again.

    Args:
        bank: What it is about; when the bank is gone, so is all that was made.
        version: From `version_of`; a result of another version is replaced.
        key: Names what is made, with all it depends on beside the content.
        make: Makes it; called in a thread.
        seconds: How long a result may be used though the content is the same; for ever when `None`.
        late: Whether what took long is given once more when it is out of date, while it is made anew for the next
            ones who ask; that is not begun before it has rested, so that frequent changes do not keep a core busy.
    """
    entries = _BANKS.setdefault(bank, OrderedDict())
    entry = entries.get(key)
    if entry is None or entry.version != version or _is_old(entry, seconds):
        if entry is not None and late and entry.is_slow:
            if entry.newer is None and entry.has_rested:
                entry.newer = _begin(entries, key, version, make)
        else:
            entry = entries[key] = _begin(entries, key, version, make)
            while len(entries) > _KEPT_AT_MOST:
                entries.popitem(last=False)
    entries.move_to_end(key)
    made: T = await asyncio.shield(entry.task)
    return made


def forget(bank: QuestionBank) -> None:
    """Let everything about a bank be worked out again."""
    _BANKS.pop(bank, None)


def _is_old(entry: _Entry, seconds: Callable[[Any], float] | None) -> bool:
    if seconds is None or not entry.task.done():
        return False
    return time.monotonic() - entry.made > seconds(entry.task.result())


def _begin(entries: _Entries, key: Hashable, version: str, make: Callable[[], Any]) -> _Entry:
    """Begin to make a result; it takes the place of the one it is newer than, and is forgotten where it raises."""
    entry = _Entry(version, asyncio.create_task(asyncio.to_thread(make)), time.monotonic())

    def end(task: asyncio.Task[Any]) -> None:
        entry.made = time.monotonic()
        failed = task.cancelled() or task.exception() is not None
        there = entries.get(key)
        if there is entry and failed:
            del entries[key]
        elif there is not None and there.newer is entry:
            there.newer = None
            if not failed:
                entries[key] = entry

    entry.task.add_done_callback(end)
    return entry
