"""Ledgers on either database, and runs to put into them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from helpers_bank import Place, running_postgres
from smcs.gateway.entries import Entry, RunRow
from smcs.gateway.ledger import Ledger
from smcs.run import Candidate, EstimatedPrior, Query, Run, SupportQuestion
from smcs.types import Attempt, Choice, Message, Usage

NOON = 1_763_812_800.0
"""2025-11-22T12:00:00Z, a Saturday: the first second of a minute."""

SECRETS = ("what is the capital", "Paris it is", "a system rule", "neighbour text", "STOP WORD", "said by a server")


@dataclass
class Clock:
    """Unix seconds that only a test moves."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class Ledgers:
    """Opens ledgers that share one database; each is as another process would have it."""

    place: Place
    clock: Clock = field(default_factory=Clock)
    opened: list[Ledger] = field(default_factory=list)

    def open(self, **options: Any) -> Ledger:
        ledger = Ledger.open(self.place.url("ledger"), **{"clock": self.clock, **options})
        self.opened.append(ledger)
        return ledger

    async def close(self) -> None:
        for ledger in self.opened:
            await ledger.close()
        self.place.close()


@dataclass
class PostgresServer:
    """A PostgreSQL server on a socket in a temporary folder."""

    url: str
    _server: Any

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Run one; skips where there is none to run."""
        with running_postgres() as server:
            yield cls(server.get_uri(), server)

    def kill(self) -> None:
        """End it as a power cut would, and wait until the processes that served it are gone."""
        import pytest

        psutil = pytest.importorskip("psutil")
        postmaster = psutil.Process(self._server.get_pid())
        children = postmaster.children(recursive=True)
        postmaster.kill()
        for each in children:
            with suppress(psutil.NoSuchProcess):
                while each.status() != psutil.STATUS_ZOMBIE:
                    time.sleep(0.01)

    def start(self) -> None:
        """Start it again on the same data and socket."""
        data: Path = self._server.pgdata
        socket = Path(self.url.partition("?host=")[2])
        # Where nobody reaps orphans, the dead one still looks alive to whoever reads these.
        for lock in (data / "postmaster.pid", socket / ".s.PGSQL.5432.lock"):
            lock.unlink(missing_ok=True)
        command = (self._server.bin_path / "pg_ctl", "-w", "-o", f'-h "" -k {socket}', "-l", data / "log", "-D", data)
        output = subprocess.DEVNULL
        subprocess.run([*command, "start"], check=True, stdout=output, stderr=output, user=self._server.system_user)
        self._server.ensure_postgres_running()


def run_script(text: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python program that can import the tests' helpers; it talks through its standard streams."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def sqlite_ledgers(folder: Path) -> Ledgers:
    return Ledgers(Place("sqlite", str(folder)))


async def all_runs(ledger: Ledger) -> list[RunRow]:
    """Return every line of a ledger, the newest first."""
    found = page = await ledger.runs(limit=1_000)
    while page:
        page = await ledger.runs(limit=1_000, before=found[-1].cursor)
        found = found + page
    return found


def entry(number: int = 0, **changes: Any) -> Entry:
    """Return the entry of an answered request that cost 0.25 USD and 30 tokens."""
    fields: dict[str, Any] = {
        "endpoint": "/v1/chat/completions",
        "model": "smcs",
        "strategy": "smcs",
        "calls": 1,
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "cost_usd": 0.25,
        "known_cost_usd": 0.25,
        "created": f"2025-11-22T12:00:00.{number:03}+00:00",
    }
    return Entry(uuid.uuid4().hex, **{**fields, **changes})


def full_run(**changes: Any) -> Run:
    """Return a run with texts in every place that can hold one."""
    question, answer, rule, near, stop, server = SECRETS
    attempts = (
        Attempt(
            "adder",
            "reference",
            "ok",
            choices=(Choice(answer, reasoning=answer, logprobs=(-0.5, -0.25), completion_tokens=2),),
            usage=Usage(20, 2),
            cost_usd=0.125,
            seconds=0.5,
        ),
        Attempt("half", "reference", "error", error=f"HTTP 400: {server}", http_status=400, cost_usd=None, seconds=0.1),
    )
    fields: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "strategy": "smcs",
        "created": "2025-11-22T12:00:00.000+00:00",
        "query": Query(question, (Message("system", rule), Message("user", question)), choices=(answer,)),
        "settings": {"k": 2, "compat": "paper", "sampling": {"temperature": 0.5, "stop": [stop]}},
        "answer": answer,
        "answered_by": "adder",
        "seconds": 0.75,
        "support": (SupportQuestion("q1", 0.5, near, "sums"),),
        "support_size": 1,
        "priors": (EstimatedPrior("adder", 1.0, 0.5), EstimatedPrior("half", 0.5, 0.25)),
        "referencers": ("adder", "half"),
        "attempts": attempts,
        "candidates": (Candidate(0, "adder", (), answer, perplexity=1.25, score=0.5),),
        "chosen": 0,
        "degraded": (f"reference lost: half (error: HTTP 400: {server}); adder stays",),
        "notes": {"vote_weights": {"adder": 0.5}, "guard": {"merged": False, "why": answer}},
        "stage_seconds": {"references": 0.5},
        "calls": 2,
        "usage": Usage(),
        "known_usage": Usage(20, 2, 0),
        "cost_usd": None,
        "known_cost_usd": 0.125,
    }
    return Run(**{**fields, **changes})
