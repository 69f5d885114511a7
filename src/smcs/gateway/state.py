"""What all requests of one server process share, and what is noted of each when it has ended."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from starlette.requests import Request

from smcs import __version__
from smcs.config import FoundConfig
from smcs.gateway.admission import Admission
from smcs.gateway.cache import ResponseCache
from smcs.gateway.coalesce import Coalescer
from smcs.gateway.errors import GatewayError, stopping, unauthorized
from smcs.gateway.http import bearer
from smcs.gateway.ledger import Entry, KeyRecord, Reservation
from smcs.gateway.logs import RequestLine, log_request
from smcs.gateway.metrics import Metrics
from smcs.gateway.models import embedder_names
from smcs.gateway.reception import BAD_KEY, NO_KEY, Reception
from smcs.gateway.tracing import TracedRequest, Tracing, TracingSettings, open_tracing
from smcs.llms import Breaker
from smcs.llms.session import INSTANCE, VIA_HEADER, came_via
from smcs.strategies import STRATEGIES

__all__ = ("Gateway", "Told")

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_VIA: Final = re.compile(r"[0-9a-f]{32}(, ?[0-9a-f]{32}){0,15}")


@dataclass(frozen=True, slots=True)
class Told:
    """How a request went, beside its record."""

    endpoint: str
    http_status: int
    started: float
    """Unix time in seconds."""
    seconds: float
    first_byte_seconds: float | None = None
    error: str | None = None
    """Code of the error; never its message."""
    traceparent: str | None = None
    tracestate: str | None = None


class Gateway(Reception):
    """The shared state; make one per process and event loop, `start` it, and `close` it.

    Arguments and errors are those of a `Reception`.
    """

    def __init__(
        self,
        found: FoundConfig,
        *,
        database: str | None = None,
        public: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(found, database=database, public=public, clock=clock)
        config = found.config.gateway
        self.admission = Admission(
            config.max_running, config.max_waiting, config.max_wait_seconds, config.per_key_share
        )
        self.cache = ResponseCache(round(config.cache.megabytes * 1e6), config.cache.seconds)
        self.coalescer = Coalescer()
        self.metrics = Metrics(strategies=STRATEGIES, version=__version__)
        tracing = config.tracing
        self.tracing: Tracing = open_tracing(None if tracing is None else TracingSettings(**tracing.model_dump()))
        self._know_names()

    async def start(self) -> None:
        """Begin the upkeep, and make the pool ready in the background.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        self.ledger.start()
        await self.ledger.switches()
        self._begin(self.ledger.watch_switches(), "watch the switches")
        self._begin(self.metrics.watch(self.admission), "watch the queue")
        self._begin(self._prepare(), "prepare the pool")

    async def close(self) -> None:
        """Let running requests end, then let go of everything."""
        self.stopping = True
        self.admission.close()
        await super().close()
        await self.tracing.close()
        self.metrics.close()

    async def authenticate(self, http: Request) -> KeyRecord | None:
        """Return the key of a request; `None` where none is needed.

        Raises:
            GatewayError: 401 without a valid key; 403 for a request that a web page sent to a local server without
                keys, be it under a name of its own (DNS rebinding) or from another origin; 508 for a request of this
                gateway to itself.
            LedgerUnavailableError: The database failed.
        """
        passed = http.headers.get(VIA_HEADER, "")
        if INSTANCE in passed:
            raise GatewayError(
                508,
                "This request comes from this very gateway: one of its LLMs is the gateway itself. Take it out of "
                "the pool.",
                type="server_error",
                code="loop_detected",
            )
        if _VIA.fullmatch(passed):
            came_via.set(passed)
        if not await self.needs_key():
            self.check_host(http)
            return None
        text = bearer(http)
        if text is None:
            raise unauthorized(NO_KEY)
        key = await self.ledger.authenticate(text)
        if key is None:
            raise unauthorized(BAD_KEY)
        return key

    async def settle(self, reservation: Reservation, entry: Entry, told: Told) -> None:
        """Write a request to the ledger, and count and log it; returns when it is committed.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        try:
            await self.ledger.settle(reservation, entry)
        finally:
            self.note(told, RequestLine.of(entry, error=told.error))
            run = entry.record
            if run is not None and not entry.cached:
                self.metrics.observe_run(run)
            self.tracing.record(
                TracedRequest(
                    told.endpoint,
                    entry.model,
                    told.http_status,
                    told.started,
                    told.seconds,
                    run=run,
                    key_id=entry.key_id or None,
                    streamed=entry.streamed,
                    cached=entry.cached,
                    first_byte_seconds=told.first_byte_seconds,
                    error=told.error,
                    traceparent=told.traceparent,
                    tracestate=told.tracestate,
                )
            )

    def note(self, told: Told, line: RequestLine) -> None:
        """Count and log a request."""
        self.metrics.observe_request(
            endpoint=told.endpoint,
            model=line.model,
            strategy=line.strategy,
            status=line.status,
            http_status=told.http_status,
            seconds=told.seconds,
            first_byte_seconds=told.first_byte_seconds,
        )
        log_request(line)

    async def attend(self, work: Coroutine[Any, Any, _T], name: str) -> _T:
        """Await work that ends with whoever awaits it, and with the gateway.

        Args:
            work: Runs in a task of its own, which is cancelled when the awaiting task is, and when the gateway closes.
            name: Of the task.

        Raises:
            GatewayError: 503, the gateway was closed before the work began.
            Exception: Whatever the work raises.
        """
        if self.stopping:
            work.close()
            raise stopping()
        task = self._begin(work, name)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.wait({task})
            raise
        if task.cancelled():
            raise stopping()
        return task.result()

    def _take_over(self) -> None:
        config = self.service.config.gateway
        self.admission.configure(config.max_running, config.max_waiting, config.max_wait_seconds, config.per_key_share)
        self.cache = ResponseCache(round(config.cache.megabytes * 1e6), config.cache.seconds)
        self._know_names()

    def _know_names(self) -> None:
        resources = self.service.resources
        llms, embedders = (*resources.pool, *resources.mergers), embedder_names(resources.embedder)
        self.metrics.know(models=self.service.models, llms=llms, embedders=embedders)
        for name, breaker in self.service.breakers.items():
            breaker.listen(partial(self._breaker_changed, name))
            self._breaker_changed(name, breaker)

    def _breaker_changed(self, name: str, breaker: Breaker) -> None:
        self.metrics.observe_breaker(name, breaker.state)
