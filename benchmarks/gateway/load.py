"""The load generator: asks one server as fast as it answers, in a process of its own, and says how it went.

    python benchmarks/gateway/load.py < job.json

A job is a `Job`; the last line of standard output is its `Figures`, and the lines "counting" and "counted" before it
enclose the time that counts. A bare asyncio protocol: what the generator takes of the machine, the server cannot have.
"""

from __future__ import annotations

import asyncio
import re
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import uvloop

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RUN_ID = re.compile(rb"\r\nx-smcs-run-id: *([0-9a-f]{32})", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close|^HTTP/1\.0", re.IGNORECASE)
_END = b"\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Job:
    """What is asked, by how many, for how long."""

    url: str
    bodies: list[dict[str, Any]]
    """Sent in turn."""
    clients: int = 1
    seconds: float = 1.0
    warmup: float = 0.5
    """Seconds before counting begins."""
    least: int = 0
    """Requests that must have ended, however long that takes."""
    requests: int | None = None
    """Instead of `seconds`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    ids: bool = False
    """Whether the run ids of all responses are told."""
    spread: float = 0.0
    """Seconds over which the clients start."""
    cuts: bool = False
    """Whether clients leave at the end in the middle of their answers."""


@dataclass
class Figures:
    """How it went."""

    requests: int
    seconds: float
    failed: int
    """Responses that were no 200, or broke off."""
    statuses: dict[str, int]
    latencies: list[float]
    """Seconds, sorted; of at most 20,000 requests."""
    ids: list[str]
    cpu_seconds: float


class Connection(asyncio.Protocol):
    """One connection of one client; requests follow each other."""

    def __init__(self) -> None:
        self.closed = True
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._head = b""
        self._left: int | None = None
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self.closed = False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the response that has no other end."""
        self.closed = True
        self._finish()

    def data_received(self, data: bytes) -> None:
        """Look for the end of the response."""
        if not self._head:
            self._tail += data
            head, end, data = self._tail.partition(b"\r\n\r\n")
            if not end:
                return
            self._head, self._tail = head, b""
            length = _LENGTH.search(head)
            self._left = int(length[1]) if length else None
        if self._left is not None:
            self._left -= len(data)
            if self._left <= 0:
                self._finish()
            return
        self._tail = (self._tail + data)[-len(_END) - 1 :]
        if self._tail.endswith(_END) and _CHUNKED.search(self._head):
            self._finish()

    def _left_now(self) -> int | None:
        return self._left

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def ask(self, request: bytes) -> tuple[int, str]:
        """Send a request; return status (0: broken off) and run id."""
        self._head, self._left, self._tail = b"", None, b""
        self._waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        await self._waiter
        status, left = _STATUS.match(self._head), self._left_now()
        whole = self._tail.endswith(_END) if left is None else left <= 0
        told = _RUN_ID.search(self._head)
        if _CLOSES.search(self._head):
            whole = whole or left is None
            self.transport.close()
            self.closed = True
        return (int(status[1]) if status and whole else 0), (told[1].decode() if told else "")


def _same(connection: Connection) -> Connection:
    return connection


class Load:
    """The clients of one job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        parts = urlsplit(job.url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        head = {"Host": parts.netloc, "Content-Type": "application/json", **job.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self._requests = []
        for body in job.bodies:
            data = msgspec.json.encode(body)
            start = f"POST {parts.path} HTTP/1.1\r\n{lines}Content-Length: {len(data)}\r\n\r\n"
            self._requests.append(start.encode() + data)
        self._sent = 0
        self._enough = asyncio.Event()
        if not job.least:
            self._enough.set()
        self.counts = False
        self.over = False
        self.latencies: list[float] = []
        self.statuses: dict[str, int] = {}
        self.ids: list[str] = []

    async def client(self, delay: float) -> None:
        """Ask one question after another."""
        await asyncio.sleep(delay)
        loop = asyncio.get_running_loop()
        connection = Connection()
        while not self.over and not (self._job.requests is not None and self._sent >= self._job.requests):
            request = self._requests[self._sent % len(self._requests)]
            self._sent += 1
            begun = time.perf_counter()
            if connection.closed:
                connection = Connection()
                await loop.create_connection(partial(_same, connection), self._host, self._port)
            status, run_id = await connection.ask(request)
            if self.counts:
                self._count(status, run_id, time.perf_counter() - begun)
        if not connection.closed:
            connection.transport.close()

    def _count(self, status: int, run_id: str, seconds: float) -> None:
        self.statuses[str(status)] = self.statuses.get(str(status), 0) + 1
        if len(self.latencies) < 20_000:
            self.latencies.append(seconds)
        if self._job.ids:
            self.ids.append(run_id)
        if sum(self.statuses.values()) >= self._job.least:
            self._enough.set()

    async def run(self) -> Figures:
        """Return the figures of the job."""
        job = self._job
        self.counts = job.requests is not None
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.client(job.spread * i / job.clients)) for i in range(job.clients)]
            if job.requests is None:
                await asyncio.sleep(job.warmup + job.spread)
                self.counts = True
                print("counting", flush=True)
            begun, cpu = time.perf_counter(), time.process_time()
            if job.requests is None:
                await asyncio.sleep(job.seconds)
                await self._enough.wait()
                self.counts = False
                self.over = True
                print("counted", flush=True)
                took = time.perf_counter() - begun
                if job.cuts:
                    for task in tasks:
                        task.cancel()
        if job.requests is not None:
            took = time.perf_counter() - begun
        return Figures(
            requests=sum(self.statuses.values()),
            seconds=took,
            failed=sum(count for status, count in self.statuses.items() if status != "200"),
            statuses=self.statuses,
            latencies=sorted(self.latencies),
            ids=self.ids,
            cpu_seconds=time.process_time() - cpu,
        )


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    print(msgspec.json.encode(uvloop.run(Load(job).run())).decode())


if __name__ == "__main__":
    main()
