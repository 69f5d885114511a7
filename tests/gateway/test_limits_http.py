from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from helpers_gateway import CHAT, QUESTION, TOOL, Answer, Served, gateway, pool, user
from helpers_upstream import upstream

MOA, MAX = {"strategy": "moa"}, {"profile": "max"}
PATHS = ["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/estimate", "/v1/feedback"]


async def at_once(served: Served, count: int, **body: Any) -> list[Answer]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(served.chat(**body)) for _ in range(count)]
    return [task.result() for task in tasks]


async def test_keys_open_what_they_may(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        assert (await served.chat()).status == 200
        key = await served.key("alice", models=("smcs*",))
        missing = await served.chat()
        wrong = await served.chat(key=key[:-1] + "x")
        by_header = await served.chat(headers={"X-API-Key": key})
        given = await served.chat(key=key)
        foreign = await served.chat("alpha", key=key)
        for path in PATHS:
            assert (await served.post(path, {})).status == 401
        for path in ("/v1/models", "/v1/models/smcs", "/v1/runs/" + "0" * 32, "/metrics"):
            assert (await served.get(path)).status == 401
        await served.gateway.ledger.revoke_key("alice")
        await served.key("bob")
        revoked = await served.chat(key=key)
        rows = await served.rows()
    assert missing.status == wrong.status == revoked.status == 401
    assert missing.error["code"] == wrong.error["code"] == revoked.error["code"] == "invalid_api_key"
    assert missing.headers["WWW-Authenticate"].startswith("Bearer")
    assert key not in wrong.error["message"]
    assert by_header.status == given.status == 200
    assert (foreign.status, foreign.error["code"]) == (403, "model_not_allowed")
    assert [row.key_id for row in rows] == ["", key.split("-")[2], key.split("-")[2]]


async def test_a_key_for_one_model_cannot_reach_another_through_options(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        key = await served.key(models=("smcs", "smcs/rps"))
        plain = await served.chat("smcs", key=key)
        allowed = await served.chat("smcs", key=key, smcs={"strategy": "rps"})
        strategy = await served.chat("smcs", key=key, smcs=MOA)
        profile = await served.chat("smcs", key=key, smcs=MAX)
        bodies: list[dict[str, Any]] = [{"model": "alpha"}, {"model": "smcs", "smcs": MOA}]
        bodies.append({"model": "smcs", "smcs": MAX})
        estimates = [await served.post("/v1/estimate", {"messages": user(), **body}, key=key) for body in bodies]
    assert (plain.status, allowed.status) == (200, 200)
    assert strategy.status == profile.status == 403
    assert [(each.status, each.error["code"]) for each in estimates] == [(403, "model_not_allowed")] * 3


async def test_a_public_server_and_one_that_requires_keys_ask_everybody(tmp_path: Path) -> None:
    for folder, text, public in (("a", "", True), ("b", "gateway: {keys: required}", False)):
        (tmp_path / folder).mkdir()
        async with gateway(tmp_path / folder, text, public=public) as served:
            assert (await served.chat()).status == 401
            assert (await served.get("/health")).status == 200
            key = await served.key()
            assert (await served.chat(key=key, headers={"Host": "gateway.example"})).status == 200


async def test_requests_per_minute(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        key = await served.key(requests_per_minute=3)
        answers = await at_once(served, 6, key=key)
        streamed = await served.send(
            "POST",
            CHAT,
            json={"model": "smcs", "messages": user(), "stream": True},
            headers={"Authorization": f"Bearer {key}"},
        )
        rows = await served.rows()
    refused = [answer for answer in answers if answer.status == 429]
    assert len(answers) - len(refused) == 3
    for answer in (*refused, streamed):
        assert answer.error["code"] == "requests_per_minute"
        assert answer.error["type"] == "rate_limit_error"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert len(rows) == len(answers) - len(refused)


async def test_tokens_per_minute(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        key = await served.key(tokens_per_minute=300)
        small = await served.chat("alpha", key=key, max_tokens=20)
        large = await served.chat("alpha", key=key, max_tokens=400)
        many = await served.chat("alpha", key=key, max_tokens=60, n=6)
        tools = await served.chat("alpha", key=key, max_tokens=20, tools=[{**TOOL, "function": big_function()}])
    assert small.status == 200
    assert [each.status for each in (large, many, tools)] == [429] * 3
    assert {each.error["code"] for each in (large, many, tools)} == {"tokens_per_minute"}
    assert "max_tokens" in large.error["message"]


def big_function() -> dict[str, Any]:
    return {"name": "add", "description": "adds " * 300}


async def test_requests_at_the_same_time(tmp_path: Path) -> None:
    async with upstream({"*": {"seconds": 0.3}}) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        key = await served.key(max_concurrent=2)
        answers = await at_once(served, 5, model="alpha", key=key)
        after = await served.chat("alpha", key=key)
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429, 429]
    assert after.status == 200


@pytest.mark.parametrize(
    ("body", "budget"),
    [({}, 0.001), ({"n": 4}, 0.0016), ({"stream": True}, 0.001), ({"model": "smcs/smcs"}, 0.02)],
)
async def test_money_is_never_passed_by_many_at_once(tmp_path: Path, body: dict[str, Any], budget: float) -> None:
    script = {"*": {"text": " ".join(["word"] * 30), "seconds": 0.05}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        key = await served.key(usd_per_day=budget)
        sent = {"model": "alpha", "messages": user(), "max_tokens": 50, "smcs": {}, **body}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(served.post(CHAT, sent, key=key)) for _ in range(20)]
        answers = [task.result() for task in tasks]
        [use] = (await served.gateway.ledger.key_use()).values()
        rows = await served.rows()
    fine = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert 0 < len(fine) < 20
    assert len(fine) + len(refused) == 20
    assert {answer.error["code"] for answer in refused} == {"insufficient_quota"}
    assert use.usd_held == 0
    assert use.usd_today == pytest.approx(sum(row.cost_usd or 0 for row in rows))
    assert 0 < use.usd_today <= budget
    assert len(rows) == len(fine)
    assert all(row.cost_usd for row in rows)


async def test_a_request_without_a_bound_is_refused_for_a_key_with_money(tmp_path: Path) -> None:
    llms = pool(alpha={"price": None}, beta={})
    async with gateway(tmp_path, llms=llms) as served:
        key = await served.key(usd_per_day=1.0)
        unknown = await served.chat("alpha", key=key)
        together = await served.chat("smcs", key=key)
        bounded = await served.chat("beta", key=key)
    assert unknown.status == together.status == 429
    assert "price" in unknown.error["message"]
    assert bounded.status == 200


async def test_without_a_token_limit_one_is_set_where_money_is_limited(tmp_path: Path) -> None:
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        key = await served.key(usd_per_day=1.0)
        free = await served.key("free")
        await served.chat("alpha", key=key)
        await served.chat("alpha", key=free)
    limited, unlimited = up.requests
    assert limited["max_tokens"] == 8192
    assert "max_tokens" not in unlimited


async def test_what_failed_or_was_left_frees_what_it_held(tmp_path: Path) -> None:
    script: dict[str, dict[str, Any]] = {"*": {"behaviour": "status-500"}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        key = await served.key(usd_per_day=0.01, max_concurrent=1)
        failed = await served.chat("alpha", key=key, max_tokens=50)
        refused = await served.chat("alpha", key=key, max_tokens=50, smcs={"max_usd": 1e-9})
        up.script = {"*": {"behaviour": "hang"}}
        leaving = asyncio.create_task(served.chat("alpha", key=key, max_tokens=50))
        await up.until(running=1)
        leaving.cancel()
        await up.until(running=0)
        rows = await served.rows(3)
        [use] = (await served.gateway.ledger.key_use()).values()
    assert (failed.status, refused.status) == (502, 402)
    assert [row.status for row in rows] == ["failed", "failed", "cancelled"]
    assert (use.usd_held, use.running) == (0, 0)
    # what a call took that was given up is unknown, so it is charged in full
    assert use.usd_today == pytest.approx(sum(row.charged_usd for row in rows))


async def test_more_than_the_server_takes_on_is_503(tmp_path: Path) -> None:
    text = "gateway: {max_running: 1, max_waiting: 1, max_wait_seconds: 0.2}"
    async with upstream({"*": {"behaviour": "hang"}}) as up, gateway(tmp_path, text, pool(up.base_url)) as served:
        running = asyncio.create_task(served.chat("alpha"))
        await up.until(running=1)
        late, refused = await at_once(served, 2, model="alpha")
        streamed = await served.send("POST", CHAT, json={"model": "alpha", "messages": user(), "stream": True})
        running.cancel()
        rows = await served.rows(1)
    for answer in (late, refused, streamed):
        assert answer.status == 503
        assert answer.error["code"] == "overloaded"
        assert int(answer.headers["Retry-After"]) >= 1
    assert up.received == 1
    assert rows[0].status == "cancelled"


async def test_one_key_cannot_take_every_place(tmp_path: Path) -> None:
    text = "gateway: {max_running: 2, per_key_share: 0.5}"
    async with upstream({"alpha": {"behaviour": "hang"}}) as up, gateway(tmp_path, text, pool(up.base_url)) as served:
        alice, bob = await served.key("alice"), await served.key("bob")
        hanging = [asyncio.create_task(served.chat("alpha", key=alice)) for _ in range(2)]
        await up.until(running=1)
        answer = await served.chat("beta", key=bob)
        for task in hanging:
            task.cancel()
        await served.rows(3)
    assert answer.status == 200
    assert up.received == 2


async def test_every_run_is_in_the_ledger_exactly_once(tmp_path: Path) -> None:
    script: dict[str, dict[str, Any]] = {"beta": {"behaviour": "status-500"}, "gamma": {"behaviour": "hang"}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        key = await served.key()
        answers = await at_once(served, 5, model="alpha", key=key)
        answers += await at_once(served, 5, model="beta", key=key)
        streams = [await served.stream("alpha", key=key) for _ in range(3)]
        leaving = [asyncio.create_task(served.chat("gamma", key=key)) for _ in range(4)]
        await up.until(running=4)
        for task in leaving:
            task.cancel()
        rows = await served.rows(17)
        for _ in range(2):
            await served.chat("nope", key=key)
        assert len(await served.rows()) == 17
        totals = await served.gateway.ledger.totals()
    told = {answer.headers["x-smcs-run-id"] for answer in answers} | {s.smcs["run_id"] for s in streams}
    assert told < {row.id for row in rows}
    assert sorted(row.status for row in rows) == ["cancelled"] * 4 + ["failed"] * 5 + ["ok"] * 8
    assert totals.runs == 17
    assert totals.calls == up.received == 17


async def test_a_database_that_is_out_is_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from smcs.gateway.ledger import LedgerUnavailableError

    async with gateway(tmp_path) as served:
        key = await served.key(requests_per_minute=100)

        async def out(*_: Any, **__: Any) -> None:
            raise LedgerUnavailableError("gone, with a secret in it")

        for name in ("authenticate", "reserve", "settle"):
            with monkeypatch.context() as patch:
                patch.setattr(served.gateway.ledger, name, out)
                for path, body in ((CHAT, {"messages": user()}), ("/v1/responses", {"input": QUESTION})):
                    answer = await served.post(path, {"model": "smcs", **body}, key=key)
                    assert answer.status == 503
                    assert "secret" not in answer.error["message"]
                    assert answer.headers["Retry-After"]
        with monkeypatch.context() as patch:
            patch.setattr(served.gateway.ledger, "settle", out)
            stream = await served.stream("alpha", key=key)
        with monkeypatch.context() as patch:
            patch.setattr(served.gateway.ledger, "release", out)
            served.gateway.admission.close()
            refused = await served.chat("alpha", key=key)
        with monkeypatch.context() as patch:
            patch.setattr(served.gateway.ledger, "totals", out)
            ready = await served.get("/ready")
    assert stream.error is not None
    assert not stream.done
    assert (refused.status, refused.error["code"]) == (503, "overloaded")
    assert ready.status == 503
    assert ready.json["database"] is False
