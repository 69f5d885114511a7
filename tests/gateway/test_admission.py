"""The queue in front of the gateway: bounded, fair, and without a slot lost whatever is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcs.errors import InputError
from smcs.gateway import GatewayError
from smcs.gateway.admission import Admission, Ticket


def admission(
    running: int = 1,
    waiting: int = 100,
    wait: float = 60.0,
    share: float = 1.0,
    clock: Callable[[], float] | None = None,
) -> Admission:
    return (
        Admission(running, waiting, wait, share)
        if clock is None
        else Admission(running, waiting, wait, share, clock=clock)
    )


async def turns(rounds: int = 5) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)


class Queue:
    """Requests that run until they are told to end."""

    def __init__(self, subject: Admission) -> None:
        self.subject = subject
        self.order: list[str] = []
        self.tickets: list[Ticket] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def arrive(self, name: str, *, weight: int = 1) -> None:
        """Let a request arrive; the first letter of its name is its key."""

        async def request() -> None:
            ticket = await self.subject.acquire(name[0], weight=weight)
            self.order.append(name)
            self.tickets.append(ticket)

        self.tasks[name] = asyncio.create_task(request())
        await turns()

    async def end_one(self) -> None:
        self.tickets.pop(0).release()
        await turns()

    async def end_all(self) -> None:
        while self.tickets:
            await self.end_one()


async def refused(awaitable: Awaitable[Any]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await awaitable
    error = caught.value
    assert (error.status, error.code) == (503, "overloaded")
    assert error.retry_after is not None
    assert 1 <= error.retry_after <= 60
    return error


async def test_keys_take_turns_and_keep_their_order() -> None:
    queue = Queue(admission())
    for name in ("x0", "a1", "a2", "a3", "b1", "b2", "c1"):
        await queue.arrive(name)
    assert queue.subject.waiting == 6
    await queue.end_all()
    assert queue.order == ["x0", "a1", "b1", "c1", "a2", "b2", "a3"]
    assert (queue.subject.running, queue.subject.waiting) == (0, 0)


async def test_a_full_queue_refuses_at_once() -> None:
    subject = admission(waiting=0)
    async with subject.slot("a"):
        error = await refused(subject.acquire("a"))
    assert "0 requests are waiting" in error.message
    async with subject.slot("a") as ticket:
        assert ticket.waited == 0


async def test_nobody_can_fill_the_queue_for_others() -> None:
    queue = Queue(admission(waiting=4))
    for name in ("x0", "a1", "a2", "a3", "a4"):
        await queue.arrive(name)
    await queue.arrive("b1")
    assert "other keys have fewer" in (await refused(queue.tasks["a4"])).message
    await queue.arrive("b2")
    await refused(queue.tasks["a3"])
    assert "4 requests are waiting" in (await refused(queue.subject.acquire("b"))).message, "two each is fair"
    await refused(queue.subject.acquire("a"))
    await queue.end_all()
    assert queue.order == ["x0", "a1", "b1", "a2", "b2"]


async def test_a_wait_that_is_too_long_is_refused() -> None:
    subject = admission(wait=0.01)
    async with subject.slot("a"):
        error = await refused(subject.acquire("b"))
        assert "no room within" in error.message
        assert subject.waiting == 0
    async with subject.slot("b"):
        assert subject.running == 1


async def test_a_key_keeps_to_its_share() -> None:
    queue = Queue(admission(running=4, share=0.5))
    for name in ("a1", "a2", "a3", "a4", "b1"):
        await queue.arrive(name)
    assert queue.order == ["a1", "a2", "b1"], "a has its half; b is not held up by those who wait for it"
    await queue.end_one()
    assert queue.order[-1] == "a3"
    await queue.end_all()
    assert queue.order == ["a1", "a2", "b1", "a3", "a4"]


async def test_a_heavy_request_keeps_its_turn() -> None:
    queue = Queue(admission(running=3))
    for name, weight in (("a1", 1), ("a2", 1), ("b1", 3), ("c1", 1), ("a3", 1)):
        await queue.arrive(name, weight=weight)
    assert queue.order == ["a1", "a2"], "one slot is free, but b1 came before c1"
    await queue.end_one()
    await queue.end_one()
    assert queue.order == ["a1", "a2", "b1"]
    assert queue.subject.running == 3
    await queue.end_all()
    assert queue.order == ["a1", "a2", "b1", "c1", "a3"]


async def test_when_a_heavy_request_gives_up_those_behind_it_run() -> None:
    queue = Queue(admission(running=2))
    for name, weight in (("a1", 1), ("b1", 2), ("c1", 1)):
        await queue.arrive(name, weight=weight)
    assert queue.order == ["a1"]
    queue.tasks["b1"].cancel()
    await turns()
    assert queue.order == ["a1", "c1"]


async def test_more_weight_than_there_is_counts_as_all_of_it() -> None:
    subject = admission(running=2)
    async with subject.slot("a", weight=1_000):
        assert subject.running == 2
    assert subject.running == 0


async def test_cancelled_while_it_is_let_in_gives_its_slot_back() -> None:
    subject = admission()
    ticket = await subject.acquire("a")
    waiting = asyncio.create_task(subject.acquire("b"))
    await turns()
    ticket.release()
    assert subject.running == 1, "b was let in, but has not run yet"
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (subject.running, subject.waiting) == (0, 0)


async def test_a_ticket_counts_once() -> None:
    subject = admission(running=2)
    first, second = await subject.acquire("a"), await subject.acquire("a")
    first.release()
    first.release()
    assert subject.running == 1
    second.release()


async def test_a_failing_request_gives_its_slot_back() -> None:
    subject = admission()
    with pytest.raises(ZeroDivisionError):
        async with subject.slot():
            raise ZeroDivisionError
    assert subject.running == 0


async def test_the_advice_when_to_come_back_follows_service_times() -> None:
    now = 0.0
    subject = admission(running=2, waiting=0, clock=lambda: now)
    ticket = await subject.acquire("a")
    now = 30.0
    ticket.release()
    tickets = [await subject.acquire("a"), await subject.acquire("a")]
    assert (await refused(subject.acquire("b"))).retry_after == 15.0, "30 s of work, two at a time"
    for each in tickets:
        each.release()


async def test_closing_refuses_who_waits_and_lets_run_who_runs() -> None:
    queue = Queue(admission())
    await queue.arrive("a1")
    await queue.arrive("b1")
    queue.subject.close()
    assert "stopping" in (await refused(queue.tasks["b1"])).message
    assert "stopping" in (await refused(queue.subject.acquire("c"))).message
    idle = asyncio.create_task(queue.subject.idle())
    await turns()
    assert not idle.done()
    await queue.end_one()
    await asyncio.wait_for(idle, 5)


async def test_bounds_can_change_while_requests_wait() -> None:
    queue = Queue(admission())
    for name in ("a1", "b1", "c1"):
        await queue.arrive(name)
    queue.subject.configure(3, 0, 1.0)
    await turns()
    assert queue.order == ["a1", "b1", "c1"]
    queue.subject.configure(1, 0, 1.0)
    await refused(queue.subject.acquire("d"))
    await queue.end_all()


@pytest.mark.parametrize(
    ("bounds", "named"),
    [((0, 1, 1.0), "max_running"), ((1, -1, 1.0), "max_waiting"), ((1, 1, float("nan")), "max_wait_seconds"),
     ((1, 1, 1.0, 0.0), "per_key_share"), ((1, 1, 1.0, 1.5), "per_key_share")],
)  # fmt: skip
def test_bounds_are_checked(bounds: tuple[Any, ...], named: str) -> None:
    with pytest.raises(InputError, match=f"`{named}` must be"):
        Admission(*bounds)


async def test_a_weight_is_at_least_one() -> None:
    with pytest.raises(InputError, match="`weight` must be at least 1"):
        await admission().acquire("a", weight=0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.sampled_from("abc"), st.integers(1, 4)),
        st.tuples(st.just("end"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("turn"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(
    running=st.integers(1, 5),
    waiting=st.integers(0, 6),
    share=st.sampled_from([0.3, 0.5, 1.0]),
    steps=STEPS,
)
def test_never_too_many_and_nothing_is_lost(running: int, waiting: int, share: float, steps: list[Any]) -> None:
    asyncio.run(_walk(running, waiting, share, steps))


async def _walk(running: int, waiting: int, share: float, steps: list[Any]) -> None:
    subject = admission(running, waiting, share=share)
    most = max(1, int(share * running))
    tasks: list[asyncio.Task[None]] = []
    leave: list[asyncio.Event] = []
    refusals: list[int] = []
    inside: dict[str, int] = {"a": 0, "b": 0, "c": 0}

    async def request(key: str, weight: int, gone: asyncio.Event) -> None:
        try:
            async with subject.slot(key, weight=weight):
                inside[key] += min(weight, most)
                assert inside[key] <= most
                assert sum(inside.values()) <= running
                try:
                    await gone.wait()
                finally:
                    inside[key] -= min(weight, most)
        except GatewayError as error:
            refusals.append(error.status)

    for kind, what, weight in steps:
        if kind == "arrive":
            leave.append(asyncio.Event())
            tasks.append(asyncio.create_task(request(what, weight, leave[-1])))
        elif kind == "turn":
            await asyncio.sleep(0)
        elif tasks and kind == "end":
            leave[what % len(leave)].set()
        elif tasks:
            tasks[what % len(tasks)].cancel()
        assert subject.waiting <= waiting
        assert subject.running <= running
    await turns()
    assert subject.running == sum(inside.values()), "what counts as running does run"
    for gone in leave:
        gone.set()
    if tasks:
        done, pending = await asyncio.wait(tasks, timeout=30)
        assert not pending, "nobody waits for ever"
        assert [task.exception() for task in done if not task.cancelled() and task.exception()] == []
    assert (subject.running, subject.waiting) == (0, 0)
    assert set(refusals) <= {503}
    await asyncio.wait_for(subject.idle(), 10)
