from __future__ import annotations

from random import Random

import pytest

from helpers_llms import question
from smcs.errors import InputError, LLMError
from smcs.llms import RetryingLLM, RetryPolicy, ScriptedLLM
from smcs.llms.protocol import DeltaSink
from smcs.llms.retry import count_tries
from smcs.types import Choice, Completion, Delta, Request


class Clock:
    """Time that passes only while someone sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


class Failing:
    """Fails with the given errors, then answers."""

    def __init__(self, *errors: LLMError, first_piece: bool = False) -> None:
        self.errors = list(errors)
        self.first_piece = first_piece
        self.calls = 0

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        self.calls += 1
        if on_delta is not None and self.first_piece:
            on_delta(Delta("begin"))
        if self.errors:
            raise self.errors.pop(0)
        return Completion((Choice("ok"),))


def passing(retry_after: float | None = None) -> LLMError:
    return LLMError("busy", llm="x", http_status=503, retryable=True, retry_after=retry_after)


def retrying(llm: Failing | ScriptedLLM, clock: Clock, **policy: float) -> RetryingLLM:
    options = {"max_tries": 4, "base_seconds": 1.0, "cap_seconds": 3.0, "total_seconds": 100.0, **policy}
    return RetryingLLM(llm, RetryPolicy(**options), sleep=clock.sleep, clock=clock, rng=Random(1))  # type: ignore[arg-type]


async def test_passing_failures_are_tried_again() -> None:
    clock, llm = Clock(), ScriptedLLM("s", failures=["error", "disconnect", None])
    with count_tries() as counter:
        completion = await retrying(llm, clock).complete(question())
    assert completion.choices[0].text
    assert (llm.calls, counter.extra, len(clock.sleeps)) == (3, 2, 2)


@pytest.mark.parametrize("failure", ["refused", "empty", "timeout", "malformed"])
async def test_lasting_failures_are_not(failure: str) -> None:
    clock, llm = Clock(), ScriptedLLM("s", failures=failure)  # type: ignore[arg-type]
    with pytest.raises(LLMError):
        await retrying(llm, clock).complete(question())
    assert llm.calls == 1
    assert not clock.sleeps


async def test_tries_are_bounded() -> None:
    clock, llm = Clock(), Failing(*[passing() for _ in range(9)])
    with pytest.raises(LLMError, match="busy"):
        await retrying(llm, clock).complete(question())
    assert llm.calls == 4


def test_waits_grow_with_full_jitter_up_to_the_cap() -> None:
    policy, rng = RetryPolicy(base_seconds=1.0, cap_seconds=3.0), Random(0)
    for tries, bound in ((1, 1.0), (2, 2.0), (3, 3.0), (9, 3.0)):
        waits = [policy.wait(tries, None, rng) for _ in range(2_000)]
        assert 0 <= min(waits) < 0.05 * bound
        assert 0.95 * bound < max(waits) <= bound
        assert sum(waits) / len(waits) == pytest.approx(bound / 2, rel=0.05)


async def test_the_servers_wish_is_never_undercut() -> None:
    clock = Clock()
    await retrying(Failing(passing(7.0)), clock).complete(question())
    assert 7.0 <= clock.sleeps[0] <= 8.0


async def test_a_wish_beyond_the_total_ends_it_at_once() -> None:
    clock, llm = Clock(), Failing(passing(3_600.0))
    with pytest.raises(LLMError):
        await retrying(llm, clock).complete(question())
    assert (llm.calls, clock.sleeps) == (1, [])


async def test_a_stream_is_not_begun_twice() -> None:
    clock, llm, pieces = Clock(), Failing(passing(), first_piece=True), list[Delta]()
    with pytest.raises(LLMError):
        await retrying(llm, clock).complete(question(), on_delta=pieces.append)
    assert (llm.calls, pieces) == (1, [Delta("begin")])
    await retrying(Failing(passing()), clock).complete(question(), on_delta=pieces.append)


async def test_other_exceptions_pass() -> None:
    class Broken:
        async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await RetryingLLM(Broken()).complete(question())


@pytest.mark.parametrize("options", [{"max_tries": 0}, {"base_seconds": -1.0}, {"total_seconds": float("nan")}])
def test_policy_is_checked(options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        RetryPolicy(**options)  # type: ignore[arg-type]
