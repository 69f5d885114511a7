"""A real HTTP server on loopback that misbehaves on demand, and checks that a call left nothing behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web

from smcs.llms import HttpSession, OpenAICompatibleLLM, Timeouts
from smcs.types import Message, Request

__all__ = (
    "PATIENT",
    "SILENT",
    "MisbehavingServer",
    "body",
    "chunk",
    "llm_at",
    "no_leaks",
    "question",
    "serve",
    "sse",
    "token",
)

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATIENT = Timeouts(connect=60, first_byte=60, between_bytes=60, total=60)
SILENT = {
    "first byte": replace(PATIENT, first_byte=0.3),
    "next bytes": replace(PATIENT, between_bytes=0.3),
}
"""Patience that ends with one kind of silence, by what the error says of it."""


def question(text: str = "What is 6 x 7?", **options: Any) -> Request:
    return Request((Message("user", text),), **options)


def token(text: str, logprob: Any, **extra: Any) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "top_logprobs": [{"token": text, "logprob": logprob}], **extra}


def body(
    *texts: Any, finish: str | None = "stop", logprobs: Sequence[Any] | None = None, usage: Any = None, **message: Any
) -> dict[str, Any]:
    """A chat-completion body with one choice per text."""
    entries = None if logprobs is None else {"content": list(logprobs)}
    return {
        "id": "x",
        "object": "chat.completion",
        "choices": [
            {
                "index": i,
                "message": {"role": "assistant", "content": text, **message},
                "finish_reason": finish,
                "logprobs": entries,
            }
            for i, text in enumerate(texts)
        ],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3} if usage is None else usage,
    }


def chunk(text: str | None = None, *, index: int = 0, finish: str | None = None, **rest: Any) -> dict[str, Any]:
    """One event of a stream."""
    logprobs = rest.pop("logprobs", None)
    delta = {**({} if text is None else {"content": text}), **rest}
    entries = None if logprobs is None else {"content": logprobs}
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish, "logprobs": entries}]}


def sse(*events: Any, done: bool = True, separator: str = "\n\n") -> bytes:
    """Events as they stand on the wire."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {text}{separator}" for text in [*texts, *(["[DONE]"] if done else [])]).encode()


class MisbehavingServer:
    """Answers every chat completion with `behaviour` and remembers the requests."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = self.reply(body("42"))
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.base_url = ""
        self.called = asyncio.Event()
        self.released = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.headers.append(request.headers)
        self.called.set()
        return await self.behaviour(request)

    def reply(
        self,
        content: Any,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        kind: str = "application/json",
    ) -> Behaviour:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()

        async def behaviour(_: web.Request) -> web.StreamResponse:
            return web.Response(body=data, status=status, headers=headers, content_type=kind)

        return behaviour

    def stream(self, *pieces: bytes, then: str = "end", pause: float = 0.0) -> Behaviour:
        """Send pieces, then "end", "hang" or "drop" the connection."""

        async def behaviour(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for piece in pieces:
                await response.write(piece)
                await asyncio.sleep(pause)
            if then == "hang":
                await self.released.wait()
            if then == "drop" and request.transport is not None:
                request.transport.abort()
            return response

        return behaviour

    def half_body(self, then: str) -> Behaviour:
        """Promise 1,000 bytes, send a few, then "hang" or "drop"."""

        async def behaviour(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
            await response.prepare(request)
            await response.write(b'{"choices": [')
            if then == "hang":
                await self.released.wait()
            if request.transport is not None:
                request.transport.abort()
            return response

        return behaviour

    async def hang(self, _: web.Request) -> web.StreamResponse:
        await self.released.wait()
        return web.Response()

    async def drop(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


@asynccontextmanager
async def serve() -> AsyncIterator[MisbehavingServer]:
    server = MisbehavingServer()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        server.released.set()
        await runner.cleanup()


def llm_at(server: MisbehavingServer, session: HttpSession, **options: Any) -> OpenAICompatibleLLM:
    options = {"timeouts": PATIENT, **options}
    return OpenAICompatibleLLM("tested", base_url=server.base_url, model="m", session=session, **options)


@asynccontextmanager
async def no_leaks() -> AsyncIterator[HttpSession]:
    """Give a session; afterwards no task is left, and its connector holds no connection in use."""
    before = asyncio.all_tasks()
    session = HttpSession()
    yield session
    connector = session.client().connector
    assert connector is not None
    assert not connector._acquired, "a connection was never released"
    await session.close()
    await asyncio.sleep(0)
    ours = asyncio.all_tasks() - before - {asyncio.current_task()}
    left = [task for task in ours if "RequestHandler" not in repr(task.get_coro())]
    assert not left, f"tasks were left behind: {left}"
