from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_llms import question
from smcs.errors import ConfigError, InputError, LLMError
from smcs.llms import (
    Breaker,
    BreakerLLM,
    LimitedLLM,
    Limiter,
    Member,
    RetryingLLM,
    RetryPolicy,
    ScriptedLLM,
    attempt,
)
from smcs.llms.breaker import counts_against
from smcs.llms.protocol import DeltaSink
from smcs.types import Attempt, Completion, Delta, Price, Request, Usage

NOON = 43_200.0


class Clock:
    """Seconds that pass when a test says so; the wall clock began at noon."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return NOON + self.now


def circuit(clock: Clock, failures: int = 2, open_seconds: float = 30.0, **options: Any) -> Breaker:
    return Breaker(failures, open_seconds, clock=clock, wall=clock.wall, **options)


async def outcome(llm: BreakerLLM, **options: Any) -> str:
    try:
        return (await llm.complete(question(), **options)).choices[0].text
    except LLMError as error:
        return "refused" if error.reason.startswith("circuit") else "failed"


async def test_it_opens_after_failures_in_a_row_and_closes_after_a_probe() -> None:
    clock, seen = Clock(), list[str]()
    llm = ScriptedLLM("s", ["yes"], failures=["error", None, "timeout", "malformed", "error", "error", None])
    breaker = circuit(clock)
    breaker.listen(lambda told: seen.append(told.state))
    guarded = BreakerLLM(llm, breaker)
    assert [await outcome(guarded) for _ in range(5)] == ["failed", "yes", "failed", "failed", "refused"]
    assert (breaker.state, breaker.failures, breaker.opened_total, llm.calls) == ("open", 2, 1, 4)
    clock.now = 29.9
    assert await outcome(guarded) == "refused"
    clock.now = 30.0
    assert breaker.state == "half-open", "it is known before anyone calls"
    assert (breaker.since, breaker.retry_after) == (NOON + 30.0, 0.0)
    assert await outcome(guarded) == "failed"
    assert (breaker.state, breaker.retry_after, breaker.opened_total) == ("open", 60.0, 2)
    clock.now = 90.0
    assert await outcome(guarded) == "failed"
    assert breaker.retry_after == 120.0
    clock.now = 210.0
    assert await outcome(guarded) == "yes"
    assert (breaker.state, breaker.failures, breaker.since) == ("closed", 0, NOON + 210.0)
    assert seen == ["open", "half-open", "open", "half-open", "open", "half-open", "closed"]


async def test_the_open_time_is_capped_and_starts_over_after_a_success() -> None:
    clock = Clock()
    llm = ScriptedLLM("s", failures=[*["error"] * 6, None, "error"])  # type: ignore[list-item]
    breaker = circuit(clock, 1, 10.0, max_open_seconds=60.0)
    waits = []
    for _ in range(6):
        await outcome(BreakerLLM(llm, breaker))
        waits.append(breaker.retry_after)
        clock.now += breaker.retry_after
    assert waits == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert await outcome(BreakerLLM(llm, breaker)) == "A scripted answer."
    await outcome(BreakerLLM(llm, breaker))
    assert breaker.retry_after == 10.0


async def test_the_refusal_says_why_and_since_when_and_is_not_tried_again() -> None:
    clock, sleeps = Clock(), list[float]()

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)

    llm = ScriptedLLM("s", failures="error")
    guarded = BreakerLLM(LimitedLLM(llm, Limiter()), circuit(clock, 2))
    clock.now = 3.0
    with pytest.raises(
        LLMError, match=r"^s: circuit open since 12:00:03 UTC \(HTTP 500: scripted failure\); next"
    ) as got:
        await RetryingLLM(guarded, RetryPolicy(max_tries=9), sleep=sleep).complete(question())
    assert (llm.calls, len(sleeps)) == (2, 2), "every try counts"
    assert (got.value.kind, got.value.retryable, got.value.http_status, got.value.retry_after) == (
        "skipped",
        False,
        None,
        30.0,
    )


async def pause(_: float) -> None:
    """Take no time."""


async def recorded(llm: Any) -> Attempt:
    member = Member("s", llm, price=Price(1.0, 2.0))
    return await attempt(member, question(), stage="reference", clock=Clock())


async def test_a_call_that_is_refused_was_never_sent_and_took_nothing() -> None:
    guarded = BreakerLLM(ScriptedLLM("s", failures="error"), circuit(Clock(), 1))
    failed, refused = await recorded(guarded), await recorded(guarded)
    assert (failed.status, failed.tries, failed.cost_usd) == ("error", 1, None)
    assert (refused.status, refused.tries, refused.cost_usd, refused.usage) == ("skipped", 0, 0.0, Usage(0, 0, 0))
    assert (refused.error or "").startswith("circuit open")


async def test_around_retries_a_call_counts_once_and_inside_them_every_try_counts() -> None:
    policy = RetryPolicy(max_tries=3)
    llm = ScriptedLLM("s", failures="error")
    around = BreakerLLM(RetryingLLM(llm, policy, sleep=pause), circuit(Clock(), 2))
    calls = [await recorded(around) for _ in range(3)]
    assert [(call.status, call.tries) for call in calls] == [("error", 3), ("error", 3), ("skipped", 0)]
    assert (around.breaker.failures, llm.calls) == (2, 6)
    llm = ScriptedLLM("s", failures="error")
    inside = BreakerLLM(llm, circuit(Clock(), 2))
    call = await recorded(RetryingLLM(inside, policy, sleep=pause))
    assert (call.status, call.tries, call.cost_usd) == ("error", 2, None), "two tries of it were sent"
    assert (inside.breaker.failures, llm.calls) == (2, 2)


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        ({"http_status": 500, "retryable": True}, True),
        ({"http_status": 429, "retryable": True}, True),
        ({"http_status": 408, "kind": "timeout"}, True),
        ({"kind": "timeout"}, True),
        ({"retryable": True}, True),
        ({}, True),
        ({"http_status": 307}, True),
        *[({"http_status": status}, True) for status in (401, 402, 403, 404)],
        *[({"http_status": status}, False) for status in (400, 413, 415, 422)],
        ({"kind": "empty"}, False),
        ({"kind": "skipped"}, False),
    ],
)
def test_what_speaks_against_an_llm(error: dict[str, Any], counts: bool) -> None:
    assert counts_against(LLMError("x", llm="s", **error)) is counts


async def test_a_refused_request_or_an_empty_answer_shows_that_the_llm_is_there() -> None:
    clock = Clock()
    llm = ScriptedLLM("s", failures=["error", "refused", "error", "empty", "error", "error", "refused"])
    breaker = circuit(clock)
    for _ in range(5):
        await outcome(BreakerLLM(llm, breaker))
    assert (breaker.state, breaker.failures) == ("closed", 1)
    await outcome(BreakerLLM(llm, breaker))
    clock.now = 30.0
    assert await outcome(BreakerLLM(llm, breaker)) == "failed"
    assert breaker.state == "closed"


class Gated:
    """Answers or fails when a test lets it."""

    name = "gated"

    def __init__(self) -> None:
        self.begun = 0
        self.release: list[asyncio.Future[Completion]] = []

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        self.begun += 1
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self.release.append(future)
        if on_delta is not None:
            on_delta(Delta("x"))
        return await future


def broken() -> LLMError:
    return LLMError("HTTP 503: down", llm="gated", http_status=503, retryable=True)


async def started(llm: BreakerLLM, **options: Any) -> asyncio.Task[str]:
    task = asyncio.create_task(outcome(llm, **options))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_one_probe_at_a_time_and_a_cancelled_one_makes_room() -> None:
    clock, gated = Clock(), Gated()
    breaker = circuit(clock, 1)
    llm = BreakerLLM(gated, breaker)
    call = await started(llm)
    gated.release[0].set_exception(broken())
    assert await call == "failed"
    clock.now = 30.0
    probe = await started(llm)
    assert await outcome(llm) == "refused"
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert (breaker.state, breaker.failures) == ("half-open", 1), "a cancelled call says nothing"
    probe = await started(llm)
    assert gated.begun == 3
    clock.now = 99.0
    gated.release[2].set_exception(broken())
    assert await probe == "failed"
    assert (breaker.state, breaker.since) == ("open", NOON + 99.0)


async def test_calls_from_before_it_opened_tell_old_news() -> None:
    clock, gated = Clock(), Gated()
    breaker = circuit(clock, 1)
    llm = BreakerLLM(gated, breaker)
    calls = [await started(llm) for _ in range(3)]
    gated.release[0].set_exception(broken())
    await calls[0]
    gated.release[1].set_exception(broken())
    gated.release[2].set_result(await ScriptedLLM("x", ["late"]).complete(question()))
    assert [await call for call in calls] == ["failed", "failed", "late"]
    assert (breaker.state, breaker.opened_total, breaker.failures) == ("open", 1, 1)


async def test_the_first_piece_of_a_probe_lets_others_through() -> None:
    clock, gated = Clock(), Gated()
    breaker = circuit(clock, 1, 10.0)
    llm = BreakerLLM(gated, breaker)
    call = await started(llm)
    gated.release[0].set_exception(broken())
    await call
    clock.now = 10.0
    probe = await started(llm, on_delta=lambda _: None)
    assert breaker.state == "closed"
    gated.release[1].set_exception(broken())
    assert await probe == "failed"
    assert (breaker.state, breaker.retry_after) == ("open", 20.0), "it broke after all: open again, and for longer"


async def test_a_call_given_up_after_long_silence_counts_if_asked() -> None:
    for patience, state in ((None, "closed"), (60.0, "open")):
        clock, gated = Clock(), Gated()
        llm = BreakerLLM(gated, circuit(clock, 1, patience_seconds=patience))
        for silent, spoken in ((59.0, False), (60.0, True), (60.0, False)):
            call = await started(llm, on_delta=(lambda _: None) if spoken else None)
            clock.now += silent
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert llm.breaker.state == state
    assert llm.breaker.last_error == "given up after 60 s without a word"


async def test_other_exceptions_say_nothing_and_free_the_probe() -> None:
    class Misconfigured:
        async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
            raise ConfigError("no key")

    clock = Clock()
    breaker = circuit(clock, 1)
    await outcome(BreakerLLM(ScriptedLLM("s", failures="error"), breaker))
    clock.now = 30.0
    for _ in range(2):
        with pytest.raises(ConfigError):
            await BreakerLLM(Misconfigured(), breaker).complete(question())
    assert breaker.state == "half-open"


async def test_forwarded_requests_count_too() -> None:
    clock = Clock()
    body = {"messages": [{"role": "user", "content": "hi"}]}
    llm = ScriptedLLM("s", failures=["error", "cut", None, None])
    breaker = circuit(clock)
    guarded = BreakerLLM(llm, breaker)
    with pytest.raises(LLMError):
        await guarded.forward(body)
    with pytest.raises(LLMError):
        [event async for event in guarded.forward_stream(body)]
    assert breaker.state == "open"
    with pytest.raises(LLMError, match="circuit open"):
        [event async for event in guarded.forward_stream(body)]
    clock.now = 30.0
    async with aclosing(guarded.forward_stream(body)) as events:
        await anext(events)
        assert breaker.describe().startswith("circuit closed"), "the first event of a probe is enough"
    assert json.loads(await guarded.forward(body))["choices"]
    assert breaker.failures == 0


async def test_a_listener_that_breaks_harms_no_call(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def broken_listener(_: Breaker) -> None:
        raise ZeroDivisionError

    breaker = circuit(Clock(), 1)
    breaker.listen(broken_listener)
    stop = breaker.listen(lambda told: seen.append(told.describe()))
    assert await outcome(BreakerLLM(ScriptedLLM("s", failures="error"), breaker)) == "failed"
    assert seen == ["circuit open since 12:00:00 UTC (HTTP 500: scripted failure)"]
    assert "a listener of a circuit breaker broke" in caplog.text
    stop()
    assert Breaker().describe().startswith("circuit closed since ")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"failures": 0}, "`failures`"),
        ({"open_seconds": 0.0}, "`open_seconds`"),
        ({"open_seconds": 400.0}, "`max_open_seconds`"),
        ({"open_seconds": float("nan")}, "`open_seconds`"),
        ({"patience_seconds": 0.0}, "`patience_seconds`"),
    ],
)
def test_numbers_are_checked(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Breaker(**options)


@given(st.lists(st.sampled_from(["good", "bad", "wait", "long"]), max_size=40), st.integers(1, 4))
def test_calls_go_through_only_as_the_rules_say(steps: list[str], threshold: int) -> None:
    """Refused exactly while open; open exactly after `threshold` failures in a row, or a failed probe."""
    clock = Clock()
    breaker = circuit(clock, threshold, 8.0, max_open_seconds=64.0)
    row, following = 0, 8.0
    until: float | None = None
    for step in steps:
        if step in ("wait", "long"):
            clock.now += 3.0 if step == "wait" else 64.0
            continue
        refused = until is not None and clock.now < until
        ended = "answered"
        try:
            with breaker.watch("s"):
                if step == "bad":
                    raise broken()
        except LLMError as error:
            ended = "refused" if error.reason.startswith("circuit") else "failed"
        assert ended == ("refused" if refused else "failed" if step == "bad" else "answered")
        if refused:
            continue
        row = row + 1 if step == "bad" else 0
        if row == 0:
            until, following = None, 8.0
        elif row >= threshold:
            until, following = clock.now + following, min(64.0, 2 * following)
        assert breaker.state == ("closed" if until is None else "open")
        assert breaker.failures == row
