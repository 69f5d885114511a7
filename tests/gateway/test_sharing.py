from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from helpers_gateway import gateway, pool
from helpers_upstream import upstream


async def test_caching_gives_an_answer_again_for_nothing(tmp_path: Path) -> None:
    async with upstream() as up, gateway(tmp_path, "gateway: {cache: {megabytes: 1}}", pool(up.base_url)) as served:
        first = await served.chat(temperature=0)
        asked = up.received
        again = await served.chat(temperature=0)
        streamed = await served.stream(temperature=0)
        assert up.received == asked
        sampled = [await served.chat(), await served.chat()]
        assert up.received > asked
        alone = [await served.chat("alpha", seed=1, logprobs=True) for _ in range(2)]
        stream = await served.stream("alpha", seed=1, logprobs=True)
        rows = await served.rows()
    assert again.text == first.text
    assert again.headers["x-smcs-cached"] == "true"
    assert float(again.headers["x-smcs-cost-usd"]) == 0 < float(first.headers["x-smcs-cost-usd"])
    assert again.smcs["run_id"] != first.smcs["run_id"]
    assert again.json["id"] == f"chatcmpl-{again.smcs['run_id']}"
    assert streamed.joined() == first.text
    assert streamed.smcs["cached"] is True
    assert not any(each.smcs["cached"] for each in sampled)
    assert [each.smcs["cached"] for each in alone] == [False, True]
    assert alone[0].json["choices"] == alone[1].json["choices"]
    assert alone[1].json["choices"][0]["logprobs"]
    assert [delta for delta in stream.deltas() if delta.get("content")]
    assert any(choice.get("logprobs") for event in stream.events for choice in event["choices"])
    by_id = {row.id: row for row in rows}
    assert by_id[again.smcs["run_id"]].cached
    assert by_id[again.smcs["run_id"]].cost_usd == 0


async def test_keys_do_not_share_answers_unless_they_may(tmp_path: Path) -> None:
    for folder, shared in ((tmp_path / "own", False), (tmp_path / "shared", True)):
        folder.mkdir()
        async with gateway(folder, f"gateway: {{cache: {{megabytes: 1, shared: {json.dumps(shared)}}}}}") as served:
            alice, bob = await served.key("alice"), await served.key("bob")
            await served.chat(temperature=0, key=alice)
            assert (await served.chat(temperature=0, key=bob)).smcs["cached"] is shared
            found = await served.chat(temperature=0, key=alice)
            assert found.smcs["cached"] is True
            assert (await served.get(f"/v1/runs/{found.smcs['run_id']}", key=alice)).status == 200


async def test_failures_and_degraded_answers_are_not_kept(tmp_path: Path) -> None:
    script: dict[str, dict[str, Any]] = {"*": {"behaviour": "status-500"}}
    async with (
        upstream(script) as up,
        gateway(tmp_path, "gateway: {cache: {megabytes: 1}}", pool(up.base_url)) as served,
    ):
        assert (await served.chat(temperature=0)).status == 502
        up.script = {"beta": {"behaviour": "status-500"}}
        assert (await served.chat("smcs/smcs", temperature=0)).smcs["degraded"]
        up.script = {}
        healed = [await served.chat(model, temperature=0) for model in ("smcs", "smcs/smcs")]
    assert [(each.status, each.smcs["cached"], each.smcs["degraded"]) for each in healed] == [(200, False, False)] * 2


@pytest.mark.parametrize("model", ["smcs/smcs", "alpha"])
async def test_identical_requests_run_once_and_are_paid_once(tmp_path: Path, model: str) -> None:
    async with upstream({"*": {"seconds": 0.2}}) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        alone = await served.chat(model, temperature=0, seed=1)
        calls, up.received = up.received, 0
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(served.chat(model, temperature=0, seed=2)) for _ in range(5)]
        rows = await served.rows(6)
    answers = [task.result() for task in tasks]
    assert up.received == calls
    assert {answer.text for answer in answers} == {alone.text}
    assert sorted(answer.smcs["cached"] for answer in answers) == [False, True, True, True, True]
    assert len({answer.smcs["run_id"] for answer in answers}) == 5
    assert sum(row.cost_usd or 0 for row in rows[1:]) == pytest.approx(alone.smcs["cost_usd"])


async def test_a_shared_failure_is_told_to_everybody_and_paid_once(tmp_path: Path) -> None:
    script = {"*": {"seconds": 0.2, "behaviour": "status-500"}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(served.chat("alpha", temperature=0)) for _ in range(3)]
        rows = await served.rows(3)
    answers = [task.result() for task in tasks]
    assert up.received == 1
    assert {answer.status for answer in answers} == {502}
    assert {answer.headers["x-smcs-run-id"] for answer in answers} == {row.id for row in rows}
    assert sorted(row.calls for row in rows) == [0, 0, 1]


async def test_streams_that_are_the_same_are_all_whole(tmp_path: Path) -> None:
    async with upstream({"*": {"pause": 0.02}}) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        for model in ("alpha", "smcs/smcs"):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(served.stream(model, temperature=0)) for _ in range(3)]
                whole = group.create_task(served.chat(model, temperature=0))
            for stream in (task.result() for task in tasks):
                assert stream.joined() == "It is 42."
                assert stream.done
                assert stream.finish == "stop"
            assert whole.result().text == "It is 42."


async def test_who_begins_a_shared_run_and_leaves_pays_for_it(tmp_path: Path) -> None:
    async with upstream({"*": {"seconds": 2.0}}) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        leader = asyncio.create_task(served.chat("alpha", temperature=0))
        await up.until(running=1)
        [flight] = served.gateway.coalescer._flights.values()
        follower = asyncio.create_task(served.chat("alpha", temperature=0))
        async with asyncio.timeout(20):
            while len(flight.readers) < 2:  # noqa: ASYNC110 the coalescer tells nobody
                await asyncio.sleep(0.005)
        leader.cancel()
        answer = await follower
        rows = {row.status: row for row in await served.rows(2)}
    assert answer.status == 200
    assert up.received == 1
    assert up.cancelled == 0
    assert (rows["cancelled"].calls, rows["ok"].calls) == (1, 0)
    assert (rows["cancelled"].cost_usd or 0) > 0 == rows["ok"].cost_usd
