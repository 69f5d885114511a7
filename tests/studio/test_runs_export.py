from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from helpers_ledger import entry, full_run, sqlite_ledgers
from smcs.gateway.entries import Entry, RunFilter
from smcs.gateway.ledger import Hold, KeyLimits, KeyRecord, Ledger
from smcs.studio.frame import Studio
from smcs.studio.runs import export as module
from smcs.studio.runs.export import (
    DOWNLOADS,
    export_address,
    export_run,
    export_runs,
    lines,
    run_export_address,
)
from smcs.studio.runs.filters import Filters
from smcs.studio.viewer import Viewer


@dataclass
class Kept:
    """A gateway of which only the ledger is there."""

    ledger: Ledger


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledgers = sqlite_ledgers(tmp_path)
    yield ledgers.open()
    await ledgers.close()


async def write(ledger: Ledger, made: Entry, key: KeyRecord | None = None) -> str:
    await ledger.settle(await ledger.reserve(key, Hold(0.0, 0)), made)
    return made.id


def studio(ledger: Ledger, key: KeyRecord | None = None) -> Studio:
    return Studio(cast("Any", Kept(ledger)), Viewer(key), cast("Any", None))


def request(query: str = "", **path: str) -> Request:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": query.encode()}
    return Request({**scope, "path_params": path})


async def body_of(response: Any) -> list[dict[str, Any]]:
    assert isinstance(response, StreamingResponse)
    body = b"".join([piece async for piece in response.body_iterator])  # type: ignore[misc]
    return [json.loads(line) for line in body.splitlines()]


def test_addresses() -> None:
    assert set(DOWNLOADS) == {"/studio/export", "/studio/export/{run_id}"}
    assert export_address(Filters(model="a&b")) == "/studio/export?model=a%26b"
    assert run_export_address("x") == "/studio/export/x"


async def test_export_is_what_the_ledger_exports_newest_first(ledger: Ledger, tmp_path: Path) -> None:
    run = full_run()
    for i in range(3):
        await write(ledger, entry(i, model="mine"))
    made = Entry.of_run(replace(run, created="2025-11-23T00:00:00+00:00"), endpoint="studio", model="mine")
    await write(ledger, made)
    await write(ledger, entry(9, model="other"))
    await ledger.feedback(run.id, "good", "7")
    response = await export_runs(request("model=mine"), studio(ledger))
    found = await body_of(response)
    assert response.headers["content-disposition"].startswith('attachment; filename="smcs-runs-')
    assert response.headers["cache-control"] == "no-store"
    await ledger.export(tmp_path / "all.jsonl", RunFilter(model="mine"))
    expected = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert found == expected[::-1]
    assert found[0]["record"]["answer"] == run.answer
    assert found[0]["feedback"][0]["answer"] == "7"


async def test_export_reads_as_it_is_read(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    ids = [await write(ledger, entry(i)) for i in range(5)][::-1]
    looked_up: list[str] = []
    plain = ledger.run

    async def counting(run_id: str) -> Any:
        looked_up.append(run_id)
        return None if run_id == ids[1] else await plain(run_id)

    monkeypatch.setattr(ledger, "run", counting)
    sent = lines(ledger, RunFilter(), await ledger.runs(limit=2))
    first = await anext(sent)
    assert json.loads(first)["row"]["id"] == ids[0]
    assert looked_up == ids[:1]
    rest = [json.loads(line)["row"]["id"] async for line in sent]
    assert rest == ids[2:]


@pytest.mark.parametrize("query", ["status=nope", "since=x", "key=nobody", "text=" + "x" * 999])
async def test_export_of_a_filter_that_cannot_be_used_is_refused(ledger: Ledger, query: str) -> None:
    response = await export_runs(request(query), studio(ledger))
    assert response.status_code == 400


async def test_others_get_their_own_runs_only(ledger: Ledger) -> None:
    _, ann = await ledger.create_key("ann")
    _, bob = await ledger.create_key("bob")
    _, root = await ledger.create_key("root", KeyLimits(admin=True))
    hers, his = await write(ledger, entry(1), ann), await write(ledger, entry(2), bob)

    async def seen(query: str, key: KeyRecord | None) -> list[str]:
        return [line["row"]["id"] for line in await body_of(await export_runs(request(query), studio(ledger, key)))]

    assert await seen("", ann) == [hers]
    assert await seen("", root) == [his, hers]
    assert await seen("key=bob", root) == [his]
    assert await seen("key=-", root) == []
    assert (await export_runs(request("key=bob"), studio(ledger, ann))).status_code == 400


async def test_one_run_is_sent_to_who_may_read_it(ledger: Ledger) -> None:
    _, ann = await ledger.create_key("ann")
    _, bob = await ledger.create_key("bob")
    run_id = await write(ledger, entry(1), ann)

    async def status(key: KeyRecord | None, wanted: str = run_id) -> int:
        return (await export_run(request(run_id=wanted), studio(ledger, key))).status_code

    assert await status(ann) == 200
    assert await status(bob) == await status(bob, "f" * 32) == await status(bob, "../etc/passwd") == 404
    refused = [await export_run(request(run_id=each), studio(ledger, bob)) for each in (run_id, "f" * 32)]
    assert bytes(refused[0].body).replace(run_id.encode(), b"") == bytes(refused[1].body).replace(b"f" * 32, b"")
    await ledger.share(run_id, ann.id)
    assert await status(bob) == 200
    response = await export_run(request(run_id=run_id), studio(ledger, bob))
    assert json.loads(bytes(response.body))["row"]["id"] == run_id
    assert response.headers["content-disposition"] == f'attachment; filename="smcs-run-{run_id}.json"'
