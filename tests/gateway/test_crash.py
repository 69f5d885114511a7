"""The server, its database and its upstreams are killed while requests run; what was acknowledged stays."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from helpers_bank import Place
from helpers_gateway import CHAT, pool, serve_process, user
from helpers_ledger import PostgresServer
from helpers_upstream import upstream
from smcs.gateway.ledger import KeyLimits, KeyRecord, Ledger

BUDGET = 0.02
CLIENTS = 12
KEPT = 40
"""Answers after which the server is killed."""


def written(**more: Any) -> dict[str, Any]:
    """Return a config file with a scripted pool, and with what is given."""
    script: Any = {"script": {"replies": ["It is 7."], "latency": 0.01}}
    llms = pool(alpha=script, beta=script, gamma=script)
    return {"pool": llms, "aggregators": ["alpha"], "embedder": {"kind": "hashing"}, "bank": "bank.db", **more}


async def make_key(database: str | Path) -> tuple[str, KeyRecord]:
    """Make a key with a budget for a day that does not end within a minute."""
    left = 86_400 - time.time() % 86_400
    if left < 60:
        await asyncio.sleep(left)
    async with Ledger.open(database) as ledger:
        return await ledger.create_key("crash", KeyLimits(usd_per_day=BUDGET))


async def ask_on(url: str, key: str, kept: list[str], refused: list[int]) -> None:
    """Ask until the connection breaks or money runs out; note the run of every answer that came whole."""
    body = {"model": "smcs/moa", "messages": user(), "max_tokens": 16}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        while True:
            try:
                async with session.post(url + CHAT, json=body) as response:
                    await response.read()
            except (aiohttp.ClientError, ConnectionError):
                return
            if response.status == 429:
                refused.append(response.status)
                return
            assert response.status == 200
            kept.append(response.headers["x-smcs-run-id"])


async def test_a_server_killed_under_load_loses_no_run_it_acknowledged_and_no_budget_is_passed(tmp_path: Path) -> None:
    database = tmp_path / "gateway.db"
    text, key = await make_key(database)
    kept: list[str] = []
    refused: list[int] = []
    for _ in range(3):
        before = len(kept)
        async with serve_process(tmp_path, written(), "--database", str(database)) as served:
            clients = [asyncio.create_task(ask_on(served.url, text, kept, refused)) for _ in range(CLIENTS)]
            while len(kept) < before + KEPT and not all(client.done() for client in clients):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            served.signal(signal.SIGKILL)
            await served.process.wait()
            for client in clients:
                await client
    async with Ledger.open(database) as ledger:
        rows = [await ledger.run(run_id) for run_id in kept]
        use = (await ledger.key_use())[key.id]
        spent = await ledger.spend(by="key")
    assert len(kept) >= KEPT
    assert all(row is not None and row.row.status in ("ok", "degraded") for row in rows)
    assert len(set(kept)) == len(kept)
    assert use.usd_today + use.usd_held <= BUDGET
    assert sum(row.known_cost_usd for row in spent) <= BUDGET


async def ask_through(url: str, key: str, kept: list[str], refused: list[str]) -> None:
    """Ask until money runs out, whatever happens to the database; note runs that were answered, and refusals."""
    body = {"model": "smcs/moa", "messages": user(), "max_tokens": 16}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        while True:
            async with session.post(url + CHAT, json=body) as response:
                told = await response.json()
            if response.status == 429:
                assert told["error"]["code"] == "insufficient_quota"
                return
            if response.status == 503:
                refused.append(told["error"]["code"])
                assert int(response.headers["Retry-After"]) >= 1
                await asyncio.sleep(0.1)
                continue
            assert response.status == 200, told
            kept.append(response.headers["x-smcs-run-id"])


async def until(grown: list[str], count: int, clients: list[asyncio.Task[None]]) -> None:
    """Wait until a list has so many entries."""
    while len(grown) < count:
        assert not all(client.done() for client in clients), "nobody asks any more"
        await asyncio.sleep(0.01)


async def test_postgresql_killed_under_load_loses_no_run_that_was_acknowledged_and_no_budget_is_passed(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    database = Place("postgresql", postgres.url, prefix="crash_").url("ledger")
    text, key = await make_key(database)
    kept: list[str] = []
    refused: list[str] = []
    async with serve_process(tmp_path, written(), "--database", database) as served, asyncio.TaskGroup() as group:

        def client() -> asyncio.Task[None]:
            return group.create_task(ask_through(served.url, text, kept, refused))

        clients = [client() for _ in range(8)]
        await until(kept, 20, clients)
        await asyncio.to_thread(postgres.kill)
        try:
            await asyncio.sleep(2.2)  # for so long keys are known without asking the database
            clients.append(client())
            await until(refused, 3, clients)
        finally:
            before = len(kept)
            await asyncio.to_thread(postgres.start)
    assert len(kept) >= before + 20
    assert set(refused) == {"ledger_unavailable"}
    async with Ledger.open(database) as ledger:
        rows = {row.id: row for row in await ledger.runs(limit=1_000)}
        use = (await ledger.key_use())[key.id]
    assert len(kept) == len(set(kept)) >= 40
    assert {rows[run_id].status for run_id in kept} <= {"ok", "degraded"}
    assert sum(row.charged_usd for row in rows.values()) == pytest.approx(use.usd_today), "each is charged once"
    assert (use.running, use.usd_held) == (0, 0)
    assert BUDGET / 2 < use.usd_today <= BUDGET
    assert served.process.returncode == 0
    assert "Traceback" not in "".join(served.lines)


async def test_what_a_killed_server_held_is_settled_by_the_next_one_without_hands(tmp_path: Path) -> None:
    """The lease is made to end at once, by the clock of the one who looks after it."""
    database = tmp_path / "gateway.db"
    text, key = await make_key(database)
    slow = {"*": {"text": "It is 7.", "seconds": 30}}
    async with (
        upstream(slow) as up,
        aiohttp.ClientSession() as session,
        serve_process(tmp_path, written(pool=pool(up.base_url)), "--database", str(database)) as served,
    ):
        asked = asyncio.create_task(
            session.post(
                served.url + CHAT,
                json={"model": "alpha", "messages": user(), "max_tokens": 16},
                headers={"Authorization": f"Bearer {text}"},
            )
        )
        await up.until(running=1)
        served.signal(signal.SIGKILL)
        await served.process.wait()
        with pytest.raises(aiohttp.ClientError):
            await asked
    async with Ledger.open(database, clock=lambda: time.time() + 3600) as ledger:
        assert await ledger.maintain() == 1
        row = (await ledger.runs(status="lost"))[0]
        use = await ledger.key_use()
    assert (row.key_id, row.cost_usd) == (key.id, None)
    assert row.charged_usd > 0
    assert use[key.id].running == 0
    assert use[key.id].usd_held == 0


async def test_upstreams_that_break_off_under_load_are_used_again_without_hands(tmp_path: Path) -> None:
    body = {"model": "smcs/rps", "messages": user()}
    gateway = {"breaker_failures": 2, "breaker_seconds": 0.3}
    async with (
        aiohttp.ClientSession() as session,
        upstream() as up,
        serve_process(tmp_path, written(pool=pool(up.base_url), gateway=gateway)) as served,
    ):
        well = await _statuses(session, served.url, body)
        up.script["*"] = {"behaviour": "drop"}
        down = await _statuses(session, served.url, body)
        received = up.received
        await _statuses(session, served.url, body)
        spared = up.received - received
        del up.script["*"]
        while await _statuses(session, served.url, body) != {200}:  # noqa: ASYNC110 a breaker closes by being tried
            await asyncio.sleep(0.1)
    assert well == {200}
    assert down <= {502, 504}
    assert spared < 3 * CLIENTS


async def _statuses(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> set[int]:
    """Ask many times at once."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_status(session, url, body)) for _ in range(CLIENTS)]
    return {task.result() for task in tasks}


async def _status(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> int:
    async with session.post(url + CHAT, json=body) as response:
        await response.read()
        return response.status
