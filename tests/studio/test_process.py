"""The studio's process beside the one that answers the API: both real, behind one port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from helpers_gateway import ServeProcess, pool, serve_process, user

HEAD = "<title>Runs"
_PATIENCE = 60.0


def written(*llms: str) -> dict[str, object]:
    """Return a config as a file has it."""
    plain: dict[str, Mapping[str, Any]] = {name: {} for name in llms}
    members = pool(None, **plain)
    return {
        "pool": members,
        "aggregators": ["alpha"],
        "embedder": {"kind": "hashing"},
        "bank": "bank.db",
        "gateway": {"stop_seconds": 3},
    }


async def children(served: ServeProcess) -> list[int]:
    """Return the studio's processes."""
    found: list[int] = []
    for task in os.listdir(f"/proc/{served.process.pid}/task"):  # noqa: PTH208 what is read is in memory
        path = f"/proc/{served.process.pid}/task/{task}/children"
        for child in (await asyncio.to_thread(Path(path).read_text)).split():
            command = await asyncio.to_thread(Path(f"/proc/{child}/cmdline").read_bytes)
            if b"smcs.studio.process" in command:
                found.append(int(child))
    return found


async def page(session: aiohttp.ClientSession, url: str) -> str:
    async with asyncio.timeout(_PATIENCE), session.get(f"{url}/runs") as answer:
        assert answer.status == 200
        return await answer.text()


async def ask(session: aiohttp.ClientSession, url: str, model: str = "alpha") -> int:
    async with session.post(f"{url}/v1/chat/completions", json={"model": model, "messages": user()}) as answer:
        await answer.read()
        return answer.status


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(_PATIENCE):
        while os.path.exists(f"/proc/{pid}"):  # noqa: ASYNC110, ASYNC240, PTH110 a process tells nobody of its end
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
async def test_pages_and_api_behind_one_port(workers: int, tmp_path: Path) -> None:
    arguments = ("--studio", "--workers", str(workers))
    async with (
        serve_process(tmp_path, written(), *arguments) as served,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
    ):
        for _ in range(3):
            assert HEAD in await page(session, served.url)
            assert await ask(session, served.url) == 200
        [pages] = await children(served)
        served.signal(signal.SIGTERM)
        assert await served.process.wait() == 0
        await until_gone(pages)
    lines = [json.loads(line) for line in served.lines]
    assert not [line for line in lines if line["level"] in ("warning", "error")]
    assert sum(line["message"] == "request" for line in lines) == 3


async def test_a_studio_that_dies_takes_nothing_with_it(tmp_path: Path) -> None:
    async with (
        serve_process(tmp_path, written(), "--studio") as served,
        aiohttp.ClientSession(headers={"Connection": "close"}) as session,
    ):
        assert HEAD in await page(session, served.url)
        [first] = await children(served)
        os.kill(first, signal.SIGKILL)
        assert await ask(session, served.url) == 200
        await served.logged("is started again")
        assert HEAD in await page(session, served.url)
        [second] = await children(served)
        assert second != first


async def test_it_does_not_outlive_a_server_that_is_killed(tmp_path: Path) -> None:
    async with serve_process(tmp_path, written(), "--studio") as served, aiohttp.ClientSession() as session:
        assert HEAD in await page(session, served.url)
        [pages] = await children(served)
        served.process.kill()
        await until_gone(pages)


async def test_another_config_is_shown_too(tmp_path: Path) -> None:
    async with serve_process(tmp_path, written(), "--studio") as served, aiohttp.ClientSession() as session:
        assert HEAD in await page(session, served.url)
        await asyncio.to_thread(served.config.write_text, "pool: []")
        served.signal(signal.SIGHUP)
        await served.logged("the old one stays in force")
        served.config.write_text(yaml.safe_dump(written("alpha", "delta")))
        served.signal(signal.SIGHUP)
        await served.logged("is in force")
        assert await ask(session, served.url, "delta") == 200
        async with asyncio.timeout(_PATIENCE):
            while sum("is in force" in line for line in served.lines) < 2:  # noqa: ASYNC110 lines are read by another task
                await asyncio.sleep(0.05)
        assert HEAD in await page(session, served.url)
