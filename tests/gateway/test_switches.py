"""LLMs that are switched off by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers_gateway import Answer, Served, found_config, gateway, user
from helpers_ledger import Ledgers
from smcs.errors import InputError
from smcs.gateway.access import switch_llm
from smcs.gateway.database import LedgerUnavailableError
from smcs.gateway.errors import GatewayError
from smcs.gateway.ledger import Ledger
from smcs.gateway.switches import Switch, SwitchBoard

ALPHA = Switch("alpha", "", "", "2025-11-22T12:00:00.000+00:00", "")


async def asked_of(served: Served, model: str, **body: Any) -> tuple[set[str], tuple[str, ...]]:
    """Return which LLMs a run called, and in what it was degraded."""
    answer = await served.chat(model, **body)
    assert answer.status == 200, answer.body
    stored = await served.gateway.ledger.run(answer.smcs["run_id"])
    assert stored is not None
    return {attempt.llm for attempt in stored.attempts}, stored.row.degraded


async def test_a_switch_is_kept_and_known_elsewhere(ledgers: Ledgers) -> None:
    here, there = ledgers.open(), ledgers.open()
    _, key = await here.create_key("team")
    assert await there.switches() == {}
    assert await here.switch("alpha", True, "too slow \x00today", key.id) == here.switched_off
    await here.switch("beta", True)
    assert there.switched_off == {}
    found = await there.switches()
    assert found == here.switched_off == there.switched_off
    alpha = found["alpha"]
    assert (alpha.key_id, alpha.by, alpha.why, alpha.words) == (
        key.id,
        "team",
        "too slow today",
        "switched off by team",
    )
    assert alpha.created.startswith("2025-11-22T12:00:00")
    assert found["beta"].words == "switched off by hand"
    await there.switch("alpha", True, "still slow")
    assert set(await here.switch("beta", False)) == {"alpha"}
    assert here.switched_off["alpha"].why == "still slow"
    assert await here.switch("alpha", False) == await here.switch("never", False) == {}
    for wrong in ("", "x" * 301, "a\x00b"):
        with pytest.raises(InputError, match="1 to 300 characters"):
            await here.switch(wrong, True)


async def test_what_is_off_is_not_asked_and_runs_say_so(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        boss, team = await served.key("boss", admin=True), await served.key("team")
        ledger = served.gateway.ledger
        admin = await ledger.authenticate(boss)
        await switch_llm(served.gateway, "beta", off=True, why="too slow", key=admin)
        asked, degraded = await asked_of(served, "smcs/moa", key=team)
        by_name = await served.chat("beta", key=team)
        only = await asked_of(served, "smcs/majority_vote", key=team, smcs={"include": ["beta"]})
        assert served.gateway.service.out == {"beta": "switched off by boss"}
        # the one aggregator has no deputy, so it goes on to merge
        await switch_llm(served.gateway, "alpha", off=True, key=admin)
        merged, without = await asked_of(served, "smcs/moa", key=team)
        await served.gateway.reload(found_config(tmp_path))
        assert set(served.gateway.service.out) == {"alpha", "beta"}
        for llm in ("alpha", "beta"):
            await switch_llm(served.gateway, llm, off=False, key=admin)
        assert await asked_of(served, "smcs/moa", key=team) == ({"alpha", "beta", "gamma"}, ())
        rows = await served.rows()
    assert asked == {"alpha", "gamma"}
    assert degraded == ("out, so not asked: beta (switched off by boss)",)
    assert (by_name.status, by_name.error["code"]) == (503, "llm_switched_off")
    assert by_name.error["message"].startswith("'beta' is switched off by boss since 20")
    assert by_name.error["message"].endswith("Z: too slow. Ask another model.")
    assert only == ({"beta"}, ("out, but there is nobody else to ask: beta (switched off by boss)",))
    assert merged == {"alpha", "gamma"}
    assert any("nobody else to ask: alpha" in reason for reason in without)
    assert len(rows) == 4


async def test_what_is_off_is_neither_planned_with_nor_listed(tmp_path: Path) -> None:
    text = "gateway: {models: {its: {strategy: self_moa, parameters: {llm: beta}}, ours: {strategy: self_moa}}}"

    async def estimate(served: Served, model: str, **body: Any) -> Answer:
        return await served.post("/v1/estimate", {"model": model, "messages": user(), **body})

    async def listed(served: Served) -> set[str]:
        return {model["id"] for model in (await served.get("/v1/models")).json["data"]}

    async with gateway(tmp_path, text) as served:
        on, before = await listed(served), (await estimate(served, "smcs/moa")).json
        await switch_llm(served.gateway, "beta", off=True, why="too slow", key=None)
        off, after = await listed(served), (await estimate(served, "smcs/moa")).json
        refused = [
            await estimate(served, "beta"),
            await estimate(served, "its"),
            await served.get("/v1/models/beta"),
            await served.get("/v1/models/its"),
            await served.chat("its"),
        ]
        only = await estimate(served, "smcs/majority_vote", smcs={"include": ["beta"]})
        ready = await served.get("/ready")
        await switch_llm(served.gateway, "beta", off=False, key=None)
        assert await listed(served) == on
        assert (await estimate(served, "beta")).status == 200
    assert on - off == {"beta", "its"}
    assert {"alpha", "ours", "smcs"} <= off
    assert (before["calls"], after["calls"]) == (4, 3)
    for answer in refused:
        assert (answer.status, answer.error["code"]) == (503, "llm_switched_off")
        assert answer.error["message"].startswith("'beta' is switched off by hand since 20")
        assert "too slow" in answer.error["message"]
    assert only.status == 200, "as the run, which asks it where nobody else may be asked"
    assert (ready.status, ready.json["llms_out"], ready.json["llms_off"]) == (200, [], ["beta"])


async def test_who_may_switch_what(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        running = served.gateway
        key = await running.ledger.authenticate(await served.key("team"))
        assert key is not None
        with pytest.raises(GatewayError, match="--admin") as refused:
            await switch_llm(running, "alpha", off=True, key=key)
        with pytest.raises(GatewayError, match="Did you mean 'alpha'") as unknown:
            await switch_llm(running, "alpah", off=True, key=None)
        assert running.ledger.switched_off == {}
        # one that left the pool while it was off may be cleared away
        await running.ledger.switch("gone", True)
        assert running.service.out == {}
        assert await switch_llm(running, "gone", off=False, key=None) == {}
    assert (refused.value.status, unknown.value.status) == (403, 404)


async def test_a_running_server_sees_what_another_process_switches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smcs.gateway.switches._LOOK_SECONDS", 0.02)
    async with Ledger.open(tmp_path / "smcs-gateway.db") as other:
        await other.switch("gamma", True)
        async with gateway(tmp_path) as served:
            assert set(served.gateway.service.out) == {"gamma"}
            await other.switch("beta", True)
            async with asyncio.timeout(10):
                while set(served.gateway.service.out) != {"beta", "gamma"}:  # noqa: ASYNC110 the board tells nobody
                    await asyncio.sleep(0.01)


async def test_while_the_database_fails_what_is_known_stays_in_force(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("smcs.gateway.switches._LOOK_SECONDS", 0.001)
    fails, looks = False, 0

    async def load() -> Mapping[str, Switch]:
        nonlocal looks
        looks += 1
        if fails:
            raise LedgerUnavailableError("gone")
        return {"alpha": ALPHA}

    async def until(count: int) -> None:
        async with asyncio.timeout(5):
            while looks < count:  # noqa: ASYNC110 the board tells nobody
                await asyncio.sleep(0.001)

    board = SwitchBoard(load)
    watching = asyncio.create_task(board.watch())
    await until(2)
    fails = True
    await until(looks + 5)
    assert board.off == {"alpha": ALPHA}
    assert len([record for record in caplog.records if "the old view stays" in record.message]) == 1
    with pytest.raises(LedgerUnavailableError):
        await board.look()
    watching.cancel()
    await asyncio.wait({watching})


async def test_a_look_that_began_earlier_does_not_undo_a_later_one() -> None:
    answers = [{"alpha": ALPHA}, {}]
    let_go = asyncio.Event()

    async def load() -> Mapping[str, Switch]:
        answer = answers.pop(0)
        if answer:
            await let_go.wait()
        return answer

    board = SwitchBoard(load)
    early, late = asyncio.create_task(board.look()), asyncio.create_task(board.look())
    await asyncio.sleep(0)
    let_go.set()
    assert (await early, await late, board.off) == ({"alpha": ALPHA}, {}, {})
