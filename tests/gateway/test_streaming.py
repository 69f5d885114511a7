from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from helpers_gateway import CHAT, QUESTION, gateway, pool, user
from helpers_upstream import upstream


async def test_a_collaboration_shows_what_happens_and_then_answers(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        stream = await served.stream("smcs/smcs", stream_options={"include_usage": True})
        [row] = await served.rows()
    for event in stream.events:
        ChatCompletionChunk.model_validate(event)
    thought = stream.joined("reasoning_content")
    assert next(stream.deltas())["role"] == "assistant"
    assert "asking alpha" in thought
    assert "is chosen" in thought
    assert "It is 7." not in thought
    assert stream.joined() == "It is 7."
    assert stream.finish == "stop"
    assert stream.smcs["run_id"] == row.id
    assert stream.done
    usage = stream.events[-1]
    assert usage["choices"] == []
    assert usage["usage"]["prompt_tokens"] == row.prompt_tokens
    assert {event["id"] for event in stream.events} == {f"chatcmpl-{row.id}"}
    assert stream.response.headers["x-smcs-run-id"] == row.id
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert (row.streamed, row.status) == (True, "ok")


async def test_stages_arrive_while_the_run_goes_on(tmp_path: Path) -> None:
    script = {"*": {}, "gamma": {"behaviour": "hang"}}
    async with (
        upstream(script) as up,
        gateway(tmp_path, "parameters: {straggler_cut: null}", pool(up.base_url)) as served,
        served.streaming("smcs/smcs") as stream,
    ):
        async for _ in stream:
            if "beta answered" in stream.joined("reasoning_content"):
                break
        assert up.running == 1


@pytest.mark.parametrize("how", ["header", "field", "config"])
async def test_thinking_can_be_switched_off(tmp_path: Path, how: str) -> None:
    off: dict[str, dict[str, Any]] = {
        "header": {"headers": {"x-smcs-thinking": "off"}},
        "field": {"smcs": {"thinking": False}},
        "config": {},
    }
    async with gateway(tmp_path, f"gateway: {{thinking: {json.dumps(how != 'config')}}}") as served:
        stream = await served.stream("smcs/smcs", **off[how])
        shown = await served.stream("smcs/smcs", smcs={"thinking": True})
    assert stream.joined("reasoning_content") == ""
    assert stream.joined() == "It is 7."
    assert stream.done
    assert shown.joined("reasoning_content")


@pytest.mark.parametrize("model", ["alpha", "smcs/rps", "smcs/single", "smcs/simple_router"])
async def test_one_llms_words_are_handed_on_as_they_arrive(tmp_path: Path, model: str) -> None:
    script = {"alpha": {"text": "one two three four", "pause": 0.05, "reasoning": "hm"}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        async with served.streaming(model, logprobs=True) as stream:
            async for _ in stream:
                if stream.joined():
                    break
            assert up.running == 1
            assert stream.joined() == "one"
            await stream.read()
        [row] = await served.rows()
    assert stream.joined() == "one two three four"
    assert "hm" in stream.joined("reasoning_content")
    assert any(choice.get("logprobs") for event in stream.events for choice in event["choices"])
    assert {event["model"] for event in stream.events} == {model}
    assert {event["id"] for event in stream.events} == {f"chatcmpl-{row.id}"}
    assert not any(event.get("usage") for event in stream.events)
    assert stream.finish == "stop"
    assert stream.smcs["answered_by"] == "alpha"
    assert stream.done
    assert stream.response.headers["x-smcs-strategy"] == stream.smcs["strategy"]


@pytest.mark.parametrize("strategy", ["moa", "symbolic_moe"])
async def test_a_single_merge_is_handed_on_as_it_is_written(tmp_path: Path, strategy: str) -> None:
    script = {"*": {"text": "one two three four five six", "pause": 0.05}}
    async with (
        upstream(script) as up,
        gateway(tmp_path, llms=pool(up.base_url)) as served,
        served.streaming(f"smcs/{strategy}") as stream,
    ):
        async for _ in stream:
            if stream.joined():
                break
        assert up.running == 1
        await stream.read()
    assert stream.joined() == "one two three four five six"
    assert stream.done


async def test_several_choices_and_usage_of_one_llm(tmp_path: Path) -> None:
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        stream = await served.stream("alpha", n=2, stream_options={"include_usage": True})
    assert [stream.joined(index=i) for i in range(2)] == ["It is 42.", "It is 42."]
    ends = [c["index"] for e in stream.events for c in e["choices"] if c.get("finish_reason")]
    assert sorted(ends) == [0, 1]
    assert stream.events[-1]["usage"]["total_tokens"] > 0


async def test_silence_is_filled_with_comments(tmp_path: Path) -> None:
    text = "gateway: {keep_alive_seconds: 0.1}"
    script = {"*": {"seconds": 1.0}}
    async with upstream(script) as up, gateway(tmp_path, text, pool(up.base_url)) as served:
        for model in ("smcs/smcs", "alpha"):
            stream = await served.stream(model)
            assert stream.comments >= 2
            assert stream.joined() == "It is 42."
        up.script = {"*": {"behaviour": "status-500", "seconds": 1.0}}
        late = await served.stream("alpha")
        rows = await served.rows()
    assert late.comments >= 2
    assert late.error is not None
    assert not late.done
    assert [row.status for row in rows] == ["ok", "ok", "failed"]


@pytest.mark.parametrize("behaviour", ["cut", "drop", "error-event"])
@pytest.mark.parametrize("model", ["alpha", "smcs/rps"])
async def test_a_stream_that_breaks_off_ends_with_an_error(tmp_path: Path, model: str, behaviour: str) -> None:
    script = {"*": {"text": "one two three four five six", "behaviour": behaviour}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        stream = await served.stream(model)
        [row] = await served.rows()
    assert stream.joined().startswith("one two")
    assert stream.error is not None
    assert stream.error["code"] == "upstream_failed"
    assert not stream.done
    assert stream.finish is None
    assert (row.status, row.http_status, row.calls) == ("failed", 502, 1)
    assert up.received == 1


async def test_the_next_llm_takes_over_before_the_first_word(tmp_path: Path) -> None:
    script: dict[str, dict[str, Any]] = {"alpha": {"behaviour": "status-500"}, "*": {"text": "from the next"}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        stream = await served.stream("smcs/rps")
        # its first event has a role and no word; then it breaks off
        up.script["alpha"] = {"text": "", "behaviour": "cut"}
        later = await served.stream("smcs/rps")
        rows = await served.rows()
    for each in (stream, later):
        assert each.joined() == "from the next"
        assert each.smcs["answered_by"] == "beta"
        assert each.smcs["degraded"] is True
        assert each.done
    assert [row.status for row in rows] == ["degraded", "degraded"]


@pytest.mark.parametrize(
    ("model", "streamed"), [("smcs", True), ("smcs", False), ("alpha", True), ("alpha", False), ("smcs/rps", True)]
)
async def test_a_client_that_leaves_ends_all_calls(tmp_path: Path, model: str, streamed: bool) -> None:
    script = {"*": {"text": " ".join(["word"] * 500), "pause": 0.02}} if streamed else {"*": {"behaviour": "hang"}}
    async with upstream(script) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        key = await served.key(max_concurrent=1, usd_per_day=1.0)
        if streamed:
            async with served.streaming(model, key=key) as stream:
                async for _ in stream:
                    break
                while not up.running:  # noqa: ASYNC110 the upstream tells nobody
                    await asyncio.sleep(0.005)
                began = up.received
                stream.response.close()
                left = time.perf_counter()
                await up.until(running=0)
        else:
            asking = asyncio.create_task(served.chat(model, key=key))
            while not up.running:  # noqa: ASYNC110 the upstream tells nobody
                await asyncio.sleep(0.01)
            began = up.received
            asking.cancel()
            left = time.perf_counter()
            await up.until(running=0)
        took = time.perf_counter() - left
        [row] = await served.rows(1)
        assert up.received == began
        async with asyncio.timeout(20):
            while served.gateway.ledger._running:  # noqa: ASYNC110 let go of right after the row is to be seen
                await asyncio.sleep(0.005)
        up.script = {}
        assert (await served.chat(model, key=key)).status == 200
    assert took < 5.0  # an answer takes 10 s, or never ends
    assert up.cancelled >= 1
    assert (row.status, row.http_status) == ("cancelled", 499)
    assert row.calls >= 1


async def test_a_client_that_leaves_while_it_waits_takes_no_place(tmp_path: Path) -> None:
    text = "gateway: {max_running: 1}"
    async with upstream({"*": {"behaviour": "hang"}}) as up, gateway(tmp_path, text, pool(up.base_url)) as served:
        first = asyncio.create_task(served.chat("alpha"))
        await up.until(running=1)
        second = asyncio.create_task(served.chat("alpha"))
        while not served.gateway.admission.waiting:  # noqa: ASYNC110 nobody is told
            await asyncio.sleep(0.01)
        for task in (second, first):
            task.cancel()
        rows = await served.rows(2)
        assert served.gateway.admission.running == served.gateway.admission.waiting == 0
    assert up.received == 1
    assert sorted((row.status, row.calls) for row in rows) == [("cancelled", 0), ("cancelled", 1)]


async def test_a_stopping_server_lets_streams_end(tmp_path: Path) -> None:
    script = {"*": {"text": " ".join(["word"] * 20), "pause": 0.02}}
    async with (
        upstream(script) as up,
        gateway(tmp_path, llms=pool(up.base_url)) as served,
        served.streaming("alpha") as stream,
    ):
        async for _ in stream:
            served.server.told_to_stop.set()
        assert stream.done
        assert stream.joined().count("word") == 20


async def test_a_stopping_server_ends_what_takes_too_long_with_an_error(tmp_path: Path) -> None:
    script: dict[str, dict[str, Any]] = {
        "*": {"text": " ".join(["word"] * 5_000), "pause": 0.02},
        "beta": {"behaviour": "hang"},
    }
    async with (
        upstream(script) as up,
        gateway(tmp_path, llms=pool(up.base_url), stop_seconds=1) as served,
        served.streaming("alpha") as stream,
    ):
        waiting = asyncio.create_task(served.chat("beta"))
        await up.until(running=2)
        async for _ in stream:
            served.server.told_to_stop.set()
        whole = await waiting
        await up.until(running=0)
    assert stream.error is not None
    assert stream.error["code"] == "overloaded"
    assert not stream.done
    assert whole.status == 503
    assert whole.error["code"] == "overloaded"


async def test_responses_stream_typed_events(tmp_path: Path) -> None:
    async with upstream() as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        for model in ("smcs/smcs", "alpha"):
            sent = {"model": model, "input": QUESTION, "stream": True}
            answer = await served.post("/v1/responses", sent)
            events = [json.loads(line[6:]) for line in answer.body.split(b"\n") if line.startswith(b"data: {")]
            kinds = [event["type"] for event in events]
            text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
            assert kinds[:2] == ["response.created", "response.in_progress"]
            assert kinds[-1] == "response.completed"
            assert text == "It is 42."
            assert [event["sequence_number"] for event in events] == list(range(len(events)))
            assert ("response.reasoning_summary_text.delta" in kinds) == (model != "alpha")
        up.script = {"*": {"text": "one two three four", "behaviour": "cut"}}
        broken = await served.post("/v1/responses", {"model": "alpha", "input": QUESTION, "stream": True})
    assert b'"type":"response.failed"' in broken.body
    assert b"response.completed" not in broken.body


async def test_a_refused_stream_is_an_ordinary_error(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        answer = await served.send("POST", CHAT, json={"model": "nope", "messages": user(), "stream": True})
    assert answer.status == 404
    assert answer.error["param"] == "model"
