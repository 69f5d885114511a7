"""What is noted of a request beside answers: one line in the log and one count in the metrics, however it ends."""

from __future__ import annotations

import time
from typing import Final, Literal

from starlette.requests import Request

from smcs.gateway.errors import GatewayError
from smcs.gateway.ledger import Entry, KeyRecord, Reservation
from smcs.gateway.logs import RequestLine
from smcs.gateway.state import Gateway, Told

__all__ = ("Visit",)

_BROKEN: Final = frozenset({500, 502, 504})
"""Statuses of what was begun and failed; any other error turns a request away."""


class Visit:
    """One request, noted once.

    Args:
        gateway: The shared state.
        http: The request.
        quiet: Whether it goes unnoted when it ends well, as what asks every few seconds does.
    """

    def __init__(self, gateway: Gateway, http: Request, *, quiet: bool = False) -> None:
        self._gateway = gateway
        self._quiet = quiet
        self._noted = False
        self._begun = time.perf_counter()
        self._trace = (http.headers.get("traceparent"), http.headers.get("tracestate"))
        path = str(http.scope["path"]).removeprefix(http.scope.get("root_path", ""))
        self.endpoint = "/".join(path.split("/")[:3])
        """Its path, without the name or id that may follow."""
        self.created = time.time()
        """Unix time in seconds."""
        self.key: KeyRecord | None = None
        self.model = ""
        """What was asked for, where it is a model."""

    @property
    def seconds(self) -> float:
        """Seconds since it came."""
        return time.perf_counter() - self._begun

    def answered(self) -> None:
        """Note that it was answered."""
        if not self._quiet:
            self._note("ok", 200)

    def failed(self, error: GatewayError) -> None:
        """Note what it is told instead of an answer, and whether it was turned away or something gave way."""
        if error.status in _BROKEN:
            self._note("failed", error.status, error.code)
        elif not self._noted:
            self._gateway.metrics.observe_refusal(error.code or "other")
            self._note("refused", error.status, error.code)

    def given_up(self, http_status: int) -> None:
        """Note that its client left, or that the server's end cut it off."""
        self._note("cancelled", http_status, "cancelled")

    async def settle(self, reservation: Reservation, entry: Entry, code: str | None = None) -> None:
        """Write it to the ledger, and note it.

        Args:
            reservation: What was held for it.
            entry: How it ended.
            code: Of its error.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        self._noted = True
        await self._gateway.settle(reservation, entry, self._told(entry.http_status, code))

    def _note(
        self,
        status: Literal["ok", "failed", "cancelled", "refused"],
        http_status: int,
        code: str | None = None,
    ) -> None:
        if self._noted:
            return
        self._noted = True
        told = self._told(http_status, code)
        line = RequestLine(
            endpoint=self.endpoint,
            model=self.model,
            status=status,
            http_status=http_status,
            seconds=told.seconds,
            key_id=None if self.key is None else self.key.id,
            error=code,
        )
        self._gateway.note(told, line)

    def _told(self, http_status: int, code: str | None) -> Told:
        return Told(self.endpoint, http_status, self.created, self.seconds, None, code, *self._trace)
