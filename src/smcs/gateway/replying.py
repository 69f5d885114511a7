"""One request for an answer, from the first byte to the ledger: admitted, run, said, settled, whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from smcs.errors import SmcsError
from smcs.gateway.accounting import GONE, Account
from smcs.gateway.cache import cacheable, request_key
from smcs.gateway.errors import GatewayError, broken, stopping
from smcs.gateway.exchange import Listener, Outcome
from smcs.gateway.http import (
    ClientGoneError,
    EventStream,
    StreamWriter,
    error_response,
    json_response,
    read_body,
    while_connected,
)
from smcs.gateway.inquiry import Inquiry, told
from smcs.gateway.ledger import LedgerUnavailableError
from smcs.gateway.plan import Plan
from smcs.gateway.protocol import ChatRequest
from smcs.gateway.service import Service
from smcs.gateway.state import Gateway
from smcs.gateway.telling import Teller
from smcs.gateway.voices import Voice, info_of
from smcs.run import Event, Run

__all__ = ("Asked", "Reader", "Reply")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for, and how it is to be answered."""

    request: ChatRequest
    voice: Voice


Reader = Callable[[bytes, Service, str, int], Asked]
"""Reads a body, given the service, the id of the run and the time (Unix seconds)."""


class Reply:
    """The answer to one request.

    Args:
        gateway: The shared state.
        http: The request.
        endpoint: Its path.
    """

    def __init__(self, gateway: Gateway, http: Request, endpoint: str) -> None:
        self._gateway = gateway
        self._http = http
        headers = http.headers
        self._account = Account(
            gateway, endpoint, traceparent=headers.get("traceparent"), tracestate=headers.get("tracestate")
        )
        self._inquiry = Inquiry(gateway, self._account)
        self._service = gateway.service
        self._asked: Asked | None = None

    async def respond(self, read: Reader) -> Response:
        """Return the response; the request is in the ledger before its last byte is sent.

        Only a stopping server cancels it: the client is told so.
        """
        async with AsyncExitStack() as stack:
            try:
                plan = await self._open(read, stack)
                if self._request.streamed:
                    return await self._streamed(plan, stack)
                return await self._whole(plan)
            except ClientGoneError:
                await self._inquiry.given_up()
                return Response(status_code=GONE)
            except asyncio.CancelledError:
                await self._inquiry.given_up()
                return error_response(stopping())
            except Exception as error:  # noqa: BLE001 - what was held for it must be freed, and the client told
                return error_response(await self._inquiry.ended(error))

    @property
    def _request(self) -> ChatRequest:
        return self._must(self._asked).request

    @property
    def _voice(self) -> Voice:
        return self._must(self._asked).voice

    @staticmethod
    def _must(asked: Asked | None) -> Asked:
        if asked is None:
            raise RuntimeError("a reply was used before its request was read")
        return asked

    async def _open(self, read: Reader, stack: AsyncExitStack) -> Plan:
        """Read the request, plan it, and hold what it may take."""
        gateway = self._gateway
        self._account.key = await gateway.authenticate(self._http)
        config = gateway.service.config.gateway
        body = await read_body(self._http, limit=round(config.max_body_megabytes * 1e6))
        service = self._service = await stack.enter_async_context(gateway.service.in_use())
        self._asked = read(body, service, self._account.run_id, int(self._account.created))
        return await self._inquiry.open(self._request, service)

    # Whole

    async def _whole(self, plan: Plan) -> Response:
        outcome, cached = await while_connected(self._http.receive, self._answered(plan, None))
        run = self._inquiry.answer_of(outcome)
        if run is None:
            raise await self._inquiry.failed(outcome, cached=cached)
        info = info_of(plan, run, explain=bool(self._request.options.explain), cached=cached)
        try:
            body = self._voice.whole(outcome, run, info)
        except GatewayError as error:
            raise await self._account.failed(run, error, cached=cached) from error
        await self._account.settle(run, plan, cached=cached)
        return json_response(body, headers=info.headers())

    async def _answered(self, plan: Plan, listener: Listener | None) -> tuple[Outcome, bool]:
        """Run the request, or take the answer of one that is the same; and say which of the two it was.

        What an endpoint streams is one client's own, as its events are nowhere kept.
        """
        gateway, service = self._gateway, self._service
        config = service.config.gateway.cache
        streams_raw = plan.forwards and listener is not None
        sampled = {"temperature": self._request.temperature, "seed": self._request.seed}
        if streams_raw or not cacheable(sampled, "all" if config.all_requests else "deterministic"):
            return await self._inquiry.run(plan, self._request, listener), False
        scope = "all" if config.shared else self._account.key_id
        same = request_key(self._request.model, self._sameness(), scope=scope, version=service.version)
        if (known := gateway.cache.get(same)) is not None:
            gateway.metrics.observe_cache("hit")
            record, body = msgspec.json.decode(known.body, type=tuple[Run, str | None])
            return Outcome(record, response=None if body is None else body.encode()), True
        shared = await gateway.coalescer.run(same, lambda: self._inquiry.run(plan, self._request, listener))
        gateway.metrics.observe_cache("coalesced" if shared.followed else "miss")
        outcome = shared.value
        if config.megabytes and not shared.followed and outcome.is_whole:
            body = None if outcome.response is None else outcome.response.decode()
            gateway.cache.put(same, msgspec.json.encode((outcome.run, body)), run_id=self._account.run_id)
        return outcome, shared.followed

    def _sameness(self) -> dict[str, object]:
        told: dict[str, object] = msgspec.json.decode(self._request.canonical())
        return told

    # Streamed

    async def _streamed(self, plan: Plan, stack: AsyncExitStack) -> Response:
        """Wait until there is something to say, since only until then an error can have a status of its own.

        Nobody is left in silence for that, though: after `keep_alive_seconds` the stream begins.
        """
        config = self._service.config.gateway
        said: asyncio.Queue[Event | bytes | None] = asyncio.Queue()
        task = asyncio.create_task(self._answered(plan, Listener(said.put_nowait, said.put_nowait)), name="answer")
        task.add_done_callback(lambda _: said.put_nowait(None))
        thinking = self._request.options.thinking
        header = self._http.headers.get("x-smcs-thinking", "").lower()
        shown = config.thinking if thinking is None else thinking
        teller = Teller(self._voice, plan.way, thinking=shown and header not in ("off", "false", "0", "no"))
        try:
            first = await while_connected(self._http.receive, _first(said, teller, config.keep_alive_seconds))
            if first is None:
                outcome, cached = await task
                if self._inquiry.answer_of(outcome) is None:
                    raise await self._inquiry.failed(outcome, cached=cached)
        except BaseException:
            await _end(task)
            raise
        self._account.began()
        kept = stack.pop_all()

        async def produce(writer: StreamWriter) -> None:
            async with kept:
                await self._produce(writer, first, said, teller, task, plan)

        headers = {"x-smcs-run-id": self._account.run_id, "x-smcs-strategy": plan.strategy}
        return EventStream(produce, keep_alive=config.keep_alive_seconds, headers=headers)

    async def _produce(
        self,
        writer: StreamWriter,
        first: bytes | None,
        said: asyncio.Queue[Event | bytes | None],
        teller: Teller,
        task: asyncio.Task[tuple[Outcome, bool]],
        plan: Plan,
    ) -> None:
        try:
            if first is not None:
                await writer.write(first)
                while (data := await _next(said, teller)) is not None:
                    if data:
                        await writer.write(data)
            last = await self._last(await task, teller, plan)
        except asyncio.CancelledError:
            await _end(task)
            await self._inquiry.given_up()
            if writer.has_reader:
                await writer.write(self._voice.failed(stopping()))
            raise
        except Exception as error:  # noqa: BLE001 - a stream that has begun can only be told in its own words
            last = await self._broken_off(error, task)
        await writer.write(last)

    async def _broken_off(self, error: Exception, task: asyncio.Task[tuple[Outcome, bool]]) -> bytes:
        """End a stream that cannot go on, with everything that was begun for it."""
        await _end(task)
        if not isinstance(error, SmcsError):
            _log.error("a stream broke off", exc_info=error)
        failure = told(error) if isinstance(error, SmcsError) else broken()
        try:
            failure = await self._account.failed(self._inquiry.so_far, failure)
        except LedgerUnavailableError as unavailable:
            failure = told(unavailable)
        return self._voice.failed(failure)

    async def _last(self, answered: tuple[Outcome, bool], teller: Teller, plan: Plan) -> bytes:
        outcome, cached = answered
        run = self._inquiry.answer_of(outcome)
        if run is None:
            return self._voice.failed(await self._inquiry.failed(outcome, cached=cached))
        info = info_of(plan, run, explain=bool(self._request.options.explain), cached=cached)
        await self._account.settle(run, plan, cached=cached)
        return teller.rest() + self._voice.end(outcome, run, info)


async def _first(said: asyncio.Queue[Event | bytes | None], teller: Teller, seconds: float) -> bytes | None:
    """Return the first bytes of a stream, or what waits after so many seconds; `None` where the run ended before."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    try:
        while (data := await _next(said, teller, max(until - clock(), 0.0))) is not None:
            if data:
                return data
    except TimeoutError:
        return teller.rest()
    return None


async def _next(
    said: asyncio.Queue[Event | bytes | None], teller: Teller, seconds: float | None = None
) -> bytes | None:
    """Return what there is to send now, `None` at the end.

    Raises:
        TimeoutError: There was nothing for so many seconds.
    """
    item = await asyncio.wait_for(said.get(), seconds)
    if item is None:
        return None
    pieces = [teller.say(item)]
    while not said.empty():
        item = said.get_nowait()
        if item is None:
            said.put_nowait(None)
            break
        pieces.append(teller.say(item))
    return b"".join(pieces)


async def _end(task: asyncio.Task[tuple[Outcome, bool]]) -> None:
    task.cancel()
    await asyncio.wait({task})
