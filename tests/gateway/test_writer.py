"""The writer: one commit for many operations, refusals, poison, and databases that fail at the worst moment."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from helpers_ledger import Ledgers, PostgresServer, all_runs, entry
from smcs.errors import InputError, RunError
from smcs.gateway import schema
from smcs.gateway.database import Database, LedgerUnavailableError
from smcs.gateway.limits import Hold, KeyLimits
from smcs.gateway.operations import Reservation, Settle
from smcs.gateway.work import Work
from smcs.gateway.writer import Operation, Writer

FREE = Reservation("0" * 32, "", Hold(0.0, 0), stored=False)


@dataclass
class Step:
    """Counts how often it is applied, and does what a test wants then."""

    does: Any = None
    applied: int = 0
    key_ids: tuple[str, ...] = field(default=())
    reservation_ids: tuple[str, ...] = field(default=())

    def apply(self, work: Work) -> int:
        self.applied += 1
        if self.does is not None:
            self.does()
        return self.applied


@pytest.fixture
def database(sqlite: Ledgers) -> Iterator[Database]:
    opened = Database.open(sqlite.place.url("ledger"))
    yield opened
    opened.close()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    made = Writer(database)
    yield made
    made.close()


def ids(database: Database) -> list[str]:
    return database.read(lambda connection: list(connection.execute(select(schema.runs.c.id)).scalars()))


def raising(error: Exception) -> Any:
    def fail() -> None:
        raise error

    return fail


class Gate:
    """Holds the writer in its first operation, so that what comes next waits together."""

    def __init__(self) -> None:
        self._begun, self._go = threading.Event(), threading.Event()

    def hold(self) -> None:
        self._begun.set()
        self._go.wait(30)

    async def reached(self) -> None:
        await asyncio.to_thread(self._begun.wait, 30)

    def open(self) -> None:
        self._go.set()


class Breaking:
    """Replaces `Database.write` by one that fails as often as it is told, before or after what was written is kept."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.before = self.after = self.opened = 0
        self._write = database.write
        monkeypatch.setattr(database, "write", self.write)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.opened += 1
        if self.before:
            self.before -= 1
            raise OperationalError("BEGIN", {}, Exception("the server is gone"))
        with self._write() as connection:
            yield connection
        if self.after:
            self.after -= 1
            raise OperationalError("COMMIT", {}, Exception("the connection is gone"))


@pytest.fixture
def breaking(database: Database, monkeypatch: pytest.MonkeyPatch) -> Breaking:
    return Breaking(database, monkeypatch)


async def test_what_waits_together_is_committed_together(
    database: Database, breaking: Breaking, writer: Writer
) -> None:
    gate = Gate()
    first = writer.submit(Step(gate.hold))
    await gate.reached()
    entries = [entry(i) for i in range(600)]
    rest = [writer.submit(Settle(FREE, each, None)) for each in entries]
    assert writer.waiting == 600
    gate.open()
    await first
    for each in rest:
        await each
    assert breaking.opened == 1 + 3
    assert sorted(ids(database)) == sorted(each.id for each in entries)


async def test_a_refusal_is_an_answer_and_the_others_go_on(database: Database, writer: Writer) -> None:
    good, refused, more = (Settle(FREE, entry(), None), Step(raising(InputError("no"))), Settle(FREE, entry(), None))
    futures = [writer.submit(each) for each in (good, refused, more)]
    with pytest.raises(InputError, match="no"):
        await futures[1]
    await futures[0]
    await futures[2]
    assert refused.applied == 1
    assert len(ids(database)) == 2


async def test_one_that_cannot_be_written_fails_alone(database: Database, writer: Writer) -> None:
    gate = Gate()
    first = writer.submit(Step(gate.hold))
    await gate.reached()
    same = entry()
    steps: list[Operation[Any]] = [
        *(Settle(FREE, each, None) for each in (entry(), same, same, entry())),
        Step(raising(ZeroDivisionError())),
    ]
    futures: list[asyncio.Future[Any]] = [writer.submit(step) for step in steps]
    gate.open()
    await first
    await asyncio.wait(futures)
    errors = [future.exception() for future in futures]
    assert [type(error) for error in errors] == [type(None), type(None), RunError, type(None), ZeroDivisionError]
    assert "refused what was to be written: UNIQUE constraint failed" in str(errors[2])
    assert len(ids(database)) == 3


async def test_what_was_not_kept_is_written_again(database: Database, breaking: Breaking, writer: Writer) -> None:
    breaking.before = 2
    await writer.submit(Settle(FREE, entry(), None))
    assert len(ids(database)) == 1
    assert breaking.opened == 3


async def test_what_was_kept_though_the_connection_broke_is_not_written_again(
    database: Database, breaking: Breaking, writer: Writer
) -> None:
    breaking.after = 1
    step = Step()
    future, settled = writer.submit(step), writer.submit(Settle(FREE, entry(), None))
    assert await future == step.applied == 1
    await settled
    assert len(ids(database)) == 1
    await writer.submit(Settle(FREE, entry(), None))
    assert len(ids(database)) == 2


async def test_patience_ends_and_what_comes_later_works(
    database: Database, breaking: Breaking, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    breaking.before = 10_000
    future = writer.submit(Step(), patience=0.05)
    behind = writer.submit(Step(), patience=0.05)
    for each in (future, behind):
        with pytest.raises(LedgerUnavailableError, match="cannot be written: the server is gone"):
            await each
    breaking.before = 0
    await writer.submit(Settle(FREE, entry(), None))
    assert len(ids(database)) == 1
    assert "trying again: the server is gone" in caplog.text


async def test_closing_writes_what_waits_and_then_refuses(database: Database, writer: Writer) -> None:
    futures = [writer.submit(Settle(FREE, entry(), None)) for _ in range(20)]
    await asyncio.to_thread(writer.close)
    for future in futures:
        await future
    assert len(ids(database)) == 20
    with pytest.raises(LedgerUnavailableError, match="closed"):
        writer.submit(Step())


async def test_too_many_waiting_are_refused_at_once(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcs.gateway.writer._MOST_WAITING", 3)
    gate = Gate()
    futures = [writer.submit(Step(gate.hold))]
    await gate.reached()
    futures += [writer.submit(Step()) for _ in range(3)]
    with pytest.raises(LedgerUnavailableError, match="too far behind"):
        writer.submit(Step())
    gate.open()
    for future in futures:
        await future


async def test_postgresql_is_killed_and_comes_back_under_load(postgres: PostgresServer) -> None:
    from helpers_bank import Place

    place = Place("postgresql", postgres.url, prefix="killed_")
    ledgers = Ledgers(place)
    ledger = ledgers.open()
    _, key = await ledger.create_key("team", KeyLimits(usd_per_day=1000.0, max_concurrent=100))
    acknowledged: list[str] = []
    goal, reached, stop = 20, asyncio.Event(), asyncio.Event()

    async def work() -> None:
        while not stop.is_set():
            try:
                reservation = await ledger.reserve(key, Hold(0.25, 10))
            except LedgerUnavailableError:
                continue
            each = entry(key_id=key.id)
            await ledger.settle(reservation, each)
            acknowledged.append(each.id)
            if len(acknowledged) >= goal:
                reached.set()

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(work())
        await reached.wait()
        postgres.kill()
        await asyncio.sleep(0.1)
        reached.clear()
        goal = len(acknowledged) + 20
        await asyncio.to_thread(postgres.start)
        await reached.wait()
        stop.set()
    rows = await all_runs(ledger)
    assert sorted(row.id for row in rows) == sorted(acknowledged)
    use = (await ledger.key_use())[key.id]
    assert use.usd_today == 0.25 * len(rows)
    await ledgers.close()
