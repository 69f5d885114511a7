"""What is written down of one request: in the ledger, in the log, in the metrics; exactly once, however it ends."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Literal

from smcs.gateway.errors import GatewayError
from smcs.gateway.ledger import Entry, Hold, KeyRecord, LedgerUnavailableError, Reservation
from smcs.gateway.logs import RequestLine
from smcs.gateway.plan import Plan
from smcs.gateway.protocol import ChatRequest
from smcs.gateway.state import Gateway, Told
from smcs.run import Run

__all__ = ("GONE", "Account")

_log = logging.getLogger(__name__)

GONE: Final = 499
"""Status that is noted of a request whose client left; nobody is told it."""

_RUN_ID: Final = "x-smcs-run-id"


class Account:
    """The books of one request.

    Args:
        gateway: The shared state.
        endpoint: Path it came by, or what else asked.
        run_id: Id of its run, 32 hexadecimal digits; a new one if not given.
        traceparent: The trace it belongs to, as in the header of that name (W3C Trace Context).
        tracestate: The same.
    """

    def __init__(
        self,
        gateway: Gateway,
        endpoint: str,
        *,
        run_id: str | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
    ) -> None:
        self._gateway = gateway
        self._endpoint = endpoint
        self._trace = (traceparent, tracestate)
        self._begun = time.perf_counter()
        self._reservation: Reservation | None = None
        self.run_id = run_id or uuid.uuid4().hex
        self.created = time.time()
        """Unix time in seconds."""
        self.first_byte: float | None = None
        """Seconds from the request to the first byte of a streamed answer."""
        self.key: KeyRecord | None = None
        self.request: ChatRequest | None = None

    @property
    def key_id(self) -> str:
        """Id of the key, empty without one."""
        return "" if self.key is None else self.key.id

    def began(self) -> None:
        """Note the time of the first byte."""
        self.first_byte = time.perf_counter() - self._begun

    async def hold(self, hold: Hold) -> None:
        """Set aside what the request may take.

        Raises:
            LedgerUnavailableError: The database failed.
            LimitReached: A limit of the key would be passed.
        """
        held = replace(hold, endpoint=self._endpoint, model="" if self.request is None else self.request.model)
        self._reservation = await self._gateway.ledger.reserve(self.key, held)

    async def settle(self, run: Run, plan: Plan, *, cached: bool) -> None:
        """Write an answered request down; returns when it is committed.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        entry = self._entry(run, cached=cached)
        await self._note(replace(entry, strategy="") if plan.way == "pass-through" else entry, 200)

    async def failed(self, run: Run | None, error: GatewayError, *, cached: bool = False) -> GatewayError:
        """Write a run that failed down, and return what the client is told.

        Args:
            run: Its record; `None` if nothing had begun.
            error: Why.
            cached: Whether it was another request's run, which pays for it.
        """
        entry = self._unanswered(run, "failed", error.status, str(error), cached=cached)
        await self._note(entry, error.status, error.code)
        return replace(error, headers={**error.headers, _RUN_ID: self.run_id})

    async def given_up(self, run: Run | None) -> None:
        """Write down a request whose client left, or that this server's end cut off."""
        entry = self._unanswered(run, "cancelled", GONE, "the client left, or the server was stopped")
        with suppress(LedgerUnavailableError):  # the ledger has logged it, and there is nobody to tell
            await asyncio.shield(self._note(entry, GONE, "cancelled"))

    async def refused(self, error: GatewayError) -> GatewayError:
        """Take note of a request that has no answer, free what was held if it was not run, and return `error`."""
        reservation, self._reservation = self._reservation, None
        if reservation is not None:
            try:
                await self._gateway.ledger.release(reservation)
            except LedgerUnavailableError as unavailable:
                _log.warning("reservation %s stands until its lease ends: %s", reservation.id, unavailable)
        if _RUN_ID not in error.headers:
            told = self._told(error.status, error.code)
            self._gateway.metrics.observe_refusal(error.code or "other")
            self._gateway.note(
                told,
                RequestLine(
                    endpoint=self._endpoint,
                    model="" if self.request is None else self.request.model,
                    status="refused",
                    http_status=error.status,
                    seconds=told.seconds,
                    key_id=self.key_id or None,
                    error=error.code,
                ),
            )
        return error

    def _unanswered(
        self,
        run: Run | None,
        status: Literal["failed", "cancelled"],
        http_status: int,
        why: str,
        *,
        cached: bool = False,
    ) -> Entry:
        return replace(self._entry(run, cached=cached), status=status, http_status=http_status, error=why)

    def _entry(self, run: Run | None, *, cached: bool) -> Entry:
        request = self.request
        model = "" if request is None else request.model
        streamed = request is not None and request.streamed
        user = None if request is None else request.user
        metadata = None if request is None else request.metadata
        seconds = time.perf_counter() - self._begun
        if run is None:
            return Entry.of_attempts(
                self.run_id,
                datetime.fromtimestamp(self.created, UTC).isoformat(timespec="milliseconds"),
                (),
                endpoint=self._endpoint,
                model=model,
                key_id=self.key_id,
                streamed=streamed,
                seconds=seconds,
                user=user,
                metadata=metadata,
            )
        return Entry.of_run(
            self.named(run),
            endpoint=self._endpoint,
            model=model,
            key_id=self.key_id,
            streamed=streamed,
            cached=cached,
            seconds=seconds,
            user=user,
            metadata=metadata,
        )

    def named(self, run: Run) -> Run:
        """Return a run under this request's id: one that was made for another request counts for both."""
        return run if run.id == self.run_id else replace(run, id=self.run_id)

    async def _note(self, entry: Entry, http_status: int, code: str | None = None) -> None:
        reservation, self._reservation = self._reservation, None
        if reservation is not None:
            await self._gateway.settle(reservation, entry, self._told(http_status, code))

    def _told(self, http_status: int, code: str | None) -> Told:
        return Told(
            self._endpoint,
            http_status,
            self.created,
            time.perf_counter() - self._begun,
            self.first_byte,
            code,
            *self._trace,
        )
