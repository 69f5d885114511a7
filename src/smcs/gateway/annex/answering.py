"""The side of the process that answers the API: it does what the pages in the studio's process ask for."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from smcs.errors import SmcsError
from smcs.gateway.access import switch_llm
from smcs.gateway.annex.wire import (
    MOST_BYTES,
    PREFIX,
    Answered,
    AskCall,
    Call,
    ConfigCall,
    EstimateCall,
    Estimated,
    Failed,
    GiveCall,
    Given,
    Happened,
    InForce,
    Look,
    LookCall,
    Reply,
    SwitchCall,
    Switched,
    decode_call,
    encode,
)
from smcs.gateway.desk import circuits_of
from smcs.gateway.errors import broken, from_error, ledger_unavailable
from smcs.gateway.feedback import FeedbackRequest, give
from smcs.gateway.inside import Listener, ask, estimate
from smcs.gateway.ledger import LedgerUnavailableError
from smcs.gateway.protocol import parse_chat
from smcs.gateway.serving import Packed
from smcs.gateway.state import Gateway
from smcs.run import Event

__all__ = ("answering",)

_log = logging.getLogger(__name__)

_FLUSH_SECONDS: Final = 0.05
"""Events of so long are sent at once."""


@asynccontextmanager
async def answering(gateway: Gateway, folder: Path) -> AsyncIterator[None]:
    """Serve the studio's process until the block ends.

    Args:
        gateway: The running gateway.
        folder: Where its socket is made; nobody else may enter it.
    """
    path = folder / f"{PREFIX}{os.getpid()}.sock"
    path.unlink(missing_ok=True)
    visits: set[asyncio.Task[None]] = set()

    def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_Visit(gateway, reader, writer).serve(), name="a call of the studio")
        visits.add(task)
        task.add_done_callback(visits.discard)
        task.add_done_callback(lambda _: writer.close())

    server = await asyncio.start_unix_server(visit, path, limit=MOST_BYTES)
    try:
        yield
    finally:
        server.close()
        for task in visits:
            task.cancel()
        if visits:
            await asyncio.wait(visits)
        path.unlink(missing_ok=True)


class _Visit:
    """One connection, which is one call."""

    def __init__(self, gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._gateway = gateway
        self._reader = reader
        self._writer = writer
        self._waiting: list[bytes] = []
        self._flush: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Do what is asked for; whoever hangs up takes it back."""
        try:
            line = await self._reader.readline()
            if not line:
                return
            work = asyncio.create_task(self._answer(decode_call(line)), name="answer the studio")
            gone = asyncio.create_task(self._reader.read(1), name="watch the studio")
            try:
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
                work.cancel()
                await asyncio.wait({work, gone})
            if not work.cancelled():
                self._send(work.result())
                await self._writer.drain()
        except ConnectionError:
            _log.debug("the studio's process hung up")
        finally:
            if self._flush is not None:
                self._flush.cancel()

    async def _answer(self, call: Call) -> Reply:
        try:
            return await self._do(call)
        except LedgerUnavailableError:
            return Failed.of(ledger_unavailable())
        except SmcsError as error:
            return Failed.of(from_error(error))
        except Exception:  # noqa: BLE001 - whoever asked is told, and the log has what it was
            _log.exception("a call of the studio's process broke")
            return Failed.of(broken())

    async def _do(self, call: Call) -> Reply:
        match call:
            case AskCall():
                key = await self._gateway.key_of(call.key_id)
                request = parse_chat(bytes(call.body))
                asked = await ask(self._gateway, request, key, run_id=call.run_id, listener=Listener(self._tell))
                return Answered(asked.run_id, asked.run)
            case GiveCall():
                said = FeedbackRequest.model_validate_json(bytes(call.body))
                return Given(await give(self._gateway, said, await self._gateway.key_of(call.key_id)))
            case SwitchCall():
                key = await self._gateway.key_of(call.key_id)
                await switch_llm(self._gateway, call.llm, off=call.off, why=call.why, key=key)
                return Switched()
            case EstimateCall():
                key = await self._gateway.key_of(call.key_id)
                async with self._gateway.service.in_use() as service:
                    return Estimated(await estimate(service, parse_chat(bytes(call.body)), key))
            case ConfigCall():
                return InForce(Packed.of(self._gateway.service.found))
            case LookCall():
                service, needs_key = self._gateway.service, await self._gateway.needs_key()
                return Look(service.version, service.ready, needs_key, circuits_of(self._gateway))

    def _tell(self, event: Event) -> None:
        """Send an event soon, with those that come beside it."""
        self._waiting.append(encode(Happened.of(event)))
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._send)

    def _send(self, last: Reply | None = None) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if last is not None:
            self._waiting.append(encode(last))
        data = b"".join(self._waiting)
        self._waiting.clear()
        if not self._writer.is_closing():
            self._writer.write(data)
