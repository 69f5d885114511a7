from __future__ import annotations

import asyncio
import random

import pytest

from smcs.errors import InputError
from smcs.evaluate import Budget
from smcs.evaluate.budget import ASSUMED_LIMIT, call_bound
from smcs.llms import Member, ScriptedLLM
from smcs.types import Message, Price, Request, Sampling


def test_a_bound_holds_for_every_tokenizer() -> None:
    member = Member("a", ScriptedLLM("a"), price=Price(2.0, 10.0))
    request = Request((Message("user", "é" * 100),), sampling=Sampling(max_tokens=50))
    assert call_bound(member, request) == pytest.approx((200 + 32) * 2e-6 + 50 * 1e-5)
    assert call_bound(member, Request(request.messages)) > ASSUMED_LIMIT * 1e-5
    assert call_bound(Member("a", ScriptedLLM("a")), request) == 0.0


async def test_calls_in_flight_together_cannot_break_the_cap() -> None:
    rng = random.Random(3)
    budget = Budget(10.0, spent=1.0)
    most, refused = 0.0, 0

    async def call() -> None:
        nonlocal most, refused
        bound = rng.uniform(0.5, 1.0)
        if not await budget.reserve(bound):
            refused += 1
            return
        most = max(most, budget.spent + budget._reserved)
        await asyncio.sleep(rng.uniform(0, 0.01))
        budget.settle(bound, bound * rng.uniform(0.1, 1.0))

    async with asyncio.TaskGroup() as group:
        for _ in range(60):
            group.create_task(call())
    assert most <= 10.0
    assert refused > 0
    assert 9.0 <= budget.spent <= 10.0  # nothing is refused while a call in flight may still leave room
    assert budget._in_flight == 0


async def test_what_never_fits_is_refused_at_once() -> None:
    budget = Budget(1.0)
    assert not await budget.reserve(1.01)
    assert await budget.reserve(1.0)
    budget.settle(1.0, 0.0)
    assert budget.left == 1.0


@pytest.mark.parametrize("cap", [-1.0, float("nan"), float("inf")])
def test_caps_that_are_none(cap: float) -> None:
    with pytest.raises(InputError, match="max_usd"):
        Budget(cap)
