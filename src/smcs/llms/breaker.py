"""A circuit breaker: an LLM that keeps failing is left alone for a while, then tried with one call at a time.

Closed, calls go through. After a number of failures in a row the circuit opens, and calls are refused without being
sent. When the time is up it is half-open: one call is the probe, the others are refused until it has been answered.
A probe that succeeds closes the circuit; one that fails opens it for twice as long as before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from smcs.errors import InputError, LLMError
from smcs.llms.protocol import LLM, DeltaSink, require_forwarding
from smcs.types import Completion, Delta, Request

__all__ = ("Breaker", "BreakerLLM", "BreakerState", "counts_against")

_log = logging.getLogger(__name__)

BreakerState = Literal["closed", "open", "half-open"]
"""Calls go through; calls are refused; one call at a time goes through."""

_LLM_AT_FAULT = frozenset({401, 402, 403, 404, 408, 425, 429})
"""Of the 4xx, those that say nothing against the request: keys, money, a missing model, time-outs, too many calls."""


def counts_against(error: LLMError) -> bool:
    """Return whether a failure speaks against the LLM; an empty answer, a refused request and no request do not."""
    if error.kind in ("empty", "skipped"):
        return False
    status = error.http_status
    return status is None or not 400 <= status < 500 or status in _LLM_AT_FAULT


class Breaker:
    """The circuit in front of one LLM, for use in one event loop.

    An `LLMError` that `counts_against` the LLM is a failure; any other, and an answer, show that it is there. A call
    that is cancelled or ends in another exception says nothing, unless `patience_seconds` is set.
    """

    def __init__(
        self,
        failures: int = 5,
        open_seconds: float = 30.0,
        *,
        max_open_seconds: float = 300.0,
        patience_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Set up a closed circuit.

        Args:
            failures: Failures in a row that open it, at least 1.
            open_seconds: How long it stays open; doubled each time a probe fails.
            max_open_seconds: Upper bound of that.
            patience_seconds: A call that is given up after this long without a word from the LLM is a failure too: an
                LLM that hangs is seen even where nobody waits for its time-out. `None` takes no notice of it.
            clock: Seconds, for measuring.
            wall: Unix time in seconds, for `since`.

        Raises:
            InputError: A number is out of range.
        """
        if failures < 1:
            raise InputError(f"`failures` must be at least 1, got {failures!r}.")
        if not 0 < open_seconds <= max_open_seconds < float("inf"):
            raise InputError(
                f"`open_seconds` must be above 0 and at most `max_open_seconds` ({max_open_seconds!r}), "
                f"got {open_seconds!r}."
            )
        if patience_seconds is not None and not patience_seconds > 0:
            raise InputError(f"`patience_seconds` must be above 0, got {patience_seconds!r}. Use None for no limit.")
        self._threshold, self._base, self._cap = failures, open_seconds, max_open_seconds
        self._patience = patience_seconds
        self._clock, self._wall = clock, wall
        self._open_for = self._next_open = open_seconds
        self._until: float | None = None
        self._probing = False
        self._since = wall()
        self._listeners: list[Callable[[Breaker], None]] = []
        self.failures = 0
        """Failures in a row, up to now."""
        self.opened_total = 0
        """How often it has opened, failed probes included."""
        self.last_error: str | None = None
        """Why the latest failure failed, in one line."""

    @property
    def state(self) -> BreakerState:
        """Where it stands now. An open circuit is half-open as soon as its time is up, before anyone calls."""
        if self._until is None:
            return "closed"
        return "open" if self._clock() < self._until else "half-open"

    @property
    def since(self) -> float:
        """Unix time in seconds at which `state` began."""
        return self._since + self._open_for if self.state == "half-open" else self._since

    @property
    def retry_after(self) -> float:
        """Seconds until a call may go through: 0 unless it is open."""
        return 0.0 if self._until is None else max(0.0, self._until - self._clock())

    def listen(self, listener: Callable[[Breaker], None]) -> Callable[[], None]:
        """Call a listener when the circuit opens, when a probe begins and when it closes.

        Args:
            listener: Must not block; what it raises is logged.

        Returns:
            A function that takes it away again.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def describe(self) -> str:
        """Say in one line where it stands, as in "circuit open since 12:03:05 UTC (HTTP 503: busy)"."""
        at = datetime.fromtimestamp(self.since, UTC).strftime("%H:%M:%S UTC")
        why = f" ({self.last_error})" if self.last_error and self._until is not None else ""
        return f"circuit {self.state} since {at}{why}"

    @contextmanager
    def watch(self, llm: str) -> Iterator[Callable[[], None]]:
        """Let one call through and learn from how the block ends.

        Args:
            llm: Name for the error.

        Yields:
            To be called when the LLM first says something: a probe has then succeeded.

        Raises:
            LLMError: The call is refused: nothing is sent (`kind` is "skipped"), and it is not to be tried again
                (`retryable` is false).
        """
        probe = self._admit(llm)
        opened, began, heard = self.opened_total, self._clock(), False

        def hear() -> None:
            nonlocal heard, probe
            heard = True
            if probe:
                probe = False
                self._close()

        try:
            yield hear
        except LLMError as error:
            self._learn(opened, error.reason if counts_against(error) else None)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            silent = self._clock() - began
            if not heard and self._patience is not None and silent >= self._patience:
                self._learn(opened, f"given up after {silent:.0f} s without a word")
            raise
        else:
            self._learn(opened, None)
        finally:
            if probe:
                self._probing = False

    def _admit(self, llm: str) -> bool:
        """Return whether the call is a probe."""
        state = self.state
        if state == "closed":
            return False
        if state == "half-open" and not self._probing:
            self._probing = True
            self._tell()
            return True
        wait = f"next try in {self.retry_after:.0f} s" if state == "open" else "one call is trying it"
        raise LLMError(f"{self.describe()}; {wait}", llm=llm, kind="skipped", retry_after=self.retry_after or None)

    def _learn(self, opened: int, failure: str | None) -> None:
        """Take note of how a call ended that began after so many openings; earlier calls tell old news."""
        if opened != self.opened_total:
            return
        if failure is None:
            self.failures, self._next_open = 0, self._base
            if self._until is not None:
                self._close()
            return
        self.failures += 1
        self.last_error = failure
        if self.failures >= self._threshold:
            self._open()

    def _open(self) -> None:
        self._open_for, self._next_open = self._next_open, min(self._cap, 2 * self._next_open)
        self._until = self._clock() + self._open_for
        self._since = self._wall()
        self._probing = False
        self.opened_total += 1
        self._tell()

    def _close(self) -> None:
        self._until = None
        self._probing = False
        self._since = self._wall()
        self._tell()

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(self)
            except Exception:  # noqa: BLE001 a listener's mistake must not become the call's
                _log.exception("a listener of a circuit breaker broke")


class BreakerLLM:
    """An LLM behind a circuit breaker.

    Around `RetryingLLM`, where the pool of a gateway has it, a call counts once, however often it was tried: what
    another try mends does not open the circuit, and the probe of a half-open one has all its tries. Inside
    `RetryingLLM` every try counts.
    """

    def __init__(self, llm: LLM, breaker: Breaker | None = None) -> None:
        self.inner = llm
        self.breaker = breaker or Breaker()
        self._name = _name_of(llm)

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer a request unless the circuit is open; see `LLM.complete`."""
        with self.breaker.watch(self._name) as hear:

            def relay(delta: Delta) -> None:
                hear()
                if on_delta is not None:
                    on_delta(delta)

            return await self.inner.complete(request, on_delta=None if on_delta is None else relay)

    async def forward(self, body: Mapping[str, Any]) -> bytes:
        """Pass a request through unless the circuit is open; see `Forwarding.forward`."""
        with self.breaker.watch(self._name):
            return await require_forwarding(self.inner).forward(body)

    async def forward_stream(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Pass a request through, streamed, unless the circuit is open; see `Forwarding.forward_stream`."""
        with self.breaker.watch(self._name) as hear:
            async with aclosing(require_forwarding(self.inner).forward_stream(body)) as events:
                async for event in events:
                    hear()
                    yield event


def _name_of(llm: Any) -> str:
    while llm is not None:
        name = getattr(llm, "name", None)
        if isinstance(name, str):
            return name
        llm = getattr(llm, "inner", None)
    return "LLM"
