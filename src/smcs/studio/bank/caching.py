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


@dataclass(eq=False)
class _Entry:
    version: str
    task: asyncio.Task[Any]
    made: float = math.inf
    """When it was done, on the monotonic clock."""


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
) -> T:
    """Return what was made under a key for this version, or make it in a thread; all who ask meanwhile wait for it.

    Who stops waiting does not stop the work. What raised is forgotten, so the next one tries again.

    Args:
        bank: What it is about; when the bank is gone, so is all that was made.
        version: From `version_of`; a result of another version is replaced.
        key: Names what is made, with all it depends on beside the content.
        make: Makes it; called in a thread.
        seconds: How long a result may be used though the content is the same; for ever when `None`.
    """
    entries = _BANKS.setdefault(bank, OrderedDict())
    entry = entries.get(key)
    if entry is None or entry.version != version or _is_old(entry, seconds):
        entry = entries[key] = _Entry(version, asyncio.create_task(asyncio.to_thread(make)))
        entry.task.add_done_callback(_ender(entries, key, entry))
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


def _ender(entries: _Entries, key: Hashable, entry: _Entry) -> Callable[[asyncio.Task[Any]], None]:
    def end(task: asyncio.Task[Any]) -> None:
        entry.made = time.monotonic()
        if (task.cancelled() or task.exception() is not None) and entries.get(key) is entry:
            del entries[key]

    return end
