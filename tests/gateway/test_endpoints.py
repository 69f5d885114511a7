from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import pytest
from openai.types import CreateEmbeddingResponse, Model
from openai.types.responses import Response as ResponseObject

from helpers_gateway import CHAT, QUESTION, gateway, pool, user
from helpers_upstream import upstream
from smcs.bank import QuestionBank


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
