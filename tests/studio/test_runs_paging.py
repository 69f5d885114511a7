from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers_ledger import entry, sqlite_ledgers
from smcs.gateway.entries import RunFilter, RunRow
from smcs.gateway.ledger import Hold, Ledger
from smcs.studio.runs.paging import RunPage, list_runs, neighbours, read_page

EVERYTHING = RunFilter()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledgers = sqlite_ledgers(tmp_path)
    yield ledgers.open()
    await ledgers.close()


async def write(ledger: Ledger, *moments: str, **changes: Any) -> list[RunRow]:
    """Write runs and return them all, the newest first."""
    for moment in moments:
        reservation = await ledger.reserve(None, Hold(0.0, 0))
        await ledger.settle(reservation, replace(entry(**changes), created=moment))
    return await ledger.runs(limit=1000)


def spread(count: int) -> list[str]:
    """Return moments with gaps of milliseconds, hours and weeks, some of them equal."""
    moments = [f"2025-11-22T12:00:00.{i // 3:03}+00:00" for i in range(count // 3)]
    moments += [f"2025-10-{1 + i % 28:02}T{i % 24:02}:00:00.000+00:00" for i in range(count // 3)]
    moments += [f"{2000 + i}-01-01T00:00:00.000+00:00" for i in range(count - 2 * (count // 3))]
    return moments


async def test_empty_ledger_has_one_empty_page(ledger: Ledger) -> None:
    assert await read_page(ledger, EVERYTHING) == RunPage(())


@pytest.mark.parametrize("size", [1, 4, 7])
async def test_walking_there_and_back_shows_every_run_once(ledger: Ledger, size: int) -> None:
    rows = await write(ledger, *spread(23))
    page = await read_page(ledger, EVERYTHING, size=size)
    assert page.newer is None
    pages = [page]
    while page.older is not None:
        page = await read_page(ledger, EVERYTHING, before=page.older, size=size)
        pages.append(page)
    assert [row for page in pages for row in page.rows] == rows
    for expected in reversed(pages[:-1]):
        page = await read_page(ledger, EVERYTHING, after=page.newer, size=size)
        assert page.rows == expected.rows
    assert page.newer is None


async def test_many_runs_of_one_moment_can_be_walked(ledger: Ledger) -> None:
    rows = await write(ledger, *["2025-11-22T12:00:00.000+00:00"] * 23, "2025-11-22T11:59:59.999+00:00", "2020-01-01")
    page = await read_page(ledger, EVERYTHING, after=rows[20].cursor, size=4)
    assert list(page.rows) == rows[16:20]
    page = await read_page(ledger, EVERYTHING, after=rows[-1].cursor, size=3)
    assert list(page.rows) == rows[-4:-1]


async def test_page_that_newer_runs_do_not_fill_is_the_newest(ledger: Ledger) -> None:
    rows = await write(ledger, *spread(9))
    page = await read_page(ledger, EVERYTHING, after=rows[2].cursor, size=4)
    assert list(page.rows) == rows[:4]
    assert page.newer is None


async def test_filters_hold_in_both_directions(ledger: Ledger) -> None:
    await write(ledger, *spread(12), model="other")
    rows = [row for row in await write(ledger, *spread(12), model="mine") if row.model == "mine"]
    where = RunFilter(model="mine", until="2025-11-01T00:00:00.000+00:00", since="2002-01-01T00:00:00.000+00:00")
    inside = [row for row in rows if "2002" <= row.created < "2025-11"]
    first = await read_page(ledger, where, size=3)
    second = await read_page(ledger, where, before=first.older, size=3)
    assert [*first.rows, *second.rows] == inside[:6]
    assert (await read_page(ledger, where, after=second.newer, size=3)).rows == first.rows
    newer, older = await neighbours(ledger, where, inside[0].cursor)
    assert newer is None
    assert older == inside[1]


async def test_neighbours(ledger: Ledger) -> None:
    rows = await write(ledger, *spread(6))
    for i, row in enumerate(rows):
        newer, older = await neighbours(ledger, EVERYTHING, row.cursor)
        assert newer == (rows[i - 1] if i else None)
        assert older == (rows[i + 1] if i + 1 < len(rows) else None)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00.000+00:00", "9999-12-31T23:59:59.999+00:00"])
async def test_place_at_the_ends_of_time(ledger: Ledger, moment: str) -> None:
    rows = await write(ledger, *spread(6))
    place = (moment, "f" * 32)
    page = await read_page(ledger, EVERYTHING, after=place, size=3)
    assert len(page.rows) == 3
    newer, older = await neighbours(ledger, EVERYTHING, place)
    assert (newer, older) == ((rows[-1], None) if moment < "1" else (None, rows[0]))


async def test_page_before_the_oldest_leads_back(ledger: Ledger) -> None:
    rows = await write(ledger, *spread(3))
    page = await read_page(ledger, EVERYTHING, before=rows[-1].cursor)
    assert (page.rows, page.older, page.newer) == ((), None, rows[-1].cursor)


async def test_page_is_one_read_wherever_it_is(ledger: Ledger) -> None:
    rows = await write(ledger, *spread(30))
    asked: list[Any] = []

    class Counting:
        async def runs(self, **given: Any) -> list[RunRow]:
            asked.append(given)
            return await ledger.runs(**given)

    page = await read_page(Counting(), EVERYTHING, after=rows[-1].cursor, size=3)
    assert list(page.rows) == rows[-4:-1]
    assert [given["limit"] for given in asked] == [4]
    assert await list_runs(ledger, EVERYTHING, 2) == rows[:2]
