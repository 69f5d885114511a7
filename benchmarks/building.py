"""Building a bank: what share of an endpoint is used, and how much memory a large build takes.

The endpoint has a fixed latency and so many slots, so it can serve slots / latency answers a second and no more; calls
beyond its slots wait in line, first come, first served. It is asked through the package's own client as a bare HTTP
server in a process of its own, and in this process. Each run is timed from the call of the engine to its return, when
every outcome is graded and on disk. Memory is the peak of a child process that records questions x LLMs outcomes from
LLMs that answer at once.

    python benchmarks/building.py [--seconds 20] [--concurrency 256] [--questions 100000] [--llms 15] [--json PATH]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import tempfile
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from smcs.bank import QuestionBank
from smcs.evaluate import run_grading
from smcs.llms import LimitedLLM, Limiter, Member, OpenAICompatibleLLM, ScriptedLLM
from smcs.types import Choice, Completion, Message, Price, Question, Request, Sampling, Usage

ENDPOINTS = ((64, 0.25), (128, 0.5), (256, 1.0), (256, 0.5))
"""Slots, and seconds per answer."""

ANSWER = "Let us see. " + "The next step follows from the one before. " * 25 + "\nAnswer: 42"
SPAWN = multiprocessing.get_context("spawn")


def questions(count: int) -> tuple[Question, ...]:
    """Return questions of about 400 characters over five tasks."""
    filler = "It has some words that make it about as long as a question of a benchmark is. " * 4
    return tuple(
        Question(f"made/{i:06d}", f"Question {i}. {filler} What is {i} + 1?", task=f"t{i % 5}", gold="42")
        for i in range(count)
    )


def graded(items: tuple[Question, ...]) -> tuple[Question, ...]:
    return tuple(replace(item, grader="number") for item in items)


def prompt(question: Question) -> tuple[Message, ...]:
    return (Message("user", question.prompt()),)


class SlottedServer(asyncio.Protocol):
    """HTTP/1.1 with keep-alive; an answer takes a slot for some seconds, and requests without one wait in line."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Put every request that is complete in line."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            size = int(head[head.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + size:
                return
            self._buffer = self._buffer[end + 4 + size :]
            self._endpoint.enter(self._transport)


@dataclass
class Endpoint:
    """The slots, and who waits for one."""

    slots: int
    latency: float
    response: bytes

    def __post_init__(self) -> None:
        self._busy = 0
        self._line: deque[asyncio.Transport] = deque()

    def enter(self, transport: asyncio.Transport) -> None:
        """Begin an answer, now or when a slot is free."""
        if self._busy >= self.slots:
            self._line.append(transport)
            return
        self._busy += 1
        asyncio.get_running_loop().call_later(self.latency, self._leave, transport)

    def _leave(self, transport: asyncio.Transport) -> None:
        transport.write(self.response)
        self._busy -= 1
        if self._line:
            self.enter(self._line.popleft())


def run_server(pipe: Connection, slots: int, latency: float) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 230, "total_tokens": 330}
    body = json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    endpoint = Endpoint(slots, latency, head.encode() + body)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SlottedServer(endpoint), "127.0.0.1", 0, backlog=512)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)
        server.close()

    asyncio.run(serve())


async def build(llm: Any, items: tuple[Question, ...], concurrency: int) -> dict[str, float]:
    """Grade one LLM on questions that are in the bank already, and return seconds of wall clock and of CPU."""
    with tempfile.TemporaryDirectory() as folder, QuestionBank.create(Path(folder) / "bank.db") as bank:
        bank.add_questions(items)
        wall, cpu = time.perf_counter(), time.process_time()
        report = await run_grading(
            items,
            [Member("llm", llm, price=Price(1.0, 2.0))],
            bank,
            messages=prompt,
            sampling=lambda question: Sampling(max_tokens=300),
            concurrency=concurrency,
            seed=0,
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert report.complete
        assert report.answerers[0].progress.accuracy == 1.0
    return {"wall_s": wall, "cpu_ms_per_outcome": 1e3 * cpu / len(items)}


async def over_http(port: int, items: tuple[Question, ...], concurrency: int) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        client = OpenAICompatibleLLM("llm", base_url=f"http://127.0.0.1:{port}/v1", model="m")
        return await build(await stack.enter_async_context(client), items, concurrency)


async def in_process(slots: int, latency: float, items: tuple[Question, ...], concurrency: int) -> dict[str, float]:
    llm = LimitedLLM(ScriptedLLM("llm", [ANSWER], latency=latency), Limiter(max_concurrent=slots))
    return await build(llm, items, concurrency)


def utilisation(seconds: float, concurrency: int) -> list[dict[str, Any]]:
    """Measure every endpoint both ways."""
    rows = []
    for slots, latency in ENDPOINTS:
        count = slots * round(seconds / latency)
        items = graded(questions(count))
        here, there = SPAWN.Pipe()
        server = SPAWN.Process(target=run_server, args=(there, slots, latency), daemon=True)
        server.start()
        try:
            http = asyncio.run(over_http(here.recv(), items, concurrency))
        finally:
            here.send("stop")
            server.join()
        own = asyncio.run(in_process(slots, latency, items, concurrency))
        for way, figures in (("HTTP", http), ("in process", own)):
            least = count * latency / slots
            row: dict[str, Any] = {"way": way, "slots": slots, "latency_s": latency, "can_serve_per_s": slots / latency}
            rows.append({**row, "outcomes": count, **figures, "share": least / figures["wall_s"]})
    return rows


class Instant:
    """Answers at once, in two words, and keeps nothing."""

    def __init__(self) -> None:
        self._completion = Completion((Choice("Answer: 42"),), Usage(100, 3))

    async def complete(self, request: Request, *, on_delta: object = None) -> Completion:
        """Give the one answer."""
        await asyncio.sleep(0)
        return self._completion


def run_large(pipe: Connection, count: int, llms: int, concurrency: int) -> None:
    """Record count x llms outcomes, and send the peak of resident memory in bytes."""
    items = graded(questions(count))
    members = [Member(f"llm{i:02d}", Instant(), price=Price(1.0, 2.0)) for i in range(llms)]
    with tempfile.TemporaryDirectory() as folder, QuestionBank.create(Path(folder) / "bank.db") as bank:
        before, began = _peak(), time.perf_counter()
        report = asyncio.run(
            run_grading(items, members, bank, messages=prompt, concurrency=concurrency, parallel=llms, seed=0)
        )
        wall, built = time.perf_counter() - began, _peak()
        assert report.complete
        again = time.perf_counter()
        assert asyncio.run(run_grading(items, members, bank, messages=prompt, parallel=llms)).complete
        resumed = time.perf_counter() - again
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    pipe.send(
        {
            "questions": count,
            "llms": llms,
            "outcomes": count * llms,
            "questions_in_memory_bytes": before,
            "peak_bytes": built,
            "peak_with_resume_bytes": _peak(),
            "build_s": wall,
            "outcomes_per_s": count * llms / wall,
            "nothing_left_to_do_s": resumed,
            "database_bytes": size,
        }
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory(count: int, llms: int, concurrency: int) -> dict[str, Any]:
    """Run a large build in a child process."""
    here, there = SPAWN.Pipe()
    child = SPAWN.Process(target=run_large, args=(there, count, llms, concurrency))
    child.start()
    there.close()
    report: dict[str, Any] = here.recv()
    child.join()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each run, at the least")
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--questions", type=int, default=100_000, help="of the large build; 0 leaves it out")
    parser.add_argument("--llms", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    report: dict[str, Any] = {"concurrency": options.concurrency}
    report["endpoints"] = utilisation(options.seconds, options.concurrency) if options.seconds else []
    print(f"{options.concurrency} calls at once; every outcome graded and on disk")
    print(
        f"{'endpoint':<12}{'slots':>6}{'latency':>9}{'can serve':>11}{'outcomes':>10}{'share':>8}{'CPU ms/outcome':>16}"
    )
    for row in report["endpoints"]:
        print(
            f"{row['way']:<12}{row['slots']:>6}{row['latency_s']:>7.2f} s{row['can_serve_per_s']:>9.0f}/s"
            f"{row['outcomes']:>10,}{row['share']:>8.1%}{row['cpu_ms_per_outcome']:>16.2f}"
        )
    if options.questions:
        large = report["memory"] = memory(options.questions, options.llms, options.concurrency)
        print(
            f"{large['questions']:,} questions x {large['llms']} LLMs: peak {large['peak_bytes'] / 1e6:,.0f} MB "
            f"({large['peak_with_resume_bytes'] / 1e6:,.0f} MB with a second run that finds nothing to do, in "
            f"{large['nothing_left_to_do_s']:.1f} s), {large['outcomes_per_s']:,.0f} outcomes/s, "
            f"{large['database_bytes'] / 1e6:,.0f} MB on disk"
        )
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
