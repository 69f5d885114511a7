"""What the studio costs: first views over a full database, watchers of running questions, and what the API feels of it.

A real `smcs serve` over scripted LLMs, with a ledger of 100,000 runs and a bank of 100,000 questions x 3 LLMs, and
real Chromium, which shares the machine with the server (so views are slower than for a person elsewhere). CPU is that
of the server's two processes, one of which makes the pages.

What the API feels of somebody who goes from page to page has two causes: the pages, and Chromium, which takes the cores
it is measured on and would be another machine's. They are told apart by a control,
in which the same browser shows the pages of a second server over a copy of the data. Rounds of the three cases (nobody,
control, studio) are interleaved.

    python benchmarks/studio.py [--runs 100000] [--questions 100000] [--viewers 20] [--rounds 5] [--latency 60]
        [--api-rounds 5] [--only views watchers api] [--json PATH]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from playwright.sync_api import Browser, Page
from sqlalchemy import create_engine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from helpers_studio import chromium, serve_studio, write_config
from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder
from smcs.gateway import schema
from smcs.gateway.ledger import Ledger
from smcs.types import Outcome, Question

PAGES = {
    "Ask": ("/", "[data-testid=question]"),
    "Runs": ("/runs", "[data-testid=run-row]"),
    "Bank": ("/bank", "[data-testid=bank-figures]"),
    "LLMs": ("/pool", "[data-testid=pool-row]"),
    "Spend": ("/spend", "[data-testid=spend-totals]"),
}
TOUR = {
    **PAGES,
    "Questions": ("/bank?view=questions", "[data-testid=bank-question-row]"),
    "Map": ("/bank?view=map", "[data-testid=bank-map]"),
}
"""Where somebody goes while the API is measured."""

PARTS = ("views", "watchers", "api")
_ROWS_AT_ONCE = 5_000
_PATIENCE = 120_000
"""Milliseconds that a page may take to show what is waited for."""
_API_SECONDS = 20.0
_IDLE = 0.04
"""Share of a core under which a server counts as idle."""
_TICKS = os.sysconf("SC_CLK_TCK")


async def fill_ledger(path: Path, runs: int) -> None:
    """Write runs as the gateway would have, without their records."""
    async with Ledger.open(str(path), create=True):
        pass
    attempts = json.dumps([{"llm": name, "stage": "reference", "status": "ok"} for name in ("alpha", "beta", "gamma")])
    start = datetime.now(UTC) - timedelta(days=60)
    step = timedelta(days=60) / runs
    engine = create_engine(f"sqlite:///{path}")
    for first in range(0, runs, _ROWS_AT_ONCE):
        numbers = range(first, min(first + _ROWS_AT_ONCE, runs))
        with engine.begin() as connection:
            connection.execute(schema.runs.insert(), [row(at, start + at * step, attempts) for at in numbers])
    with engine.begin() as connection:
        connection.execute(schema.daily.insert(), [day(start + timedelta(days=at), runs // 60) for at in range(60)])
    engine.dispose()


def day(moment: datetime, runs: int) -> dict[str, Any]:
    """Return the sums of one day as a row of the ledger."""
    return {
        "day": moment.date().isoformat(),
        "key_id": "",
        "model": "smcs",
        "strategy": "smcs_guarded",
        "llm": "",
        "runs": runs,
        "failed": 0,
        "degraded": 0,
        "calls": 3 * runs,
        "prompt_tokens": 100 * runs,
        "completion_tokens": 200 * runs,
        "known_nano": 90_000 * runs,
        "unknown": 0,
    }


def row(number: int, moment: datetime, attempts: str) -> dict[str, Any]:
    """Return one run as a row of the ledger."""
    return {
        "id": f"{number:032x}",
        "created": moment.isoformat(timespec="milliseconds"),
        "endpoint": "/v1/chat/completions",
        "model": ("smcs", "smcs/rps", "alpha")[number % 3],
        "strategy": ("smcs_guarded", "rps", "")[number % 3],
        "key_id": "",
        "status": ("ok", "ok", "ok", "ok", "degraded", "failed")[number % 6],
        "http_status": 200,
        "streamed": number % 2,
        "cached": 0,
        "degraded": "[]",
        "calls": 3,
        "prompt_tokens": 100,
        "completion_tokens": 200,
        "cached_tokens": 0,
        "nano": 90_000,
        "known_nano": 90_000,
        "charged_nano": 90_000,
        "seconds": 1.5,
        "question": f"add the numbers {number} and {number + 1}",
        "error": None,
        "user": None,
        "stage_seconds": "{}",
        "metadata": "{}",
        "attempts": attempts,
        "settled": moment.timestamp(),
    }


async def fill_bank(path: Path, questions: int) -> None:
    """Write a bank whose three LLMs have an outcome for every question."""
    bank = QuestionBank.create(path)
    rng = np.random.default_rng(0)
    names = [f"subject {number}" for number in range(20)]
    subjects = [names[i % len(names)] for i in range(questions)]
    made = [
        Question(f"q/{i}", f"question {i} about matter {i % 977} of {subject}", task="bench", subject=subject)
        for i, subject in enumerate(subjects)
    ]
    bank.add_questions(made)
    for llm, share in (("alpha", 0.8), ("beta", 0.6), ("gamma", 0.4)):
        bank.add_llm(llm)
        right = rng.random(questions) < share
        bank.record(Outcome(made[i].id, llm, float(right[i])) for i in range(questions))
    await bank.embed(HashingEmbedder())
    bank.close()


def children(pid: int | str) -> Iterator[int]:
    """Yield the processes that a process started."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process and those it started have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS + sum(map(cpu_seconds, children(pid)))


def server_pid() -> int:
    """Return the child of this process that serves."""
    for child in children("self"):
        if b"serve" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
            return child
    raise RuntimeError("the server is gone")


@contextmanager
def tab(browser: Browser) -> Iterator[Page]:
    """Open a tab with an empty cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        yield context.new_page()
    finally:
        context.close()


def wait_for_pages(url: str) -> None:
    """Wait until the process that makes pages has started, which the one that answers the API does not wait for."""
    with urllib.request.urlopen(f"{url}/studio/static/icon.svg", timeout=60):  # noqa: S310
        pass


def first_views(browser: Browser, url: str, rounds: int) -> dict[str, dict[str, float]]:
    """Measure from the address to what a page is about: with an empty cache, then once more in the same tab."""
    found: dict[str, dict[str, float]] = {}
    for name, (path, what) in PAGES.items():
        cold: list[float] = []
        again: list[float] = []
        for _ in range(rounds):
            with tab(browser) as page:
                for times in (cold, again):
                    begun = time.perf_counter()
                    page.goto(url + path)
                    page.wait_for_selector(what)
                    times.append(time.perf_counter() - begun)
        found[name] = {"first": cold[0], "median": statistics.median(cold), "again": statistics.median(again)}
    return found


def ask(page: Page) -> None:
    """Send a question."""
    page.fill("[data-testid=question]", "add the numbers 3 and 4")
    page.press("[data-testid=question]", "Enter")


def settle(pid: int) -> None:
    """Wait until the server has nothing to do but to keep its connections."""
    for _ in range(60):
        used = cpu_seconds(pid)
        time.sleep(2)
        if cpu_seconds(pid) - used < 2 * _IDLE:
            return
    raise RuntimeError(f"the server uses more than {_IDLE:.0%} of a core with nothing to do")


def watchers(browser: Browser, url: str, pid: int, viewers: int) -> dict[str, float]:
    """Measure the server's CPU while people look at a question each that takes some seconds."""
    contexts = [browser.new_context() for _ in range(viewers)]
    try:
        pages = [context.new_page() for context in contexts]
        for page in pages:
            page.set_default_timeout(_PATIENCE)
            page.goto(url)
            page.wait_for_selector("[data-testid=question]")
        ask(pages[0])  # the first question under a bank pays for what is learned of it, which goes on after its answer
        pages[0].wait_for_selector("[data-testid=step-cost]")
        settle(pid)
        begun, used = time.perf_counter(), cpu_seconds(pid)
        time.sleep(10)
        idle = (cpu_seconds(pid) - used) / (time.perf_counter() - begun)
        asked = time.perf_counter()
        for page in pages:
            ask(page)
        for page in pages:
            page.locator("[data-testid=step-pool]").last.wait_for()
        begun, used = time.perf_counter(), cpu_seconds(pid)
        time.sleep(8)
        running = (cpu_seconds(pid) - used) / (time.perf_counter() - begun)
        took = time.perf_counter() - asked
        ended = sum(not page.is_enabled("[data-testid=stop]") for page in pages)
        if ended:
            raise RuntimeError(f"{ended} runs had ended {took:.0f} s after the first was asked. Raise --latency.")
        return {"idle": idle, "running": running}
    finally:
        for context in contexts:
            context.close()


def api_latency(url: str, seconds: float, rate: float = 20.0) -> list[float]:
    """Return the latencies of an LLM asked through the API at a steady rate, in seconds."""

    async def load() -> list[float]:
        times: list[float] = []
        body = {"model": "fast", "messages": [{"role": "user", "content": "add the numbers 3 and 4"}]}

        async def one(session: aiohttp.ClientSession) -> None:
            begun = time.perf_counter()
            async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
                answer.raise_for_status()
                await answer.read()
            times.append(time.perf_counter() - begun)

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for _ in range(int(seconds * rate)):
                group.create_task(one(session))
                await asyncio.sleep(1 / rate)
        return times

    return asyncio.run(load())


@dataclass(frozen=True)
class Felt:
    """What the API felt in one round of a case."""

    median: float
    p99: float
    lag: float
    """Mean seconds that the server's event loop was late."""
    cpu: float
    """Cores that the server's processes took."""
    pages: int
    """Pages that were gone to."""


def loop_lag(url: str) -> tuple[float, float]:
    """Return how late the server's event loop has been in all, in seconds, and how often it was measured."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:  # noqa: S310
        text = answer.read().decode()
    total, count = (
        float(re.findall(rf"^\w*event_loop_lag_seconds_{part} (\S+)$", text, re.MULTILINE)[0])
        for part in ("sum", "count")
    )
    return total, count


def beside_pages(browser: Browser, url: str, twin: str, pid: int, rounds: int) -> dict[str, list[Felt]]:
    """Measure the API alone, while somebody looks at another server's pages, and at its own."""
    found: dict[str, list[Felt]] = {"nobody": [], "control": [], "studio": []}
    with ProcessPoolExecutor(1, get_context("spawn")) as load, tab(browser) as page:
        load.submit(api_latency, url, 1.0).result()
        for where in (url, twin):
            visit(page, where)  # what is worked out once per bank, and the browser's cache
        for number in range(rounds):
            cases = list(found.items())
            for case, felt in cases[number % 3 :] + cases[: number % 3]:
                page.goto("about:blank")
                time.sleep(1)
                late, times = loop_lag(url)
                begun, used = time.perf_counter(), cpu_seconds(pid)
                running, pages = load.submit(api_latency, url, _API_SECONDS), 0
                while case != "nobody" and not running.done():
                    pages += visit(page, twin if case == "control" else url, running.done)
                latencies = sorted(running.result())
                taken, core = time.perf_counter() - begun, cpu_seconds(pid) - used
                later, more = loop_lag(url)
                p99 = latencies[int(len(latencies) * 0.99)]
                lag = (later - late) / max(1.0, more - times)
                felt.append(Felt(statistics.median(latencies), p99, lag, core / taken, pages))
    return found


def visit(page: Page, url: str, enough: Callable[[], bool] = lambda: False) -> int:
    """Go from page to page, a second on each, until it is enough; return how many there were."""
    pages = 0
    for path, what in TOUR.values():
        if enough():
            break
        page.goto(url + path)
        page.wait_for_selector(what, timeout=_PATIENCE)
        page.wait_for_timeout(1_000)
        pages += 1
    return pages


def tell(felt: dict[str, list[Felt]]) -> None:
    """Print what the API felt."""
    middle: dict[str, float] = {}
    for case, rounds in felt.items():
        middle[case] = statistics.median(each.p99 for each in rounds)
        print(
            f"API, {case:<8} median {statistics.median(each.median for each in rounds) * 1e3:5.1f} ms, "
            f"p99 {middle[case] * 1e3:5.1f} ms (rounds {', '.join(f'{each.p99 * 1e3:.0f}' for each in rounds)}), "
            f"loop late {statistics.mean(each.lag for each in rounds) * 1e3:4.1f} ms, "
            f"CPU {statistics.mean(each.cpu for each in rounds):.0%}, {sum(each.pages for each in rounds)} pages"
        )
    more = [middle["studio"] / middle[case] - 1 for case in ("control", "nobody")]
    print(f"p99 with the studio: {more[0]:+.0%} over the control, {more[1]:+.0%} over nobody", flush=True)


def main() -> None:
    """Fill, serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", type=float, default=60.0, help="seconds of a call in the runs that are watched")
    parser.add_argument("--api-rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="smcs-studio-bench-") as name:
        folder, twin = Path(name) / "served", Path(name) / "twin"
        folder.mkdir()
        config = write_config(folder, latency=asked.latency, extra=("fast",))
        asyncio.run(fill_ledger(folder / "ledger.db", asked.runs))
        asyncio.run(fill_bank(folder / "bank.db", asked.questions))
        shutil.copytree(folder, twin)
        found: dict[str, Any] = {}
        with serve_studio(config) as (url, _), chromium() as browser:
            pid = server_pid()
            wait_for_pages(url)
            if "views" in asked.only:
                print(f"First view, {asked.runs:,} runs, {asked.questions:,} bank questions (seconds)")
                found["views"] = first_views(browser, url, asked.rounds)
                for page, times in found["views"].items():
                    print(
                        f"  {page:<8} first {times['first']:.2f}, median {times['median']:.2f}, "
                        f"again {times['again']:.2f}",
                        flush=True,
                    )
            if "watchers" in asked.only:
                watched = found["watchers"] = watchers(browser, url, pid, asked.viewers)
                shares = f"{watched['idle']:.1%} of a core idle, {watched['running']:.1%} while each watches a run"
                print(f"{asked.viewers} viewers: {shares}", flush=True)
            if "api" in asked.only:
                with serve_studio(twin / config.name) as (other, _):
                    felt = beside_pages(browser, url, other, pid, asked.api_rounds)
                tell(felt)
                found["api"] = {case: [asdict(each) for each in rounds] for case, rounds in felt.items()}
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
