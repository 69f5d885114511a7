"""A gateway for a test: in this process behind a real server on loopback, or as the real `smcs serve`."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
import yaml
from fastapi import FastAPI

from helpers_strategies import make_bank
from smcs.config import FoundConfig, parse_config
from smcs.gateway.app import create_app
from smcs.gateway.entries import RunRow
from smcs.gateway.ledger import KeyLimits
from smcs.gateway.state import Gateway

__all__ = (
    "CHAT",
    "QUESTION",
    "TOOL",
    "Answer",
    "ManualServer",
    "ServeProcess",
    "Served",
    "Stream",
    "found_config",
    "gateway",
    "pool",
    "put_bank",
    "serve_process",
    "user",
)

CHAT = "/v1/chat/completions"
QUESTION = "add the numbers 3 and 4"
"""A question of the topic that the test bank's LLMs are ranked on: alpha, then beta, then gamma."""

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}

_PATIENCE = 60.0
_PRICE = {"input": 1.0, "output": 2.0}
_KNOWN = {"logprobs": True, "max_n": 16}
"""Declared, so that nothing is probed."""
_RANKS = {"alpha": 0.9, "beta": 0.6, "gamma": 0.3}
_banks: list[tempfile.TemporaryDirectory[str]] = []


def user(text: str = QUESTION) -> list[dict[str, Any]]:
    """Return a conversation of one turn."""
    return [{"role": "user", "content": text}]


def pool(upstream: str | None = None, **llms: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the pool of a config.

    Args:
        upstream: Base URL of the endpoint whose models of the same names stand behind all LLMs; without one they
            are scripted.
        llms: Changes by LLM, over a price of 1 and 2 USD per million tokens; by default there are alpha, beta and
            gamma, which say "It is 7.".
    """
    made: list[dict[str, Any]] = []
    for name, changes in (llms or {name: {} for name in _RANKS}).items():
        llm: dict[str, Any] = {"name": name, "price": _PRICE}
        if upstream is None:
            llm |= {"kind": "scripted", "script": {"replies": ["It is 7."]}}
        else:
            llm |= {"base_url": upstream, "model": name, "tries": 1, "capabilities": _KNOWN}
        made.append({**llm, **changes})
        if upstream is not None:
            made[-1]["capabilities"] = {**_KNOWN, **changes.get("capabilities", {})}
    return made


def found_config(folder: Path, text: str = "", llms: Sequence[Mapping[str, Any]] | None = None) -> FoundConfig:
    """Return the config of a gateway that keeps its state in a folder.

    Args:
        folder: Where the bank and the ledger are.
        text: More of the config file, in YAML; it wins.
        llms: The pool; see `pool`.
    """
    members = list(pool() if llms is None else llms)
    base: dict[str, Any] = {
        "pool": members,
        "aggregators": [members[0]["name"]],
        "embedder": {"kind": "hashing"},
        "bank": "bank.db",
        "parameters": {"support_base": 5, "sampling": {"max_tokens": 50}, "quorum": None, "straggler_cut": None},
    }
    given = {name: value for name, value in (yaml.safe_load(text) or {}).items() if value is not None}
    if "parameters" in given:
        given["parameters"] = {**base["parameters"], **given["parameters"]}
    config = parse_config({**base, **given})
    return FoundConfig(config, folder, str(folder / "smcs.yaml"))


async def put_bank(folder: Path) -> None:
    """Put a bank that knows alpha, beta and gamma into a folder."""
    if not _banks:
        _banks.append(tempfile.TemporaryDirectory(prefix="smcs-bank-"))
        path = Path(_banks[0].name) / "bank.db"

        def build() -> None:
            made = asyncio.run(make_bank(path, {llm: {"sums": share} for llm, share in _RANKS.items()}, per_topic=10))
            made.close()

        await asyncio.to_thread(build)
    if not (folder / "bank.db").exists():
        shutil.copy(Path(_banks[0].name) / "bank.db", folder / "bank.db")


@dataclass(frozen=True)
class Answer:
    """A response that was read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The text of the first choice."""
        text = self.json["choices"][0]["message"]["content"]
        assert isinstance(text, str)
        return text

    @property
    def smcs(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["smcs"]
        return found

    @property
    def error(self) -> dict[str, Any]:
        """The error object, which has OpenAI's shape."""
        body = self.json
        assert set(body) == {"error"}, body
        found: dict[str, Any] = body["error"]
        assert set(found) == {"message", "type", "param", "code"}
        assert "\n" not in found["message"]
        return found


@dataclass
class Stream:
    """A response that arrives in server-sent events."""

    response: aiohttp.ClientResponse
    comments: int = 0
    done: bool = False
    """Whether `[DONE]` came."""
    events: list[Any] = field(default_factory=list)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield the data of each event as it arrives; `[DONE]` ends it."""
        async with asyncio.timeout(_PATIENCE):
            async for raw in self.response.content:
                line = raw.rstrip(b"\r\n")
                if line.startswith(b":"):
                    self.comments += 1
                if not line.startswith(b"data: "):
                    continue
                if line == b"data: [DONE]":
                    self.done = True
                    continue
                assert not self.done, "an event after [DONE]"
                self.events.append(json.loads(line[6:]))
                yield self.events[-1]

    async def read(self) -> Stream:
        async for _ in self:
            pass
        return self

    @property
    def error(self) -> dict[str, Any] | None:
        """The error of the last event, if it is one."""
        found: dict[str, Any] | None = self.events[-1].get("error") if self.events else None
        return found

    def joined(self, name: str = "content", index: int = 0) -> str:
        """Return what the deltas of a choice say together."""
        return "".join(str(delta[name]) for delta in self.deltas(index) if delta.get(name))

    def deltas(self, index: int = 0) -> Iterator[dict[str, Any]]:
        for event in self.events:
            for choice in event.get("choices", ()):
                if choice["index"] == index:
                    yield choice["delta"]

    @property
    def finish(self) -> str | None:
        ends = [c["finish_reason"] for e in self.events for c in e.get("choices", ()) if c.get("finish_reason")]
        return ends[-1] if ends else None

    @property
    def smcs(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = [event["smcs"] for event in self.events if "smcs" in event]
        assert len(found) == 1
        return found[0]


class ManualServer(uvicorn.Server):
    """A server that leaves the signals of the process alone and stops at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told_to_stop = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.told_to_stop.wait()


@dataclass
class Served:
    """A gateway that answers."""

    app: FastAPI
    url: str
    session: aiohttp.ClientSession
    server: ManualServer

    @property
    def gateway(self) -> Gateway:
        found: Gateway = self.app.state.gateway
        return found

    async def send(self, method: str, path: str, **options: Any) -> Answer:
        key = options.pop("key", None)
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **options.pop("headers", {})}
        async with (
            asyncio.timeout(_PATIENCE),
            self.session.request(method, self.url + path, headers=headers, **options) as response,
        ):
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.send("GET", path, **options)

    async def post(self, path: str, body: Any, **options: Any) -> Answer:
        if isinstance(body, bytes):
            headers = {"Content-Type": "application/json", **options.pop("headers", {})}
            return await self.send("POST", path, data=body, headers=headers, **options)
        return await self.send("POST", path, json=body, **options)

    async def chat(
        self,
        model: str = "smcs",
        text: str = QUESTION,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> Answer:
        return await self.post(
            CHAT, {"model": model, "messages": user(text), **body}, key=key, headers=dict(headers or {})
        )

    @asynccontextmanager
    async def streaming(
        self, model: str = "smcs", text: str = QUESTION, *, path: str = CHAT, key: str | None = None, **body: Any
    ) -> AsyncIterator[Stream]:
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **body.pop("headers", {})}
        asked = {"messages": user(text)} if path == CHAT else {"input": text}
        sent = {"model": model, **asked, "stream": True, **body}
        async with (
            aiohttp.ClientSession() as own,
            own.post(self.url + path, json=sent, headers=headers) as response,
        ):
            assert response.status == 200, await response.text()
            yield Stream(response)

    async def stream(self, model: str = "smcs", text: str = QUESTION, **body: Any) -> Stream:
        """Return a whole stream."""
        async with self.streaming(model, text, **body) as stream:
            return await stream.read()

    async def key(self, name: str = "alice", **limits: Any) -> str:
        """Make a key that is in force at once."""
        text, _ = await self.gateway.ledger.create_key(name, KeyLimits(**limits))
        self.gateway._keys_seen = (float("-inf"), False)
        return text

    async def rows(self, count: int | None = None) -> list[RunRow]:
        """Return the ledger's rows, the oldest first; wait for as many where that is said."""
        async with asyncio.timeout(_PATIENCE):
            found = await self.gateway.ledger.runs(limit=200)
            while count is not None and len(found) != count:
                await asyncio.sleep(0.01)
                found = await self.gateway.ledger.runs(limit=200)
        assert len({row.id for row in found}) == len(found)
        return found[::-1]


def _within_a_minute() -> Callable[[], float]:
    """Return a clock that stands still before the next full minute, lest a window of a key's limits end amid a test."""
    last = time.time() // 60 * 60 + 59.999
    return lambda: min(time.time(), last)


@asynccontextmanager
async def gateway(
    folder: Path,
    text: str = "",
    llms: Sequence[Mapping[str, Any]] | None = None,
    *,
    public: bool = False,
    stop_seconds: int = 5,
) -> AsyncIterator[Served]:
    """Serve a config inside this process.

    Args:
        folder: See `found_config`.
        text: See `found_config`.
        llms: See `found_config`.
        public: Whether it takes itself for reachable from other machines.
        stop_seconds: How long running requests may go on at the end.
    """
    await put_bank(folder)
    app = create_app(found_config(folder, text, llms), public=public, clock=_within_a_minute())
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=stop_seconds
    )
    server = ManualServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        async with asyncio.timeout(_PATIENCE):
            while not server.started:
                assert not serving.done(), "the server did not start"
                await asyncio.sleep(0.005)
        async with aiohttp.ClientSession() as session:
            yield Served(app, f"http://127.0.0.1:{listening.getsockname()[1]}", session, server)
    finally:
        server.told_to_stop.set()
        async with asyncio.timeout(_PATIENCE):
            await serving
        listening.close()


@dataclass
class ServeProcess:
    """The real program."""

    process: asyncio.subprocess.Process
    url: str
    config: Path
    lines: list[str] = field(default_factory=list)
    """What it has logged."""

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def logged(self, part: str) -> None:
        """Wait until a line with this part was logged."""
        async with asyncio.timeout(_PATIENCE):
            while not any(part in line for line in self.lines):  # noqa: ASYNC110 lines are read by another task
                await asyncio.sleep(0.02)


@asynccontextmanager
async def serve_process(folder: Path, config: Mapping[str, Any], *arguments: str) -> AsyncIterator[ServeProcess]:
    """Run `smcs serve` on a free port until the block ends.

    Args:
        folder: Where its config and state are.
        config: The config file, without what `found_config` adds.
        arguments: Further ones; without `--studio` the API is served alone.
    """
    pages = () if "--studio" in arguments else ("--no-studio",)
    await put_bank(folder)
    path = folder / "smcs.yaml"
    path.write_text(yaml.safe_dump(dict(config)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from smcs.cli import main; main()", "serve"),
        *("--config", str(path), "--port", "0", *pages, *arguments),
        stderr=asyncio.subprocess.PIPE,
    )
    served = ServeProcess(process, "", path)
    reading = asyncio.create_task(_read_log(process, served.lines))
    try:
        await served.logged("listening on http")
        line = next(line for line in served.lines if "listening on http" in line)
        served.url = "http" + json.loads(line)["message"].rpartition("http")[2]
        await _until_healthy(served.url)
        yield served
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_PATIENCE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await reading


async def _read_log(process: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        lines.append(line.decode())


async def _until_healthy(url: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(_PATIENCE):
        while True:
            try:
                async with session.get(f"{url}/health") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
