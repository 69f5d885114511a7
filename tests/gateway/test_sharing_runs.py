"""Runs that are shared inside a team, and keys that may read all of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from helpers_gateway import Served, gateway
from helpers_ledger import Ledgers, entry
from smcs.gateway.access import is_admin, owns, read_run, share_run, unshare_run
from smcs.gateway.errors import GatewayError
from smcs.gateway.feedback import FeedbackRequest, give
from smcs.gateway.ledger import Hold, KeyRecord, Ledger, NoSuchRunError


async def add_run(ledger: Ledger, key_id: str = "", **changes: Any) -> str:
    made = entry(key_id=key_id, **changes)
    await ledger.settle(await ledger.reserve(None, Hold(0.0, 0)), made)
    return made.id


async def key_of(served: Served, text: str) -> KeyRecord:
    key = await served.gateway.ledger.authenticate(text)
    assert key is not None
    return key


async def test_a_run_is_shared_until_it_is_taken_back(ledgers: Ledgers) -> None:
    here, there = ledgers.open(), ledgers.open()
    run = await add_run(here)
    assert not await here.is_shared(run)
    first = await here.share(run, "0123456789ab")
    ledgers.clock.now += 5
    assert await there.share(run, "ba9876543210") == first
    assert await there.is_shared(run)
    assert (first.run_id, first.key_id, first.created[:19]) == (run, "0123456789ab", "2025-11-22T12:00:00")
    assert await there.unshare(run)
    assert not await there.unshare(run)
    assert not await here.is_shared(run)


@pytest.mark.parametrize("run_id", ["", "x", "0" * 32, "' OR 1=1 --", "../../etc/passwd"])
async def test_only_a_run_is_shared(sqlite: Ledgers, run_id: str) -> None:
    ledger = sqlite.open()
    with pytest.raises(NoSuchRunError):
        await ledger.share(run_id)
    assert not await ledger.is_shared(run_id)
    assert not await ledger.unshare(run_id)


async def test_a_run_that_is_forgotten_is_not_shared_any_more(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    old, new = await add_run(ledger, created="2025-11-01T00:00:00+00:00"), await add_run(ledger)
    for run in (old, new):
        await ledger.share(run)
    assert await ledger.prune(timedelta(days=7), records_only=True) == 0
    assert await ledger.is_shared(old)
    assert await ledger.prune(timedelta(days=7)) == 1
    assert (await ledger.is_shared(old), await ledger.is_shared(new)) == (False, True)


async def test_who_may_read_share_and_judge_a_run(tmp_path: Path) -> None:
    async with gateway(tmp_path, "gateway: {learn: false}") as served:
        ledger = served.gateway.ledger
        free = (await served.chat()).smcs["run_id"]
        texts = {name: await served.key(name, admin=name == "boss") for name in ("alice", "bob", "boss")}
        keys = {name: await key_of(served, text) for name, text in texts.items()}
        run = (await served.chat(key=texts["alice"])).smcs["run_id"]

        async def readers(run_id: str) -> set[str]:
            found = {name: await served.get(f"/v1/runs/{run_id}", key=text) for name, text in texts.items()}
            for name, answer in found.items():
                if answer.status == 200:
                    assert answer.json["row"]["id"] == (await read_run(ledger, run_id, keys[name])).row.id == run_id
                else:
                    assert (answer.status, answer.error["code"]) == (404, "run_not_found")
            return {name for name, answer in found.items() if answer.status == 200}

        assert await readers(run) == {"alice", "boss"}
        assert await readers(free) == {"boss"}
        with pytest.raises(GatewayError, match="no run") as hidden:
            await share_run(ledger, run, keys["bob"])
        await share_run(ledger, run, keys["alice"])
        assert await readers(run) == {"alice", "bob", "boss"}
        for change in (share_run, unshare_run):
            with pytest.raises(GatewayError, match="another key's") as refused:
                await change(ledger, run, keys["bob"])
            assert refused.value.status == 403
        said = await served.post("/v1/feedback", {"run_id": run, "verdict": "good"}, key=texts["bob"])
        mine = await give(served.gateway, FeedbackRequest(run_id=run, verdict="bad"), keys["alice"])
        await unshare_run(ledger, run, keys["boss"])
        assert await readers(run) == {"alice", "boss"}
        with pytest.raises(GatewayError, match="no run"):
            await give(served.gateway, FeedbackRequest(run_id=run, verdict="bad"), keys["bob"])
        stored = await read_run(ledger, run, keys["boss"])
    assert hidden.value.status == 404
    assert said.json.keys() == mine.keys() == {"object", "run_id", "created", "bank"}
    assert {each.key_id: each.verdict for each in stored.feedback} == {keys["bob"].id: "good", keys["alice"].id: "bad"}
    assert owns(None, stored.row)
    assert is_admin(None)
    assert [is_admin(keys[name]) for name in ("alice", "boss")] == [False, True]
