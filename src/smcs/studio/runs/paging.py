"""Pages of the ledger in both directions, and the neighbours of a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from smcs.gateway.entries import RunFilter, RunRow, RunStatus
from smcs.studio.runs.filters import Cursor

__all__ = ("PAGE_SIZE", "Lister", "RunPage", "list_runs", "neighbours", "read_page")

PAGE_SIZE: Final = 50
"""Runs of a page."""


class Lister(Protocol):
    """The part of a ledger that lists runs; see `smcs.gateway.ledger.Ledger.runs`."""

    async def runs(
        self,
        *,
        limit: int = 50,
        before: Cursor | None = None,
        after: Cursor | None = None,
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
        size: Most runs, 1 to 999.

    Raises:
        LedgerUnavailableError: The database failed.
    """
    if after is not None and before is None:
        newer = await list_runs(ledger, where, size + 1, after=after)
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
    newer = await list_runs(ledger, where, 1, after=place)
    older = await list_runs(ledger, where, 1, before=place)
    return (newer[0] if newer else None), (older[0] if older else None)


async def list_runs(
    ledger: Lister, where: RunFilter, limit: int, before: Cursor | None = None, after: Cursor | None = None
) -> list[RunRow]:
    """Return lines of the ledger, the newest first; see `Lister.runs`.

    Raises:
        LedgerUnavailableError: The database failed.
    """
    return await ledger.runs(
        limit=limit,
        before=before,
        after=after,
        key_id=where.key_id,
        model=where.model,
        strategy=where.strategy,
        status=where.status,
        since=where.since,
        until=where.until,
        text=where.text,
    )
