"""A scripted OpenAI-compatible server in a process of its own, and checks that a run left nothing behind.

As a script it reads one line of JSON from standard input (what each model does), writes its URL as the first line of
standard output and the name of a model at each call of it, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from helpers_llms import body, chunk, sse, token

__all__ = (
    "HUGE",
    "ServerProcess",
    "children",
    "listening",
    "nothing_left",
    "serve_script",
    "server_process",
)

HUGE = 2 * 1024 * 1024
"""Bytes of a body that is too much."""

_PATIENCE = 60.0


class Endpoint:
    """Answers as the script says: per model `text`, `seconds`, `behaviour`, and `max_bytes` of a request."""

    def __init__(self, script: Mapping[str, Mapping[str, Any]]) -> None:
        self._script = script

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        asked = json.loads(raw)
        plan = self._script[asked["model"]]
        print(asked["model"], flush=True)
        await asyncio.sleep(plan.get("seconds", 0))
        if len(raw) > plan.get("max_bytes", len(raw)):
            return web.json_response({"error": {"message": "the prompt is too long"}}, status=400)
        match plan.get("behaviour", "ok"):
            case "hang":
                await asyncio.Event().wait()
            case "error":
                return web.json_response({"error": {"message": "scripted breakdown"}}, status=500)
            case "malformed":
                return web.Response(text='{"choices": [{"mess', content_type="application/json")
            case "junk":
                return web.Response(text="<html>" + "x" * HUGE, content_type="text/html")
            case "empty":
                return web.json_response(self._body(asked, "  "))
            case "nan":
                return web.json_response(self._body(asked, plan["text"], logprob=float("nan")))
            case "huge":
                return web.json_response(self._body(asked, "word " * (HUGE // 5)))
        if asked.get("stream"):
            return web.Response(body=self._stream(plan["text"]), content_type="text/event-stream")
        return web.json_response(self._body(asked, plan["text"]))

    def _body(self, asked: Mapping[str, Any], text: str, *, logprob: float = -0.25) -> dict[str, Any]:
        n, words = asked.get("n", 1), text.split(" ")
        tokens = [token(word if i == 0 else f" {word}", logprob) for i, word in enumerate(words)]
        prompt = sum(len(message["content"].split()) for message in asked["messages"])
        usage = {"prompt_tokens": prompt, "completion_tokens": n * len(words), "total_tokens": prompt + n * len(words)}
        whole = body(*[text] * n, logprobs=tokens if asked.get("logprobs") else None, usage=usage)
        return {**whole, "created": 0, "model": asked["model"]}

    def _stream(self, text: str) -> bytes:
        pieces = [chunk(piece) for piece in text.partition(" ")]
        usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": len(text.split())}}
        return sse(*pieces, chunk(finish="stop"), usage)


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[tuple[web.AppRunner, str]]:
    """Serve an application on a free port of loopback; gives the runner and the base URL of its API."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def serve_script(serve: Callable[[Any], AbstractAsyncContextManager[str]]) -> None:
    """Be the child of `server_process`: read a script, serve it, say where, end with standard input."""
    loop = asyncio.get_running_loop()
    script = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    async with serve(script) as url:
        print(url, flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


@asynccontextmanager
async def _served(script: Mapping[str, Mapping[str, Any]]) -> AsyncIterator[str]:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", Endpoint(script).answer)
    async with listening(app) as (_, url):
        yield url


@dataclass
class ServerProcess:
    """The running server."""

    url: str
    process: asyncio.subprocess.Process

    async def called(self, model: str) -> None:
        """Wait until a model has been called (once more)."""
        async with asyncio.timeout(_PATIENCE):
            while await self._line() != model:
                pass

    async def kill(self) -> None:
        """End the process as `kill -9` does."""
        self.process.kill()
        await self.process.wait()

    async def _line(self) -> str:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, "the scripted server ended"
        return line.decode().strip()


@asynccontextmanager
async def server_process(script: Mapping[str, Any], program: str = __file__) -> AsyncIterator[ServerProcess]:
    """Run a program that calls `serve_script` until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(script).encode() + b"\n")
        server = ServerProcess("", process)
        async with asyncio.timeout(_PATIENCE):
            server.url = await server._line()
        yield server
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.communicate(), _PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def children() -> dict[int, str]:
    """Return the living child processes of this process: command line by process id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid() and state != "Z":
            found[int(folder.name)] = command
    return found


def _connections() -> set[str]:
    """Return the inodes of this process's TCP sockets that are connected."""
    table = [line.split() for name in ("tcp", "tcp6") for line in _lines(Path("/proc/self/net") / name)]
    established = {row[9] for row in table if row[3] == "01"}
    ours = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            ours.add(target[len("socket:[") : -1])
    return established & ours


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:] if path.exists() else []


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Check that what the block started is gone after it: tasks, child processes and connections."""
    if sys.platform != "linux":  # what is left is read from /proc
        yield
        return
    tasks, processes, connections = asyncio.all_tasks(), set(children()), _connections()
    yield
    until = time.monotonic() + 10
    while time.monotonic() < until:
        left = {
            "tasks": asyncio.all_tasks() - tasks - {asyncio.current_task()},
            "processes": {pid: line for pid, line in children().items() if pid not in processes},
            "connections": _connections() - connections,
        }
        if not any(left.values()):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"left behind: {left}")


if __name__ == "__main__":
    asyncio.run(serve_script(_served))
