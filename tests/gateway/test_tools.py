from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from helpers_gateway import CHAT, QUESTION, TOOL, Served, gateway, pool, user
from helpers_upstream import upstream

CALL = ["add", '{"a": 3, "b": 4}']
CALLS: dict[str, dict[str, Any]] = {"*": {"tool_calls": [CALL]}}
TURNS: list[dict[str, Any]] = [
    *user(),
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_0", "type": "function", "function": {"name": "add", "arguments": CALL[1]}}],
    },
    {"role": "tool", "tool_call_id": "call_0", "content": "7"},
]


async def ask(served: Served, model: str = "smcs/smcs", **body: Any) -> Any:
    return await served.post(CHAT, {"model": model, "messages": user(), "tools": [TOOL], **body})


@pytest.mark.parametrize("model", ["smcs", "smcs/rps", "alpha"])
async def test_calls_of_tools_come_through_whole(tmp_path: Path, model: str) -> None:
    async with upstream(CALLS) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await ask(served, model, tool_choice="auto", parallel_tool_calls=False)
        [row] = await served.rows()
    [sent] = up.requests
    choice = ChatCompletion.model_validate(answer.json).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    [call] = choice.message.tool_calls or []
    assert (call.id, call.type) == ("call_0", "function")
    assert answer.json["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == CALL[1]
    assert (sent["model"], sent["tools"], sent["tool_choice"]) == ("alpha", [TOOL], "auto")
    assert sent["parallel_tool_calls"] is False
    assert (row.status, row.calls) == ("ok", 1)


@pytest.mark.parametrize("model", ["smcs", "smcs/rps", "alpha"])
async def test_calls_of_tools_come_through_streamed(tmp_path: Path, model: str) -> None:
    async with upstream(CALLS) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        stream = await served.stream(model, tools=[TOOL])
    pieces = [piece for delta in stream.deltas() for piece in delta.get("tool_calls", ())]
    assert pieces[0]["id"] == "call_0"
    assert pieces[0]["function"]["name"] == "add"
    assert "".join(piece["function"].get("arguments", "") for piece in pieces) == CALL[1]
    assert len(pieces) == 3
    assert stream.joined() == ""
    assert stream.finish == "tool_calls"
    assert stream.done
    assert up.received == 1


async def test_the_text_that_ends_it_is_written_by_all(tmp_path: Path) -> None:
    script: dict[str, dict[str, Any]] = {"*": {"text": "The sum is 7."}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await ask(served, messages=TURNS, smcs={"explain": True})
        sent = list(up.requests)
        stream = await served.stream("smcs/smcs", tools=[TOOL], messages=TURNS)
        rows = await served.rows()
    run = answer.smcs["run"]
    assert answer.text == "The sum is 7."
    assert answer.smcs["strategy"] == run["strategy"] == "smcs"
    assert run["notes"]["tools"] == {"routed_to": "alpha", "called": False}
    assert len(run["candidates"]) > 1
    # the LLM that was routed to is not asked again; everybody is shown what the tool said, as text
    assert [body["model"] for body in sent if "tools" in body] == ["alpha"]
    others = [body for body in sent if "tools" not in body]
    assert "[add returned: 7]" in str(others[0]["messages"])
    assert len(run["attempts"]) == run["calls"] == len(sent) == answer.smcs["calls"] == rows[0].calls
    assert sum(attempt["cost_usd"] for attempt in run["attempts"]) == pytest.approx(answer.smcs["cost_usd"])
    assert stream.joined() == "The sum is 7."
    assert stream.finish == "stop"
    assert stream.done
    assert stream.smcs["strategy"] == "smcs"


async def test_every_call_before_the_final_text_is_in_its_record(tmp_path: Path) -> None:
    """Routed to gamma, the only one that can call tools, which is not among the LLMs that then answer."""
    llms = {"alpha": {}, "beta": {}, "gamma": {"capabilities": {"tools": True}}}
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url, **llms)) as served:
        answer = await ask(served, smcs={"explain": True, "k": 2, "n": 2, "drop": 0})
        [row] = await served.rows()
    run = answer.smcs["run"]
    assert run["notes"]["tools"]["routed_to"] == "gamma"
    assert [attempt["llm"] for attempt in run["attempts"]].count("gamma") == 1
    assert row.calls == run["calls"] == up.received
    assert row.cost_usd == pytest.approx(sum(attempt["cost_usd"] for attempt in run["attempts"]))


async def test_the_final_text_stays_within_the_same_caps(tmp_path: Path) -> None:
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await ask(served, smcs={"max_calls": 4})
        assert up.received <= 4
        key = await served.key(usd_per_day=0.01)
        body = {"model": "smcs", "messages": TURNS, "tools": [TOOL]}
        told = (await served.post("/v1/estimate", body, key=key)).json
        paid = await served.post(CHAT, body, key=key)
        [use] = (await served.gateway.ledger.key_use()).values()
    assert answer.status == paid.status == 200
    assert paid.smcs["cost_usd"] <= told["most_usd"]
    assert paid.smcs["degraded"] is False
    assert use.usd_held == 0
    assert use.usd_today == pytest.approx(paid.smcs["cost_usd"])


async def test_the_final_text_can_be_one_llms_own(tmp_path: Path) -> None:
    text = "gateway: {collaborate_on_tool_answers: false}"
    async with upstream() as up, gateway(tmp_path, text, pool(up.base_url)) as served:
        answer = await ask(served, messages=TURNS)
        stream = await served.stream("smcs/smcs", tools=[TOOL], messages=TURNS)
    assert answer.text == stream.joined() == "It is 42."
    assert answer.smcs["answered_by"] == "alpha"
    assert up.received == 2


async def test_who_can_call_tools_is_declared(tmp_path: Path) -> None:
    llms: dict[str, dict[str, Any]] = {
        "alpha": {"capabilities": {"tools": False}},
        "beta": {"capabilities": {"tools": True}},
        "gamma": {},
    }
    async with upstream(CALLS) as up, gateway(tmp_path, llms=pool(up.base_url, **llms)) as served:
        answer = await ask(served)
        named = await ask(served, "alpha")
        nobody = await ask(served, smcs={"include": ["alpha"]})
    assert answer.smcs["answered_by"] == "beta"
    assert (named.status, named.error["param"]) == (400, "tools")
    assert (nobody.status, nobody.error["param"]) == (400, "tools")
    assert up.received == 1


async def test_the_next_llm_calls_the_tool_where_the_first_fails(tmp_path: Path) -> None:
    script = {**CALLS, "alpha": {"behaviour": "status-503"}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        answer = await ask(served)
        stream = await served.stream("smcs", tools=[TOOL])
    assert answer.smcs["answered_by"] == stream.smcs["answered_by"] == "beta"
    assert answer.json["choices"][0]["message"]["tool_calls"]
    assert stream.finish == "tool_calls"
    assert answer.smcs["degraded"]


async def test_what_an_answer_of_several_cannot_honour_is_refused_with_tools_too(tmp_path: Path) -> None:
    async with upstream(CALLS) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        refused = await ask(served, logprobs=True)
        one = await ask(served, "smcs/rps", logprobs=True)
        unused = await ask(served, tool_choice="none")
        missing = await ask(served, tool_choice={"type": "function", "function": {"name": "sub"}})
    assert (refused.status, refused.error["param"]) == (400, "logprobs")
    assert one.status == 200
    assert unused.smcs["strategy"] == "smcs"
    assert (missing.status, missing.error["param"]) == (400, "tool_choice")


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_through_responses(tmp_path: Path, streamed: bool) -> None:
    tool = {"type": "function", "name": "add", "parameters": {"type": "object"}}
    turns = [
        {"role": "user", "content": QUESTION},
        {"type": "function_call", "call_id": "call_0", "name": "add", "arguments": CALL[1]},
        {"type": "function_call_output", "call_id": "call_0", "output": "7"},
    ]
    async with upstream(CALLS) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        body = {"model": "smcs", "input": QUESTION, "tools": [tool], "stream": streamed}
        called = await served.post("/v1/responses", body)
        up.script = {"*": {"text": "The sum is 7."}}
        ended = await served.post("/v1/responses", {**body, "input": turns})
    assert called.status == ended.status == 200
    assert b'"function_call"' in called.body
    assert b'"call_id":"call_0"' in called.body
    assert b"The sum is 7." in ended.body
    assert (b"response.function_call_arguments.delta" in called.body) == streamed


async def test_cached_calls_of_tools_are_calls_of_tools(tmp_path: Path) -> None:
    text = "gateway: {cache: {megabytes: 1}}"
    async with upstream(CALLS) as up, gateway(tmp_path, text, pool(up.base_url)) as served:
        first, again = [await ask(served, seed=1) for _ in range(2)]
        stream = await served.stream("smcs/smcs", tools=[TOOL], seed=1)
    assert again.smcs["cached"] is True
    assert again.json["choices"] == first.json["choices"]
    assert any(delta.get("tool_calls") for delta in stream.deltas())
    assert stream.joined() == ""
