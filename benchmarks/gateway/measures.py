"""What is measured of the gateway, each beside what it is compared with, in one run."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop
from load import Job
from servers import (
    LITELLM_HEADERS,
    LLMS,
    PRICE,
    Process,
    counts_of,
    litellm_proxy,
    load,
    optillm_proxy,
    scratch,
    smcs_server,
    upstream,
)
from upstream import PROMPT_TOKENS

from smcs.embedders import OpenAICompatibleEmbedder
from smcs.llms import HttpSession, OpenAICompatibleLLM
from smcs.types import Message, Request, Sampling

__all__ = ("collaboration", "latency", "pass_through", "soak", "streams")

QUESTION = [{"role": "user", "content": "Say three hundred words about topic 3, please."}]
COLLABORATION = {"model": "smcs/smcs", "messages": QUESTION}
K, N = 7, 8
BODIES: dict[str, dict[str, Any]] = {
    "small": {"max_tokens": 20},
    "log-probabilities": {"max_tokens": 300, "logprobs": True},
    "small, streamed": {"max_tokens": 20, "stream": True},
    "log-probabilities, streamed": {"max_tokens": 300, "logprobs": True, "stream": True},
}


def _url(server: Process) -> str:
    return f"{server.url}/chat/completions"


def _median_ms(latencies: list[float]) -> float:
    return 1e3 * statistics.median(latencies)


def _settled(server: Process) -> Process:
    """Make the first calls, which open connections and import what is lazy, outside what is measured."""
    load(Job(_url(server), [COLLABORATION, {"model": LLMS[0], "messages": QUESTION, "max_tokens": 5}], 4, requests=40))
    return server


# Collaboration


def collaboration(optillm: Path | None, *, rounds: int, seconds: float, clients: int = 8) -> dict[str, Any]:
    """CPU of a query of 17 calls, beside a bare client's same calls and beside optillm's `moa`."""
    rows: dict[str, list[dict[str, float]]] = {"smcs serve": [], "bare smcs client": []}
    with ExitStack() as stack:
        folder, endpoint = stack.enter_context(scratch()), stack.enter_context(upstream())
        server = _settled(stack.enter_context(smcs_server(endpoint, folder / "smcs")))
        peer = None
        if optillm is not None:
            peer = stack.enter_context(optillm_proxy(optillm, endpoint, folder / "optillm", "moa"))
            rows["optillm moa"] = []
        for _ in range(rounds):
            rows["smcs serve"].append(_queries(server, endpoint, COLLABORATION, clients, seconds))
            rows["bare smcs client"].append(uvloop.run(_bare(endpoint.url, clients, seconds)))
            if peer is not None:
                body = {"model": "moa-upstream", "messages": QUESTION, "max_tokens": 300}
                rows["optillm moa"].append(_queries(peer, endpoint, body, clients, seconds))
    return {"clients": clients, "rows": {name: _medians(row) for name, row in rows.items()}, **_ratios(rows)}


def _queries(
    server: Process, endpoint: Process, body: dict[str, Any], clients: int, seconds: float
) -> dict[str, float]:
    before = counts_of(endpoint)
    figures, cpu = load(Job(_url(server), [body], clients, seconds), server=server)
    after = counts_of(endpoint)
    assert not figures.failed, figures.statuses
    calls = sum(after[name] - before[name] for name in ("chats", "embeddings"))
    # Calls are counted over the warm-up too, so they are put beside the requests of all that time.
    begun = max(1, round(figures.requests * (seconds + 0.5) / seconds))
    return {
        "queries_per_s": figures.requests / figures.seconds,
        "cpu_ms_per_query": 1e3 * cpu / figures.requests,
        "queries_per_core_s": figures.requests / cpu,
        "calls_per_query": calls / begun,
    }


async def _bare(url: str, clients: int, seconds: float) -> dict[str, float]:
    """Make the calls of a query and nothing else: embed, ask K at once, merge N at once, embed the candidates."""
    reference = Request((Message("user", QUESTION[0]["content"]),), sampling=Sampling(max_tokens=300))
    merge = Request((Message("user", "word " * 2_400),), sampling=Sampling(max_tokens=300), logprobs=True)
    done, over = 0, False
    async with HttpSessionOf(url) as (llm, embedder):

        async def query() -> None:
            await embedder.embed([QUESTION[0]["content"]])
            for request, times in ((reference, K), (merge, N)):
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(llm.complete(request)) for _ in range(times)]
            await embedder.embed([task.result().choices[0].text for task in tasks])

        async def client() -> None:
            nonlocal done
            while not over:
                await query()
                done += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
            await asyncio.sleep(0.5)
            before, cpu, wall = done, time.process_time(), time.perf_counter()
            await asyncio.sleep(seconds)
            done, cpu, wall = done - before, time.process_time() - cpu, time.perf_counter() - wall
            figures = {
                "queries_per_s": done / wall,
                "cpu_ms_per_query": 1e3 * cpu / done,
                "queries_per_core_s": done / cpu,
                "calls_per_query": float(K + N + 2),
            }
            over = True
    return figures


class HttpSessionOf:
    """The bare client: an LLM and an embedder of one endpoint, on connections of their own."""

    def __init__(self, url: str) -> None:
        self._session = HttpSession()
        self._llm = OpenAICompatibleLLM("bare", base_url=url, model="upstream", session=self._session)
        self._embedder = OpenAICompatibleEmbedder(url, "embed")

    async def __aenter__(self) -> tuple[OpenAICompatibleLLM, OpenAICompatibleEmbedder]:
        return self._llm, self._embedder

    async def __aexit__(self, *error: object) -> None:
        await self._embedder.close()
        await self._session.close()


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _ratios(rows: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return the medians over rounds of our queries per core second against the others'."""
    ours = [row["queries_per_core_s"] for row in rows["smcs serve"]]
    times = {}
    for name, other in rows.items():
        if name != "smcs serve":
            pairs = zip(ours, other, strict=True)
            times[name] = statistics.median(one / row["queries_per_core_s"] for one, row in pairs)
    return {"times": times}


# Added latency


def latency(*, seconds: float, clients: int = 32, upstream_seconds: float = 0.2) -> dict[str, Any]:
    """Time of a query over its critical path of four calls, alone and with many clients."""
    path = 4 * upstream_seconds
    rows = {}
    with ExitStack() as stack:
        folder, endpoint = stack.enter_context(scratch()), stack.enter_context(upstream(seconds=upstream_seconds))
        server = _settled(stack.enter_context(smcs_server(endpoint, folder)))
        for many in (1, clients):
            figures, cpu = load(Job(_url(server), [COLLABORATION], many, seconds, spread=path), server=server)
            assert not figures.failed, figures.statuses
            ordered = figures.latencies
            rows[str(many)] = {
                "median_ms": _median_ms(ordered),
                "p95_ms": 1e3 * ordered[int(0.95 * len(ordered))],
                "added_share": statistics.median(ordered) / path - 1,
                "core_share": cpu / figures.seconds,
            }
    return {"critical_path_ms": 1e3 * path, "rows": rows}


# Pass-through


def pass_through(litellm: Path | None, *, rounds: int, seconds: float, clients: int = 8) -> dict[str, Any]:
    """Requests per second, CPU and added latency of handing one LLM through, beside the LiteLLM proxy."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    with ExitStack() as stack:
        folder, endpoint = stack.enter_context(scratch()), stack.enter_context(upstream())
        server = _settled(stack.enter_context(smcs_server(endpoint, folder / "smcs")))
        servers: dict[str, tuple[Process, dict[str, str]]] = {"smcs serve": (server, {})}
        if litellm is not None:
            proxy = stack.enter_context(litellm_proxy(litellm, endpoint, folder / "litellm"))
            servers["litellm proxy"] = (proxy, LITELLM_HEADERS)
            body = {"model": LLMS[0], "messages": QUESTION, "max_tokens": 5}
            load(Job(_url(proxy), [body, {**body, "stream": True}], 4, requests=40, headers=LITELLM_HEADERS))
        for kind, extra in BODIES.items():
            body = {"model": LLMS[0], "messages": QUESTION, **extra}
            rows = found[kind] = {name: [] for name in servers}
            for _ in range(rounds):
                alone, _ = load(Job(_url(endpoint), [body], 1, min(seconds, 2.0)))
                for name, (one, headers) in servers.items():
                    rows[name].append(_through(one, body, dict(headers), clients, seconds, alone.latencies))
        resident = {name: one.resident / 1e6 for name, (one, _) in servers.items()}
    return {
        "clients": clients,
        "resident_mb": resident,
        "bodies": {kind: {name: _medians(row) for name, row in rows.items()} for kind, rows in found.items()},
        "times": {kind: _times(rows) for kind, rows in found.items()},
    }


def _through(
    server: Process, body: dict[str, Any], headers: dict[str, str], clients: int, seconds: float, alone: list[float]
) -> dict[str, float]:
    one, _ = load(Job(_url(server), [body], 1, min(seconds, 2.0), headers=headers, least=3))
    # What is under way at either end is counted in part: there must be many more that are counted whole.
    many, cpu = load(Job(_url(server), [body], clients, seconds, headers=headers, least=5 * clients), server=server)
    assert not one.failed, one.statuses
    assert not many.failed, many.statuses
    return {
        "requests_per_s": many.requests / many.seconds,
        "cpu_ms": 1e3 * cpu / many.requests,
        "added_median_ms": _median_ms(one.latencies) - _median_ms(alone),
    }


def _times(rows: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    if "litellm proxy" not in rows:
        return {}
    pairs = list(zip(rows["smcs serve"], rows["litellm proxy"], strict=True))
    return {
        "requests_per_s": statistics.median(a["requests_per_s"] / b["requests_per_s"] for a, b in pairs),
        "cpu": statistics.median(b["cpu_ms"] / a["cpu_ms"] for a, b in pairs),
        "added_latency": statistics.median(a["added_median_ms"] / b["added_median_ms"] for a, b in pairs),
    }


# Many streams


def streams(*, count: int = 1_000, pause: float = 0.5, seconds: float = 15.0) -> dict[str, Any]:
    """Memory of a stream and lag of the event loop, while many are open at once."""
    body = {"model": LLMS[0], "messages": QUESTION, "max_tokens": 300, "stream": True}
    with ExitStack() as stack:
        folder, endpoint = stack.enter_context(scratch()), stack.enter_context(upstream(pause=pause))
        server = _settled(stack.enter_context(smcs_server(endpoint, folder)))
        before = server.told("collect")
        # All of them are open from the end of the spread on, and none has ended yet.
        job = Job(_url(server), [body], count, seconds, warmup=3.0, spread=10.0, cuts=True)
        assert (job.spread + job.warmup + seconds) < 300 * pause
        told = asyncio.run(_while_loaded(job, server, endpoint))
    lags = sorted(told["lags"])
    return {
        "streams": told["open"],
        "events_per_s": told["open"] / pause,
        "kb_per_stream": (told["resident"] - before["resident"]) / 1e3 / max(1, told["open"]),
        "lag_p50_ms": 1e3 * statistics.median(lags),
        "lag_p99_ms": 1e3 * lags[int(0.99 * len(lags))],
        "lag_max_ms": 1e3 * lags[-1],
        "core_share": told["core_share"],
    }


async def _while_loaded(job: Job, server: Process, endpoint: Process) -> dict[str, Any]:
    """Look at a server while a job runs; the streams end with the job, unfinished."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(asyncio.to_thread(load, job))
        await asyncio.sleep(job.spread + job.warmup)
        first, begun = await asyncio.to_thread(server.told), time.perf_counter()
        await asyncio.sleep(job.seconds - 2)
        told = await asyncio.to_thread(server.told)
        told["core_share"] = (told["cpu"] - first["cpu"]) / (time.perf_counter() - begun)
        told["open"] = (await asyncio.to_thread(counts_of, endpoint))["connections"] - 1
        await running
    return told


# Soak


def soak(requests: int, *, fails: float = 0.02, clients: int = 32) -> dict[str, Any]:
    """Ask very often and see whether anything grows, leaks, or is missing in the ledger."""
    one = {"messages": QUESTION, "max_tokens": 20}
    bodies = [{"model": LLMS[i % 8], **one, "stream": i % 3 == 0} for i in range(24)]
    bodies += [{"model": "smcs/smcs", **one, "smcs": {"k": 3, "n": 2}}]
    with ExitStack() as stack:
        folder, endpoint = stack.enter_context(scratch()), stack.enter_context(upstream(fails=fails))
        server = _settled(stack.enter_context(smcs_server(endpoint, folder)))
        before, counted = server.told("collect"), counts_of(endpoint)
        file = folder / "smcs-gateway.db"
        known = _ledger(file)
        begun = time.perf_counter()
        job = Job(_url(server), bodies, clients, requests=requests, ids=True)
        figures, memory = asyncio.run(_watched(job, server))
        took = time.perf_counter() - begun
        time.sleep(2)
        after, counts = server.told("collect"), counts_of(endpoint)
        rows, sums = _ledger(file), _sums(file)
    ids = [each for each in figures.ids if each]
    new = {run_id: row for run_id, row in rows.items() if run_id not in known}
    answered = counts["answered"] - counted["answered"]
    calls = Counter(status for _, statuses in new.values() for status in statuses)
    quarter = len(memory) // 4
    second, last = statistics.mean(memory[quarter : 2 * quarter]), statistics.mean(memory[-quarter:])
    per_call = round(1e3 * (PROMPT_TOKENS * PRICE["input"] + 20 * PRICE["output"]))
    return {
        "requests": figures.requests,
        "seconds": took,
        "statuses": figures.statuses,
        "second_quarter_mb": second / 1e6,
        "last_quarter_mb": last / 1e6,
        "growth": last / second - 1,
        "tasks": [before["tasks"], after["tasks"]],
        "files": [before["files"], after["files"]],
        "without_id": figures.requests - len(ids),
        "answered_twice_under_one_id": len(ids) - len(set(ids)),
        "not_in_ledger": len(set(ids) - new.keys()),
        "only_in_ledger": len(new.keys() - set(ids)),
        "failed_tries": counts["failed"] - counted["failed"],
        "calls": dict(calls),
        # Nobody knows whether a call that was cancelled was answered; the ledger says that its cost is unknown.
        "answered_calls_not_in_ledger": max(0, answered - calls["ok"] - calls["cancelled"]),
        "calls_only_in_ledger": max(0, calls["ok"] - answered),
        "money_wrong_nano_usd": sum(nano for nano, _ in new.values()) - calls["ok"] * per_call,
        "daily_sums_wrong_nano_usd": [each - sum(nano for nano, _ in rows.values()) for each in sums],
        "memory_mb": [round(each / 1e6, 1) for each in memory],
    }


async def _watched(job: Job, server: Process) -> tuple[Any, list[int]]:
    memory: list[int] = []
    async with asyncio.TaskGroup() as group:
        running = group.create_task(asyncio.to_thread(load, job))
        while not running.done():
            memory.append((await asyncio.to_thread(server.told))["resident"])
            await asyncio.wait({running}, timeout=1.0)
    return running.result()[0], memory


def _ledger(path: Path) -> dict[str, tuple[int, list[str]]]:
    """Return known cost in nano-USD and how each call ended, of every run."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        found = connection.execute("SELECT id, known_nano, attempts FROM gateway_runs").fetchall()
    connection.close()
    assert len(found) == len({run_id for run_id, _, _ in found})
    return {run_id: (nano, [call["status"] for call in json.loads(calls)]) for run_id, nano, calls in found}


def _sums(path: Path) -> tuple[int, int]:
    """Return the known cost by day of all runs, and of all their calls, in nano-USD."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        query = "SELECT SUM(known_nano * (llm = '')), SUM(known_nano * (llm <> '')) FROM gateway_daily"
        runs, calls = connection.execute(query).fetchone()
    connection.close()
    return runs, calls
