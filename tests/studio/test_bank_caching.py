from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_bank import outcome, question
from smcs.bank import QuestionBank
from smcs.studio.bank.caching import forget, once, version_of


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[QuestionBank]:
    with QuestionBank.create(tmp_path / "bank.db") as made:
        yield made


class Counted:
    """Work that counts how often it is done, and waits until it may end."""

    def __init__(self, *, waits: bool = False) -> None:
        self.calls = 0
        self.thread = 0
        self.may_end = threading.Event()
        if not waits:
            self.may_end.set()

    def __call__(self) -> int:
        self.calls += 1
        self.thread = threading.get_ident()
        assert self.may_end.wait(10)
        return self.calls


async def test_many_viewers_wait_for_one_piece_of_work(bank: QuestionBank) -> None:
    work = Counted(waits=True)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(once(bank, "v", "key", work)) for _ in range(20)]
        await asyncio.sleep(0.05)
        work.may_end.set()
    assert [task.result() for task in waiting] == [1] * 20
    assert await once(bank, "v", "key", work) == 1
    assert work.thread != threading.get_ident()


async def test_another_version_or_key_is_made_anew(bank: QuestionBank) -> None:
    work = Counted()
    assert [await once(bank, version, "key", work) for version in ("a", "a", "b", "b")] == [1, 1, 2, 2]
    assert await once(bank, "b", "other", work) == 3
    forget(bank)
    assert await once(bank, "b", "other", work) == 4


async def test_a_result_may_grow_old(bank: QuestionBank) -> None:
    work = Counted()
    assert [await once(bank, "v", "key", work, seconds=lambda _: 60.0) for _ in range(2)] == [1, 1]
    assert await once(bank, "v", "key", work, seconds=lambda _: -1.0) == 2


async def test_slow_result_is_given_until_the_next_one_is_there(
    bank: QuestionBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smcs.studio.bank.caching._SLOW", 0.0)
    monkeypatch.setattr("smcs.studio.bank.caching._REST", 0.0)
    work = Counted()
    assert await once(bank, "a", "key", work, late=True) == 1
    work.may_end.clear()
    assert [await once(bank, version, "key", work, late=True) for version in ("b", "b", "a")] == [1, 1, 1]
    work.may_end.set()
    for _ in range(3_000):
        await asyncio.sleep(0.01)
        if (found := await once(bank, "b", "key", work, late=True)) == 2:
            break
    assert (found, work.calls) == (2, 2)
    assert await once(bank, "c", "key", work) == 3


async def test_slow_work_rests_however_often_the_bank_changes(
    bank: QuestionBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smcs.studio.bank.caching._SLOW", 0.0)
    work = Counted()
    assert await once(bank, "a", "key", work, late=True) == 1
    monkeypatch.setattr("smcs.studio.bank.caching._REST", 1e9)
    assert [await once(bank, version, "key", work, late=True) for version in "bcd"] == [1, 1, 1]
    await asyncio.sleep(0.05)
    assert work.calls == 1
    forget(bank)
    assert await once(bank, "d", "key", work, late=True) == 2


async def test_what_failed_beside_an_earlier_result_is_tried_again(
    bank: QuestionBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smcs.studio.bank.caching._SLOW", 0.0)
    monkeypatch.setattr("smcs.studio.bank.caching._REST", 0.0)
    calls = []

    def work() -> int:
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("the second time")
        return len(calls)

    seen: list[int] = []
    for _ in range(3_000):
        seen.append(await once(bank, "a" if not seen else "b", "key", work, late=True))
        if seen[-1] == 3:
            break
        await asyncio.sleep(0.01)
    assert set(seen) == {1, 3}


async def test_who_stops_waiting_does_not_stop_the_work(bank: QuestionBank) -> None:
    work = Counted(waits=True)
    first = asyncio.create_task(once(bank, "v", "key", work))
    second = asyncio.create_task(once(bank, "v", "key", work))
    await asyncio.sleep(0.05)
    first.cancel()
    work.may_end.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_what_failed_is_tried_again(bank: QuestionBank) -> None:
    calls = []

    def work() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("the first time")
        return "done"

    with pytest.raises(ValueError, match="the first time"):
        await once(bank, "v", "key", work)
    assert await once(bank, "v", "key", work) == "done"


async def test_only_the_last_results_are_kept(bank: QuestionBank) -> None:
    work = Counted()
    for key in range(100):
        await once(bank, "v", key, work)
    assert await once(bank, "v", 99, work) == 100
    assert await once(bank, "v", 0, work) == 101


async def test_results_go_with_their_bank(tmp_path: Path) -> None:
    bank = QuestionBank.create(tmp_path / "bank.db")

    class Result:
        pass

    kept = weakref.ref(await once(bank, "v", "key", Result))
    assert kept() is not None
    bank.close()
    del bank
    await asyncio.sleep(0)  # The loop's present step holds the future that was awaited.
    gc.collect()
    assert kept() is None


async def test_version_follows_the_content(bank: QuestionBank) -> None:
    seen = [await version_of(bank)]
    bank.add_questions([question(1)])
    seen.append(await version_of(bank))
    bank.add_llm("a")
    bank.record([outcome(1, "a", 1.0)])
    seen.append(await version_of(bank))
    assert len(set(seen)) == 3
    assert await version_of(bank) == seen[-1]
