from __future__ import annotations

import asyncio
import base64
import json
import re
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai.types import CreateEmbeddingResponse, Model
from openai.types.responses import Response as ResponseObject

from helpers_gateway import CHAT, QUESTION, gateway, pool, user
from helpers_upstream import upstream
from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder, OpenAICompatibleEmbedder, Vectors
from smcs.errors import EmbedderError
from smcs.gateway.ledger import LedgerUnavailableError


async def test_responses(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        answer = await served.post("/v1/responses", {"model": "smcs", "input": QUESTION, "instructions": "Be short."})
        alone = await served.post("/v1/responses", {"model": "alpha", "input": QUESTION})
        stored = await served.post("/v1/responses", {"model": "smcs", "input": QUESTION, "previous_response_id": "r"})
        rows = await served.rows()
    found = ResponseObject.model_validate(answer.json)
    assert found.output_text == "It is 7."
    assert found.status == "completed"
    assert found.id == f"resp_{rows[0].id}"
    assert alone.smcs["strategy"] == "pass_through"
    assert ResponseObject.model_validate(alone.json).output_text == "It is 7."
    assert (stored.status, stored.error["param"]) == (400, "previous_response_id")
    assert {row.endpoint for row in rows} == {"/v1/responses"}


async def test_embeddings(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        plain = await served.post("/v1/embeddings", {"model": "smcs-embedder", "input": ["one", "two"]})
        packed = await served.post(
            "/v1/embeddings", {"model": "smcs-embedder", "input": "one", "encoding_format": "base64"}
        )
        other = await served.post("/v1/embeddings", {"model": "nope", "input": "one"})
        wide = await served.post("/v1/embeddings", {"model": "smcs-embedder", "input": "one", "dimensions": 3})
        tokens = await served.post("/v1/embeddings", {"model": "smcs-embedder", "input": [1, 2]})
    found = CreateEmbeddingResponse.model_validate(plain.json)
    raw = base64.b64decode(packed.json["data"][0]["embedding"])
    assert [row.index for row in found.data] == [0, 1]
    assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(found.data[0].embedding)
    assert (other.status, other.error["code"]) == (404, "model_not_found")
    assert (wide.status, wide.error["param"]) == (400, "dimensions")
    assert (tokens.status, tokens.error["param"]) == (400, "input")


def counted(metrics: bytes, name: str) -> dict[tuple[str, ...], float]:
    """Return the values of a metric by its labels, in their order."""
    found: dict[tuple[str, ...], float] = {}
    for line in metrics.decode().splitlines():
        if line.startswith(f"{name}{{"):
            found[tuple(re.findall(r'"([^"]*)"', line))] = float(line.split()[-1])
    return found


async def test_embeddings_are_in_the_ledger_with_what_is_known_of_them(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        key = await served.key(tokens_per_minute=30, usd_per_day=1.0)
        body = {"model": "smcs-embedder", "input": ["four words of text", "été"], "user": "ann"}
        answer = await served.post("/v1/embeddings", body, key=key)
        large = await served.post("/v1/embeddings", {**body, "input": "word " * 50}, key=key)
        narrow = await served.post("/v1/embeddings", body, key=await served.key("bob", models=("smcs/*",)))
        [row] = await served.rows()
        stored = (await served.get(f"/v1/runs/{row.id}", key=key)).json
        [use] = [use for use in (await served.gateway.ledger.key_use()).values() if use.tokens_this_minute]
    assert answer.status == 200
    assert answer.headers["x-smcs-run-id"] == row.id
    assert answer.smcs == {"run_id": row.id, "usage": "estimated", "cost_usd": 0.0, "usage_known": False}
    assert answer.json["usage"]["total_tokens"] == row.prompt_tokens == use.tokens_this_minute == 5 + 2
    assert (row.endpoint, row.model, row.status, row.user, row.calls) == (
        *("/v1/embeddings", "smcs-embedder", "ok", "ann", 1),
    )
    assert (row.cost_usd, row.question) == (0.0, None)
    assert stored["metadata"] == {"tokens": "estimated"}
    assert (large.status, large.error["code"]) == (429, "tokens_per_minute")
    assert (narrow.status, narrow.error["code"]) == (403, "model_not_allowed")
    assert (use.running, use.usd_held) == (0, 0)


async def test_embeddings_count_as_requests_and_wait_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, begun = asyncio.Event(), asyncio.Event()

    async def embed(self: HashingEmbedder, texts: Sequence[str]) -> Vectors:
        begun.set()
        await release.wait()
        return np.ones((len(texts), 2), dtype=np.float32)

    body = {"model": "smcs-embedder", "input": "a"}
    async with gateway(tmp_path, "gateway: {max_running: 1, max_waiting: 0}") as served:
        key, other = await served.key(max_concurrent=1), await served.key("bob")
        monkeypatch.setattr(HashingEmbedder, "embed", embed)
        first = asyncio.create_task(served.post("/v1/embeddings", body, key=key))
        await begun.wait()
        second = await served.post("/v1/embeddings", body, key=key)
        third = await served.post("/v1/embeddings", body, key=other)
        release.set()
        assert (await first).status == 200
        release.clear()
        begun.clear()
        leaving = asyncio.create_task(served.post("/v1/embeddings", body, key=key))
        await begun.wait()
        leaving.cancel()
        rows = await served.rows(2)
        running = sum(use.running for use in (await served.gateway.ledger.key_use()).values())
    assert (second.status, second.error["code"]) == (429, "max_concurrent")
    assert (third.status, third.error["code"]) == (503, "overloaded")
    assert [(row.status, row.http_status) for row in rows] == [("ok", 200), ("cancelled", 499)]
    assert running == 0


async def test_what_an_embedder_behind_an_endpoint_costs_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def embed(self: OpenAICompatibleEmbedder, texts: Sequence[str]) -> Vectors:
        if "broken" in texts:
            raise ZeroDivisionError
        raise EmbedderError("it is gone")

    monkeypatch.setattr(OpenAICompatibleEmbedder, "embed", embed)
    text = "embedder: {kind: openai, base_url: 'http://127.0.0.1:9/v1', model: remote}"
    body = {"model": "smcs-embedder", "input": "a"}
    async with gateway(tmp_path, text) as served:
        failed = await served.post("/v1/embeddings", body)
        broken = await served.post("/v1/embeddings", {**body, "input": "broken"})
        key = await served.key(usd_per_day=1.0)
        refused = await served.post("/v1/embeddings", body, key=key)
        rows = await served.rows()
    assert (failed.status, failed.error["code"]) == (502, "upstream_failed")
    assert broken.status == 500
    assert (refused.status, refused.error["code"]) == (429, "insufficient_quota")
    assert [(row.status, row.http_status, row.cost_usd) for row in rows] == [
        ("failed", 502, None),
        ("failed", 500, None),
    ]
    assert failed.headers["x-smcs-run-id"] == rows[0].id


async def test_requests_beside_answers_are_counted_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="smcs.gateway.requests")
    async with gateway(tmp_path) as served:
        run = (await served.chat()).smcs["run_id"]
        await served.get("/v1/models")
        await served.get("/v1/models/smcs/rps")
        await served.get(f"/v1/runs/{run}")
        await served.get("/v1/runs/" + "0" * 32)
        await served.post("/v1/estimate", {"model": "smcs/moa", "messages": user()})
        await served.post("/v1/feedback", {"run_id": run, "verdict": "good"})
        for name in ("smcs-embedder", "smcs", "nope"):
            await served.post("/v1/embeddings", {"model": name, "input": "a"})
        for _ in range(2):
            metrics = (await served.get("/metrics")).body
    seen = counted(metrics, "smcs_requests_total")
    assert {(endpoint, model, status): count for (endpoint, model, status, _), count in seen.items()} == {
        (CHAT, "smcs", "ok"): 1,
        ("/v1/models", "none", "ok"): 1,
        ("/v1/models", "smcs/rps", "ok"): 1,
        ("/v1/runs", "none", "ok"): 1,
        ("/v1/runs", "none", "refused"): 1,
        ("/v1/estimate", "smcs/moa", "ok"): 1,
        ("/v1/feedback", "none", "ok"): 1,
        ("/v1/embeddings", "smcs-embedder", "ok"): 2,
        ("/v1/embeddings", "other", "refused"): 1,
    }
    lines: list[dict[str, Any]] = [vars(record)["fields"] for record in caplog.records if record.msg == "request"]
    assert [line["endpoint"] for line in lines] == [
        *(CHAT, "/v1/models", "/v1/models", "/v1/runs", "/v1/runs", "/v1/estimate", "/v1/feedback"),
        *["/v1/embeddings"] * 3,
    ]
    assert (lines[4]["status"], lines[4]["error"], lines[4]["http_status"]) == ("refused", "run_not_found", 404)


async def test_refusals_are_counted_by_the_code_that_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def out(*_: Any, **__: Any) -> None:
        raise LedgerUnavailableError("gone")

    async with gateway(tmp_path) as served:
        key = await served.key(models=("smcs",))
        poor = await served.key("poor", usd_per_day=1e-8)
        errors = [
            await served.chat(),
            await served.get("/metrics", key=f"{key}x"),
            await served.chat("alpha", key=key),
            await served.chat("smsc", key=poor),
            await served.chat("alpha", key=poor),
            await served.chat(key=key, nonsense=1),
        ]
        with monkeypatch.context() as patch:
            patch.setattr(served.gateway.ledger, "authenticate", out)
            errors += [await served.chat(key=key), await served.get("/v1/models", key=key)]
        metrics = (await served.get("/metrics", key=key)).body
    codes = Counter(answer.error["code"] for answer in errors)
    assert codes.pop("unknown_parameter") == 1
    assert {reason: count for (reason,), count in counted(metrics, "smcs_refusals_total").items()} == {
        **codes,
        "other": 1,
    }
    assert set(codes) == {
        *("invalid_api_key", "model_not_allowed", "model_not_found", "insufficient_quota", "ledger_unavailable"),
    }
    assert errors[-1].headers["Retry-After"] == errors[-2].headers["Retry-After"] == "5"


async def test_estimates_ask_nobody_and_bound_what_the_run_takes(tmp_path: Path) -> None:
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        for model in ("smcs", "smcs/moa", "smcs/rps", "alpha"):
            body = {"model": model, "messages": user(), "n": 2}
            told = (await served.post("/v1/estimate", body)).json
            assert up.received == 0
            answer = await served.post(CHAT, body)
            up.received = 0
            assert answer.status == 200
            assert answer.smcs["calls"] <= told["most_calls"]
            assert answer.smcs["cost_usd"] <= told["most_usd"]
            assert 0 < told["cost_usd"] <= told["most_usd"]
            assert answer.json["usage"]["completion_tokens"] <= told["most_completion_tokens"]
        wrong = await served.post("/v1/estimate", {"model": "smcs", "messages": user(), "n": 0})
        rows = await served.rows()
    assert (wrong.status, wrong.error["param"]) == (400, "n")
    assert len(rows) == 4


async def test_records_are_found_by_id_and_belong_to_their_key(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        free = await served.chat()
        alice, bob = await served.key("alice"), await served.key("bob")
        hers = await served.chat(key=alice)
        run = hers.headers["x-smcs-run-id"]
        found = await served.get(f"/v1/runs/{run}", key=alice)
        for key, path in ((bob, run), (alice, free.headers["x-smcs-run-id"]), (alice, "0" * 32), (alice, "x")):
            missing = await served.get(f"/v1/runs/{path}", key=key)
            assert (missing.status, missing.error["code"]) == (404, "run_not_found")
        foreign = await served.post("/v1/feedback", {"run_id": run, "verdict": "good"}, key=bob)
    assert found.json["row"]["id"] == run
    assert found.json["record"]["id"] == run
    assert foreign.status == 404


async def test_feedback_reaches_the_bank(tmp_path: Path) -> None:
    question = "add the numbers 30 and 41 for me"
    async with gateway(tmp_path) as served:
        run = (await served.chat("smcs", question)).smcs["run_id"]
        first = await served.post("/v1/feedback", {"run_id": run, "answer": "71", "comment": "no"})
        verdict = await served.post("/v1/feedback", {"run_id": run, "verdict": "bad"})
        nothing = await served.post("/v1/feedback", {"run_id": run})
        record = (await served.get(f"/v1/runs/{run}")).json
    assert first.status == verdict.status == 200
    assert first.json["bank"]["learned"] is True
    assert set(first.json["bank"]["outcomes"].values()) == {0.0}
    assert nothing.status == 400
    assert record["feedback"]
    with QuestionBank.open(tmp_path / "bank.db") as bank:
        assert bank.questions([first.json["bank"]["question_id"]])[0].text == question


async def test_feedback_is_only_kept_where_learning_is_off(tmp_path: Path) -> None:
    async with gateway(tmp_path, "gateway: {learn: false}") as served:
        run = (await served.chat()).smcs["run_id"]
        answer = await served.post("/v1/feedback", {"run_id": run, "verdict": "good"})
    assert answer.json["bank"]["learned"] is False
    assert "learn" in answer.json["bank"]["why"]


async def test_models_are_listed(tmp_path: Path) -> None:
    text = "gateway: {models: {house: {strategy: moa, description: ours}}}"
    async with gateway(tmp_path, text) as served:
        listed = (await served.get("/v1/models")).json["data"]
        one = await served.get("/v1/models/smcs/rps")
        house = await served.get("/v1/models/house")
        none = await served.get("/v1/models/nope")
        key = await served.key(models=("smcs*",))
        hers = (await served.get("/v1/models", key=key)).json["data"]
        refused = await served.get("/v1/models/house", key=key)
    names = {Model.model_validate(model).id for model in listed}
    assert {"smcs", "smcs-fast", "smcs-max", "smcs/rps", "house", "alpha", "beta", "gamma"} <= names
    assert one.json["smcs"]["strategy"] == "rps"
    assert house.json["smcs"]["description"] == "ours"
    assert (none.status, none.error["code"]) == (404, "model_not_found")
    assert all(model["id"].startswith("smcs") for model in hers)
    assert refused.status == 403


async def test_operators_see_health_readiness_and_metrics(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        await served.chat()
        await served.chat("nope")
        health, ready = await served.get("/health"), await served.get("/ready")
        metrics = (await served.get("/metrics")).body.decode()
        key = await served.key()
        refused, given = await served.get("/metrics"), await served.get("/metrics", key=key)
        open_to_all = await served.get("/health")
    assert health.json["status"] == "ok"
    assert (ready.status, ready.json["status"], ready.json["llms_out"]) == (200, "ready", [])
    assert ready.json["llms_off"] == []
    assert 'model="smcs"' in metrics
    assert "nope" not in metrics
    assert (refused.status, given.status, open_to_all.status) == (401, 200, 200)


async def test_records_hold_no_more_than_they_may(tmp_path: Path) -> None:
    async with gateway(tmp_path, "gateway: {record: no-texts}") as served:
        run = (await served.chat()).smcs["run_id"]
        stored = (await served.get(f"/v1/runs/{run}")).json
        answer = await served.post("/v1/feedback", {"run_id": run, "verdict": "good"})
    assert stored["record"]["calls"] > 0
    assert QUESTION not in json.dumps(stored)
    assert "It is 7." not in json.dumps(stored)
    assert answer.json["bank"]["learned"] is False
