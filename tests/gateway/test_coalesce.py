"""Identical requests run once: everybody gets the result, and the work ends with the last who wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcs.errors import InputError, RunError
from smcs.gateway.coalesce import Coalescer, SharedValue


async def turns(rounds: int = 10) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)


class Work:
    """Work that ends when it is told to."""

    def __init__(self, value: str = "four", error: Exception | None = None) -> None:
        self.begun = self.cancelled = 0
        self.go = asyncio.Event()
        self.value = value
        self.error = error

    async def __call__(self) -> str:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return self.value


class Stream:
    """A stream whose items are fed to it; `None` ends it, an exception breaks it."""

    def __init__(self) -> None:
        self.begun = self.closed = self.taken = 0
        self.fed: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        self.begun += 1
        try:
            while (item := await self.fed.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                self.taken += 1
                yield item
        finally:
            self.closed += 1

    def feed(self, *items: bytes | Exception | None) -> None:
        for item in items:
            self.fed.put_nowait(item)


def asking(coalescer: Coalescer, work: Work, key: str = "k") -> asyncio.Task[SharedValue[str]]:
    return asyncio.create_task(coalescer.run(key, work))


async def no_tasks_left() -> bool:
    await turns()
    return asyncio.all_tasks() == {asyncio.current_task()}


async def test_identical_requests_run_once() -> None:
    coalescer, work = Coalescer(), Work()
    tasks = [asking(coalescer, work) for _ in range(5)]
    await turns()
    assert (work.begun, len(coalescer)) == (1, 1)
    work.go.set()
    results = [await task for task in tasks]
    assert [result.value for result in results] == ["four"] * 5
    assert [result.followed for result in results] == [False, True, True, True, True]
    assert len(coalescer) == 0
    assert await no_tasks_left()


async def test_different_requests_and_later_ones_run_on_their_own() -> None:
    coalescer, work = Coalescer(), Work()
    work.go.set()
    async with asyncio.TaskGroup() as group:
        group.create_task(coalescer.run("a", work))
        group.create_task(coalescer.run("b", work))
    assert not (await coalescer.run("a", work)).followed
    assert work.begun == 3


async def test_the_first_to_ask_may_leave() -> None:
    coalescer, work = Coalescer(), Work()
    leader, follower = asking(coalescer, work), asking(coalescer, work)
    await turns()
    leader.cancel()
    await turns()
    assert leader.cancelled()
    work.go.set()
    assert (await follower).value == "four"
    assert work.cancelled == 0


async def test_work_that_nobody_wants_is_cancelled() -> None:
    coalescer, work = Coalescer(), Work()
    tasks = [asking(coalescer, work) for _ in range(3)]
    await turns()
    for task in tasks:
        assert work.cancelled == 0
        task.cancel()
        await turns()
    assert work.cancelled == 1
    assert len(coalescer) == 0
    assert await no_tasks_left()


async def test_whoever_comes_after_it_was_given_up_begins_anew() -> None:
    coalescer, work = Coalescer(), Work()
    first = asking(coalescer, work)
    await turns()
    first.cancel()
    second = asking(coalescer, work)
    work.go.set()
    assert (await second).value == "four"


async def test_a_failure_is_everybodys_and_is_not_kept() -> None:
    coalescer, work = Coalescer(), Work(error=RunError("no answer"))
    tasks = [asking(coalescer, work) for _ in range(3)]
    await turns()
    work.go.set()
    for task in tasks:
        with pytest.raises(RunError, match="no answer"):
            await task
    work.error = None
    assert (await coalescer.run("k", work)).value == "four"
    assert work.begun == 2


async def test_work_cancelled_from_outside_leaves_nobody_waiting() -> None:
    coalescer, work = Coalescer(), Work()
    task = asking(coalescer, work)
    await turns()
    (shared,) = [each for each in asyncio.all_tasks() if each.get_name() == "shared request"]
    shared.cancel()
    with pytest.raises(RunError, match="was cancelled"):
        await task


async def read_all(coalescer: Coalescer, stream: Stream, key: str = "k") -> list[bytes]:
    async with coalescer.stream(key, stream) as shared:
        return [item async for item in shared]


async def test_a_late_reader_gets_what_was_said_before_it_came() -> None:
    coalescer, stream = Coalescer(), Stream()
    first = asyncio.create_task(read_all(coalescer, stream))
    stream.feed(b"a", b"b")
    await turns()
    second = asyncio.create_task(read_all(coalescer, stream))
    await turns()
    stream.feed(b"c", None)
    assert await first == await second == [b"a", b"b", b"c"]
    assert (stream.begun, stream.closed, len(coalescer)) == (1, 1, 0)
    assert await no_tasks_left()


async def test_a_stream_and_a_value_of_one_key_are_two_things() -> None:
    coalescer, stream, work = Coalescer(), Stream(), Work()
    work.go.set()
    stream.feed(b"a", None)
    async with coalescer.stream("k", stream) as shared:
        assert (await coalescer.run("k", work)).value == "four"
        assert [item async for item in shared] == [b"a"]


async def test_a_broken_stream_breaks_for_all_after_what_came() -> None:
    coalescer, stream = Coalescer(), Stream()
    async with coalescer.stream("k", stream) as one, coalescer.stream("k", stream) as two:
        assert (one.followed, two.followed) == (False, True)
        stream.feed(b"a", RunError("cut"))
        for shared in (one, two):
            assert await anext(shared) == b"a"
            with pytest.raises(RunError, match="cut"):
                await anext(shared)
    assert stream.closed == 1


async def test_the_last_reader_to_leave_ends_the_stream() -> None:
    coalescer, stream = Coalescer(), Stream()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(coalescer.stream("k", stream))
        stream.feed(b"a")
        async with coalescer.stream("k", stream):
            assert await anext(one) == b"a"
        assert stream.closed == 0
    assert (stream.closed, len(coalescer)) == (1, 0)
    assert await no_tasks_left()


async def test_the_work_waits_for_its_fastest_reader() -> None:
    coalescer, stream = Coalescer(10), Stream()
    stream.feed(*(bytes(4) for _ in range(20)), None)
    async with coalescer.stream("k", stream) as shared:
        await turns(50)
        assert stream.taken == 3, "12 bytes are ready, which is more than one buffer"
        assert len([item async for item in shared]) == 20


async def test_nobody_joins_a_stream_whose_beginning_is_gone() -> None:
    coalescer, first, second = Coalescer(10), Stream(), Stream()
    async with coalescer.stream("k", first) as early:
        first.feed(*(b"%04d" % i for i in range(5)))
        for _ in range(4):
            await anext(early)
        async with coalescer.stream("k", second) as late:
            assert not late.followed
            first.feed(None)
            assert len([item async for item in early]) == 1
            assert len(coalescer) == 1, "the end of the first must not forget the second"
            second.feed(b"x", None)
            assert [item async for item in late] == [b"x"]
    assert len(coalescer) == 0


async def test_a_reader_far_behind_is_cut_off_and_holds_nobody_up() -> None:
    coalescer, stream = Coalescer(10), Stream()
    async with coalescer.stream("k", stream) as fast, coalescer.stream("k", stream) as slow:
        for number in range(20):
            stream.feed(b"%04d" % number)
            assert await anext(fast) == b"%04d" % number
        with pytest.raises(RunError, match="too slowly"):
            await anext(slow)
        stream.feed(None)
        assert [item async for item in fast] == []


async def test_a_large_piece_does_not_cut_anybody_off() -> None:
    coalescer, stream = Coalescer(10), Stream()
    stream.feed(bytes(1_000), b"end", None)
    first, second = (asyncio.create_task(read_all(coalescer, stream)) for _ in range(2))
    assert await first == await second == [bytes(1_000), b"end"]


async def test_readers_left_behind_go_on_when_the_fastest_leaves() -> None:
    coalescer, stream = Coalescer(10), Stream()
    stream.feed(*(b"%04d" % i for i in range(12)), None)
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(coalescer.stream("k", stream))
        async with coalescer.stream("k", stream) as fast:
            for _ in range(4):
                await anext(fast)
            await turns()
        assert [item async for item in slow] == [b"%04d" % i for i in range(12)]


def test_bounds_are_checked() -> None:
    with pytest.raises(InputError, match="`max_buffer_bytes` must be at least 1"):
        Coalescer(0)


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(0, 30), max_size=25),
    buffer=st.integers(1, 60),
    readers=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=5),
)
def test_every_reader_gets_a_prefix_and_whoever_stays_gets_all(
    sizes: list[int], buffer: int, readers: list[tuple[int, int, int]]
) -> None:
    asyncio.run(_race(sizes, buffer, readers))


async def _race(sizes: list[int], buffer: int, readers: list[tuple[int, int, int]]) -> None:
    items = [bytes([number]) * size for number, size in enumerate(sizes)]
    coalescer = Coalescer(buffer)
    open_streams = 0
    errors: list[str] = []

    async def work() -> AsyncGenerator[bytes, None]:
        nonlocal open_streams
        open_streams += 1
        try:
            for item in items:
                await asyncio.sleep(0)
                yield item
        finally:
            open_streams -= 1

    async def reader(delay: int, pause: int, leave_after: int) -> None:
        await turns(delay)
        got: list[bytes] = []
        try:
            async with coalescer.stream("k", work) as shared:
                async for item in shared:
                    got.append(item)
                    await turns(pause)
                    if len(got) == leave_after:
                        break
                else:
                    assert got == items
        except RunError as error:
            errors.append(str(error))
        assert got == items[: len(got)]

    async with asyncio.TaskGroup() as group:
        for each in readers:
            group.create_task(reader(*each))
    assert all("too slowly" in error for error in errors)
    assert open_streams == 0
    assert len(coalescer) == 0
    assert await no_tasks_left()
