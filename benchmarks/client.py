"""Chat completions per second: our client against the `openai` SDK, same instant server, same body, same run.

The server is a bare asyncio protocol in a process of its own that answers every request with one canned body of 300
tokens with log-probabilities. Each client runs in a process of its own, in turns, and reads text and log-probabilities.

    python benchmarks/client.py [--seconds 3] [--rounds 5] [--concurrency 64] [--json PATH]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

TOKENS = 300
CLIENTS = ("smcs", "smcs+uvloop", "openai")


def canned_body() -> bytes:
    """Return a chat completion of about 32 KB."""
    words = [f" word{i % 97}" for i in range(TOKENS)]

    def entry(i: int) -> dict[str, Any]:
        token = {"token": words[i], "logprob": -0.01 * (i % 40) - 1e-7, "bytes": None}
        return {**token, "top_logprobs": [token]}

    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(words)},
        "finish_reason": "stop",
        "logprobs": {"content": [entry(i) for i in range(TOKENS)]},
    }
    usage = {"prompt_tokens": 50, "completion_tokens": TOKENS, "total_tokens": TOKENS + 50}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "instant"}
    return json.dumps({**head, "choices": [choice], "usage": usage}, separators=(",", ":")).encode()


class InstantServer(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, just enough for the two clients."""

    def __init__(self, response: bytes) -> None:
        self._response = response
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            start = head.index(b"content-length:") + 15
            size = int(head[start:].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + size:
                return
            self._buffer = self._buffer[end + 4 + size :]
            self._transport.write(self._response)


def run_server(pipe: Connection, body: bytes) -> None:
    async def serve() -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        response = head.encode() + body
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: InstantServer(response), "127.0.0.1", 0, backlog=512)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)
        server.close()

    uvloop_run(serve())


def uvloop_run(main: Any) -> Any:
    import uvloop

    return uvloop.run(main)


async def open_smcs(base_url: str, stack: AsyncExitStack) -> Callable[[], Awaitable[int]]:
    from smcs.llms import OpenAICompatibleLLM
    from smcs.types import Message, Request, Sampling

    llm = await stack.enter_async_context(OpenAICompatibleLLM("m", base_url=base_url, model="instant", api_key="k"))
    request = Request((Message("user", "Say words."),), sampling=Sampling(max_tokens=TOKENS), logprobs=True)

    async def call() -> int:
        choice = (await llm.complete(request)).choices[0]
        assert choice.text
        return len(choice.logprobs or ())

    return call


async def open_openai(base_url: str, stack: AsyncExitStack) -> Callable[[], Awaitable[int]]:
    from openai import AsyncOpenAI

    client = await stack.enter_async_context(AsyncOpenAI(base_url=base_url, api_key="k", max_retries=0))

    async def call() -> int:
        completion = await client.chat.completions.create(
            model="instant",
            messages=[{"role": "user", "content": "Say words."}],
            max_tokens=TOKENS,
            logprobs=True,
            top_logprobs=1,
        )
        choice = completion.choices[0]
        assert choice.message.content
        assert choice.logprobs is not None
        return len([entry.logprob for entry in choice.logprobs.content or ()])

    return call


async def measure(name: str, base_url: str, concurrency: int, seconds: float) -> dict[str, float]:
    """Call with `concurrency` tasks for some seconds, after a warm-up, and return rate and CPU."""
    async with AsyncExitStack() as stack:
        call = await (open_openai if name == "openai" else open_smcs)(base_url, stack)

        async def work(until: float) -> int:
            calls = 0
            while time.perf_counter() < until:
                assert await call() == TOKENS
                calls += 1
            return calls

        async def crowd(duration: float) -> int:
            until = time.perf_counter() + duration
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work(until)) for _ in range(concurrency)]
            return sum(task.result() for task in tasks)

        await crowd(min(1.0, seconds))
        wall, cpu = time.perf_counter(), time.process_time()
        calls = await crowd(seconds)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"calls": calls, "calls_per_s": calls / wall, "cpu_ms_per_call": 1e3 * cpu / calls}


def run_client(pipe: Connection, name: str, base_url: str, concurrency: int, seconds: float) -> None:
    main = measure(name, base_url, concurrency, seconds)
    pipe.send(uvloop_run(main) if name.endswith("uvloop") else asyncio.run(main))


def compare(rounds: int, concurrency: int, seconds: float) -> dict[str, Any]:
    """Run every client once per round against one server."""
    spawn = multiprocessing.get_context("spawn")
    body = canned_body()
    pipe, far = spawn.Pipe()
    server = spawn.Process(target=run_server, args=(far, body), daemon=True)
    server.start()
    base_url = f"http://127.0.0.1:{pipe.recv()}/v1"
    results: dict[str, list[dict[str, float]]] = {name: [] for name in CLIENTS}
    try:
        for _ in range(rounds):
            for name in CLIENTS:
                here, there = spawn.Pipe()
                client = spawn.Process(target=run_client, args=(there, name, base_url, concurrency, seconds))
                client.start()
                there.close()
                results[name].append(here.recv())
                client.join()
    finally:
        pipe.send("stop")
        server.join()
    return {"body_bytes": len(body), "tokens": TOKENS, "concurrency": concurrency, "clients": summarise(results)}


def summarise(results: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return medians, and the median over rounds of each round's ratio to the SDK."""
    rows = {}
    for name, rounds in results.items():
        ratios = [ours["calls_per_s"] / sdk["calls_per_s"] for ours, sdk in zip(rounds, results["openai"], strict=True)]
        rows[name] = {
            "calls_per_s": statistics.median(r["calls_per_s"] for r in rounds),
            "cpu_ms_per_call": statistics.median(r["cpu_ms_per_call"] for r in rounds),
            "times_openai": statistics.median(ratios),
            "worst_times_openai": min(ratios),
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds per client and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    report = compare(options.rounds, options.concurrency, options.seconds)
    size = math.ceil(report["body_bytes"] / 1024)
    print(f"{size} KB body, {TOKENS} log-probabilities, {options.concurrency} at once, {options.rounds} rounds")
    print(f"{'client':<14}{'calls/s':>10}{'CPU ms/call':>14}{'x openai':>10}{'worst round':>13}")
    for name, row in report["clients"].items():
        print(
            f"{name:<14}{row['calls_per_s']:>10,.0f}{row['cpu_ms_per_call']:>14.3f}"
            f"{row['times_openai']:>10.1f}{row['worst_times_openai']:>13.1f}"
        )
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
