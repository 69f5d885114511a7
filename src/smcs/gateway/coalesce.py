"""Identical requests at the same time run once, and everybody who asked gets the one result.

The work belongs to nobody who asked: it goes on as long as one of them is still there, and is cancelled when the last
one has left. Whether requests may share an answer at all is `cache.cacheable`'s question. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from smcs.errors import InputError, RunError

__all__ = ("Coalescer", "SharedStream", "SharedValue")

_T = TypeVar("_T")
_LAG: Final = 2
"""A reader this many buffers behind the fastest is cut off: it must neither fill the memory nor hold others up."""


@dataclass(frozen=True, slots=True)
class SharedValue(Generic[_T]):
    """A result, and how it was come by."""

    value: _T
    followed: bool
    """Whether another request's work gave it."""


class Coalescer:
    """Runs identical requests once.

    Args:
        max_buffer_bytes: How much of a stream is kept for those who join it late; once more has been produced nobody
            can join, and only what a reader has not read yet is kept. At least 1.

    Raises:
        InputError: `max_buffer_bytes` is out of range.
    """

    def __init__(self, max_buffer_bytes: int = 262_144) -> None:
        if max_buffer_bytes < 1:
            raise InputError(f"`max_buffer_bytes` must be at least 1, got {max_buffer_bytes}.")
        self._max_buffer = max_buffer_bytes
        self._flights: dict[tuple[str, str], _Flight[Any]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def run(self, key: str, work: Callable[[], Awaitable[_T]]) -> SharedValue[_T]:
        """Return the result of `work`, or of the same work that is already under way.

        Args:
            key: From `cache.request_key`; equal keys share.
            work: Starts the work.

        Raises:
            RunError: The shared work was cancelled from outside.
            Exception: Whatever `work` raises, to everybody who waits.
        """

        async def once() -> AsyncGenerator[_T, None]:
            yield await work()

        async with self._join(("value", key), once, lambda _: 0) as shared:
            async for value in shared:
                return SharedValue(value, shared.followed)
        raise RunError("The shared request ended without a result.")

    @asynccontextmanager
    async def stream(
        self, key: str, work: Callable[[], AsyncGenerator[bytes, None]]
    ) -> AsyncIterator[SharedStream[bytes]]:
        """Read what `work` yields, or what the same work that is already under way has yielded and will yield.

        The work follows the fastest reader; one that falls far behind it is cut off with an error.

        Args:
            key: From `cache.request_key(..., with_transport=True)`; equal keys share.
            work: Starts the work; its generator is closed when it is over or when the last reader has left.
        """
        async with self._join(("stream", key), work, len) as shared:
            yield shared

    @asynccontextmanager
    async def _join(
        self, key: tuple[str, str], work: Callable[[], AsyncGenerator[_T, None]], size: Callable[[_T], int]
    ) -> AsyncIterator[SharedStream[_T]]:
        flight: _Flight[_T] | None = self._flights.get(key)
        followed = flight is not None
        if flight is None:
            flight = self._flights[key] = _Flight(size, self._max_buffer, partial(self._close_doors, key))
            flight.start(work)
        reader = SharedStream(flight, followed)
        flight.readers.add(reader)
        try:
            yield reader
        finally:
            await flight.leave(reader)

    def _close_doors(self, key: tuple[str, str], flight: _Flight[Any]) -> None:
        """Let nobody else join; a later flight of the same key stays."""
        if self._flights.get(key) is flight:
            del self._flights[key]


class SharedStream(Generic[_T]):
    """One reader's view of work that may have several: every item from the first on, read once."""

    def __init__(self, flight: _Flight[_T], followed: bool) -> None:
        self._flight = flight
        self.news = asyncio.Event()
        """Set when there may be something to read."""
        self.position = 0
        """Items read so far."""
        self.read_bytes = 0
        """Size of the items read so far."""
        self.lost = False
        """Whether it fell too far behind and was cut off."""
        self.followed = followed
        """Whether another request had begun the work."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        """Return the next item; once there is none, raise what the work raised, if it did.

        Raises:
            RunError: This reader fell too far behind, or the work was cancelled from outside.
            Exception: Whatever the work raised.
        """
        flight = self._flight
        while True:
            if self.lost:
                raise RunError("This client reads a shared stream too slowly and was cut off.")
            if self.position < flight.produced:
                return flight.item(self)
            if flight.ended:
                raise StopAsyncIteration if flight.error is None else flight.error.with_traceback(flight.traceback)
            self.news.clear()
            await self.news.wait()


class _Flight(Generic[_T]):
    """Work under way: a task that fills a buffer, and those who read it."""

    def __init__(self, size: Callable[[_T], int], max_buffer: int, close_doors: Callable[[_Flight[_T]], None]) -> None:
        self._size = size
        self._max_buffer = max_buffer
        self._close_doors = close_doors
        self._items: deque[_T] = deque()
        self._dropped = 0
        self._read_on = asyncio.Event()
        self._produced_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self.readers: set[SharedStream[_T]] = set()
        self.produced = 0
        self.ended = False
        self.error: Exception | None = None
        self.traceback: TracebackType | None = None

    def start(self, work: Callable[[], AsyncGenerator[_T, None]]) -> None:
        self._task = asyncio.create_task(self._fill(work), name="shared request")

    async def leave(self, reader: SharedStream[_T]) -> None:
        """Take a reader away; the last one ends the work and waits until it has ended."""
        self.readers.discard(reader)
        self._read_on.set()
        if self.readers or self._task is None or self._task.done():
            return
        self._close_doors(self)
        self._task.cancel()
        await asyncio.wait([self._task])

    def item(self, reader: SharedStream[_T]) -> _T:
        """Return a reader's next item."""
        found = self._items[reader.position - self._dropped]
        reader.position += 1
        reader.read_bytes += self._size(found)
        self._read_on.set()
        return found

    async def _fill(self, work: Callable[[], AsyncGenerator[_T, None]]) -> None:
        try:
            async with aclosing(work()) as items:
                async for item in items:
                    self._add(item)
                    await self._until_read()
        except asyncio.CancelledError:
            self.error = RunError("The shared request was cancelled.")
            raise
        except Exception as error:  # noqa: BLE001 - handed to everybody who reads
            self.error, self.traceback = error, error.__traceback__
        finally:
            self.ended = True
            self._close_doors(self)
            for reader in self.readers:
                reader.news.set()

    def _add(self, item: _T) -> None:
        self._items.append(item)
        self.produced += 1
        self._produced_bytes += self._size(item)
        for reader in self.readers:
            reader.news.set()
        if self._produced_bytes <= self._max_buffer:
            return
        self._close_doors(self)
        fastest = max((reader.read_bytes for reader in self.readers), default=0)
        for reader in self.readers:
            reader.lost = reader.lost or fastest - reader.read_bytes > _LAG * self._max_buffer
        oldest = min((reader.position for reader in self.readers if not reader.lost), default=self.produced)
        while self._dropped < oldest:
            self._items.popleft()
            self._dropped += 1

    async def _until_read(self) -> None:
        """Wait while nobody has read up to one buffer behind the newest item."""
        while True:
            self._read_on.clear()
            read = max((reader.read_bytes for reader in self.readers), default=self._produced_bytes)
            if self._produced_bytes - read <= self._max_buffer:
                return
            await self._read_on.wait()
