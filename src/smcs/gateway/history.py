"""Reading the ledger: its lines, its records, and what was spent, on a few threads of their own."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec
from sqlalchemy import Connection

from smcs.errors import InputError
from smcs.gateway import reads, sharing
from smcs.gateway.database import Database
from smcs.gateway.entries import RunFilter, RunRow, RunStatus, SpendBy, SpendRow, StoredRun, Totals, utc
from smcs.gateway.keys import KeyRecord, read_keys
from smcs.gateway.llm_use import LLMUse, llm_use

__all__ = ("RUN_ID", "History")

_T = TypeVar("_T")

RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
"""What the id of a run looks like; nothing else is looked up."""

_READERS: Final = 4
"""Threads that read."""

_PAGE: Final = 100
"""Runs that an export holds in memory."""

_MOST_LISTED: Final = 1_000


class History:
    """The part of a ledger that changes nothing.

    Args:
        database: An opened database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="smcs-ledger-read")

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return self._database.url

    async def run(self, run_id: str) -> StoredRun | None:
        """Return everything about a run, `None` where there is none of this id.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        if not RUN_ID.fullmatch(run_id):
            return None
        return await self._read(lambda connection: reads.one_run(connection, run_id))

    async def runs(
        self,
        *,
        limit: int = 50,
        before: tuple[str, str] | None = None,
        after: tuple[str, str] | None = None,
        key_id: str | None = None,
        model: str | None = None,
        strategy: str | None = None,
        status: RunStatus | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        text: str | None = None,
    ) -> list[RunRow]:
        """Return lines of the ledger, the newest first.

        Args:
            limit: Most lines, 1 to 1,000.
            before: `RunRow.cursor` of the last line of the page before; only older ones.
            after: `RunRow.cursor` of the first line of the page after; only newer ones, those next to it.
            key_id: Of this key ("": without a key).
            model: For this model, as clients asked for it.
            strategy: By this strategy.
            status: That ended like this.
            since: From this moment on; ISO 8601, UTC where it names no zone.
            until: Before this moment.
            text: With this in the question or the error, in any case.

        Raises:
            InputError: `limit` or a moment is not valid.
            LedgerUnavailableError: The database failed.
        """
        if not 1 <= limit <= _MOST_LISTED:
            raise InputError(f"`limit` must be from 1 to {_MOST_LISTED:,}, got {limit}.")
        where = RunFilter(
            key_id=key_id, model=model, strategy=strategy, status=status, since=since, until=until, text=text
        )
        find = partial(reads.many_runs, where=where, limit=limit, before=before, after=after)
        return await self._read(find)

    async def export(self, target: Path | BinaryIO, where: RunFilter | None = None, *, records: bool = True) -> int:
        """Write runs as JSON lines, the oldest first, and return how many.

        Args:
            target: A file, which appears whole or not at all; or a binary stream.
            where: Which runs; all of them if not given.
            records: Whether the record of each run (its texts) goes with it.

        Raises:
            InputError: The file cannot be written.
            LedgerUnavailableError: The database failed.
        """
        return await self._in_thread(partial(self._export, target, where or RunFilter(), records=records))

    def _export(self, target: Path | BinaryIO, where: RunFilter, *, records: bool) -> int:
        if not isinstance(target, Path):
            return self._write_lines(target, where, records=records)
        work = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
        try:
            with work.open("xb") as file:
                os.fchmod(file.fileno(), 0o600)
                count = self._write_lines(file, where, records=records)
            work.replace(target)
        except OSError as error:
            raise InputError(f"{str(target)!r} cannot be written: {error.strerror}.") from error
        finally:
            work.unlink(missing_ok=True)
        return count

    def _write_lines(self, file: BinaryIO, where: RunFilter, *, records: bool) -> int:
        count, after = 0, None
        while True:
            page = self._database.read(
                partial(reads.page_of_runs, where=where, after=after, limit=_PAGE, records=records)
            )
            for run in page:
                file.write(msgspec.json.encode(run) + b"\n")
            count += len(page)
            if len(page) < _PAGE:
                return count
            after = page[-1].row.cursor

    async def spend(
        self,
        *,
        by: SpendBy,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        key_id: str | None = None,
    ) -> list[SpendRow]:
        """Return what was spent, in whole UTC days, pruned runs included.

        Args:
            by: What it is added up by. By LLM, runs are those that called it.
            since: From the day of this moment on.
            until: To the day of this moment, which is left out where the moment is its midnight.
            key_id: By this key ("": without a key); by all of them if not given.

        Raises:
            InputError: A moment is not valid.
            LedgerUnavailableError: The database failed.
        """
        begin, end = (None if moment is None else utc(moment) for moment in (since, until))
        return await self._read(lambda connection: reads.spending(connection, by, begin, end, key_id))

    async def totals(self) -> Totals:
        """Return the whole ledger in figures; they come from sums, not from rows."""
        return await self._read(reads.sum_up)

    async def list_keys(self) -> tuple[KeyRecord, ...]:
        """Return all keys in the order they were made, revoked ones too.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        keys = await self._read(read_keys)
        return tuple(record for _, record in keys.by_id.values()) if keys is not None else ()

    async def llm_use(self, since: str | datetime | None = None) -> tuple[LLMUse, ...]:
        """Return how each LLM did in the newest runs, 2,000 at most, by name.

        Args:
            since: Of runs from this moment on; ISO 8601, UTC where it names no zone.

        Raises:
            InputError: The moment is not valid.
            LedgerUnavailableError: The database failed.
        """
        begin = None if since is None else utc(since)
        return await self._read(lambda connection: llm_use(connection, begin))

    async def is_shared(self, run_id: str) -> bool:
        """Return whether every valid key may read a run.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        if not RUN_ID.fullmatch(run_id):
            return False
        return await self._read(lambda connection: sharing.is_shared(connection, run_id))

    def _end_reading(self) -> None:
        self._readers.shutdown()

    async def _read(self, query: Callable[[Connection], _T]) -> _T:
        return await self._in_thread(partial(self._database.read, query))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)
