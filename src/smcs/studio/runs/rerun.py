"""One question being asked again: started, watched and stopped from a page."""

from __future__ import annotations

import asyncio
import time
import uuid

from smcs.gateway.desk import Desk
from smcs.gateway.inside import Listener
from smcs.gateway.ledger import KeyRecord
from smcs.gateway.protocol import ChatRequest
from smcs.run import AttemptFinished, AttemptStarted, Event
from smcs.studio.frame import format_seconds

__all__ = ("Rerun",)


class Rerun:
    """Asks questions inside the gateway, one at a time.

    Args:
        desk: Where it is asked.
        key: Whose question it is.
    """

    def __init__(self, desk: Desk, key: KeyRecord | None) -> None:
        self._desk = desk
        self._key = key
        self._task: asyncio.Task[str] | None = None
        self._begun = 0.0
        self._sent = 0
        self._back = 0

    @property
    def is_running(self) -> bool:
        """Whether a question is being answered."""
        return self._task is not None and not self._task.done()

    @property
    def words(self) -> str:
        """How far it is."""
        took = format_seconds(time.monotonic() - self._begun)
        if not self._sent:
            return f"Choosing whom to ask, {took}"
        return f"{self._back} of {self._sent} calls are back, {took}"

    async def run(self, request: ChatRequest) -> str | None:
        """Ask, and return the id of the run; `None` where it was stopped.

        Raises:
            GatewayError: It was refused or failed; what was begun is in the ledger.
            RuntimeError: The question before is still being answered.
        """
        if self.is_running:
            raise RuntimeError("a question was asked while another one is being answered")
        self._begun, self._sent, self._back = time.monotonic(), 0, 0
        task = self._task = asyncio.create_task(self._ask(request), name="ask again")
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        return None if task.cancelled() else task.result()

    def stop(self) -> None:
        """Give the question up, with every call that runs for it."""
        if self._task is not None:
            self._task.cancel()

    async def _ask(self, request: ChatRequest) -> str:
        listener = Listener(self._hear, lambda data: None)
        asked = await self._desk.ask(request, self._key, run_id=uuid.uuid4().hex, listener=listener)
        return asked.run_id

    def _hear(self, event: Event) -> None:
        if isinstance(event, AttemptStarted):
            self._sent += 1
        elif isinstance(event, AttemptFinished) and event.attempt.status != "skipped":
            self._back += 1
