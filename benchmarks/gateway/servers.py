"""The processes of a benchmark: upstreams, servers, load generators; and what they take of the machine."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from load import Figures, Job

from smcs.bank import QuestionBank
from smcs.embedders import OpenAICompatibleEmbedder
from smcs.types import Outcome, Question

HERE = Path(__file__).parent
LLMS = [f"llm{i}" for i in range(8)]
PRICE = {"input": 1.0, "output": 2.0}
"""USD per million tokens."""
_KEY = "sk-benchmark-1234567890abcdef"
_PATIENCE = 180.0


class Process:
    """A running program that ends with the block it was started in.

    Args:
        process: It.
        url: Base URL of the API it serves, up to and with `/v1`.
    """

    def __init__(self, process: subprocess.Popen[str], url: str = "") -> None:
        self.process = process
        self.url = url

    @property
    def cpu(self) -> float:
        """CPU seconds of it and all it has started, user and system."""
        return sum(_cpu(pid) for pid in _family(self.process.pid))

    @property
    def resident(self) -> int:
        """Resident bytes of it and all it has started."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _family(self.process.pid))
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def told(self, word: str = "tell") -> dict[str, Any]:
        """Return what a `served.py` says of itself."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told


def _family(pid: int) -> list[int]:
    found = [pid]
    for at in found:
        for listed in Path(f"/proc/{at}/task").glob("*/children"):
            found += map(int, listed.read_text().split())
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(
    command: Sequence[str | Path], *, log: IO[str] | None = None, url: str | None = None, **environment: str
) -> Iterator[Process]:
    """Run a program until the block ends; without a URL, its first line is one."""
    process = subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if url is None else log or subprocess.DEVNULL,
        stderr=log or subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        if url is None:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"{command} ended before it served")
        yield Process(process, url)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        if url is not None and process.stdout is None:
            process.terminate()
        try:
            process.wait(45)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def upstream(*, seconds: float = 0.0, pause: float = 0.0, fails: float = 0.0) -> Iterator[Process]:
    """Serve scripted answers; see `upstream.py`."""
    options = ("--seconds", seconds, "--pause", pause, "--fails", fails)
    with running([sys.executable, HERE / "upstream.py", *map(str, options)]) as process:
        yield process


def counts_of(server: Process) -> dict[str, int]:
    """Return the counters of an upstream."""
    with urllib.request.urlopen(server.url.removesuffix("/v1") + "/stats", timeout=30) as response:  # noqa: S310
        counts: dict[str, int] = json.load(response)
        return counts


@contextmanager
def smcs_server(endpoint: Process, folder: Path, **gateway: Any) -> Iterator[Process]:
    """Serve eight LLMs of an endpoint with a bank of 1,000 questions; see `served.py`."""
    folder.mkdir(exist_ok=True)
    bank = folder / "bank.db"
    if not bank.exists():
        asyncio.run(_make_bank(bank, endpoint.url))
    config = _config(endpoint.url, gateway)
    file = folder / "smcs.json"
    file.write_text(json.dumps(config))
    with (folder / "server.log").open("w") as log, running([sys.executable, HERE / "served.py", file], log=log) as made:
        _wait(made.url.removesuffix("/v1") + "/ready")
        yield made


def _config(url: str, gateway: dict[str, Any]) -> dict[str, Any]:
    pool = [
        {
            "name": name,
            "base_url": url,
            "model": "upstream",
            "price": PRICE,
            "max_concurrent": 10_000,
            "tries": 2,
            "capabilities": {"logprobs": True, "max_n": 1, "seed": True},
        }
        for name in LLMS
    ]
    return {
        "pool": pool,
        "aggregators": LLMS[:2],
        "embedder": {"kind": "openai", "base_url": url, "model": "embed"},
        "bank": "bank.db",
        # All seventeen calls of a query are made: nothing is given up early.
        "parameters": {"straggler_cut": None, "quorum": None, "k": 7, "n": 8, "sampling": {"max_tokens": 300}},
        "gateway": {"max_running": 4096, "max_waiting": 4096, **gateway},
    }


async def _make_bank(path: Path, url: str) -> None:
    rng = np.random.default_rng(0)
    questions = [Question(f"q{i}", f"question {i} about topic {i % 40}") for i in range(1_000)]
    bank = QuestionBank.create(path)
    bank.add_questions(questions)
    for i, name in enumerate(LLMS):
        bank.add_llm(name)
        right = rng.random(len(questions)) < 0.4 + 0.05 * i
        bank.record(Outcome(q.id, name, float(ok)) for q, ok in zip(questions, right, strict=True))
    async with OpenAICompatibleEmbedder(url, "embed") as embedder:
        await bank.embed(embedder)
    bank.close()


@contextmanager
def litellm_proxy(python: Path, endpoint: Process, folder: Path) -> Iterator[Process]:
    """Run the LiteLLM proxy in front of an endpoint: one worker, no database, its own defaults."""
    folder.mkdir(exist_ok=True)
    parameters = {"model": "openai/upstream", "api_base": endpoint.url, "api_key": "k"}
    config = {
        "model_list": [{"model_name": "llm0", "litellm_params": parameters}],
        "general_settings": {"master_key": _KEY},
        "litellm_settings": {"telemetry": False},
    }
    file = folder / "litellm.json"
    file.write_text(json.dumps(config))
    port = _free_port()
    command: list[str | Path] = [
        python.with_name("litellm"),
        "--config",
        file,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with (folder / "litellm.log").open("w") as log:
        url = f"http://127.0.0.1:{port}/v1"
        settings = {"LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
        with running(command, log=log, url=url, **settings) as made:
            _wait(f"http://127.0.0.1:{port}/health/liveliness")
            yield made


@contextmanager
def optillm_proxy(python: Path, endpoint: Process, folder: Path, approach: str) -> Iterator[Process]:
    """Run optillm in front of an endpoint."""
    folder.mkdir(exist_ok=True)
    port = _free_port()
    command: list[str | Path] = [python.with_name("optillm"), "--approach", approach, "--log", "error"]
    command += ["--port", str(port), "--base-url", endpoint.url]
    with (folder / "optillm.log").open("w") as log:
        url = f"http://127.0.0.1:{port}/v1"
        with running(command, log=log, url=url, OPENAI_API_KEY="k", OPTILLM_HOST="127.0.0.1") as made:
            _wait(f"http://127.0.0.1:{port}/health")
            yield made


LITELLM_HEADERS = {"Authorization": f"Bearer {_KEY}"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(url: str) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"{url} did not answer within {_PATIENCE:g} s")


def load(job: Job, *, server: Process | None = None) -> tuple[Figures, float]:
    """Run a job in a process of its own; return its figures, and the CPU seconds of the server while it counted."""
    program = [sys.executable, str(HERE / "load.py")]
    before = after = 0.0 if server is None else server.cpu
    line = ""
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as generator:
        assert generator.stdin is not None
        assert generator.stdout is not None
        generator.stdin.write(json.dumps(asdict(job)))
        generator.stdin.close()
        for line in generator.stdout:
            if line == "counting\n" and server is not None:
                before = server.cpu
            elif line == "counted\n" and server is not None:
                after = server.cpu
        if job.requests is not None and server is not None:
            after = server.cpu
    if generator.returncode:
        raise RuntimeError(f"the load generator ended with status {generator.returncode}")
    return msgspec.json.decode(line, type=Figures), after - before


@contextmanager
def scratch() -> Iterator[Path]:
    """Return a folder that is removed with the block."""
    with tempfile.TemporaryDirectory(prefix="smcs-benchmark-") as name:
        yield Path(name)
