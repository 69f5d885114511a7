"""Pages of the ledger in both directions, and the neighbours of a run, by the ledger's index on time alone.

The ledger lists runs before a place. Those right after it are looked for in a window of time, so that a page costs some
reads of the index wherever in the list it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from smcs.gateway.database import iso
from smcs.gateway.entries import RunFilter, RunRow, RunStatus
from smcs.studio.runs.filters import Cursor

__all__ = ("PAGE_SIZE", "Lister", "RunPage", "list_runs", "neighbours", "read_page")

PAGE_SIZE: Final = 50
"""Runs of a page."""

_BATCH: Final = 500
_FIRST_WINDOW: Final = timedelta(minutes=1)
_GROWTH: Final = 8
_TICK: Final = timedelta(milliseconds=1)
"""The ledger's moments are whole milliseconds."""

_SKEW: Final = timedelta(days=1)
"""By which the clocks of several servers may differ."""


class Lister(Protocol):
    """The part of a ledger that lists runs; see `smcs.gateway.ledger.Ledger.runs`."""

    async def runs(
        self,
        *,
        limit: int = 50,
        before: Cursor | None = None,
        key_id: str | None = None,
        model: str | None = None,
        strategy: str | None = None,
        status: RunStatus | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        text: str | None = None,
    ) -> list[RunRow]:
        """Return lines of the ledger, the newest first."""
        ...


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, the newest first, and where the list goes on."""

    rows: tuple[RunRow, ...]
    older: Cursor | None = None
    """The page of older runs is the one before this place; `None` where there are none."""
    newer: Cursor | None = None
    """The page of newer runs is the one after this place; `None` on the newest page."""


async def read_page(
    ledger: Lister,
    where: RunFilter,
    *,
    before: Cursor | None = None,
    after: Cursor | None = None,
    size: int = PAGE_SIZE,
) -> RunPage:
    """Return a page of runs: the newest ones, those before a place, or those right after one.

    Args:
        ledger: Where runs are listed.
        where: Which runs.
        before: Show older ones than this.
        after: Show the next newer ones than this; what would not fill a page shows the newest page instead.
        size: Most runs, 1 to 400.

    Raises:
        LedgerUnavailableError: The database failed.
    """
    if after is not None and before is None:
        newer = await _after(ledger, where, after, size + 1)
        if len(newer) > size:
            rows = newer[-size:]
            return RunPage(tuple(rows), older=rows[-1].cursor, newer=rows[0].cursor)
    rows = await list_runs(ledger, where, size + 1, before)
    shown = tuple(rows[:size])
    return RunPage(
        shown,
        older=shown[-1].cursor if len(rows) > size else None,
        newer=None if before is None else shown[0].cursor if shown else before,
    )


async def neighbours(ledger: Lister, where: RunFilter, place: Cursor) -> tuple[RunRow | None, RunRow | None]:
    """Return the next newer and the next older run of a list; `None` at its ends.

    Raises:
        LedgerUnavailableError: The database failed.
    """
    newer = await _after(ledger, where, place, 1)
    older = await list_runs(ledger, where, 1, place)
    return (newer[-1] if newer else None), (older[0] if older else None)


async def _after(ledger: Lister, where: RunFilter, place: Cursor, count: int) -> list[RunRow]:
    """Return the runs right after a place, the newest first: `count` of them, or all there are.

    The window of time that is read grows until it holds enough; one that holds too many to read is halved.
    """
    low, window = datetime.fromisoformat(place[0]), _FIRST_WINDOW
    high: datetime | None = None
    latest = datetime.now(UTC) + _SKEW
    if low > latest:
        return []
    while True:
        if high is None:
            until = low + window if low + window < latest else None
        elif high - low > _TICK:
            until = low + (high - low) // _TICK // 2 * _TICK
        else:
            return (await _all_after(ledger, _window(where, place, high), place))[-count:]
        seen = _window(where, place, until)
        newer = [row for row in await list_runs(ledger, seen, _BATCH, None) if row.cursor > place]
        if len(newer) == _BATCH:
            high = datetime.fromisoformat(newer[0].created) + _TICK
        elif len(newer) >= count or until is None or seen.until == where.until:
            return newer[-count:]
        else:
            low = until
            window = window * _GROWTH if high is None else window


def _window(where: RunFilter, place: Cursor, until: datetime | None) -> RunFilter:
    """Return which runs are wanted from a place on and before a moment; moments compare as the ledger writes them."""
    ends = [moment for moment in (where.until, None if until is None else iso(until)) if moment is not None]
    begins = [moment for moment in (where.since, place[0]) if moment is not None]
    return replace(where, since=max(map(str, begins)), until=min(map(str, ends), default=None))


async def _all_after(ledger: Lister, window: RunFilter, place: Cursor) -> list[RunRow]:
    """Return all runs of a window of time that come after a place, the newest first."""
    found: list[RunRow] = []
    before: Cursor | None = None
    while True:
        rows = await list_runs(ledger, window, _BATCH, before)
        found += [row for row in rows if row.cursor > place]
        if len(rows) < _BATCH or rows[-1].cursor <= place:
            return found
        before = rows[-1].cursor


async def list_runs(ledger: Lister, where: RunFilter, limit: int, before: Cursor | None) -> list[RunRow]:
    """Return lines of the ledger, the newest first.

    Raises:
        LedgerUnavailableError: The database failed.
    """
    return await ledger.runs(
        limit=limit,
        before=before,
        key_id=where.key_id,
        model=where.model,
        strategy=where.strategy,
        status=where.status,
        since=where.since,
        until=where.until,
        text=where.text,
    )
