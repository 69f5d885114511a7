"""A scripted upstream that speaks all of chat completions, in this process or in one of its own, and counts.

What a model does follows from its name or from the script: `{model: {"text", "behaviour", "seconds", "pause", ...}}`,
where the model "*" stands for all that are not named. The header `X-Upstream` of a request overrules the behaviour.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from helpers_llms import body, chunk, sse, token
from helpers_server import ServerProcess, listening, serve_script, server_process

__all__ = ("Upstream", "stats_of", "upstream", "upstream_process")

_PATIENCE = 10.0
_BEHAVIOURS = ("hang", "stall", "cut", "drop", "error-event", "malformed", "html")
"""No answer at all; half a stream, then silence; half a stream, then its end, or a lost connection, or an error event;
a body that is no JSON; a proxy's page with status 200. `status-503` and the like answer with that status."""


class Upstream:
    """Chat completions by script, with what arrived and what became of it.

    A plan's keys: `text` ("{last}" is the last message, "{messages}" their number, "{images}" that of images),
    `behaviour`, `seconds` before the first byte, `pause` seconds after each event of a stream, `reasoning`,
    `tool_calls` (pairs of name and JSON arguments, used when the request has tools), `headers` of the response.
    """

    def __init__(self, script: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.script = dict(script or {})
        self.base_url = ""
        self.requests: deque[dict[str, Any]] = deque(maxlen=1_000)
        self.headers: deque[Mapping[str, str]] = deque(maxlen=1_000)
        self.received = 0
        self.running = 0
        self.cancelled = 0
        """Requests whose client left before the end of the answer."""
        self._runner: web.AppRunner | None = None

    @property
    def connections(self) -> int:
        """Open connections of clients."""
        server = self._runner.server if self._runner else None
        return len(server.connections) if server else 0

    def stats(self) -> dict[str, int]:
        names = ("received", "running", "cancelled", "connections")
        return {name: getattr(self, name) for name in names}

    async def until(self, **wanted: int) -> None:
        """Wait until counters have these values, as in `until(running=0, cancelled=1)`."""
        async with asyncio.timeout(_PATIENCE):
            while any(getattr(self, name) != value for name, value in wanted.items()):  # noqa: ASYNC110 a dropped connection wakes nobody
                await asyncio.sleep(0.002)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Upstream]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._completions)
        app.router.add_get("/stats", self._stats)
        async with listening(app) as (self._runner, self.base_url):
            yield self

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response({**self.stats(), "connections": self.connections - 1})

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.requests.append(asked)
        self.headers.append(request.headers)
        self.received += 1
        self.running += 1
        try:
            return await self._answer(request, asked)
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def _answer(self, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        plan = self.script.get(asked["model"]) or self.script.get("*") or {}
        named = asked["model"] if asked["model"] in _BEHAVIOURS or asked["model"].startswith("status-") else "ok"
        behaviour = request.headers.get("X-Upstream") or plan.get("behaviour") or named
        await asyncio.sleep(plan.get("seconds", 0))
        if behaviour.startswith("status-"):
            error = {"message": "scripted refusal", "type": "scripted_error", "param": "messages", "code": "scripted"}
            status = int(behaviour.removeprefix("status-"))
            return web.json_response({"error": error}, status=status, headers=plan.get("headers"))
        match behaviour:
            case "hang":
                await asyncio.Event().wait()
            case "malformed":
                return web.Response(text='{"choices": [{"mess', content_type="application/json")
            case "html":
                return web.Response(text="<html>busy</html>", content_type="text/html")
        answer = _Answer(asked, plan)
        if asked.get("stream"):
            return await self._stream(request, answer, plan.get("pause", 0), behaviour)
        if behaviour in ("cut", "drop", "stall", "error-event"):
            _drop(request)
        return web.json_response(answer.whole(), headers=plan.get("headers"))

    async def _stream(self, request: web.Request, answer: _Answer, pause: float, behaviour: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        events = list(answer.events())
        for event in events if behaviour == "ok" else events[: len(events) // 2]:
            await response.write(sse(event, done=False))
            if pause:
                await asyncio.sleep(pause)
        match behaviour:
            case "ok":
                await response.write(b"data: [DONE]\n\n")
            case "stall":
                await asyncio.Event().wait()
            case "error-event":
                await response.write(sse({"error": {"message": "scripted breakdown", "code": 500}}, done=False))
            case "drop":
                _drop(request)
        return response


class _Answer:
    """The answer to one request, whole or in events."""

    def __init__(self, asked: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
        self._asked = asked
        parts = [part for turn in asked["messages"] if isinstance(turn["content"], list) for part in turn["content"]]
        images = sum(part.get("type") == "image_url" for part in parts)
        last = asked["messages"][-1]["content"]
        text = str(plan.get("text", "It is 42."))
        for name, value in {"images": images, "messages": len(asked["messages"]), "last": last}.items():
            text = text.replace(f"{{{name}}}", str(value))
        self._calls = [tuple(call) for call in plan.get("tool_calls", ())] if asked.get("tools") else []
        self._text = "" if self._calls else text
        self._reasoning = plan.get("reasoning", "")
        self._n = asked.get("n") or 1
        pieces = self._text.split(" ") if self._text else []
        self._words = [word if i == 0 else f" {word}" for i, word in enumerate(pieces)]
        prompt = sum(len(str(turn["content"]).split()) for turn in asked["messages"])
        written = self._n * max(1, len(self._words))
        self._usage = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}

    def whole(self) -> dict[str, Any]:
        """The body of a response that is not streamed."""
        message: dict[str, Any] = {"reasoning_content": self._reasoning} if self._reasoning else {}
        if self._calls:
            message["tool_calls"] = [self._call(i, name, text) for i, (name, text) in enumerate(self._calls)]
        logprobs = self._tokens(self._words) if self._asked.get("logprobs") else None
        texts = [self._text or None] * self._n
        made = body(*texts, finish=self._finish, logprobs=logprobs, usage=self._usage, **message)
        return {**made, "created": 0, "model": self._asked["model"], "system_fingerprint": "fp_scripted"}

    def events(self) -> Iterator[dict[str, Any]]:
        """The events of a streamed response."""
        for index in range(self._n):
            for piece in self._pieces(index):
                yield self._event(piece)
        if (self._asked.get("stream_options") or {}).get("include_usage"):
            yield self._event({"choices": [], "usage": self._usage})

    def _event(self, piece: Mapping[str, Any]) -> dict[str, Any]:
        head = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": self._asked["model"]}
        return {**head, "system_fingerprint": "fp_scripted", **piece}

    def _pieces(self, index: int) -> Iterator[dict[str, Any]]:
        yield chunk("", index=index, role="assistant")
        if self._reasoning:
            yield chunk(index=index, reasoning_content=self._reasoning)
        for word in self._words:
            yield chunk(word, index=index, logprobs=self._tokens([word]) if self._asked.get("logprobs") else None)
        for at, (name, text) in enumerate(self._calls):
            yield chunk(index=index, tool_calls=[{"index": at, **self._call(at, name, "")}])
            for half in (text[: len(text) // 2], text[len(text) // 2 :]):
                yield chunk(index=index, tool_calls=[{"index": at, "function": {"arguments": half}}])
        yield chunk(index=index, finish=self._finish)

    @property
    def _finish(self) -> str:
        return "tool_calls" if self._calls else "stop"

    @staticmethod
    def _call(at: int, name: str, text: str) -> dict[str, Any]:
        return {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": text}}

    @staticmethod
    def _tokens(words: list[str]) -> list[dict[str, Any]]:
        return [token(word, -0.25, bytes=list(word.encode())) for word in words]


def _drop(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


@asynccontextmanager
async def upstream(script: Mapping[str, Mapping[str, Any]] | None = None) -> AsyncIterator[Upstream]:
    """Serve a script inside this process."""
    async with Upstream(script).serve() as serving:
        yield serving


@asynccontextmanager
async def upstream_process(script: Mapping[str, Mapping[str, Any]] | None = None) -> AsyncIterator[ServerProcess]:
    """Serve a script in a process of its own; `stats_of` asks for its counters."""
    async with server_process(script or {}, __file__) as process:
        yield process


async def stats_of(url: str) -> dict[str, int]:
    """Return the counters of an upstream, given its base URL."""
    async with aiohttp.ClientSession() as session, session.get(url.removesuffix("/v1") + "/stats") as response:
        found: dict[str, int] = json.loads(await response.read())
        return found


@asynccontextmanager
async def _served(script: Mapping[str, Mapping[str, Any]]) -> AsyncIterator[str]:
    async with upstream(script) as serving:
        yield serving.base_url


if __name__ == "__main__":
    asyncio.run(serve_script(_served))
