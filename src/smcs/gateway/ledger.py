"""Keys, limits, and every run: the state that a gateway, its replicas and the command line share.

A request reserves the most it may take, runs, and settles what it took; its response is sent after that is committed.
A process that dies leaves reservations behind: their leases run out, and any other process settles them at their full
amount, so budgets hold and nobody has to clean up.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Connection, select

from smcs.errors import InputError, RunError
from smcs.gateway import reads, schema
from smcs.gateway.database import Database, LedgerUnavailableError, iso
from smcs.gateway.entries import (
    MAX_NAME,
    AttemptSummary,
    Entry,
    Feedback,
    KeyUse,
    RunFilter,
    RunRow,
    RunStatus,
    SpendBy,
    SpendRow,
    StoredRun,
    Totals,
    Verdict,
    bounded,
)
from smcs.gateway.history import RUN_ID, History
from smcs.gateway.keys import CreateKey, KeyRecord, KeyRing, RevokeKey, check_name, new_key, read_keys
from smcs.gateway.limits import Hold, KeyLimits, LimitReached
from smcs.gateway.llm_use import LLMUse
from smcs.gateway.operations import (
    AddFeedback,
    NoSuchRunError,
    Prune,
    Release,
    Renew,
    Reservation,
    Reserve,
    Settle,
    Sweep,
)
from smcs.gateway.retention import Redaction, Retention, kept, pack
from smcs.gateway.sharing import Share, ShareRun, UnshareRun
from smcs.gateway.switches import Switch, SwitchBoard, SwitchOff, SwitchOn, read_switches
from smcs.gateway.writer import Writer

__all__ = (
    "AttemptSummary",
    "Entry",
    "Feedback",
    "Hold",
    "KeyLimits",
    "KeyRecord",
    "KeyUse",
    "LLMUse",
    "Ledger",
    "LedgerUnavailableError",
    "LimitReached",
    "NoSuchRunError",
    "Redaction",
    "Reservation",
    "Retention",
    "RunFilter",
    "RunRow",
    "RunStatus",
    "Share",
    "SpendBy",
    "SpendRow",
    "StoredRun",
    "Switch",
    "Totals",
    "Verdict",
)

_log = logging.getLogger(__name__)

_RENEW_SECONDS: Final = 20.0
"""Between two signs of life: a third of a lease."""

_PRUNE_SECONDS: Final = 3_600.0

_RESERVE_PATIENCE: Final = 5.0
"""Seconds a new request waits for a failing database; one that was answered waits longer, as it has been paid for."""

_AT_ONCE: Final = 500
"""Rows of one transaction that sweeps or prunes: others write in between."""

_MAX_FEEDBACK: Final = 20_000
_MAX_WHY: Final = 500


class Ledger(History):
    """Keys, limits and runs in one database.

    Use it on one event loop, and `await ledger.close()` when done (or `async with`). `Ledger.open` makes one.

    Args:
        database: An opened database; it is closed with the ledger.
        redaction: What is left out of the runs that are written.
        logprobs: Whether each token's log-probability is kept in their records.
        retention: For how long they are kept.
        clock: Unix seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        redaction: Redaction = "none",
        logprobs: bool = False,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(database)
        self._redaction: Redaction = redaction
        self._logprobs = logprobs
        self._retention = retention or Retention()
        self._clock = clock
        self._writer = Writer(database, clock)
        self._ring = KeyRing(lambda known: self._read(lambda connection: read_keys(connection, known)))
        self._board = SwitchBoard(lambda: self._read(read_switches))
        self._running: set[str] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self._upkeep: asyncio.Task[None] | None = None
        self._pruned = 0.0
        self._closed = False

    @classmethod
    def open(
        cls,
        url_or_path: str | Path,
        *,
        create: bool = True,
        redaction: Redaction = "none",
        logprobs: bool = False,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Ledger:
        """Connect and, where they are missing, create the tables. Blocks for milliseconds: call it before serving.

        Args:
            url_or_path: A path, or a URL of SQLite or PostgreSQL; the tables may stand beside a question bank's.
            create: Whether to create what is not there.
            redaction: What is left out of the runs that are written.
            logprobs: Whether each token's log-probability is kept in their records.
            retention: For how long they are kept.
            clock: Unix seconds.

        Raises:
            ConfigError: The URL is none, or there is nothing there and `create` is off.
            LedgerUnavailableError: The database cannot be reached or written.
            MissingExtraError: The URL is of PostgreSQL and its driver is not installed.
        """
        database = Database.open(url_or_path, create=create)
        return cls(database, redaction=redaction, logprobs=logprobs, retention=retention, clock=clock)

    @property
    def waiting(self) -> int:
        """Writes that wait for the database."""
        return self._writer.waiting

    def start(self) -> None:
        """Begin to renew leases, settle lost requests and forget old runs, beside whatever else happens."""
        if self._upkeep is None and not self._closed:
            self._upkeep = asyncio.create_task(self._keep_up())

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Write what is waiting, and let go of every thread, task and connection."""
        if self._closed:
            return
        self._closed = True
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.wait({self._upkeep})
        if self._settling:
            await asyncio.wait(self._settling)
        await self._ring.close()
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._end_reading)
        self._database.close()

    # Keys

    async def create_key(self, name: str, limits: KeyLimits | None = None) -> tuple[str, KeyRecord]:
        """Make a key.

        Returns:
            The key itself, which nobody can read again, and its record.

        Raises:
            InputError: The name is not usable or in use.
            LedgerUnavailableError: The database failed.
        """
        key_id, text, digest = new_key()
        record = KeyRecord(key_id, check_name(name), self._now(), limits or KeyLimits())
        await self._writer.submit(CreateKey(record, digest))
        self._ring.forget()
        return text, record

    async def revoke_key(self, id_or_name: str) -> KeyRecord:
        """Make a key invalid for good: here at once, in other processes within 2 s.

        Raises:
            InputError: No such key is in use.
            LedgerUnavailableError: The database failed.
        """
        record = await self._writer.submit(RevokeKey(id_or_name, self._now()))
        self._ring.forget()
        return record

    async def authenticate(self, text: str) -> KeyRecord | None:
        """Return the record of a valid key, as of at most 2 s ago; `None` for anything else.

        Raises:
            LedgerUnavailableError: The database failed, so that nobody knows.
        """
        return await self._ring.find(text)

    async def key(self, key_id: str) -> KeyRecord | None:
        """Return a key that is still valid, as of at most 2 s ago, by its id; `None` where there is none.

        Raises:
            LedgerUnavailableError: The database failed, so that nobody knows.
        """
        return await self._ring.get(key_id)

    async def key_use(self) -> Mapping[str, KeyUse]:
        """Return what keys have used of their present windows, by id."""
        return await self._read(lambda connection: reads.key_use(connection, self._clock()))

    # Requests

    async def reserve(self, key: KeyRecord | None, hold: Hold) -> Reservation:
        """Hold the most that a request may take; atomic on every replica.

        Without a key, or where the key has no limits but models, this writes nothing and returns at once.

        Raises:
            LimitReached: A limit of the key would be passed, or it limits money and `hold.usd` is unknown.
            LedgerUnavailableError: The database failed.
        """
        counted = key is not None and key.limits.counted
        reservation = Reservation(uuid.uuid4().hex, key.id if key is not None else "", hold, counted)
        if key is None or not counted:
            return reservation
        self.start()
        written = self._writer.submit(Reserve(reservation, key.limits), patience=_RESERVE_PATIENCE)
        try:
            await asyncio.shield(written)
        except asyncio.CancelledError:
            written.add_done_callback(partial(self._give_back, reservation))
            raise
        self._running.add(reservation.id)
        return reservation

    async def release(self, reservation: Reservation) -> None:
        """Free what is held for a request that was not begun and is not recorded. Once called, it is carried out.

        Raises:
            LedgerUnavailableError: The database failed; the lease runs out, then the request counts as lost.
        """
        self._running.discard(reservation.id)
        if reservation.stored:
            await asyncio.shield(self._writer.submit(Release(reservation)))

    async def settle(self, reservation: Reservation, entry: Entry) -> None:
        """Record a request that has ended, charge its key, and free what was held.

        The key is the reservation's, whatever the entry says. Returns when that is committed. Once called, it is
        carried out even if the caller is cancelled.

        Raises:
            LedgerUnavailableError: The database failed for half a minute; the lease runs out, then it counts as lost.
            RunError: The database refused the row (a run is settled once).
        """
        task = asyncio.create_task(self._settle(reservation, entry))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        await asyncio.shield(task)

    async def _settle(self, reservation: Reservation, entry: Entry) -> None:
        try:
            entry = kept(replace(entry.cleaned(), key_id=reservation.key_id), self._redaction)
            record: bytes | None = None
            if entry.record is not None:
                work = partial(pack, entry.record, logprobs=self._logprobs)
                record = work() if len(entry.record.attempts) == 1 else await self._in_thread(work)
            await self._writer.submit(Settle(reservation, entry, record))
        except RunError as error:
            _log.error("run %s could not be recorded: %s", entry.id, error)
            raise
        finally:
            self._running.discard(reservation.id)

    def _give_back(self, reservation: Reservation, written: asyncio.Future[None]) -> None:
        """Free a reservation that nobody waits for any more."""
        if written.cancelled() or written.exception() is not None or self._closed:
            return
        task = asyncio.create_task(self._release_quietly(reservation))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _release_quietly(self, reservation: Reservation) -> None:
        try:
            await self.release(reservation)
        except LedgerUnavailableError as error:
            _log.warning("reservation %s stands until its lease ends: %s", reservation.id, error)

    async def feedback(
        self,
        run_id: str,
        verdict: Verdict | None = None,
        answer: str | None = None,
        comment: str | None = None,
        key_id: str = "",
    ) -> Feedback:
        """Keep what a user says about an answer; of several words of one key, the last one counts.

        Args:
            run_id: The run.
            verdict: Whether the answer was good.
            answer: The correct answer.
            comment: Anything else.
            key_id: Whose word it is.

        Raises:
            NoSuchRunError: The ledger has no such run.
            InputError: Nothing was said.
            LedgerUnavailableError: The database failed.
        """
        if not RUN_ID.fullmatch(run_id):
            raise NoSuchRunError(f"The ledger has no run {run_id!r:.80}.")
        if verdict is None and not answer and not comment:
            raise InputError("Feedback needs a verdict, the correct answer, or a comment.")
        said = Feedback(
            run_id, key_id, self._now(), verdict, bounded(answer, _MAX_FEEDBACK), bounded(comment, _MAX_FEEDBACK)
        )
        return await self._writer.submit(AddFeedback(said))

    async def share(self, run_id: str, key_id: str = "") -> Share:
        """Let every valid key read a run; where it is shared already, the first word stands.

        Args:
            run_id: The run.
            key_id: Whose word it is.

        Raises:
            NoSuchRunError: The ledger has no such run.
            LedgerUnavailableError: The database failed.
        """
        if not RUN_ID.fullmatch(run_id):
            raise NoSuchRunError(f"The ledger has no run {run_id!r:.80}.")
        return await self._writer.submit(ShareRun(Share(run_id, key_id, self._now())))

    async def unshare(self, run_id: str) -> bool:
        """Let only its key and administrators read a run again; return whether others could.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        return await self._writer.submit(UnshareRun(run_id))

    # Switches

    @property
    def switched_off(self) -> Mapping[str, Switch]:
        """LLMs that somebody switched off, by name, as of the latest `switches` or of what `watch_switches` saw."""
        return self._board.off

    async def switches(self) -> Mapping[str, Switch]:
        """Read which LLMs somebody switched off, by name.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        return await self._board.look()

    async def watch_switches(self) -> None:
        """Keep `switched_off` at most some seconds old, until it is cancelled."""
        await self._board.watch()

    async def switch(self, llm: str, off: bool, why: str = "", key_id: str = "") -> Mapping[str, Switch]:
        """Switch an LLM off or on: here at once, in other processes within 5 s.

        Args:
            llm: Its name.
            off: Whether it shall be off.
            why: What the others are told, at most 500 characters.
            key_id: Who does it.

        Returns:
            All LLMs that are off now.

        Raises:
            InputError: The name is too long.
            LedgerUnavailableError: The database failed.
        """
        name = bounded(llm, MAX_NAME)
        if not llm or name != llm:
            raise InputError(f"An LLM's name is 1 to {MAX_NAME} characters, got {llm!r:.80}.")
        operation = SwitchOff(llm, key_id, self._now(), bounded(why, _MAX_WHY)) if off else SwitchOn(llm)
        await self._writer.submit(operation)
        return await self._board.look()

    # Upkeep

    async def prune(self, older_than: datetime | timedelta, *, records_only: bool = False) -> int:
        """Forget runs, a few at a time so that others write in between; sums by day stay.

        Args:
            older_than: Those that began before this moment, or are older than this.
            records_only: Forget their records, with all texts, and keep their lines.

        Returns:
            How many were forgotten.

        Raises:
            LedgerUnavailableError: The database failed; what was forgotten before stays so.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        before = iso(now - older_than if isinstance(older_than, timedelta) else older_than)
        count = 0
        while True:
            done = await self._writer.submit(Prune(before, _AT_ONCE, records_only))
            count += done
            if done < _AT_ONCE:
                break
        return count

    async def maintain(self) -> int:
        """Renew this process's leases, settle requests of dead ones, and forget what is old enough.

        Returns:
            How many lost requests were settled.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        await self._writer.submit(Renew(tuple(self._running)))
        lost = 0
        while found := await self._read(self._expired):
            ids, key_ids = tuple(each for each, _ in found), tuple({key_id for _, key_id in found})
            swept = await self._writer.submit(Sweep(key_ids, ids))
            lost += swept
            if swept < _AT_ONCE:
                break
        if lost:
            _log.warning("%d requests of a server that died were settled at the most they could have cost", lost)
        if self._clock() - self._pruned >= _PRUNE_SECONDS:
            self._pruned = self._clock()
            if self._retention.records_days is not None:
                await self.prune(timedelta(days=self._retention.records_days), records_only=True)
            if self._retention.runs_days is not None:
                await self.prune(timedelta(days=self._retention.runs_days))
        return lost

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                await self.maintain()
            except LedgerUnavailableError as error:
                _log.warning("the ledger could not be kept up, trying again in %.0f s: %s", _RENEW_SECONDS, error)

    def _expired(self, connection: Connection) -> list[tuple[str, str]]:
        table = schema.reservations
        query = select(table.c.id, table.c.key_id).where(table.c.expires <= self._clock()).limit(_AT_ONCE)
        return [(row.id, row.key_id) for row in connection.execute(query)]

    def _now(self) -> str:
        return iso(datetime.fromtimestamp(self._clock(), UTC))
