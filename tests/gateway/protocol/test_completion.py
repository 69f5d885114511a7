"""Chat completions and their streams: what the `openai` package reads, and byte by byte what was sent before."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from helpers_protocol import CREATED, INFO, RUN_ID, events_of, run_record
from smcs.gateway.errors import overloaded
from smcs.gateway.protocol import (
    KEEP_ALIVE,
    ChatStream,
    FinishedChoice,
    ModelCard,
    SmcsInfo,
    TokenLogprob,
    ToolInvocation,
    chat_finish,
    completion,
    data_event,
    model_list,
    relabelled,
    system_fingerprint,
    usage_dict,
)
from smcs.types import Usage

CALL = ToolInvocation("call_1", "get_weather", '{"city": "Paris"}')
TOKEN = TokenLogprob("42", -0.125, (52, 50), ({"token": "42", "logprob": -0.125, "bytes": [52, 50]},))
FINGERPRINT = system_fingerprint("1")


def chunk_stream(*, include_usage: bool = True) -> ChatStream:
    return ChatStream(RUN_ID, "smcs", created=CREATED, fingerprint=FINGERPRINT, include_usage=include_usage)


def read(stream: bytes) -> list[ChatCompletionChunk]:
    """Chunks of a stream that ends well."""
    *chunks, (_, last) = events_of(stream)
    assert last == "[DONE]"
    return [ChatCompletionChunk.model_validate(data) for _, data in chunks]


def test_a_completion_is_what_clients_read(snapshot: Callable[[str, bytes], None]) -> None:
    choices = [
        FinishedChoice("6 x 7 = 42\u2028", reasoning="a answered in 1.2 s.", logprobs=(TOKEN,)),
        FinishedChoice(None, finish_reason="tool_calls", tool_calls=(CALL,)),
        FinishedChoice("cut", finish_reason="length"),
    ]
    body = completion(RUN_ID, "smcs", choices, Usage(30, 6, 4), smcs=INFO, created=CREATED, fingerprint=FINGERPRINT)
    found = ChatCompletion.model_validate_json(body)
    assert found.id == f"chatcmpl-{RUN_ID}"
    assert [choice.index for choice in found.choices] == [0, 1, 2]
    assert found.choices[0].message.content == "6 x 7 = 42\u2028"
    assert found.choices[1].finish_reason == "tool_calls"
    assert found.choices[1].message.tool_calls is not None
    assert found.usage is not None
    assert (found.usage.total_tokens, found.usage.prompt_tokens_details.cached_tokens) == (36, 4)  # type: ignore[union-attr]
    snapshot("completion.json", msgspec.json.format(body) + b"\n")


@pytest.mark.parametrize("usage", [Usage(), Usage(5, None), Usage(None, 5)])
def test_unknown_usage_is_null_and_not_zero(usage: Usage) -> None:
    body = completion(RUN_ID, "smcs", [FinishedChoice("42")], usage, smcs=INFO, created=CREATED)
    assert json.loads(body)["usage"] is None
    assert ChatCompletion.model_validate_json(body).usage is None


def test_unknown_cached_tokens_are_left_out() -> None:
    assert usage_dict(Usage(5, 2)) == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def test_a_stream_is_what_clients_read(snapshot: Callable[[str, bytes], None]) -> None:
    stream = chunk_stream()
    frames = [
        stream.role(),
        stream.reasoning("smcs_guarded: choosing whom to ask.\n"),
        KEEP_ALIVE,
        stream.reasoning("a answered in 1.2 s.\n"),
        stream.content("6 x 7", logprobs=[TOKEN]),
        stream.content(' = "42"\n\u2028\x00'),
        stream.finish("stop", smcs=INFO),
        stream.close(Usage(30, 6, 4)),
    ]
    snapshot("stream.txt", b"".join(frames))
    chunks = read(b"".join(frames))
    assert {chunk.id for chunk in chunks} == {f"chatcmpl-{RUN_ID}"}
    assert chunks[0].choices[0].delta.role == "assistant"
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == '6 x 7 = "42"\n\u2028\x00'
    thoughts = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert thoughts == "smcs_guarded: choosing whom to ask.\na answered in 1.2 s.\n"
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 36
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].to_dict()["smcs"]["run_id"] == RUN_ID  # type: ignore[index]


def test_usage_is_streamed_only_to_who_asked() -> None:
    stream = chunk_stream(include_usage=False)
    sent = stream.role() + stream.content("42") + stream.finish("stop") + stream.close(Usage(1, 1))
    assert b"usage" not in sent
    assert [chunk.choices[0].finish_reason for chunk in read(sent)] == [None, None, "stop"]


def test_several_choices_and_tool_calls_share_a_stream() -> None:
    stream = chunk_stream()
    sent = stream.role(0) + stream.role(1) + stream.content("a", 1) + stream.tool_call(1, CALL)
    sent += stream.finish("tool_calls", 0) + stream.finish("length", 1) + stream.close(Usage())
    chunks = read(sent)
    assert [chunk.choices[0].index for chunk in chunks[:-1]] == [0, 1, 1, 0, 0, 1]
    call = chunks[3].choices[0].delta.tool_calls[0]  # type: ignore[index]
    assert (call.index, call.id, call.function.arguments) == (1, "call_1", CALL.arguments)  # type: ignore[union-attr]
    assert chunks[-1].usage is None


def test_a_broken_stream_never_looks_complete(snapshot: Callable[[str, bytes], None]) -> None:
    stream = chunk_stream()
    sent = stream.role() + stream.content("6 x") + stream.failed(overloaded("The LLM\nbroke off.", 3))
    assert b"[DONE]" not in sent
    assert events_of(sent)[-1] == (
        None,
        {"error": {"message": "The LLM broke off.", "type": "server_error", "param": None, "code": "overloaded"}},
    )
    snapshot("stream_failed.txt", sent)


@settings(max_examples=60)
@given(st.text(), st.integers(min_value=0, max_value=15))
def test_any_text_survives_its_chunk(text: str, index: int) -> None:
    for frame, field in (
        (chunk_stream().content(text, index), "content"),
        (chunk_stream().reasoning(text), "reasoning"),
    ):
        assert frame.count(b"\n\n") == 1
        ((_, data),) = events_of(frame)
        delta = data["choices"][0]["delta"]
        assert delta.get(field, delta.get("reasoning_content")) == text


def test_data_with_line_breaks_is_framed_line_by_line() -> None:
    assert data_event(b'{\r\n"a":\n1}') == b'data: {\ndata: "a":\ndata: 1}\n\n'
    assert events_of(data_event(b'{\r"a":\r\n1}')) == [(None, {"a": 1})]


def test_another_server_s_answer_is_handed_on_under_our_name() -> None:
    theirs = b'{"id":"x","model":"gpt","usage":{"a":1.50},"choices":[{"delta":{"tool_calls":[{"new": 1e2}]}}],"z":null}'
    ours = relabelled(theirs, run_id=RUN_ID, model="smcs")
    assert b'{"tool_calls":[{"new": 1e2}]}' in ours
    assert b'{"a":1.50}' in ours
    expected = {**json.loads(theirs), "id": f"chatcmpl-{RUN_ID}", "model": "smcs"}
    assert json.loads(ours) == expected
    told = json.loads(relabelled(theirs, run_id=RUN_ID, model="smcs", smcs=INFO))
    assert told == {**expected, "smcs": json.loads(msgspec.json.encode(INFO.to_dict()))}
    with pytest.raises(msgspec.DecodeError):
        relabelled(b"[]", run_id=RUN_ID, model="smcs")


def test_what_is_said_of_a_run() -> None:
    run = run_record(degraded=("a was lost",), cost_usd=None, known_cost_usd=0.125)
    info = SmcsInfo.of_run(run)
    assert info.to_dict() == {
        "run_id": RUN_ID,
        "strategy": "smcs_guarded",
        "answered_by": "large",
        "degraded": True,
        "degraded_reasons": ("a was lost",),
        "calls": 3,
        "seconds": 2.346,
        "cost_usd": None,
        "known_cost_usd": 0.125,
        "cached": False,
    }
    assert info.headers()["x-smcs-cost-usd"] == "unknown"
    assert info.headers()["x-smcs-degraded"] == "true"
    explained = completion(
        RUN_ID, "smcs", [FinishedChoice("42")], run.usage, smcs=SmcsInfo.of_run(run, explain=True), created=CREATED
    )
    assert json.loads(explained)["smcs"]["run"] == json.loads(run.to_json())


def test_headers_are_one_ascii_line_each() -> None:
    headers = SmcsInfo(RUN_ID, "rps", answered_by="m\u00e9\r\nx-evil: 1", cost_usd=0.0001, cached=True).headers()
    assert headers["x-smcs-cost-usd"] == "0.000100000"
    assert headers["x-smcs-cached"] == "true"
    assert all(value.isascii() and value.isprintable() for value in headers.values())


def test_fingerprints_differ_where_configurations_do() -> None:
    assert system_fingerprint("1") == system_fingerprint("1") != system_fingerprint("2")


def test_finish_reasons() -> None:
    assert [chat_finish(reason) for reason in ("stop", "length", "other")] == ["stop", "length", "stop"]


def test_models_are_listed(snapshot: Callable[[str, bytes], None]) -> None:
    from openai.types import Model

    cards = [ModelCard("smcs", CREATED, description="Many LLMs.", smcs={"kind": "strategy"}), ModelCard("a", 0, "me")]
    listed = model_list(cards)
    assert [Model.model_validate(each).id for each in listed["data"]] == ["smcs", "a"]
    snapshot("models.json", msgspec.json.format(msgspec.json.encode(listed)) + b"\n")
