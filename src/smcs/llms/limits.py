"""Limits on one endpoint, shared by everything that calls it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from smcs.errors import InputError
from smcs.llms.protocol import LLM, DeltaSink, require_forwarding
from smcs.types import Completion, Request

__all__ = ("LimitedLLM", "Limiter")

_WINDOW_SECONDS = 60.0


class Limiter:
    """At most so many calls at once, and at most so many begun in any 60 seconds; first come, first served."""

    def __init__(
        self,
        *,
        max_concurrent: int | None = None,
        requests_per_minute: int | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the limits; `None` is no limit. `sleep` and `clock` (seconds) can be replaced so tests need not wait.

        Raises:
            InputError: A limit is below 1.
        """
        for name, value in (("max_concurrent", max_concurrent), ("requests_per_minute", requests_per_minute)):
            if value is not None and value < 1:
                raise InputError(f"`{name}` must be at least 1 (or left out for no limit), got {value!r}.")
        self._max_concurrent = max_concurrent
        self._sleep = sleep
        self._clock = clock
        self._begun: deque[float] | None = None if requests_per_minute is None else deque(maxlen=requests_per_minute)
        self._semaphore: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Hold one slot for the block, waiting for it first."""
        return _Slot(self)

    async def acquire(self) -> asyncio.Semaphore | None:
        """Wait for a slot; return what must be released when it is no longer needed."""
        semaphore = self._current_semaphore()
        if semaphore is not None:
            await semaphore.acquire()
        try:
            await self._wait_for_rate()
        except BaseException:
            if semaphore is not None:
                semaphore.release()
            raise
        return semaphore

    def _current_semaphore(self) -> asyncio.Semaphore | None:
        loop = asyncio.get_running_loop()
        if self._max_concurrent is not None and self._loop is not loop:
            self._semaphore, self._loop = asyncio.Semaphore(self._max_concurrent), loop
        return self._semaphore

    async def _wait_for_rate(self) -> None:
        if self._begun is None:
            return
        now = self._clock()
        full = len(self._begun) == self._begun.maxlen
        begin = max(now, self._begun[0] + _WINDOW_SECONDS) if full else now
        self._begun.append(begin)
        if begin > now:
            await self._sleep(begin - now)


class _Slot(AbstractAsyncContextManager[None]):
    """One slot of a limiter; made for every call, where a generator as context manager takes several times as long."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._semaphore: asyncio.Semaphore | None = None

    async def __aenter__(self) -> None:
        self._semaphore = await self._limiter.acquire()

    async def __aexit__(self, *error: object) -> None:
        if self._semaphore is not None:
            self._semaphore.release()


class LimitedLLM:
    """An LLM that keeps to a limiter, which may be shared with others of the same endpoint."""

    def __init__(self, llm: LLM, limiter: Limiter) -> None:
        self.inner = llm
        self.limiter = limiter

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer a request once there is room for it; see `LLM.complete`."""
        async with self.limiter.slot():
            return await self.inner.complete(request, on_delta=on_delta)

    async def forward(self, body: Mapping[str, Any]) -> bytes:
        """Pass a request through once there is room for it; see `Forwarding.forward`."""
        async with self.limiter.slot():
            return await require_forwarding(self.inner).forward(body)

    async def forward_stream(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Pass a request through once there is room for it, which is held until the stream ends or is closed."""
        async with self.limiter.slot(), aclosing(require_forwarding(self.inner).forward_stream(body)) as events:
            async for event in events:
                yield event
