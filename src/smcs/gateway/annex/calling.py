"""The side of the studio's process: its pages ask the process that answers the API."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import msgspec

from smcs.config import FoundConfig
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
    decode_reply,
    encode,
)
from smcs.gateway.desk import Circuit
from smcs.gateway.errors import stopping
from smcs.gateway.feedback import FeedbackRequest
from smcs.gateway.inside import Asked, Listener, guarded
from smcs.gateway.keys import KeyRecord
from smcs.gateway.protocol import ChatRequest
from smcs.strategies import CallEstimate

__all__ = ("DistantDesk",)

_LOOK_SECONDS: Final = 2.0
"""Between two looks at how things stand."""

_FIRST_SECONDS: Final = 0.2
"""The same until the pool is ready."""

_PATIENCE: Final = 5.0
"""Seconds after which a process that does not say how things stand is passed over."""

_SEVERITY: Final = ("closed", "half-open", "open")


class DistantDesk:
    """The desk of a gateway in other processes; `watch` has to run.

    Args:
        folder: Where each of them has its socket.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._circuits: Mapping[str, Circuit] = {}
        self._ready = asyncio.Event()
        self.versions: frozenset[str] = frozenset()
        """Of the configs in force there: one, unless some processes could not follow a change."""
        self.needs_key = False
        """Whether any of them asks for a key."""

    @property
    def circuits(self) -> Mapping[str, Circuit]:
        """The circuit of each LLM as the process sees it that had most trouble with it, some seconds old at most."""
        return self._circuits

    async def prepared(self) -> None:
        """Return once the pool is ready to be asked."""
        await self._ready.wait()

    async def config(self) -> FoundConfig:
        """Return a config that is in force.

        Raises:
            GatewayError: 503, there is nobody to ask.
        """
        reply = await self._reply(ConfigCall())
        if not isinstance(reply, InForce):
            raise _unexpected(reply)
        return reply.config.found()

    async def watch(self) -> None:
        """Look how things stand until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS if self._ready.is_set() else _FIRST_SECONDS)

    async def look(self) -> None:
        """Look how things stand; what cannot be reached now has not changed."""
        found = [look for path in self._sockets() if (look := await self._seen(path)) is not None]
        if not found:
            return
        self.versions = frozenset(look.version for look in found)
        self.needs_key = any(look.needs_key for look in found)
        circuits: dict[str, Circuit] = {}
        for look in found:
            for name, circuit in look.circuits.items():
                known = circuits.get(name)
                if known is None or _SEVERITY.index(circuit.state) > _SEVERITY.index(known.state):
                    circuits[name] = circuit
        self._circuits = circuits
        if any(look.ready for look in found):
            self._ready.set()

    async def ask(
        self,
        request: ChatRequest,
        key: KeyRecord | None,
        *,
        run_id: str | None = None,
        listener: Listener | None = None,
    ) -> Asked:
        """See `inside.ask`."""
        heard = None if listener is None else guarded(listener)
        call = AskCall(_sent(request), _id(key), uuid.uuid4().hex if run_id is None else run_id)
        async with aclosing(self._replies(call)) as replies:
            async for reply in replies:
                match reply:
                    case Happened():
                        if heard is not None:
                            heard.event(reply.decode())
                    case Answered():
                        return Asked(reply.run_id, reply.run)
                    case _:
                        raise _unexpected(reply)
        raise stopping()

    async def estimate(self, request: ChatRequest, key: KeyRecord | None) -> CallEstimate:
        """See `inside.estimate`."""
        reply = await self._reply(EstimateCall(_sent(request), _id(key)))
        if not isinstance(reply, Estimated):
            raise _unexpected(reply)
        return reply.estimate

    async def give(self, said: FeedbackRequest, key: KeyRecord | None) -> Mapping[str, Any]:
        """See `feedback.give`."""
        body = msgspec.Raw(said.model_dump_json(exclude_none=True).encode())
        reply = await self._reply(GiveCall(body, _id(key)))
        if not isinstance(reply, Given):
            raise _unexpected(reply)
        return reply.told

    async def switch(self, llm: str, *, off: bool, why: str = "", key: KeyRecord | None) -> None:
        """See `access.switch_llm`."""
        await self._reply(SwitchCall(llm, off, why, _id(key)))

    async def _reply(self, call: Call) -> Reply:
        async with aclosing(self._replies(call)) as replies:
            async for reply in replies:
                return reply
        raise stopping()

    async def _seen(self, path: Path) -> Look | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_unix_connection(path, limit=MOST_BYTES)
                try:
                    writer.write(encode(LookCall()))
                    line = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return None
        reply = decode_reply(line) if line.endswith(b"\n") else None
        return reply if isinstance(reply, Look) else None

    async def _replies(self, call: Call) -> AsyncGenerator[Reply]:
        """Yield what comes back; leaving early takes the call back.

        Raises:
            GatewayError: It was refused or failed, or there is nobody to ask: 503.
        """
        reader, writer = await self._connected()
        try:
            writer.write(encode(call))
            while (line := await reader.readline()).endswith(b"\n"):
                reply = decode_reply(line)
                if isinstance(reply, Failed):
                    raise reply.error()
                yield reply
        except ConnectionError as error:
            raise stopping() from error
        finally:
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to any process that answers the API: one that ended without tidying up is passed over."""
        paths = self._sockets()
        random.shuffle(paths)
        for path in paths:
            try:
                return await asyncio.open_unix_connection(path, limit=MOST_BYTES)
            except OSError:
                continue
        raise stopping()

    def _sockets(self) -> list[Path]:
        return list(self._folder.glob(f"{PREFIX}*.sock"))


def _sent(request: ChatRequest) -> msgspec.Raw:
    """Return a request as a client would send it."""
    body = {**request.body(), "smcs": request.options.model_dump(exclude_none=True) or None}
    return msgspec.Raw(msgspec.json.encode({name: value for name, value in body.items() if value is not None}))


def _id(key: KeyRecord | None) -> str | None:
    return None if key is None else key.id


def _unexpected(reply: Reply) -> RuntimeError:
    return RuntimeError(f"the process that answers the API said {type(reply).__name__}")
