"""Try again when a failure may pass: exponential backoff with full jitter, the server's own wish first."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass
from typing import Any

from smcs.errors import InputError, LLMError
from smcs.llms.protocol import LLM, DeltaSink, require_forwarding
from smcs.types import Completion, Delta, Request

__all__ = ("RetryPolicy", "RetryingLLM", "TryCounter", "count_tries")


@dataclass
class TryCounter:
    """How many requests the calls inside a `count_tries` block sent."""

    extra: int = 0
    """Requests beyond the first."""


_counter: ContextVar[TryCounter | None] = ContextVar("smcs_try_counter", default=None)


@contextmanager
def count_tries() -> Iterator[TryCounter]:
    """Count the retries of the call made inside the block."""
    counter = TryCounter()
    token = _counter.set(counter)
    try:
        yield counter
    finally:
        _counter.reset(token)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try."""

    _: KW_ONLY
    max_tries: int = 4
    """Requests in all, the first one included."""
    base_seconds: float = 0.5
    """The wait before retry k is drawn evenly from 0 to `base_seconds * 2**(k-1)`."""
    cap_seconds: float = 20.0
    """Upper bound of that range."""
    total_seconds: float = 120.0
    """No retry starts later than this after the first request."""

    def __post_init__(self) -> None:
        if self.max_tries < 1:
            raise InputError(f"`max_tries` must be at least 1, got {self.max_tries!r}.")
        for name in ("base_seconds", "cap_seconds", "total_seconds"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise InputError(f"`{name}` must be a number of seconds from 0, got {value!r}.")

    def wait(self, failed_tries: int, asked: float | None, rng: random.Random) -> float:
        """Return the seconds to wait before the next try.

        Args:
            failed_tries: Tries so far, at least 1.
            asked: Seconds the server asked for (Retry-After); never undercut, and jittered upwards only.
            rng: Source of the jitter.
        """
        if asked is not None:
            return asked + rng.uniform(0.0, self.base_seconds)
        return rng.uniform(0.0, min(self.cap_seconds, self.base_seconds * 2.0 ** (failed_tries - 1)))


class RetryingLLM:
    """An LLM whose passing failures (`LLMError.retryable`) are tried again.

    A streamed answer is not tried again once a piece of it was handed over: the listener would see two beginnings. Put
    it around `LimitedLLM`, not inside, so that a waiting call holds no slot.
    """

    def __init__(
        self,
        llm: LLM,
        policy: RetryPolicy | None = None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        """Wrap an LLM; `sleep`, `clock` (seconds) and `rng` can be replaced so that tests need not wait."""
        self.inner = llm
        self.policy = policy or RetryPolicy()
        self._sleep = sleep
        self._clock = clock
        self._rng = rng or secrets.SystemRandom()

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer a request; see `LLM.complete`. The error of the last try is the one raised."""
        streamed = False

        def relay(delta: Delta) -> None:
            nonlocal streamed
            streamed = True
            if on_delta is not None:
                on_delta(delta)

        tries = self._tries()
        while True:
            try:
                return await self.inner.complete(request, on_delta=None if on_delta is None else relay)
            except LLMError as error:
                if streamed or not tries.another(error):
                    raise
            await tries.wait()

    async def forward(self, body: Mapping[str, Any]) -> bytes:
        """Pass a request through; see `Forwarding.forward`. The error of the last try is the one raised."""
        inner, tries = require_forwarding(self.inner), self._tries()
        while True:
            try:
                return await inner.forward(body)
            except LLMError as error:
                if not tries.another(error):
                    raise
            await tries.wait()

    async def forward_stream(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Pass a request through, streamed; see `Forwarding.forward_stream`.

        It is tried again only before the first event.
        """
        inner, tries, begun = require_forwarding(self.inner), self._tries(), False
        while True:
            try:
                async with aclosing(inner.forward_stream(body)) as events:
                    async for event in events:
                        begun = True
                        yield event
            except LLMError as error:
                if begun or not tries.another(error):
                    raise
            else:
                return
            await tries.wait()

    def _tries(self) -> _Tries:
        return _Tries(self.policy, self._sleep, self._clock, self._rng)


class _Tries:
    """The tries of one call."""

    def __init__(
        self,
        policy: RetryPolicy,
        sleep: Callable[[float], Awaitable[object]],
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._policy, self._sleep, self._clock, self._rng = policy, sleep, clock, rng
        self._began = clock()
        self._failed = 0
        self._pause = 0.0

    def another(self, error: LLMError) -> bool:
        """Take note of a failure; return whether there is to be another try."""
        self._failed += 1
        self._pause = self._policy.wait(self._failed, error.retry_after, self._rng)
        too_late = self._clock() - self._began + self._pause > self._policy.total_seconds
        return error.retryable and self._failed < self._policy.max_tries and not too_late

    async def wait(self) -> None:
        """Wait before the next try, and count it."""
        await self._sleep(self._pause)
        counter = _counter.get()
        if counter is not None:
            counter.extra += 1
