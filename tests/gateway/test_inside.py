"""Questions asked by pages, in the gateway's process and from another: ledger, limits, refusals are those of HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from helpers_gateway import QUESTION, Served, gateway, pool, user
from helpers_upstream import Upstream, upstream
from smcs.gateway.annex.answering import answering
from smcs.gateway.annex.calling import DistantDesk
from smcs.gateway.desk import Desk, OwnDesk
from smcs.gateway.errors import GatewayError
from smcs.gateway.inside import ENDPOINT, Asked, Listener, build_request
from smcs.gateway.ledger import KeyRecord, Ledger, LedgerUnavailableError
from smcs.gateway.protocol import ChatRequest, SmcsOptions, parse_chat
from smcs.run import AnswerBegins, Event, RunFinished, RunStarted, TextArrived
from smcs.types import Message, Sampling

DESKS: dict[str, Callable[[Served, Path], Desk]] = {
    "own": lambda served, _: OwnDesk(served.gateway),
    "distant": lambda _, folder: DistantDesk(folder),
}
desk_of = DESKS["own"]
"""Where questions are asked."""

HANG: dict[str, Mapping[str, Any]] = {"*": {"behaviour": "hang"}}


@pytest.fixture(params=sorted(DESKS), autouse=True)
def _desk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "desk_of", DESKS[request.param])


async def asked_at_desk(served: Served, request: ChatRequest, key: KeyRecord | None, **options: Any) -> Asked:
    with tempfile.TemporaryDirectory() as name:
        async with answering(served.gateway, Path(name)):
            return await desk_of(served, Path(name)).ask(request, key, **options)


async def record_of(served: Served, text: str | None) -> KeyRecord | None:
    return None if text is None else await served.gateway.ledger.authenticate(text)


async def inside(served: Served, model: str = "smcs", *, key: str | None = None, **body: Any) -> Asked:
    """Ask what `Served.chat` would send."""
    listener = body.pop("listener", None)
    request = parse_chat(json.dumps({"model": model, "messages": user(), **body}).encode())
    return await asked_at_desk(served, request, await record_of(served, key), listener=listener)


async def refusal(served: Served, model: str = "smcs", **body: Any) -> dict[str, Any]:
    """Return what is told of a refused question, inside; it must be what HTTP says, in every word."""
    with pytest.raises(GatewayError) as caught:
        await inside(served, model, **body)
    answer = await served.chat(model, **body)
    error = caught.value
    assert (error.status, error.body()) == (answer.status, answer.json)
    assert ("x-smcs-run-id" in error.headers) == ("x-smcs-run-id" in answer.headers)
    return {"status": error.status, **answer.error}


async def pairs(served: Served) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the ledger's rows of both ways, without what must differ."""
    rows = [asdict(row) for row in await served.rows()]
    for row in rows:
        for name in ("id", "created", "seconds"):
            del row[name]
    ways: dict[str, list[dict[str, Any]]] = {ENDPOINT: [], "/v1/chat/completions": []}
    for row in rows:
        ways[row.pop("endpoint")].append(row)
    return list(zip(ways[ENDPOINT], ways["/v1/chat/completions"], strict=True))


async def nothing_is_left(served: Served, up: Upstream) -> None:
    """Check that nobody holds anything any more."""
    running = served.gateway
    assert up.running == 0
    assert (running.admission.running, running.admission.waiting, running.service._users) == (0, 0, 0)
    assert {task.get_name() for task in running._tasks} == {"watch the queue", "watch the switches"}
    for use in (await running.ledger.key_use()).values():
        assert (use.usd_held, use.running) == (0, 0)


async def test_both_ways_leave_the_same_in_the_ledger(tmp_path: Path) -> None:
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        key = await served.key("team", usd_per_day=5.0, tokens_per_minute=10_000_000)
        for body in (
            {"model": "smcs/smcs", "seed": 1},
            {"model": "smcs/rps", "n": 2},
            {"model": "alpha", "user": "u1"},
        ):
            asked = await inside(served, key=key, **body, metadata={"a": "b"})
            answer = await served.chat(key=key, **body, metadata={"a": "b"})
            assert asked.run.answer == answer.text == "It is 42."
            assert asked.run_id == asked.run.id
        up.script = {"*": {"behaviour": "status-500"}}
        failed = await refusal(served, "alpha", key=key)
        rows = await pairs(served)
        stored = await served.gateway.ledger.run(asked.run_id)
        metrics = served.gateway.metrics.render().decode()
        await nothing_is_left(served, up)
    assert (failed["status"], failed["code"]) == (502, "upstream_failed")
    assert [mine["status"] for mine, _ in rows] == ["ok", "ok", "ok", "failed"]
    for mine, theirs in rows:
        assert mine == theirs
    assert rows[0][0]["calls"] > 3
    assert rows[0][0]["charged_usd"] > 0
    assert stored is not None
    assert stored.record == asked.run
    assert stored.metadata == {"a": "b"}
    assert 'smcs_attempts_total{llm="alpha"' in metrics


async def test_what_is_refused_over_http_is_refused_inside_in_the_same_words(tmp_path: Path) -> None:
    text = "gateway: {max_running: 1, max_waiting: 0}"
    async with upstream() as up, gateway(tmp_path, text, pool(up.base_url)) as served:
        key = await served.key("narrow", models=("smcs", "beta"), usd_per_day=1e-6)
        wide = await served.key("wide")
        found = {
            (told["status"], told["code"])
            for told in [
                await refusal(served),
                await refusal(served, "alpha", key=key),
                await refusal(served, key=key, smcs={"strategy": "moa"}),
                await refusal(served, "nope", key=wide),
                await refusal(served, key=wide, smcs={"include": ["nope"]}),
                await refusal(served, "beta", key=key, max_tokens=50),
            ]
        }
        assert await served.rows() == []
        up.script = HANG
        hanging = asyncio.create_task(inside(served, "alpha", key=wide))
        await up.until(running=1)
        full = await refusal(served, "alpha", key=wide)
        hanging.cancel()
        await asyncio.wait({hanging})
        record = await record_of(served, wide)
        await served.gateway.ledger.revoke_key("wide")
        with pytest.raises(GatewayError, match="not valid, or was revoked") as revoked:
            await asked_at_desk(served, build_request("smcs", [Message("user", QUESTION)]), record)
        await nothing_is_left(served, up)
    assert found == {
        (401, "invalid_api_key"),
        (403, "model_not_allowed"),
        (404, "model_not_found"),
        (400, None),
        (429, "insufficient_quota"),
    }
    assert (full["status"], full["code"]) == (503, "overloaded")
    assert revoked.value.status == 401


async def test_who_is_cancelled_leaves_nothing_but_a_row(tmp_path: Path) -> None:
    async with upstream(HANG) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        key = await served.key(usd_per_day=1.0, max_concurrent=5)
        for model, calls in (("alpha", 1), ("smcs/smcs", 3)):
            task = asyncio.create_task(inside(served, model, key=key))
            await up.until(running=calls)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await up.until(running=0)
            await nothing_is_left(served, up)
        rows = await served.rows()
    assert [(row.status, row.http_status, row.calls, row.endpoint) for row in rows] == [
        ("cancelled", 499, 1, ENDPOINT),
        ("cancelled", 499, 3, ENDPOINT),
    ]


async def test_a_server_that_stops_ends_it_and_says_so(tmp_path: Path) -> None:
    async with upstream(HANG) as up:
        async with gateway(tmp_path, llms=pool(up.base_url)) as served:
            task = asyncio.create_task(inside(served, "alpha"))
            await up.until(running=1)
        with pytest.raises(GatewayError, match="The server is stopping") as stopped:
            await task
        assert stopped.value.status == 503
        await up.until(running=0)
        with pytest.raises(GatewayError, match="The server is stopping"):
            await inside(served, "alpha")
    async with Ledger.open(tmp_path / "smcs-gateway.db") as ledger:
        [row] = await ledger.runs()
    assert row.status == "cancelled"


async def test_a_listener_hears_of_everything_whoever_answers(tmp_path: Path) -> None:
    async with upstream({"*": {"text": "It is really 42."}}) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        for model in ("smcs/moa", "smcs/rps", "alpha"):
            heard: list[Event] = []
            asked = await inside(served, model, listener=Listener(heard.append))
            [begins] = [event for event in heard if isinstance(event, AnswerBegins)]
            texts = [event for event in heard if isinstance(event, TextArrived)]
            mine = [event.text for event in texts if (event.llm, event.stage) == (begins.llm, begins.stage)]
            assert len(mine) > 2
            assert "".join(mine).strip() == asked.run.answer
            assert isinstance(heard[0], RunStarted)
            assert heard[0].run_id == asked.run_id
            assert heard[-1] == RunFinished(asked.run)
            assert not asked.run.degraded


async def test_a_listener_that_raises_costs_nobody_the_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []

    def broken(event: Event) -> None:
        heard.append(event)
        raise ValueError("a broken view")

    async with gateway(tmp_path) as served:
        asked = await inside(served, listener=Listener(broken))
        [row] = await served.rows()
    assert (asked.run.answer, row.status, len(heard)) == ("It is 7.", "ok", 1)
    assert len([record for record in caplog.records if "a listener broke" in record.message]) == 1


async def test_nothing_is_taken_from_the_cache_or_from_others(tmp_path: Path) -> None:
    text = "gateway: {cache: {megabytes: 1, shared: true}}"
    async with upstream({"*": {"seconds": 0.05}}) as up, gateway(tmp_path, text, pool(up.base_url)) as served:
        for _ in range(2):
            await served.chat("alpha", temperature=0)
        assert up.received == 1
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(inside(served, "alpha", temperature=0)) for _ in range(3)]
        assert up.received == 4
        rows = await served.rows()
    assert len({task.result().run_id for task in tasks}) == 3
    assert [row.cached for row in rows if row.endpoint == ENDPOINT] == [False] * 3


async def test_the_id_may_be_chosen(tmp_path: Path) -> None:
    request = build_request("smcs", [Message("user", QUESTION)])
    async with gateway(tmp_path) as served:
        asked = await asked_at_desk(served, request, None, run_id="ab" * 16)
        [row] = await served.rows()
        for wrong in ("", "x", "AB" * 16):
            with pytest.raises(GatewayError, match="32 hexadecimal digits"):
                await asked_at_desk(served, request, None, run_id=wrong)
    assert asked.run_id == row.id == "ab" * 16


async def test_a_failure_nobody_foresaw_is_told_without_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def out(*_: Any, **__: Any) -> None:
        raise LedgerUnavailableError("gone, with a secret in it")

    def bug(*_: Any, **__: Any) -> None:
        raise ValueError("a secret")

    async with gateway(tmp_path) as served:
        key = await served.key(max_concurrent=3)
        with monkeypatch.context() as patch:
            patch.setattr("smcs.gateway.inquiry.Exchange", bug)
            told = await refusal(served, "alpha", key=key)
        rows = await served.rows()
        with monkeypatch.context() as patch:
            patch.setattr(served.gateway.ledger, "settle", out)
            lost = await refusal(served, "alpha", key=key)
    assert (told["status"], told["message"]) == (500, "The server failed. Its log says why.")
    assert [(row.status, row.http_status) for row in rows] == [("failed", 500)] * 2
    assert (lost["status"], lost["code"]) == (503, "ledger_unavailable")
    assert "secret" not in lost["message"]
    broke = [record for record in caplog.records if record.message == "a request broke"]
    assert [record.levelno for record in broke] == [logging.ERROR] * 2


def test_a_request_is_built_as_a_client_would_send_it() -> None:
    request = build_request(
        "smcs",
        [Message("system", "Be short."), Message("user", QUESTION)],
        SmcsOptions(strategy="moa", k=2, max_usd=0.5),
        sampling=Sampling(temperature=0.5, max_tokens=20, stop=("END",), seed=3),
        metadata={"page": "ask"},
    )
    assert request.options.settings() == {"k": 2, "max_usd": 0.5}
    assert request.sampling() == Sampling(temperature=0.5, max_tokens=20, stop=("END",), seed=3)
    assert request.body() == {
        "model": "smcs",
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": QUESTION}],
        "temperature": 0.5,
        "max_tokens": 20,
        "seed": 3,
        "stop": ["END"],
        "metadata": {"page": "ask"},
    }
    assert build_request("smcs", [Message("user", "x")], SmcsOptions()).smcs is None


@pytest.mark.parametrize(
    ("model", "text", "sampling", "why"),
    [
        ("", "x", Sampling(), "model"),
        ("smcs", "\ud800", Sampling(), "half a character"),
        ("smcs", "x", Sampling(temperature=3.0), "temperature"),
        ("smcs", "x" * 4_000_001, Sampling(), "characters"),
    ],
)
def test_a_request_is_checked_when_it_is_built(model: str, text: str, sampling: Sampling, why: str) -> None:
    with pytest.raises(GatewayError, match=why):
        build_request(model, [Message("user", text)], sampling=sampling)
