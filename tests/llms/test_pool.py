from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from helpers_llms import MisbehavingServer, body, llm_at, question
from smcs.errors import ConfigError
from smcs.llms import (
    HttpSession,
    LimitedLLM,
    Limiter,
    Member,
    Pool,
    RetryingLLM,
    ScriptedLLM,
    attempt,
    member_body,
    member_request,
)
from smcs.llms.protocol import DeltaSink
from smcs.types import Attempt, Choice, Completion, Delta, Message, Price, Request, Sampling, Usage


class Fixed:
    """Returns or raises what it was given, and can be closed."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.closed = 0

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result  # type: ignore[no-any-return]

    async def close(self) -> None:
        self.closed += 1


async def call(llm: Any, *, price: Price | None = None, **options: Any) -> Attempt:
    began = time.monotonic()
    member = Member("m", llm, price=price)
    return await attempt(member, question(), stage="reference", clock=lambda: time.monotonic() - began, **options)


async def test_ok() -> None:
    completion = Completion((Choice("42", logprobs=(-0.1,)), Choice(" ")), Usage(1_000, 2_000))
    result = await call(Fixed(completion), price=Price(1.0, 2.0))
    assert (result.llm, result.stage, result.status, result.error, result.tries) == ("m", "reference", "ok", None, 1)
    assert result.choices == (Choice("42", logprobs=(-0.1,)),), "a choice without a text is no choice"
    assert result.usage == Usage(1_000, 2_000)
    assert result.cost_usd == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("price", "usage"), [(None, Usage(1, 1)), (Price(1, 1), Usage(1, None)), (Price(1, 1), Usage())]
)
async def test_an_unknown_cost_is_unknown(price: Price | None, usage: Usage) -> None:
    assert (await call(Fixed(Completion((Choice("42"),), usage)), price=price)).cost_usd is None


@pytest.mark.parametrize(
    ("llm", "status", "says"),
    [
        (ScriptedLLM("m", failures="error"), "error", "HTTP 500"),
        (ScriptedLLM("m", failures="timeout"), "timeout", "no answer in time"),
        (ScriptedLLM("m", failures="empty"), "empty", "the answer holds no text"),
        (Fixed(Completion((Choice(""), Choice("\n")))), "empty", "the answer holds no text"),
        (Fixed(Completion(())), "empty", "the answer holds no text"),
        (Fixed(ZeroDivisionError("by\nzero\x1b")), "error", "ZeroDivisionError: by zero"),
        (Fixed(ConfigError("no key")), "error", "ConfigError: no key"),
        (Fixed(TimeoutError()), "timeout", "time-out of its own"),
        (Fixed("a string"), "error", "AttributeError"),
        (Fixed(None), "error", "AttributeError"),
    ],
)
async def test_whatever_goes_wrong_becomes_an_attempt(llm: Any, status: str, says: str) -> None:
    result = await call(llm, price=Price(1, 1))
    assert result.status == status
    assert says in (result.error or "")
    assert (result.error or "").isprintable()
    assert result.choices == ()
    assert result.cost_usd is None


async def test_http_failures_are_recorded(server: MisbehavingServer, session: HttpSession) -> None:
    server.behaviour = server.reply({"error": "busy"}, status=503)
    result = await call(llm_at(server, session))
    assert (result.status, result.http_status, result.error) == ("error", 503, "HTTP 503: busy")


async def test_retries_are_counted() -> None:
    async def instant(_: float) -> None:
        return

    llm = RetryingLLM(ScriptedLLM("m", failures=["error", "error", None]), sleep=instant)
    assert (await call(llm)).tries == 3
    assert (await call(llm)).tries == 1


async def test_deadline_ends_a_hanging_call() -> None:
    result = await call(ScriptedLLM("m", failures="hang"), deadline=0.05)
    assert result.status == "timeout"
    assert "deadline" in (result.error or "")
    assert 0.04 < result.seconds < 2.0


async def test_a_passed_deadline_sends_nothing() -> None:
    llm = ScriptedLLM("m")
    result = await call(llm, deadline=-1.0)
    assert (result.status, result.tries, result.cost_usd, llm.calls) == ("skipped", 0, 0.0, 0)


async def test_cancellation_passes() -> None:
    task = asyncio.create_task(call(ScriptedLLM("m", failures="hang")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_deltas_are_handed_on() -> None:
    pieces: list[Delta] = []
    await call(ScriptedLLM("m", ["forty two"]), on_delta=pieces.append)
    assert [piece.text for piece in pieces] == ["forty", " two"]


def test_a_members_settings_are_laid_over_the_request() -> None:
    member = Member("m", ScriptedLLM("m"), sampling=Sampling(temperature=0.1), system_prompt="Be brief.")
    plain = Request((Message("user", "hi"),), sampling=Sampling(temperature=0.7, seed=3), n=2, logprobs=True)
    sent = member_request(member, plain)
    assert sent.sampling == Sampling(temperature=0.1, seed=3)
    assert sent.messages == (Message("system", "Be brief."), Message("user", "hi"))
    assert (sent.n, sent.logprobs) == (2, True)
    with_system = Request((Message("system", "Use English."), Message("user", "hi")))
    assert member_request(member, with_system).messages == (
        Message("system", "Be brief.\n\nUse English."),
        Message("user", "hi"),
    )
    assert member_request(Member("m", ScriptedLLM("m")), plain) == plain


async def test_pool_is_a_mapping_and_closes_what_it_holds() -> None:
    inner, shared = Fixed(None), Fixed(None)
    wrapped = RetryingLLM(LimitedLLM(inner, Limiter()))
    members = [Member("b", wrapped), Member("a", inner), Member("c", ScriptedLLM("c"))]
    async with Pool(members, resources=[shared]) as pool:
        assert list(pool) == ["b", "a", "c"]
        assert pool["a"].llm is inner
        assert len(pool) == 3
    assert (inner.closed, shared.closed) == (1, 1)


async def test_one_that_cannot_be_closed_does_not_keep_others_open() -> None:
    class Stuck(Fixed):
        async def close(self) -> None:
            raise OSError("stuck")

    good = Fixed(None)
    with pytest.raises(ExceptionGroup, match="could not be closed"):
        await Pool([Member("a", Stuck(None)), Member("b", good)]).close()
    assert good.closed == 1


def test_pool_mistakes() -> None:
    member = Member("qwen", ScriptedLLM("qwen"))
    with pytest.raises(ConfigError, match="no members"):
        Pool([])
    with pytest.raises(ConfigError, match="Two members of the pool are called 'qwen'"):
        Pool([member, member])
    with pytest.raises(ConfigError, match="Did you mean 'qwen'"):
        Pool([member]).member("qwem")
    assert Pool([member]).member("qwen") is member


async def test_a_session_shared_by_a_pool(server: MisbehavingServer) -> None:
    session = HttpSession()
    server.behaviour = server.reply(body("42"))
    async with Pool([Member(name, llm_at(server, session)) for name in "ab"], resources=[session]) as pool:
        for member in pool.values():
            result = await attempt(member, question(), stage="reference", clock=time.monotonic)
            assert result.status == "ok"
        client = session.client()
    assert client.closed


def test_a_clients_body_wins_over_the_sampling_of_a_member_but_not_over_its_prompt() -> None:
    sampling = Sampling(temperature=0.2, max_tokens=50, stop=("END",), response_format={"type": "json_object"})
    llm = Member("m", ScriptedLLM("s"), sampling=sampling, system_prompt="Be brief.")
    body = {"messages": [{"role": "user", "content": "hi"}], "temperature": 1.5, "stop": None, "x": [1]}
    assert member_body(llm, body) == {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "temperature": 1.5,
        "max_tokens": 50,
        "stop": ["END"],
        "response_format": {"type": "json_object"},
        "x": [1],
    }
    assert "max_tokens" not in member_body(llm, {**body, "max_completion_tokens": 7})
    assert body["stop"] is None, "the client's body is not changed"
    plain = Member("m", ScriptedLLM("s"))
    assert member_body(plain, body) == {name: body[name] for name in ("messages", "temperature", "x")}


@pytest.mark.parametrize(
    ("first", "merged"),
    [
        ({"role": "system", "content": "In French."}, {"role": "system", "content": "Be brief.\n\nIn French."}),
        (
            {"role": "developer", "content": [{"type": "text", "text": "In French."}], "name": "x"},
            {
                "role": "developer",
                "content": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "In French."}],
                "name": "x",
            },
        ),
    ],
)
def test_the_prompt_of_a_member_stands_before_the_clients(first: dict[str, Any], merged: dict[str, Any]) -> None:
    llm = Member("m", ScriptedLLM("s"), system_prompt="Be brief.")
    user = {"role": "user", "content": "hi"}
    assert member_body(llm, {"messages": [first, user]}) == {"messages": [merged, user]}
