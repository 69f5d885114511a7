from __future__ import annotations

import asyncio
import gzip
import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from helpers_llms import PATIENT, SILENT, Behaviour, MisbehavingServer, body, llm_at, question, token
from smcs.errors import ConfigError, InputError, LLMError
from smcs.llms import HttpSession, OpenAICompatibleLLM, Timeouts, allow_requests
from smcs.types import Delta, Message, Request, Sampling, Usage

NAN = (
    b'{"choices": [{"index": 0, "message": {"content": "42"}, "finish_reason": "stop", '
    b'"logprobs": {"content": [{"token": "42", "logprob": %s}]}}]}'
)


async def test_answer_with_everything(server: MisbehavingServer, session: HttpSession) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 16}}
    server.behaviour = server.reply(
        body("forty two", logprobs=[token("forty", -0.5), token(" two", -0.25)], usage=usage)
    )
    completion = await llm_at(server, session).complete(question(logprobs=True))
    choice = completion.choices[0]
    assert (choice.text, choice.reasoning, choice.finish_reason) == ("forty two", "", "stop")
    assert choice.logprobs == (-0.5, -0.25)
    assert choice.completion_tokens == 2
    assert completion.usage == Usage(20, 2, 16)


async def test_request_body_and_headers(
    server: MisbehavingServer, session: HttpSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", " secret-key\n")
    llm = llm_at(
        server,
        session,
        api_key_env="TEST_KEY",
        extra_body={"top_k": 5, "temperature": 0.1},
        max_tokens_field="max_completion_tokens",
    )
    sampling = Sampling(
        temperature=0.7,
        top_p=0.9,
        max_tokens=99,
        presence_penalty=1.05,
        frequency_penalty=0.2,
        seed=7,
        stop=("END",),
        response_format={"type": "json_object"},
    )
    request = Request((Message("system", "be brief"), Message("user", "hé")), sampling=sampling, n=3, logprobs=True)
    await llm.complete(request)
    assert server.requests[0] == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hé"}],
        "temperature": 0.1,
        "top_p": 0.9,
        "max_completion_tokens": 99,
        "presence_penalty": 1.05,
        "frequency_penalty": 0.2,
        "seed": 7,
        "stop": ["END"],
        "response_format": {"type": "json_object"},
        "n": 3,
        "logprobs": True,
        "top_logprobs": 1,
        "top_k": 5,
    }
    assert server.headers[0]["Authorization"] == "Bearer secret-key"
    assert "secret" not in repr(llm)


async def test_what_is_not_set_is_not_sent(server: MisbehavingServer, session: HttpSession) -> None:
    await llm_at(server, session).complete(question())
    assert server.requests[0] == {"model": "m", "messages": [{"role": "user", "content": "What is 6 x 7?"}]}
    assert "Authorization" not in server.headers[0]


async def test_one_connection_serves_many_calls(server: MisbehavingServer, session: HttpSession) -> None:
    ports = set()

    async def behaviour(request: Any) -> Any:
        ports.add(request.transport.get_extra_info("peername")[1])
        return await server.reply(body("42"))(request)

    server.behaviour = behaviour
    for _ in range(5):
        await llm_at(server, session).complete(question())
    assert len(ports) == 1


@pytest.mark.parametrize(
    ("choose", "kind", "retryable", "says"),
    [
        pytest.param(lambda s: s.hang, "timeout", False, "first byte", id="hang before headers"),
        pytest.param(lambda s: s.half_body("hang"), "timeout", False, "next bytes", id="hang in the body"),
        pytest.param(lambda s: s.half_body("drop"), "error", True, "dropped the connection", id="drop in the body"),
        pytest.param(lambda s: s.drop, "error", True, "dropped the connection", id="drop at once"),
        pytest.param(lambda s: s.reply(b"{'no': json"), "error", False, "malformed response", id="malformed"),
        pytest.param(lambda s: s.reply(b""), "error", False, "malformed response", id="no bytes"),
        pytest.param(lambda s: s.reply(b"<html>hello</html>"), "error", False, "hello", id="html"),
        pytest.param(lambda s: s.reply(b'{"choices": "\xff\xfe"}'), "error", False, "malformed", id="invalid UTF-8"),
        pytest.param(lambda s: s.reply(b"[" * 200_000), "error", False, "malformed", id="deep nesting"),
        pytest.param(lambda s: s.reply({"id": "x"}), "error", False, "no choices", id="no choices"),
        pytest.param(lambda s: s.reply({"choices": []}), "error", False, "no choices", id="zero choices"),
        pytest.param(lambda s: s.reply({"choices": [{}]}), "error", False, "without a message", id="no message"),
        pytest.param(lambda s: s.reply(body(42)), "error", False, "malformed", id="content of a wrong type"),
        pytest.param(
            lambda s: s.reply({"choices": {"0": 1}}), "error", False, "malformed", id="choices of a wrong type"
        ),
        pytest.param(
            lambda s: s.reply({"error": {"message": "no room"}}), "error", False, "no room", id="error in a 200"
        ),
        pytest.param(
            lambda s: s.reply(body("half", finish="error")), "error", True, "broke off", id="finished in error"
        ),
        pytest.param(lambda s: s.reply(body("")), "empty", False, "no text", id="empty"),
        pytest.param(lambda s: s.reply(body(None)), "empty", False, "no text", id="null"),
        pytest.param(lambda s: s.reply(body(" \n")), "empty", False, "no text", id="blank"),
        pytest.param(
            lambda s: s.reply(body("<think>hm", finish="length")),
            "empty",
            False,
            "only reasoning (cut",
            id="only thought",
        ),
        pytest.param(lambda s: s.reply(body("x" * 300_000)), "error", False, "cap of 200,000", id="over the cap"),
        pytest.param(lambda s: s.reply(b"oops", status=500), "error", True, "HTTP 500: oops", id="500"),
        pytest.param(
            lambda s: s.reply(b"", status=502), "error", True, "HTTP 502: no message", id="502 without a body"
        ),
        pytest.param(lambda s: s.reply({"error": "bad n"}, status=400), "error", False, "HTTP 400: bad n", id="400"),
        pytest.param(lambda s: s.reply({"detail": [{"msg": "n"}]}, status=422), "error", False, '"msg":"n"', id="422"),
        pytest.param(lambda s: s.reply(b"late", status=504), "timeout", True, "HTTP 504", id="504"),
        pytest.param(
            lambda s: s.reply(b"", status=307, headers={"Location": "https://elsewhere.test"}),
            "error",
            False,
            "redirected to https://elsewhere.test",
            id="redirect",
        ),
        pytest.param(
            lambda s: s.reply({"error": {"message": "pay", "code": "insufficient_quota"}}, status=429),
            "error",
            False,
            "pay",
            id="out of money",
        ),
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
        await llm.complete(question())
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert says in str(caught.value)
    assert str(caught.value).startswith("tested: ")
    assert len(str(caught.value)) < 500


async def test_large_body_is_fine(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.reply(body("x" * 2_000_000))
    completion = await llm_at(server, session).complete(question())
    assert len(completion.choices[0].text) == 2_000_000


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b"null", b"1e999", b'"x"', b"-9999.0", b"0.5", b"-3.4e38"])
async def test_untrusted_logprobs_are_unknown_and_the_text_counts(
    server: MisbehavingServer, session: HttpSession, value: bytes
) -> None:
    server.behaviour = server.reply(NAN % value)
    completion = await llm_at(server, session).complete(question(logprobs=True))
    assert completion.choices[0].text == "42"
    assert completion.choices[0].logprobs is None


@pytest.mark.parametrize("usage", ["many", {"prompt_tokens": "1"}, [], {"completion_tokens": math.nan}])
async def test_untrusted_usage_is_unknown(server: MisbehavingServer, session: HttpSession, usage: Any) -> None:
    server.behaviour = server.reply(body("42", usage=usage))
    completion = await llm_at(server, session).complete(question())
    assert completion.usage == Usage(None, None, None)


async def test_logprobs_above_zero_by_rounding_are_clipped(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.reply(body("42", logprobs=[token("4", 1e-7), token("2", -1.0)]))
    completion = await llm_at(server, session).complete(question(logprobs=True))
    assert completion.choices[0].logprobs == (0.0, -1.0)


async def test_n_choices_are_counted_one_by_one(server: MisbehavingServer, session: HttpSession) -> None:
    answer = body("c", "a", "b", logprobs=[token("a", -1.0), token("", -0.1)])
    for choice, index in zip(answer["choices"], (2, 0, 1), strict=True):
        choice["index"] = index
    server.behaviour = server.reply(answer)
    completion = await llm_at(server, session).complete(question(n=3, logprobs=True))
    assert [choice.text for choice in completion.choices] == ["a", "b", "c"]
    assert [choice.completion_tokens for choice in completion.choices] == [2, 2, 2]
    assert completion.usage.completion_tokens == 6, "the server counted one choice only"


async def test_n_ignored_or_surpassed(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.reply(body("a"))
    assert len((await llm_at(server, session).complete(question(n=3))).choices) == 1
    server.behaviour = server.reply(body("a", "b", "c"))
    assert len((await llm_at(server, session).complete(question(n=2))).choices) == 2


async def test_empty_choices_are_left_out(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.reply(body("a", "", "<think>b"))
    completion = await llm_at(server, session).complete(question(n=3))
    assert [choice.text for choice in completion.choices] == ["a"]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_field_is_kept_apart(server: MisbehavingServer, session: HttpSession, field: str) -> None:
    server.behaviour = server.reply(body("42", **{field: "six sevens"}))
    choice = (await llm_at(server, session).complete(question())).choices[0]
    assert (choice.text, choice.reasoning) == ("42", "six sevens")


async def test_logprobs_are_those_of_the_answer(server: MisbehavingServer, session: HttpSession) -> None:
    entries = [token(t, -i / 10) for i, t in enumerate(["<think>", "hm", "</think>", "\n\n", "4", "2", "<end>"])]
    server.behaviour = server.reply(body("<think>hm</think>\n\n42", logprobs=entries))
    choice = (await llm_at(server, session).complete(question(logprobs=True))).choices[0]
    assert (choice.text, choice.reasoning) == ("42", "hm")
    assert choice.logprobs == (-0.4, -0.5)
    assert choice.completion_tokens == 7


async def test_logprobs_of_split_characters_are_aligned_by_bytes(
    server: MisbehavingServer, session: HttpSession
) -> None:
    first, second = list("é".encode())
    entries = [token("hm", -1.0), token("�", -0.1, bytes=[first]), token("�", -0.2, bytes=[second])]
    server.behaviour = server.reply(body("é", reasoning="hm", logprobs=entries))
    choice = (await llm_at(server, session).complete(question(logprobs=True))).choices[0]
    assert choice.logprobs == (-0.1, -0.2)


async def test_logprobs_that_cannot_be_aligned_are_kept_whole(server: MisbehavingServer, session: HttpSession) -> None:
    entries = [token("▁hm", -1.0), token("▁forty", -0.1)]
    server.behaviour = server.reply(body("42", reasoning="hm", logprobs=entries))
    choice = (await llm_at(server, session).complete(question(logprobs=True))).choices[0]
    assert choice.logprobs == (-1.0, -0.1)


async def test_content_parts(server: MisbehavingServer, session: HttpSession) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "42"}]
    server.behaviour = server.reply(body(parts))
    assert (await llm_at(server, session).complete(question())).choices[0].text == "42"


@pytest.mark.parametrize("reported", ["length", "content_filter", None])
async def test_finish_reasons(server: MisbehavingServer, session: HttpSession, reported: str | None) -> None:
    server.behaviour = server.reply(body("42", finish=reported))
    choice = (await llm_at(server, session).complete(question())).choices[0]
    assert choice.finish_reason == ("length" if reported == "length" else "other")


async def test_retry_after_as_seconds_and_as_a_date(server: MisbehavingServer, session: HttpSession) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    for value, low, high in (("7", 7, 7), ("1.5", 1.5, 1.5), (later, 60, 91)):
        server.behaviour = server.reply({"error": "slow down"}, status=429, headers={"Retry-After": value})
        with pytest.raises(LLMError) as caught:
            await llm_at(server, session).complete(question())
        assert caught.value.http_status == 429
        assert caught.value.retryable
        assert caught.value.retry_after is not None
        assert low <= caught.value.retry_after <= high
    server.behaviour = server.reply({"error": "slow down"}, status=429, headers={"Retry-After": "soon"})
    with pytest.raises(LLMError) as caught:
        await llm_at(server, session).complete(question())
    assert caught.value.retry_after is None


async def test_what_a_server_says_is_made_safe(server: MisbehavingServer, session: HttpSession) -> None:
    nasty = "bad key sk-123\x1b[31m\r\nsee \u202eevil" + "y" * 5_000
    server.behaviour = server.reply({"error": {"message": nasty}}, status=401)
    with pytest.raises(LLMError) as caught:
        await llm_at(server, session, api_key="sk-123").complete(question())
    message = str(caught.value)
    assert "sk-123" not in message
    assert message.isprintable()
    assert len(message) < 400


async def test_total_timeout_ends_a_drip(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.stream(*[b": still here\n"] * 100, pause=0.05)
    llm = llm_at(server, session, timeouts=Timeouts(first_byte=1, between_bytes=1, total=0.3))
    with pytest.raises(LLMError, match=r"the whole call took more than 0\.3 s") as caught:
        await llm.complete(question(), on_delta=lambda _: None)
    assert caught.value.kind == "timeout"


async def test_nobody_listens(server: MisbehavingServer, session: HttpSession) -> None:
    llm = OpenAICompatibleLLM("gone", base_url="http://127.0.0.1:9/v1", model="m", session=session)
    with pytest.raises(LLMError, match=r"cannot connect to 127\.0\.0\.1:9") as caught:
        await llm.complete(question())
    assert caught.value.retryable


async def test_cancelling_a_call_releases_its_connection(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.hang
    call = asyncio.create_task(llm_at(server, session).complete(question()))
    await server.called.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_an_outer_timeout_stays_the_outer_ones(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.hang
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await llm_at(server, session).complete(question())


async def test_the_loop_is_not_blocked_by_a_slow_server(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.hang
    llm = llm_at(server, session, timeouts=SILENT["first byte"])
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(_failure(llm)) for _ in range(20)]
    assert time.monotonic() - started < 5.0, "twenty hanging calls wait side by side"
    assert {call.result() for call in calls} == {"timeout"}


async def _failure(llm: OpenAICompatibleLLM) -> str:
    with pytest.raises(LLMError) as caught:
        await llm.complete(question())
    return caught.value.kind


async def test_streaming_server_that_ignores_stream(server: MisbehavingServer, session: HttpSession) -> None:
    deltas: list[Delta] = []
    server.behaviour = server.reply(body("42", reasoning="hm"))
    completion = await llm_at(server, session).complete(question(), on_delta=deltas.append)
    assert deltas == [Delta("42", "hm", 0)]
    assert completion.choices[0].text == "42"


async def test_own_session_is_closed_and_a_shared_one_is_not(server: MisbehavingServer, session: HttpSession) -> None:
    async with OpenAICompatibleLLM("own", base_url=server.base_url, model="m") as own:
        await own.complete(question())
        await own.close()
        await own.complete(question())
    async with llm_at(server, session) as shared:
        await shared.complete(question())
    assert not session.client().closed


def test_session_of_another_loop_is_refused_clearly() -> None:
    session = HttpSession()
    first = asyncio.new_event_loop()

    async def use() -> None:
        session.client()

    try:
        first.run_until_complete(use())
        with pytest.raises(InputError, match="another event loop"):
            asyncio.run(use())
        first.run_until_complete(session.close())
    finally:
        first.close()


async def test_the_switch_stops_requests_to_others(
    server: MisbehavingServer, session: HttpSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = OpenAICompatibleLLM("far", base_url="https://llm.test/v1", model="m", session=session)
    with allow_requests(False):
        with pytest.raises(ConfigError, match=r"'llm\.test' was stopped"):
            await remote.complete(question())
        await llm_at(server, session).complete(question())
    monkeypatch.setenv("SMCS_NO_NETWORK", "1")
    with pytest.raises(ConfigError, match="unset SMCS_NO_NETWORK"):
        await remote.complete(question())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"base_url": "localhost:8080"}, "must be an http or https URL"),
        ({"base_url": "ftp://host/v1"}, "must be an http or https URL"),
        ({"base_url": "https://me:pw@host/v1"}, "user name or password"),
        ({"api_key_env": "SMCS_TEST_UNSET"}, "export SMCS_TEST_UNSET="),
        ({"api_key": "two words"}, "cannot carry"),
        ({"api_key": "line\nbreak"}, "cannot carry"),
        ({"extra_body": {"n": 2, "top_k": 1}}, "may not set 'n'"),
    ],
)
def test_mistakes_are_told_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        OpenAICompatibleLLM("x", **{"base_url": "http://localhost/v1", "model": "m", **options})
    for secret in ("pw", "two words"):
        assert secret not in str(caught.value)


def test_url_keeps_its_query() -> None:
    llm = OpenAICompatibleLLM("x", base_url="https://h/openai/v1/?api-version=3", model="m")
    assert llm.endpoint == "https://h/openai/v1/chat/completions?api-version=3 m"


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_timeouts_must_be_positive(value: float) -> None:
    with pytest.raises(InputError, match="`total`"):
        Timeouts(total=value)


def test_nan_fixture_is_no_json_for_others() -> None:
    with pytest.raises(ValueError, match="NaN"):
        json.loads(NAN % b"NaN", parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))


def test_proxy_comes_from_the_environment_but_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "inside.test")
    proxies = {
        url: OpenAICompatibleLLM("x", base_url=url, model="m")._proxy
        for url in ("https://far.test/v1", "https://inside.test/v1", "http://127.0.0.1:8080/v1")
    }
    assert list(proxies.values()) == ["http://proxy.test:3128", None, None]


async def test_a_server_without_tls_is_no_secure_endpoint(server: MisbehavingServer, session: HttpSession) -> None:
    llm = OpenAICompatibleLLM(
        "x",
        base_url=server.base_url.replace("http:", "https:"),
        model="m",
        session=session,
        timeouts=Timeouts(connect=1),
    )
    with pytest.raises(LLMError, match="no secure connection to 127") as caught:
        await llm.complete(question())
    assert not caught.value.retryable


async def test_a_body_that_is_not_what_its_header_says(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.reply(b"plain", headers={"Content-Encoding": "gzip"})
    with pytest.raises(LLMError):
        await llm_at(server, session).complete(question())


async def test_the_cap_counts_decompressed_bytes(server: MisbehavingServer, session: HttpSession) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    server.behaviour = server.reply(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(LLMError, match="cap of 1,000,000"):
        await llm_at(server, session, max_body_bytes=1_000_000).complete(question())
