from __future__ import annotations

import asyncio

import pytest

from helpers_llms import question
from smcs.errors import InputError
from smcs.llms import LimitedLLM, Limiter, ScriptedLLM
from smcs.llms.protocol import DeltaSink
from smcs.types import Choice, Completion, Request


class Gauge:
    """Counts how many calls are inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0.001)
        self.inside -= 1
        return Completion((Choice("ok"),))


async def test_one_limiter_bounds_all_that_share_it() -> None:
    gauge, limiter = Gauge(), Limiter(max_concurrent=3)
    first, second = LimitedLLM(gauge, limiter), LimitedLLM(gauge, limiter)
    async with asyncio.TaskGroup() as group:
        for i in range(20):
            group.create_task((first if i % 2 else second).complete(question()))
    assert gauge.most == 3


async def test_no_limits_is_no_wait() -> None:
    gauge = Gauge()
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(LimitedLLM(gauge, Limiter()).complete(question()))
    assert gauge.most == 20


async def test_a_failed_or_cancelled_call_gives_its_slot_back() -> None:
    limiter = Limiter(max_concurrent=1)
    hanging = asyncio.create_task(LimitedLLM(ScriptedLLM("s", failures="hang"), limiter).complete(question()))
    waiting = asyncio.create_task(LimitedLLM(Gauge(), limiter).complete(question()))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    hanging.cancel()
    assert (await waiting).choices[0].text == "ok"


async def test_no_minute_sees_more_than_the_rate() -> None:
    now = 0.0
    begun: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    limiter = Limiter(requests_per_minute=5, sleep=sleep, clock=lambda: now)
    for _ in range(23):
        async with limiter.slot():
            begun.append(now)
        now += 1.0
    assert begun[:5] == [0.0, 1.0, 2.0, 3.0, 4.0], "a burst up to the rate does not wait"
    for i in range(len(begun) - 5):
        assert begun[i + 5] - begun[i] >= 60.0


def test_a_limiter_works_in_a_second_loop() -> None:
    limiter = Limiter(max_concurrent=1)

    async def crowd() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(LimitedLLM(Gauge(), limiter).complete(question()))

    asyncio.run(crowd())
    asyncio.run(crowd())


def test_limits_are_checked() -> None:
    with pytest.raises(InputError, match="`max_concurrent` must be at least 1"):
        Limiter(max_concurrent=0)
    with pytest.raises(InputError, match="`requests_per_minute` must be at least 1"):
        Limiter(requests_per_minute=-1)
