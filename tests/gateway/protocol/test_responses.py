"""The Responses API: the same request in other words, and its typed events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import msgspec
import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from helpers_protocol import CREATED, INFO, RUN_ID, encoded, events_of
from smcs.gateway.errors import GatewayError, rate_limited, upstream_failed
from smcs.gateway.protocol import (
    ChunkReader,
    FinishedChoice,
    ResponsesRequest,
    ResponseStream,
    TokenLogprob,
    ToolInvocation,
    parse_responses,
    read_completion,
    response,
)
from smcs.types import Usage

TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": True}
CALL = ToolInvocation("call_1", "get_weather", '{"city":"Paris"}')
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


def asked(**fields: Any) -> ResponsesRequest:
    return parse_responses(encoded({"model": "smcs", "input": "What is 6 x 7?", **fields}))


def started(**fields: Any) -> ResponseStream:
    return ResponseStream(RUN_ID, asked(**fields), created=CREATED)


def checked(stream: bytes) -> list[Any]:
    """Data of the events, each valid, named as it is typed and numbered without a gap."""
    events = events_of(stream)
    for number, (name, data) in enumerate(events):
        assert data["type"] == name
        assert data["sequence_number"] == number
        EVENT.validate_python(data)
    return [data for _, data in events]


def refusal(**fields: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        asked(**fields).to_chat()
    assert caught.value.status == 400
    return caught.value


def test_a_text_is_a_user_s_turn() -> None:
    body = asked(instructions="Be brief.").to_chat().body()
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 6 x 7?"},
    ]


def test_every_field_has_its_word_in_a_chat(snapshot: Callable[[str, bytes], None]) -> None:
    items = [
        {"role": "developer", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "SECRET"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "get_weather", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "c1", "output": "18"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "19"}]},
    ]
    request = {
        "model": "smcs",
        "input": items,
        "instructions": "Be brief.",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 50,
        "top_logprobs": 3,
        "text": {
            "format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True},
            "verbosity": "low",
        },
        "reasoning": {"effort": "low", "summary": "auto"},
        "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "get_weather"},
        "parallel_tool_calls": False,
        "max_tool_calls": 3,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "stream": True,
        "metadata": {"team": "a"},
        "user": "u",
        "store": False,
        "truncation": "disabled",
        "smcs": {"explain": True},
    }
    chat = parse_responses(encoded(request)).to_chat()
    assert chat.options.explain
    assert chat.include_usage
    assert chat.needs == {"tools", "image"}
    assert "SECRET" not in str(chat.body())
    snapshot("responses_request.json", json.dumps(request, indent=1).encode() + b"\n")
    snapshot("responses_request_as_chat.json", json.dumps(chat.body(), indent=1).encode() + b"\n")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"store": True}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"include": ["reasoning.encrypted_content", "file_search_call.results"]}, "include[1]"),
        ({"reasoning": {"context": "all_turns"}}, "reasoning.context"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [TOOL, {"type": "function"}]}, "tools[1].name"),
        ({"tools": [{**TOOL, "colour": 1}]}, "tools[0].colour"),
        ({"tools": [TOOL], "tool_choice": {"type": "mcp"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "boss", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "refusal", "refusal": "f"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "system", "content": [{"type": "input_file", "file_data": "f"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"zzz": 0}, "zzz"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert error.param == param
    assert "\n" not in error.message


def test_a_response_is_what_clients_read(snapshot: Callable[[str, bytes], None]) -> None:
    request = asked(
        tools=[TOOL], text={"format": {"type": "json_object"}}, metadata={"a": "b"}, instructions="Be brief."
    )
    choice = FinishedChoice(
        "It is warm.", reasoning="a answered in 1.2 s.", tool_calls=(CALL,), finish_reason="tool_calls"
    )
    body = response(RUN_ID, request, choice, Usage(30, 6), smcs=INFO, created=CREATED, completed=CREATED + 2)
    found = Response.model_validate_json(body)
    assert (found.id, found.status, found.output_text) == (f"resp_{RUN_ID}", "completed", "It is warm.")
    assert [item.type for item in found.output] == ["reasoning", "message", "function_call"]
    assert found.usage is not None
    assert found.usage.total_tokens == 36
    assert found.to_dict()["store"] is False
    snapshot("response.json", msgspec.json.format(body) + b"\n")


def test_a_response_that_was_cut_says_so() -> None:
    cut = FinishedChoice("It is", finish_reason="length")
    body = response(RUN_ID, asked(), cut, Usage(), smcs=INFO, created=CREATED, completed=CREATED)
    found = Response.model_validate_json(body)
    assert found.status == "incomplete"
    assert found.incomplete_details is not None
    assert found.incomplete_details.reason == "max_output_tokens"
    assert found.usage is None
    assert found.output[0].status == "incomplete"  # type: ignore[union-attr]


def test_the_events_of_an_answer(snapshot: Callable[[str, bytes], None]) -> None:
    stream = started(stream=True)
    token = TokenLogprob("42", -0.5, (52, 50))
    sent = stream.start()
    sent += stream.reasoning("smcs_guarded: choosing whom to ask.\n") + stream.reasoning("a answered in 1.2 s.\n")
    sent += stream.text("6 x 7 = ") + stream.text("42", [token])
    sent += stream.finish("stop", Usage(30, 6, 4), smcs=INFO, completed=CREATED + 2)
    events = checked(sent)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    last = Response.model_validate(events[-1]["response"])
    assert last.output_text == "6 x 7 = 42"
    assert events[-1]["response"]["smcs"]["run_id"] == RUN_ID
    assert [event["item"] for event in events if event["type"].endswith("item.done")] == events[-1]["response"][
        "output"
    ]
    snapshot("responses_stream.txt", sent)


def test_function_calls_grow_side_by_side() -> None:
    stream = started(stream=True, tools=[TOOL])
    sent = stream.start() + stream.text("Let me see.")
    sent += stream.call(0, "c0", "get_weather") + stream.arguments(0, '{"city":')
    sent += stream.call(1, "c1", "get_weather") + stream.arguments(1, "{}") + stream.arguments(0, '"Paris"}')
    sent += stream.finish("tool_calls", Usage(), smcs=INFO, completed=CREATED)
    events = checked(sent)
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "function_call"]
    assert [item.get("arguments") for item in output] == [None, '{"city":"Paris"}', "{}"]
    assert {item["status"] for item in output} == {"completed"}
    for position, item in enumerate(output):
        added = [each for each in events if each["type"] == "response.output_item.added"]
        assert added[position]["output_index"] == position
        assert added[position]["item"]["id"] == item["id"]


def test_a_broken_response_never_looks_complete(snapshot: Callable[[str, bytes], None]) -> None:
    stream = started(stream=True)
    sent = stream.start() + stream.text("6 x") + stream.failed(upstream_failed("The LLM\nbroke off."), smcs=INFO)
    events = checked(sent)
    assert events[-1]["type"] == "response.failed"
    failed = Response.model_validate(events[-1]["response"])
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error.code, failed.error.message) == ("server_error", "The LLM broke off.")
    assert failed.output[0].status == "incomplete"  # type: ignore[union-attr]
    snapshot("responses_stream_failed.txt", sent)
    assert b"rate_limit_exceeded" in started().failed(rate_limited("Wait.", 1))


def test_a_cut_answer_ends_incomplete() -> None:
    stream = started(stream=True)
    sent = stream.start() + stream.text("6 x") + stream.finish("length", Usage(1, 1), smcs=INFO, completed=CREATED)
    assert checked(sent)[-1]["type"] == "response.incomplete"


CHUNKS = [
    b'{"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"Hm."}}]}',
    (
        b'{"choices":[{"index":0,"delta":{"content":"Let me "},"logprobs":{"content":[{"token":"Let","logprob":-1,'
        b'"bytes":[1],"top_logprobs":[{"token":"\xc3\xa9","logprob":-1}]},{"token":"x","logprob":null}]}}]}'
    ),
    b'{"choices":[{"index":1,"delta":{"content":"NOT ASKED FOR"}},{"index":0,"delta":{"content":"see."}}]}',
    (
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c0","type":"function",'
        b'"function":{"name":"get_weather","arguments":""}}]}}]}'
    ),
    b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}',
    b'{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}',
    b'{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2}}}',
]


def test_an_endpoint_s_chunks_become_events() -> None:
    stream = started(stream=True, tools=[TOOL])
    reader = ChunkReader(stream)
    sent = stream.start() + b"".join(reader.feed(chunk) for chunk in CHUNKS)
    assert reader.finish_reason == "tool_calls"
    assert reader.usage == Usage(5, 7, 2)
    sent += stream.finish(reader.finish_reason, reader.usage, smcs=INFO, completed=CREATED)
    output = checked(sent)[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call"]
    assert output[0]["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert output[1]["content"][0]["text"] == "Let me see."
    (token,) = output[1]["content"][0]["logprobs"]
    assert (token["token"], token["bytes"], token["top_logprobs"][0]["bytes"]) == ("Let", [1], [0xC3, 0xA9])
    assert (output[2]["call_id"], output[2]["arguments"]) == ("c0", "{}")
    assert b"NOT ASKED FOR" not in sent


def test_an_endpoint_s_completion_becomes_an_answer() -> None:
    body = encoded(
        {
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "content": None,
                        "reasoning_content": "Hm.",
                        "tool_calls": [{"id": "c0", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                    },
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7},
            "whatever": [1],
        }
    )
    choice, usage = read_completion(body)
    assert choice == FinishedChoice(
        None, finish_reason="tool_calls", tool_calls=(ToolInvocation("c0", "f", "{}"),), reasoning="Hm."
    )
    assert usage == Usage(5, 7)


@pytest.mark.parametrize("body", [b"{}", b'{"choices":[]}', b'{"choices":[{"index":0}]}', b"[]", b"x"])
def test_what_is_no_completion_is_an_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_completion(body)


@pytest.fixture
def client() -> Iterator[Callable[[bytes], OpenAI]]:
    """The real `openai` client, with a stream for an answer and no network."""
    opened: list[OpenAI] = []

    def make(stream: bytes) -> OpenAI:
        def answer(request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)

        http = httpx2.Client(transport=httpx2.MockTransport(answer))
        opened.append(OpenAI(api_key="sk-none", base_url="http://localhost/v1", http_client=http, max_retries=0))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_the_openai_client_puts_the_events_together(client: Callable[[bytes], OpenAI]) -> None:
    stream = started(stream=True)
    sent = (
        stream.start()
        + stream.reasoning("thinking")
        + stream.text("6 x 7 ")
        + b": keep-alive\n\n"
        + stream.text("= 42")
    )
    sent += stream.finish("stop", Usage(30, 6), smcs=INFO, completed=CREATED)
    with client(sent).responses.stream(model="smcs", input="What is 6 x 7?") as events:
        texts = [event.delta for event in events if event.type == "response.output_text.delta"]
        final = events.get_final_response()
    assert texts == ["6 x 7 ", "= 42"]
    assert final.output_text == "6 x 7 = 42"
