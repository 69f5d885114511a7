"""Raw requests that pass through an endpoint's client: nothing lost, nothing taken for an answer that is none."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from helpers_llms import PATIENT, MisbehavingServer, body, chunk, llm_at, question, sse, token
from helpers_upstream import Upstream, stats_of, upstream, upstream_process
from smcs.errors import ConfigError, InputError, LLMError
from smcs.llms import (
    Forwarding,
    HttpSession,
    LimitedLLM,
    Limiter,
    OpenAICompatibleLLM,
    RetryingLLM,
    RetryPolicy,
    ScriptedLLM,
    StoredLLM,
    Timeouts,
    allow_requests,
    forwarded_usage,
    forwarding,
)
from smcs.llms.passthrough import as_events, forwarded_body
from smcs.llms.protocol import DeltaSink, require_forwarding
from smcs.llms.session import INSTANCE, VIA_HEADER, came_via
from smcs.types import Completion, Request, Usage

ASKED: dict[str, Any] = {"model": "smcs", "messages": [{"role": "user", "content": "What is 6 x 7?"}]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture
async def far() -> AsyncIterator[Upstream]:
    async with upstream() as serving:
        yield serving


def client(far: Upstream, session: HttpSession, model: str = "m", **options: Any) -> OpenAICompatibleLLM:
    options = {"timeouts": PATIENT, **options}
    return OpenAICompatibleLLM("tested", base_url=far.base_url, model=model, session=session, **options)


async def streamed(llm: Forwarding, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    async with aclosing(llm.forward_stream(asked)) as events:
        return [json.loads(event) async for event in events]


async def collect(llm: Forwarding, got: list[bytes]) -> None:
    async with aclosing(llm.forward_stream(ASKED)) as events:
        async for event in events:
            got.append(event)  # noqa: PERF401 what came before a failure is looked at


def joined(events: list[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for event in events for choice in event["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def test_everything_in_a_request_arrives(far: Upstream, session: HttpSession) -> None:
    asked = {
        **ASKED,
        "messages": [
            {"role": "developer", "content": "be brief", "name": "x"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
        ],
        "tools": TOOLS,
        "logit_bias": {"50256": -100},
        "vendor_field": {"deep": [1, 2.5, "é", None]},
        "temperature": 0.2,
        "seed": None,
        "stream": True,
    }
    llm = client(far, session, extra_body={"temperature": 0.9, "top_k": 5})
    await llm.forward(asked)
    expected = {**asked, "model": "m", "top_k": 5}
    del expected["seed"], expected["stream"]
    assert far.requests[0] == expected
    await streamed(llm, {**asked, "stream_options": {"include_usage": False, "vendor": 1}})
    assert far.requests[1] == {**expected, "stream": True, "stream_options": {"include_usage": True, "vendor": 1}}


async def test_a_body_comes_back_byte_for_byte(server: MisbehavingServer, session: HttpSession) -> None:
    sent = (
        b'{ "choices" : [{"index":0,"message":{"content":null,"audio":{"id":1}},"finish_reason":"x"}],"n":1e2, "z":[] }'
    )
    server.behaviour = server.reply(sent)
    assert await llm_at(server, session).forward(ASKED) == sent


async def test_events_come_back_byte_for_byte(server: MisbehavingServer, session: HttpSession) -> None:
    events = ['{"choices":[{"delta" : {"content":"[DONE]"}}],"z":1.0}', '{"choices":[],"usage":null}', "{}"]
    server.behaviour = server.stream(b": hello\r\n\r\n", sse(*events, separator="\r\n\r\n"), sse("late", done=False))
    async with aclosing(llm_at(server, session).forward_stream(ASKED)) as got:
        assert [event.decode() async for event in got] == events


async def test_tools_logprobs_and_n_pass(far: Upstream, session: HttpSession) -> None:
    far.script["m"] = {"tool_calls": [["weather", '{"city": "Paris"}']], "reasoning": "hm", "text": "It is {images}."}
    llm = client(far, session)
    whole = ChatCompletion.model_validate_json(await llm.forward({**ASKED, "tools": TOOLS}))
    assert whole.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.tool_calls is not None
    assert whole.system_fingerprint == "fp_scripted"
    events = await streamed(llm, {**ASKED, "tools": TOOLS})
    chunks = [ChatCompletionChunk.model_validate(event) for event in events]
    calls = [call for one in chunks for choice in one.choices for call in choice.delta.tool_calls or ()]
    assert "".join(call.function.arguments or "" for call in calls if call.function) == '{"city": "Paris"}'
    parts = [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}] * 2
    asked = {"messages": [{"role": "user", "content": parts}], "logprobs": True, "top_logprobs": 2, "n": 2}
    events = await streamed(llm, asked)
    assert joined(events, 0) == joined(events, 1) == "It is 2."
    assert sum(len((c["logprobs"] or {"content": []})["content"]) for event in events for c in event["choices"]) == 6
    assert (forwarded_usage(json.dumps(events[-1]).encode()) or Usage()).completion_tokens == 6


async def test_a_server_that_ignores_stream(server: MisbehavingServer, session: HttpSession) -> None:
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    server.behaviour = server.reply({**body("42", tool_calls=[called], usage=usage), "created": 1, "model": "m"})
    events = await streamed(llm_at(server, session), ASKED)
    assert [ChatCompletionChunk.model_validate(event).object for event in events] == ["chat.completion.chunk"] * 2
    assert events[0]["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **called}]
    assert joined(events) == "42"
    assert events[1]["usage"]["prompt_tokens"] == 11


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_refusal_is_shown_as_it_is_but_for_our_key(far: Upstream, session: HttpSession, stream: bool) -> None:
    llm = client(far, session, "status-400", api_key="sk-123")
    with pytest.raises(LLMError, match="HTTP 400: scripted refusal") as caught:
        await (streamed(llm, ASKED) if stream else llm.forward(ASKED))
    assert (caught.value.http_status, caught.value.kind, caught.value.retryable) == (400, "error", False)
    assert json.loads(caught.value.body or b"")["error"]["code"] == "scripted"


async def test_error_bodies_are_bounded_and_hold_no_key(server: MisbehavingServer, session: HttpSession) -> None:
    for size, kept in ((50, True), (65_536 - 23, True), (65_536 - 22, False), (500_000, False)):
        server.behaviour = server.reply(b'{"error":"bad sk-123 ' + b"x" * size + b'"}', status=401)
        with pytest.raises(LLMError) as caught:
            await llm_at(server, session, api_key="sk-123").forward(ASKED)
        assert (caught.value.body is not None) is kept
        assert b"sk-123" not in (caught.value.body or b"")
    server.behaviour = server.reply(b"", status=500)
    with pytest.raises(LLMError) as caught:
        await llm_at(server, session).complete(question())
    assert caught.value.body is None


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"<html>busy</html>", "malformed"),
        (b"", "malformed"),
        (b'{"choices": [{"mess', "malformed"),
        (b'{"id": 1}', "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"error": {"message": "no room"}}', "no room"),
        (b'{"choices": [{"finish_reason": "error"}]}', "broke off"),
        (b"[" * 100_000, "malformed"),
        (b'"' + b"x" * 300_000 + b'"', "cap of 200,000"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_200_that_is_no_completion(
    server: MisbehavingServer, session: HttpSession, sent: bytes, says: str, stream: bool
) -> None:
    server.behaviour = server.reply(sent)
    llm = llm_at(server, session, max_body_bytes=200_000)
    with pytest.raises(LLMError, match=says):
        await (streamed(llm, ASKED) if stream else llm.forward(ASKED))


@pytest.mark.parametrize(
    ("wire", "then", "kind", "retryable", "says"),
    [
        (sse(chunk("4"), done=False), "hang", "timeout", False, "next bytes"),
        (sse(chunk("4"), done=False), "drop", "error", True, "dropped"),
        (sse(chunk("4"), done=False), "end", "error", True, "ended before"),
        (sse(chunk("4", finish="stop"), chunk("4", index=1), done=False), "end", "error", True, "ended before"),
        (b"", "end", "error", True, "ended before"),
        (sse(), "end", "error", True, "ended before"),
        (b"data: {nope\n\n", "end", "error", False, "malformed"),
        (sse(chunk("4"), {"error": {"message": "OOM"}}), "end", "error", True, "OOM"),
        (sse(chunk("4"), chunk(finish="error")), "end", "error", True, "broke off"),
        (b"data: " + b"x" * 300_000, "end", "error", False, "larger"),
    ],
)
async def test_a_stream_that_is_not_whole(
    server: MisbehavingServer, session: HttpSession, wire: bytes, then: str, kind: str, retryable: bool, says: str
) -> None:
    server.behaviour = server.stream(wire, then=then)
    timeouts = Timeouts(between_bytes=1.0) if then == "hang" else PATIENT
    llm = llm_at(server, session, max_body_bytes=200_000, timeouts=timeouts)
    got: list[bytes] = []
    with pytest.raises(LLMError, match=says) as caught:
        await collect(llm, got)
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert len(got) == wire.count(b'"4"'), "what came before was handed on"


@pytest.mark.parametrize("done", [True, False])
async def test_either_sign_of_an_end_is_enough(server: MisbehavingServer, session: HttpSession, done: bool) -> None:
    end = chunk("a", index=1, finish="length")
    parts = [chunk("4", finish=None if done else "stop"), end, {"choices": [{"index": 0, "delta": {}}]}]
    server.behaviour = server.stream(sse(*parts, done=done).removesuffix(b"\n"))
    assert joined(await streamed(llm_at(server, session), ASKED)) == "4"


async def test_a_long_stream_may_grow_past_the_cap(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.stream(*[sse(chunk("x" * 5_000), done=False)] * 30, sse(chunk("y", finish="stop")))
    events = await streamed(llm_at(server, session, max_body_bytes=20_000), ASKED)
    assert len(joined(events)) == 150_001


async def test_numbers_that_are_none_become_null(server: MisbehavingServer, session: HttpSession) -> None:
    nan = json.dumps(chunk("4", finish="stop", logprobs=[token("4", float("nan"))]))
    server.behaviour = server.stream(sse(nan))
    (event,) = await streamed(llm_at(server, session), ASKED)
    assert event["choices"][0]["logprobs"]["content"][0]["logprob"] is None
    server.behaviour = server.reply(b'{"choices": [{"index": 0, "message": {}, "x": -Infinity}]}')
    assert b"Infinity" not in await llm_at(server, session).forward(ASKED)


async def test_leaving_a_stream_cuts_the_connection_at_once(far: Upstream, session: HttpSession) -> None:
    far.script["m"] = {"text": "word " * 1_000, "pause": 0.01}
    async with aclosing(client(far, session).forward_stream(ASKED)) as events:
        async for _ in events:
            break
        assert far.stats() == {"received": 1, "running": 1, "cancelled": 0, "connections": 1}
    await far.until(running=0, cancelled=1, connections=0)


@pytest.mark.parametrize("behaviour", ["hang", "stall"])
async def test_cancelling_ends_the_request(far: Upstream, session: HttpSession, behaviour: str) -> None:
    llm = client(far, session, behaviour)
    call = asyncio.create_task(streamed(llm, ASKED))
    await far.until(running=1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await far.until(running=0, cancelled=1, connections=0)


async def test_the_timer_is_not_the_listeners(server: MisbehavingServer, session: HttpSession) -> None:
    """A listener may take longer over an event than the server may be silent."""
    server.behaviour = server.stream(sse(chunk("4"), chunk("2", finish="stop")))
    llm = llm_at(server, session, timeouts=Timeouts(between_bytes=1.0))
    got = []
    async with aclosing(llm.forward_stream(ASKED)) as events:
        async for event in events:
            await asyncio.sleep(1.2)
            got.append(event)
    assert len(got) == 2


async def test_the_total_bounds_a_drip(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.stream(*[sse(chunk("x"), done=False)] * 100, pause=0.03)
    llm = llm_at(server, session, timeouts=Timeouts(first_byte=1, between_bytes=1, total=0.2))
    with pytest.raises(LLMError, match=r"the whole call took more than 0\.2 s") as caught:
        await streamed(llm, ASKED)
    assert caught.value.kind == "timeout"


async def test_streams_reuse_their_connection(far: Upstream, session: HttpSession) -> None:
    for _ in range(4):
        await streamed(client(far, session), ASKED)
    assert far.connections == 1


async def test_every_call_says_who_passed_it_on(far: Upstream, session: HttpSession) -> None:
    llm = client(far, session, headers={VIA_HEADER: "forged"})
    assert re.fullmatch("[0-9a-f]{32}", INSTANCE)
    await llm.complete(question())
    set_back = came_via.set("0123abcd")
    try:
        await llm.forward(ASKED)
        await streamed(llm, ASKED)
    finally:
        came_via.reset(set_back)
    assert [headers.getall(VIA_HEADER) for headers in far.headers] == [  # type: ignore[attr-defined]
        [INSTANCE],
        [f"0123abcd, {INSTANCE}"],
        [f"0123abcd, {INSTANCE}"],
    ]


async def test_the_switch_stops_requests_to_others(session: HttpSession) -> None:
    remote = OpenAICompatibleLLM("far", base_url="https://llm.test/v1", model="m", session=session)
    with allow_requests(False):
        with pytest.raises(ConfigError, match=r"'llm\.test' was stopped"):
            await remote.forward(ASKED)
        with pytest.raises(ConfigError, match=r"'llm\.test' was stopped"):
            await streamed(remote, ASKED)


def test_the_token_limit_is_renamed_only_where_it_must_be() -> None:
    def sent(field: Any, **limits: int) -> dict[str, Any]:
        made = json.loads(forwarded_body("m", limits, stream=False, defaults={}, max_tokens_field=field))
        del made["model"]
        return made  # type: ignore[no-any-return]

    assert sent("max_tokens", max_tokens=5) == {"max_tokens": 5}
    assert sent("max_tokens", max_completion_tokens=5) == {"max_completion_tokens": 5}
    assert sent("max_completion_tokens", max_tokens=5) == {"max_completion_tokens": 5}
    assert sent("max_completion_tokens", max_tokens=5, max_completion_tokens=6) == {"max_completion_tokens": 6}


@pytest.mark.parametrize("value", [object(), "\ud800", {1.5j: 1}])
def test_what_cannot_be_json_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="cannot be written as JSON"):
        forwarded_body("m", {"messages": [], "x": value}, stream=False, defaults={})


@pytest.mark.parametrize(
    ("data", "usage"),
    [
        (b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}', Usage(3, 4)),
        (b'{"usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}}', Usage(3, None, 2)),
        (b'{"usage": "many"}', Usage()),
        (b'{"usage": null}', None),
        (b'{"choices": [{"delta": {"content": "\\"usage\\""}}]}', None),
        (b'{"choices": [{"usage": {"prompt_tokens": 3}}]}', None),
        (b'{"usage": {', None),
    ],
)
def test_usage_is_read_off_what_passes(data: bytes, usage: Usage | None) -> None:
    assert forwarded_usage(data) == usage


def test_a_whole_body_in_events_keeps_what_nobody_knows() -> None:
    (event,) = as_events(b'{"x": 1, "choices": [{"index": 0, "message": null, "y": 2}]}')
    expected = {"x": 1, "object": "chat.completion.chunk", "choices": [{"index": 0, "y": 2, "delta": {}}]}
    assert json.loads(event) == expected


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(body=st.dictionaries(st.text(max_size=16), JSON, max_size=6), stream=st.booleans())
def test_any_body_arrives_but_for_what_is_ours(body: dict[str, Any], stream: bool) -> None:
    sent = json.loads(forwarded_body("m", body, stream=stream, defaults={"top_k": 5}))
    ours = {"model", "stream", "stream_options"}
    given_ = {name: value for name, value in body.items() if value is not None and name not in ours}
    assert {name: value for name, value in sent.items() if name not in ours} == {"top_k": 5, **given_}
    assert (sent["model"], sent.get("stream", False)) == ("m", stream)


class Mute:
    """Answers, but takes no raw requests."""

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        raise NotImplementedError


def test_forwarding_is_found_through_wrappers_and_never_around_one() -> None:
    scripted = ScriptedLLM("s")
    wrapped = RetryingLLM(LimitedLLM(scripted, Limiter()))
    assert forwarding(scripted) is scripted
    assert forwarding(wrapped) is wrapped
    for llm in (Mute(), Mute(scripted), RetryingLLM(LimitedLLM(Mute(scripted), Limiter()))):
        assert forwarding(llm) is None
        with pytest.raises(InputError, match="takes no raw requests"):
            require_forwarding(llm)
    assert not isinstance(StoredLLM, Forwarding)


async def test_a_slot_is_held_until_the_stream_ends_or_is_closed() -> None:
    llm = LimitedLLM(ScriptedLLM("s"), Limiter(max_concurrent=1))
    first = llm.forward_stream(ASKED)
    await anext(first)
    second = asyncio.create_task(llm.forward(ASKED))
    await asyncio.sleep(0.01)
    assert not second.done()
    await first.aclose()
    assert await second
    assert len(await streamed(llm, ASKED)) == 6


async def test_tries_end_with_the_first_event() -> None:
    sleeps: list[float] = []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)

    scripted = ScriptedLLM(
        "s", failures=["error", "disconnect", None, "cut", None, "refused", "error", "error", "error"]
    )
    llm = RetryingLLM(scripted, RetryPolicy(max_tries=3), sleep=sleep)
    assert json.loads(await llm.forward(ASKED))["choices"]
    assert (scripted.calls, len(sleeps)) == (3, 2)
    got: list[bytes] = []
    with pytest.raises(LLMError, match="ended before the answer was complete"):
        await collect(llm, got)
    assert got
    assert scripted.calls == 4
    await streamed(llm, ASKED)
    for _ in range(2):
        with pytest.raises(LLMError):
            await streamed(llm, ASKED)
    assert (scripted.calls, len(sleeps)) == (9, 4), "a refusal is not tried again, an error three times"


async def test_the_upstream_as_a_process_of_its_own(session: HttpSession) -> None:
    async with upstream_process({"*": {"text": "{messages} {last}"}}) as process:
        llm = OpenAICompatibleLLM("p", base_url=process.url, model="any", session=session)
        assert joined(await streamed(llm, ASKED)) == "1 What is 6 x 7?"
        stats = await stats_of(process.url)
        assert {**stats, "connections": 0} == {"received": 1, "running": 0, "cancelled": 0, "connections": 0}
