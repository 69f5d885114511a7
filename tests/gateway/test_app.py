from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from helpers_gateway import CHAT, QUESTION, TOOL, found_config, gateway, pool, user
from helpers_upstream import upstream
from smcs.errors import ConfigError
from smcs.gateway.errors import upstream_failed
from smcs.gateway.service import Service, check_not_itself

STRATEGIES = ["smcs", "rps", "single", "simple_router", "moa", "majority_vote", "self_consistency", "symbolic_moe"]


async def test_a_collaboration_answers_as_one_model_and_says_where_its_answer_comes_from(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        answer = await served.chat("smcs", metadata={"team": "a"}, user="ann")
        [row] = await served.rows()
        record = await served.get(f"/v1/runs/{row.id}")
    completion = ChatCompletion.model_validate(answer.json)
    assert answer.status == 200
    assert answer.text == "It is 7."
    assert completion.id == f"chatcmpl-{row.id}"
    assert completion.model == "smcs"
    assert completion.choices[0].finish_reason == "stop"
    assert answer.smcs["strategy"] == "smcs_guarded"
    assert answer.smcs["run_id"] == answer.headers["x-smcs-run-id"] == row.id
    assert answer.headers["x-smcs-answered-by"] == answer.smcs["answered_by"] in ("alpha", "beta", "gamma")
    assert answer.headers["x-smcs-degraded"] == "false"
    assert answer.smcs["degraded_reasons"] == []
    assert answer.headers["x-smcs-cached"] == "false"
    assert float(answer.headers["x-smcs-cost-usd"]) == pytest.approx(answer.smcs["cost_usd"]) == row.cost_usd
    assert completion.usage is not None
    assert completion.usage.total_tokens == (row.prompt_tokens or 0) + (row.completion_tokens or 0) > 0
    assert "run" not in answer.smcs
    assert (row.model, row.status, row.user, row.calls) == ("smcs", "ok", "ann", answer.smcs["calls"])
    assert record.json["record"]["answer"] == "It is 7."
    assert record.json["metadata"] == {"team": "a"}
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_every_strategy_is_a_model(tmp_path: Path, strategy: str) -> None:
    async with gateway(tmp_path) as served:
        answer = await served.chat(f"smcs/{strategy}")
        stream = await served.stream(f"smcs/{strategy}")
        [first, second] = await served.rows()
    assert answer.status == 200
    assert answer.text == "It is 7."
    assert answer.smcs["strategy"] == strategy
    assert stream.joined() == "It is 7."
    assert stream.done
    assert stream.smcs["strategy"] == strategy
    assert (first.strategy, first.status, first.streamed, second.streamed) == (strategy, "ok", False, True)


async def test_an_llm_answers_under_its_own_name_as_it_is(tmp_path: Path) -> None:
    script = {"beta": {"text": "Beta says {messages}.", "reasoning": "hm"}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await served.chat(
            "beta", logprobs=True, top_logprobs=2, n=2, stop=["X"], temperature=0.5, vendor_field={"a": [1]}
        )
        [row] = await served.rows()
        [sent] = up.requests
    message = answer.json["choices"][1]["message"]
    assert answer.json["model"] == "beta"
    assert answer.text == "Beta says 1."
    assert message["reasoning_content"] == "hm"
    assert answer.json["choices"][1]["logprobs"]["content"][0]["bytes"] == [66, 101, 116, 97]
    assert answer.json["id"] == f"chatcmpl-{row.id}"
    assert answer.smcs["strategy"] == answer.headers["x-smcs-strategy"] == "pass_through"
    assert (sent["stop"], sent["temperature"], sent["vendor_field"], sent["n"]) == (["X"], 0.5, {"a": [1]}, 2)
    assert "smcs" not in sent
    assert (row.strategy, row.model, row.calls) == ("", "beta", 1)


async def test_an_llm_may_answer_without_a_text(tmp_path: Path) -> None:
    async with upstream({"beta": {"text": ""}}) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await served.chat("beta")
        stream = await served.stream("beta")
        rows = await served.rows()
    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"] is None
    assert stream.finish == "stop"
    assert stream.done
    assert [row.status for row in rows] == ["ok", "ok"]


async def test_what_a_request_says_reaches_every_llm(tmp_path: Path) -> None:
    form = {"type": "json_object"}
    asked: dict[str, Any] = {
        "stop": ["END"],
        "temperature": 0.2,
        "top_p": 0.5,
        "presence_penalty": 0.1,
        "response_format": form,
    }
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await served.chat("smcs/smcs", max_completion_tokens=40, seed=5, **asked)
        bodies = list(up.requests)
    assert answer.status == 200
    assert len(bodies) > 3
    assert {body["model"] for body in bodies} == {"alpha", "beta", "gamma"}
    for body in bodies:
        assert {name: body[name] for name in asked} == asked
        assert body["max_tokens"] == 40


@pytest.mark.parametrize("model", ["smcs", "smcs/rps", "alpha", "beta"])
async def test_a_configured_token_limit_is_never_raised(tmp_path: Path, model: str) -> None:
    llms = {"alpha": {"sampling": {"max_tokens": 30}}, "beta": {"sampling": {"max_tokens": 30}}}
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url, **llms)) as served:
        for limit in ({}, {"max_tokens": 4_000}, {"max_completion_tokens": 4_000}):
            assert (await served.post(CHAT, {"model": model, "messages": user(), **limit})).status == 200
        sent = [body[name] for body in up.requests for name in ("max_tokens", "max_completion_tokens") if name in body]
    assert sent
    assert set(sent) == {30}


async def test_n_gives_the_next_best_answers_that_say_something_else(tmp_path: Path) -> None:
    llms = pool(
        alpha={"script": {"replies": ["The answer is 7.", "The answer is 8.", "The answer is 9."]}},
        beta={"script": {"replies": ["The answer is 7."]}},
    )
    async with gateway(tmp_path, llms=llms) as served:
        answer = await served.chat("smcs/smcs", n=3)
        again = await served.chat("beta", n=3)
        stream = await served.stream("smcs/smcs", n=3)
    texts = [choice["message"]["content"] for choice in answer.json["choices"]]
    assert 1 < len(texts) <= 3
    assert len(set(texts)) == len(texts)
    assert [choice["index"] for choice in answer.json["choices"]] == list(range(len(texts)))
    assert len(again.json["choices"]) == 3
    assert len({stream.joined(index=i) for i in range(3)} - {""}) > 1


async def test_conversations_reach_llms_and_the_search_as_documented(tmp_path: Path) -> None:
    turns = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        {"role": "assistant", "content": "7"},
        {"role": "user", "content": "and twice that?"},
    ]
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await served.post(CHAT, {"model": "smcs", "messages": turns, "smcs": {"explain": True}})
        sent = up.requests[0]["messages"]
    run = answer.smcs["run"]
    assert run["query"]["text"] == f"{QUESTION}\nand twice that?"
    assert run["support"][0]["task"] == "sums"
    assert [turn["role"] for turn in sent] == ["system", "user", "assistant", "user"]


async def test_options_choose_who_is_asked_and_who_merges(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:

        async def run(**options: Any) -> dict[str, Any]:
            found = await served.chat("smcs/smcs", smcs={"explain": True, **options})
            assert found.status == 200, found.body
            record: dict[str, Any] = found.smcs["run"]
            return record

        excluded = await run(exclude=["alpha"], aggregator="beta")
        included = await run(include=["beta", "gamma"])
        merged = await run(include=["beta"], aggregator="gamma")
        capped = await run(max_calls=2)
        small = await run(k=2, n=1, drop=0)
        other = await served.chat("smcs", smcs={"strategy": "majority_vote", "profile": "fast"})
    assert {attempt["llm"] for attempt in excluded["attempts"]} == {"beta", "gamma"}
    assert excluded["candidates"][0]["llm"] == "beta"
    # who was not included is not shown the question, be it to merge
    assert {attempt["llm"] for attempt in included["attempts"]} == {"beta", "gamma"}
    assert {a["llm"] for a in merged["attempts"] if a["stage"] == "aggregation"} == {"gamma"}
    assert capped["calls"] <= 2
    assert capped["degraded"]
    assert (small["settings"]["k"], small["settings"]["n"], len(small["candidates"])) == (2, 1, 1)
    assert other.smcs["strategy"] == "majority_vote"


async def test_parts_of_the_method_are_left_out_where_the_strategy_has_them(tmp_path: Path) -> None:
    text = "gateway: {models: {bare: {strategy: smcs, parameters: {without: [perplexity]}}}}"
    async with gateway(tmp_path, text) as served:

        async def run(model: str, **options: Any) -> dict[str, Any]:
            found = await served.chat(model, smcs={"explain": True, **options})
            assert found.status == 200, found.body
            record: dict[str, Any] = found.smcs["run"]
            return record

        lots = await run("smcs/smcs", without=["rps", "rps"])
        configured = await run("bare")
        whole = await run("bare", without=[])
        refused = [await served.chat(model, smcs={"without": ["rps"]}) for model in ("smcs/moa", "alpha")]
        unknown = await served.chat("smcs", smcs={"without": ["luck"]})
    assert (lots["settings"]["without"], lots["support_size"]) == (["rps"], 0)
    assert configured["settings"]["without"] == ["perplexity"]
    assert (whole["settings"]["without"], whole["support_size"] > 0) == ([], True)
    assert [(each.status, each.error["param"]) for each in refused] == [(400, "smcs.without")] * 2
    assert "rps" in unknown.error["message"]


async def test_who_merges_may_be_excluded_where_nobody_merges(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        routed = await served.chat("smcs/rps", smcs={"exclude": ["alpha"]})
        voted = await served.chat("smcs/majority_vote", smcs={"exclude": ["alpha"]})
        merged = await served.chat("smcs/moa", smcs={"exclude": ["alpha"]})
    assert (routed.status, routed.smcs["answered_by"]) == (200, "beta")
    assert voted.status == 200
    assert (merged.status, merged.error["param"]) == (400, "smcs.exclude")


async def test_sampling_of_the_config_is_laid_under_what_one_llm_is_sent(tmp_path: Path) -> None:
    text = "parameters: {sampling: {temperature: 0.3, top_p: 0.9, stop: [END], max_tokens: 50}, seed: 3}"
    llms = {"alpha": {"sampling": {"top_p": 0.8}}, "beta": {}, "gamma": {}}
    async with upstream() as up, gateway(tmp_path, text, pool(up.base_url, **llms)) as served:
        await served.chat("smcs/rps")
        await served.chat("smcs/rps", temperature=1.2, stop=["X"], max_completion_tokens=20, seed=-1)
        await served.stream("smcs/rps", tools=[TOOL])
        await served.chat("alpha")
    routed, given, tools, alone = up.requests
    laid = {"temperature": 0.3, "top_p": 0.8, "stop": ["END"], "max_tokens": 50, "presence_penalty": 1.05, "seed": 3}
    for sent in (routed, tools):
        assert {name: sent[name] for name in laid} == laid
    said = {"temperature": 1.2, "top_p": 0.8, "stop": ["X"], "max_completion_tokens": 20, "seed": -1}
    assert {name: given[name] for name in said} == said
    assert "max_tokens" not in given
    assert alone["top_p"] == 0.8
    assert not alone.keys() & (laid.keys() - {"top_p"}), "an LLM that is asked by its name is sent what was asked"


async def test_caps_can_only_be_lowered(tmp_path: Path) -> None:
    text = """
limits: {max_usd: 0.01, max_calls: 6}
gateway: {models: {house: {strategy: smcs, parameters: {max_usd: 0.005}}}}
"""
    async with gateway(tmp_path, text) as served:

        async def caps(model: str, **options: Any) -> tuple[Any, Any]:
            found = await served.chat(model, max_tokens=50, smcs={"explain": True, **options})
            assert found.status == 200, found.body
            settings = found.smcs["run"]["settings"]
            return settings["max_usd"], settings["max_calls"]

        assert await caps("smcs", max_usd=5, max_calls=50) == (0.01, 6)
        assert await caps("smcs", max_usd=0.002) == (0.002, 6)
        assert await caps("house") == (0.005, 6)
        assert await caps("house", profile="max") == (0.005, 6)
        assert await caps("alpha") == (0.01, 6)
        assert await caps("alpha", max_usd=1) == (0.01, 6)
        assert (await served.chat("alpha")).status == 402  # as long as it likes is more than a cent


@pytest.mark.parametrize("model", ["smcs", "smcs/rps", "alpha"])
async def test_a_cap_on_money_that_allows_no_call_is_402(tmp_path: Path, model: str) -> None:
    async with gateway(tmp_path) as served:
        answer = await served.chat(model, smcs={"max_usd": 1e-9})
        [row] = await served.rows()
    assert answer.status == 402
    assert answer.error["code"] == "budget_exceeded"
    assert answer.headers["x-smcs-run-id"] == row.id
    assert (row.status, row.http_status, row.calls, row.cost_usd) == ("failed", 402, 0, 0.0)


async def test_choices_and_tools_count_towards_a_cap_on_money(tmp_path: Path) -> None:
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        one = await served.chat("alpha", max_tokens=50, smcs={"max_usd": 0.0003})
        many = await served.chat("alpha", max_tokens=50, n=16, smcs={"max_usd": 0.0003})
    assert one.status == 200
    assert many.status == 402
    assert up.received == 1


async def test_a_degraded_answer_says_so_everywhere(tmp_path: Path) -> None:
    script = {"beta": {"behaviour": "status-500"}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await served.chat("smcs/smcs")
        stream = await served.stream("smcs/smcs")
        rows = await served.rows()
    assert answer.status == 200
    assert answer.headers["x-smcs-degraded"] == "true"
    assert answer.smcs["degraded"] is True
    assert any("beta" in why for why in answer.smcs["degraded_reasons"])
    assert stream.smcs["degraded"] is True
    assert [row.status for row in rows] == ["degraded", "degraded"]


async def test_an_unknown_price_is_never_free(tmp_path: Path) -> None:
    async with gateway(tmp_path, llms=pool(alpha={"price": None}, beta={})) as served:
        answer = await served.chat("smcs/smcs")
        alone = await served.chat("alpha")
        rows = await served.rows()
    assert answer.headers["x-smcs-cost-usd"] == "unknown"
    assert answer.smcs["cost_usd"] is None
    assert answer.smcs["known_cost_usd"] > 0
    assert alone.smcs["cost_usd"] is None
    assert [row.cost_usd for row in rows] == [None, None]


@pytest.mark.parametrize(
    ("model", "behaviour", "status"),
    [
        ("smcs", "status-500", 502),
        ("smcs/rps", "status-503", 502),
        ("alpha", "status-500", 502),
        ("alpha", "malformed", 502),
        ("alpha", "html", 502),
        ("alpha", "status-401", 502),
        ("alpha", "status-400", 400),
        ("alpha", "status-429", 429),
    ],
)
async def test_failures_of_llms_have_a_status_and_a_row(
    tmp_path: Path, model: str, behaviour: str, status: int
) -> None:
    script = {"*": {"behaviour": behaviour, "headers": {"Retry-After": "7"}}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await served.chat(model)
        stream = await served.send("POST", CHAT, json={"model": model, "messages": user(), "stream": True})
        rows = await served.rows()
    assert answer.status == status
    assert answer.error["message"]
    if model == "smcs":  # what happens was told before it failed
        assert stream.status == 200
        assert json.loads(stream.body.split(b"data: ")[-1])["error"]["code"] == "upstream_failed"
        assert b"[DONE]" not in stream.body
    else:
        assert stream.status == status
        assert stream.error["code"] == answer.error["code"]
    assert "api_key" not in answer.error["message"]
    assert [(row.status, row.http_status) for row in rows] == [("failed", status)] * 2
    assert rows[0].error
    assert (answer.headers.get("Retry-After") == "7") == (status == 429)


@pytest.mark.parametrize("model", ["smcs", "alpha"])
async def test_llms_that_are_all_too_late_are_504(tmp_path: Path, model: str) -> None:
    async with upstream({"*": {"behaviour": "hang"}}) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await served.chat(model, smcs={"max_seconds": 0.2})
        await up.until(running=0)
        [row] = await served.rows()
    assert answer.status == 504
    assert answer.error["type"] == "upstream_error"
    assert (row.status, row.http_status) == ("failed", 504)


async def test_a_failure_nobody_foresaw_is_told_recorded_and_frees_what_was_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of the inside")

    async with gateway(tmp_path) as served:
        key = await served.key(usd_per_day=1.0, max_concurrent=1)
        monkeypatch.setattr("smcs.gateway.exchange.Exchange._answer", broken)
        answer = await served.chat(key=key)
        told = await served.send(
            "POST",
            CHAT,
            json={"model": "smcs", "messages": user(), "stream": True},
            headers={"Authorization": f"Bearer {key}"},
        )
        monkeypatch.undo()
        after = await served.chat(key=key)
        rows = await served.rows()
    assert (answer.status, told.status, after.status) == (500, 500, 200)
    assert "Traceback" in caplog.text
    assert "secret" not in answer.error["message"]
    assert [row.status for row in rows] == ["failed", "failed", "ok"]


async def test_an_answer_that_cannot_be_put_into_words_is_paid_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: Any, **__: Any) -> None:
        raise upstream_failed("It cannot be read.")

    async with gateway(tmp_path) as served:
        key = await served.key(usd_per_day=1.0)
        monkeypatch.setattr("smcs.gateway.voices.ChatVoice.whole", unreadable)
        answer = await served.chat("alpha", key=key)
        [row] = await served.rows()
    assert answer.status == 502
    assert answer.headers["x-smcs-run-id"] == row.id
    assert (row.status, row.calls) == ("failed", 1)
    assert (row.cost_usd or 0) > 0


async def test_errors_of_requests_have_openais_shape(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        unknown = await served.chat("smsc")
        temperature = await served.chat("smcs", temperature=3)
        field = await served.chat("smcs", temprature=1)
        logprobs = await served.chat("smcs", logprobs=True)
        strategy = await served.chat("smcs", smcs={"strategy": "nope"})
        nobody = await served.chat("smcs", smcs={"exclude": ["alpha", "beta", "gamma"]})
        stranger = await served.chat("smcs", smcs={"include": ["alpah"]})
        steered = await served.chat("alpha", smcs={"k": 2})
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
        blind = await served.post(CHAT, {"model": "smcs", "messages": [{"role": "user", "content": [image]}]})
        path = await served.get("/v1/nothing")
        method = await served.get(CHAT)
        slash = await served.post(f"{CHAT}/", {})
        rows = await served.rows()
    assert (unknown.status, unknown.error["code"], unknown.error["param"]) == (404, "model_not_found", "model")
    assert "smcs" in unknown.error["message"]
    assert (temperature.status, temperature.error["param"]) == (400, "temperature")
    assert (field.status, field.error["param"], field.error["code"]) == (400, "temprature", "unknown_parameter")
    assert (logprobs.status, logprobs.error["param"]) == (400, "logprobs")
    assert strategy.status == nobody.status == 400
    assert (stranger.status, stranger.error["param"]) == (400, "smcs.include")
    assert "alpha" in stranger.error["message"]
    assert (steered.status, steered.error["param"]) == (400, "smcs.k")
    assert (blind.status, blind.error["param"]) == (400, "messages")
    assert (path.status, path.error["code"]) == (404, "not_found")
    assert (method.status, method.headers["allow"]) == (405, "POST")
    assert slash.status == 404
    assert rows == []


async def test_images_go_to_who_can_see(tmp_path: Path) -> None:
    llms = {"alpha": {}, "beta": {"capabilities": {"vision": True}}, "gamma": {"capabilities": {"vision": False}}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    turn = {"role": "user", "content": [{"type": "text", "text": QUESTION}, picture]}
    async with (
        upstream({"*": {"text": "{images} image"}}) as up,
        gateway(tmp_path, llms=pool(up.base_url, **llms)) as served,
    ):
        answer = await served.post(CHAT, {"model": "smcs", "messages": [turn]})
        named = await served.post(CHAT, {"model": "gamma", "messages": [turn]})
    assert answer.text == "1 image"
    assert answer.smcs["answered_by"] == "beta"
    assert [body["model"] for body in up.requests] == ["beta"]
    assert (named.status, named.error["param"]) == (400, "messages")


async def test_an_llm_that_keeps_failing_is_left_out_and_comes_back(tmp_path: Path) -> None:
    text = "gateway: {breaker_failures: 2, breaker_seconds: 300}"
    script: dict[str, dict[str, Any]] = {"beta": {"behaviour": "status-500"}}
    async with upstream(script) as up, gateway(tmp_path, text, pool(up.base_url)) as served:
        for _ in range(2):
            await served.chat("smcs/majority_vote")
        asked = sum(body["model"] == "beta" for body in up.requests)
        without = await served.chat("smcs/majority_vote")
        named = await served.chat("beta")
        row = (await served.rows())[-1]
        ready = await served.get("/ready")
        metrics = (await served.get("/metrics")).body.decode()
        assert sum(body["model"] == "beta" for body in up.requests) == asked
        up.script = {}
        served.gateway.service.breakers["beta"]._clock = lambda: time.monotonic() + 301
        probe = await served.chat("smcs/majority_vote")
        healed = await served.chat("smcs/majority_vote")
    assert without.smcs["degraded"]
    assert any("circuit open" in why for why in without.smcs["degraded_reasons"])
    assert named.status == 502
    assert "circuit open" in named.error["message"]
    assert (row.status, row.calls, row.cost_usd) == ("failed", 0, 0.0), "what is not sent takes nothing"
    assert ready.json["llms_out"] == ["beta"]
    assert 'llm="beta"' in metrics
    assert probe.status == 200
    assert healed.smcs["degraded"] is False


async def test_its_own_request_coming_back_is_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        llm = pool(served.url + "/v1", alpha={"model": "alpha"})
        other = tmp_path / "other"
        other.mkdir()
        async with gateway(other, llms=llm) as outer:
            answer = await outer.chat("alpha")
            detail = (await outer.rows())[0].error
    assert answer.status == 502
    assert "508" in (detail or "")


def test_a_pool_that_holds_the_gateway_is_refused(tmp_path: Path) -> None:
    config = found_config(tmp_path, llms=pool("http://localhost:8300/v1")).config
    with pytest.raises(ConfigError, match="address this gateway listens on"):
        check_not_itself(config, "127.0.0.1", 8300)
    check_not_itself(config, "127.0.0.1", 8301)
    found = found_config(tmp_path, llms=pool(smcs={}))
    with pytest.raises(ConfigError, match="virtual model"):
        Service(replace(found, config=found.config.model_copy(update={"bank": None})))
