from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_llms import PATIENT, SILENT, Behaviour, MisbehavingServer, body, chunk, llm_at, question, sse, token
from smcs.errors import LLMError
from smcs.llms import HttpSession, transport
from smcs.llms.stream import EventParser
from smcs.types import Completion, Delta, Usage

USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}


async def ask(
    server: MisbehavingServer, session: HttpSession, behaviour: Behaviour, **options: Any
) -> tuple[Completion, list[Delta]]:
    deltas: list[Delta] = []
    server.behaviour = behaviour
    completion = await llm_at(server, session).complete(question(**options), on_delta=deltas.append)
    return completion, deltas


async def test_pieces_arrive_and_add_up(server: MisbehavingServer, session: HttpSession) -> None:
    data = sse(
        chunk("", role="assistant"),
        chunk("forty", logprobs=[token("forty", -0.5)]),
        chunk(" two", logprobs=[token(" two", -0.25)]),
        chunk(finish="stop"),
        USAGE,
    )
    completion, deltas = await ask(server, session, server.stream(data), logprobs=True)
    assert deltas == [Delta("forty"), Delta(" two")]
    assert completion.choices[0].text == "forty two"
    assert completion.choices[0].logprobs == (-0.5, -0.25)
    assert completion.usage == Usage(9, 2, None)
    assert server.requests[0]["stream"] is True
    assert server.requests[0]["stream_options"] == {"include_usage": True}


async def test_bytes_may_be_cut_anywhere(server: MisbehavingServer, session: HttpSession) -> None:
    data = b"\xef\xbb\xbf: hello\r\n\r\n" + sse(chunk("hé"), chunk("llo", finish="stop"), separator="\r\n\r\n")
    pieces = [data[i : i + 1] for i in range(len(data))]
    completion, deltas = await ask(server, session, server.stream(*pieces))
    assert completion.choices[0].text == "héllo"
    assert deltas == [Delta("hé"), Delta("llo")]


async def test_choices_are_kept_apart(server: MisbehavingServer, session: HttpSession) -> None:
    data = sse(
        chunk("a", index=1),
        chunk("b", index=0),
        chunk("c", index=1, finish="length"),
        chunk("?", index=7),
        chunk(finish="stop"),
    )
    completion, deltas = await ask(server, session, server.stream(data), n=2)
    assert [(choice.text, choice.finish_reason) for choice in completion.choices] == [("b", "stop"), ("ac", "length")]
    assert deltas == [Delta("a", choice=1), Delta("b"), Delta("c", choice=1)]


async def test_reasoning_is_kept_apart(server: MisbehavingServer, session: HttpSession) -> None:
    data = sse(
        chunk(reasoning_content="first "),
        chunk("<thi"),
        chunk("nk>then</th"),
        chunk("ink>\n\n42 <"),
        chunk(" 43", finish="stop"),
    )
    completion, deltas = await ask(server, session, server.stream(data))
    assert completion.choices[0].text == "42 < 43"
    assert completion.choices[0].reasoning == "first\nthen"
    assert "".join(delta.text for delta in deltas) == "42 < 43"
    assert "".join(delta.reasoning for delta in deltas) == "first then"


async def test_nan_logprobs_are_unknown(server: MisbehavingServer, session: HttpSession) -> None:
    data = sse(chunk("4", logprobs=[token("4", float("nan"))]), chunk("2", finish="stop", logprobs=[token("2", -1.0)]))
    completion, _ = await ask(server, session, server.stream(data), logprobs=True)
    assert completion.choices[0].text == "42"
    assert completion.choices[0].logprobs is None


async def test_logprobs_of_the_answer_only(server: MisbehavingServer, session: HttpSession) -> None:
    data = sse(
        chunk(reasoning="hm", logprobs=[token("hm", -3.0)]),
        chunk("4", logprobs=[token("4", -0.1)]),
        chunk("2", finish="stop", logprobs=[token("2", -0.2)]),
    )
    completion, _ = await ask(server, session, server.stream(data), logprobs=True)
    assert completion.choices[0].logprobs == (-0.1, -0.2)
    assert completion.choices[0].completion_tokens == 3


@pytest.mark.parametrize("done", [True, False])
async def test_either_sign_of_an_end_is_enough(server: MisbehavingServer, session: HttpSession, done: bool) -> None:
    events = [chunk("42")] if done else [chunk("42", finish="stop")]
    completion, _ = await ask(server, session, server.stream(sse(*events, done=done)))
    assert completion.choices[0].text == "42"
    assert completion.choices[0].finish_reason == ("other" if done else "stop")


async def test_a_server_that_lingers_after_the_end_does_not_hold_the_answer(
    server: MisbehavingServer, session: HttpSession
) -> None:
    completion, _ = await ask(server, session, server.stream(sse(chunk("42", finish="stop")), then="hang"))
    assert completion.choices[0].text == "42"


async def test_streams_reuse_their_connection(
    server: MisbehavingServer, session: HttpSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_TRAILER_SECONDS", 30.0)
    ports = set()
    stream = server.stream(sse(chunk("42", finish="stop")))

    async def behaviour(request: Any) -> Any:
        ports.add(request.transport.get_extra_info("peername")[1])
        return await stream(request)

    for _ in range(4):
        await ask(server, session, behaviour)
    assert len(ports) == 1


@pytest.mark.parametrize(
    ("choose", "kind", "retryable", "says"),
    [
        pytest.param(
            lambda s: s.stream(sse(chunk("4"), done=False), then="hang"), "timeout", False, "next bytes", id="hang"
        ),
        pytest.param(lambda s: s.stream(sse(chunk("4"), done=False), then="drop"), "error", True, "dropped", id="drop"),
        pytest.param(lambda s: s.stream(sse(chunk("4"), done=False)), "error", True, "ended before", id="cut"),
        pytest.param(lambda s: s.stream(sse(done=False)), "error", True, "ended before", id="nothing"),
        pytest.param(lambda s: s.stream(sse()), "error", True, "ended before", id="only done"),
        pytest.param(lambda s: s.stream(b"data: {nope\n\n"), "error", False, "malformed", id="malformed"),
        pytest.param(lambda s: s.stream(b'data: {"choices": 3}\n\n'), "error", False, "malformed", id="wrong type"),
        pytest.param(lambda s: s.stream(sse({"error": {"message": "OOM"}})), "error", True, "OOM", id="error event"),
        pytest.param(lambda s: s.stream(sse(chunk("", finish="stop"))), "empty", False, "no text", id="empty"),
        pytest.param(
            lambda s: s.stream(sse(chunk("a", finish="error"))), "error", True, "broke off", id="error finish"
        ),
        pytest.param(lambda s: s.stream(*[b"data: " + b"x" * 60_000] * 6), "error", False, "larger", id="over the cap"),
        pytest.param(lambda s: s.reply(b"no", status=500), "error", True, "HTTP 500", id="500"),
    ],
)
async def test_failures(
    server: MisbehavingServer,
    session: HttpSession,
    choose: Callable[[MisbehavingServer], Behaviour],
    kind: str,
    retryable: bool,
    says: str,
) -> None:
    server.behaviour = choose(server)
    llm = llm_at(server, session, max_body_bytes=200_000, timeouts=SILENT.get(says, PATIENT))
    with pytest.raises(LLMError) as caught:
        await llm.complete(question(), on_delta=lambda _: None)
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert says in str(caught.value)


async def test_a_listener_that_breaks_is_not_an_llm_failure(server: MisbehavingServer, session: HttpSession) -> None:
    def broken(_: Delta) -> None:
        raise ZeroDivisionError

    server.behaviour = server.stream(sse(chunk("4"), chunk("2", finish="stop")), then="hang")
    with pytest.raises(ZeroDivisionError):
        await llm_at(server, session).complete(question(), on_delta=broken)


async def test_body_helper_and_stream_agree(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.reply(body("<think>a</think> b"))
    whole = await llm_at(server, session).complete(question())
    streamed, _ = await ask(server, session, server.stream(sse(chunk("<think>a</think> b", finish="stop"))))
    assert (whole.choices[0].text, whole.choices[0].reasoning) == ("b", "a")
    assert (streamed.choices[0].text, streamed.choices[0].reasoning) == ("b", "a")


LINES = st.lists(st.text("abc:\u00e9 ", max_size=6), max_size=4)


@given(events=st.lists(LINES, max_size=4), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_events_do_not_depend_on_how_bytes_are_cut(events: list[list[str]], cuts: list[int]) -> None:
    wire = b"".join(b"".join(b"data: " + line.encode() + b"\n" for line in lines) + b"\n" for lines in events)
    expected = ["\n".join(lines).encode() for lines in events if lines]
    parser = EventParser()
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    got = [event for a, b in pairwise(edges) for event in parser.feed(wire[a:b])]
    assert got + parser.close() == expected
