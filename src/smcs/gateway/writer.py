"""The one thread of a process that writes to the ledger: it commits what is waiting, many operations at a time.

While one transaction is committed the next ones gather, so the more there is to write, the more of it shares one
commit. An operation that is refused (a limit is reached) is an answer, and the others of its transaction go on. When
the database fails, a transaction is tried again until those who wait lose patience. A connection that breaks during a
commit leaves open whether it was kept: each transaction therefore writes its number first, on the condition that it is
new, and the next try learns from that row whether there is anything left to do. So nothing is written twice.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from smcs._databases import reason
from smcs.errors import RunError, SmcsError
from smcs.gateway.database import Database, LedgerUnavailableError
from smcs.gateway.work import Statements, Work

__all__ = ("Operation", "Writer")

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

_AT_ONCE: Final = 256
"""Most operations of one transaction."""

_MOST_WAITING: Final = 20_000
"""Operations that may wait; more are refused at once, so that a dead database does not fill the memory."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two tries."""

_LAST_SECONDS: Final = 5.0
"""Patience with a failing database once the writer is being closed."""

_PASSING: Final = (OperationalError, InterfaceError, PoolTimeoutError)
"""What another try may find gone: a lost or refused connection, a lock, a deadlock, a full disk."""


class Operation(Protocol[_T_co]):
    """Something to be written.

    It may be applied several times, of which one is kept, so it changes nothing but the database. To refuse, it raises
    an `SmcsError` before it has changed anything.
    """

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Keys whose states it needs."""
        ...

    @property
    def reservation_ids(self) -> tuple[str, ...]:
        """Reservations it needs."""
        ...

    def apply(self, work: Work) -> _T_co:
        """Do it; what it returns is given to whoever submitted it, once it is committed."""
        ...


@dataclass
class _Pending:
    operation: Operation[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    deadline: float
    """On `time.monotonic`: after it the operation fails rather than being tried again."""
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Commits operations in the order they were submitted.

    Args:
        database: Where to; it must be open until the writer is closed.
        clock: Unix seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._statements = Statements(database)
        self._id = secrets.token_hex(16)
        self._sequence = 0
        self._waiting: deque[_Pending] = deque()
        self._wakes = threading.Condition()
        self._end = math.inf  # On `time.monotonic`, of all patience: set when the writer is closed.
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="smcs-ledger", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Operations that nobody has begun yet."""
        return len(self._waiting)

    def submit(self, operation: Operation[_T], *, patience: float = 30.0) -> asyncio.Future[_T]:
        """Queue an operation; call it on an event loop.

        Args:
            operation: What to write.
            patience: Seconds after which it fails with `LedgerUnavailableError` while the database does not work.

        Returns:
            What the operation returned, as soon as it is committed; or what it raised.

        Raises:
            LedgerUnavailableError: Too much is waiting already, or the writer is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        pending = _Pending(operation, future, loop, time.monotonic() + patience)
        with self._wakes:
            if self._end < math.inf:
                raise LedgerUnavailableError("The ledger is closed.")
            if len(self._waiting) >= _MOST_WAITING:
                raise LedgerUnavailableError(f"The ledger at {self._database.url!r} is too far behind.{self._failure}")
            self._waiting.append(pending)
            self._wakes.notify()
        return future

    def close(self) -> None:
        """Commit what is waiting, unless the database fails for seconds, and end the thread; blocks until then."""
        with self._wakes:
            self._end = time.monotonic() + _LAST_SECONDS
            self._wakes.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            self._commit(batch)

    def _next(self) -> list[_Pending]:
        with self._wakes:
            while not self._waiting and self._end == math.inf:
                self._wakes.wait()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]

    def _commit(self, batch: Sequence[_Pending]) -> None:
        self._sequence += 1
        pause = _FIRST_PAUSE
        while batch:
            try:
                self._try(batch)
            except _PASSING as error:
                batch = self._patient(batch, error)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - handed to whoever waits for it
                # Nothing was kept. One of them cannot be written; alone, each of the others can.
                if len(batch) == 1:
                    batch[0].error = self._named(error)
                    _deliver(batch)
                else:
                    for pending in batch:
                        self._commit([pending])
                return
            else:
                if self._failure:
                    _log.info("the ledger at %s works again", self._database.url)
                    self._failure = ""
                _deliver(batch)
                return

    def _try(self, batch: Sequence[_Pending]) -> None:
        now = self._clock()
        with self._database.write() as connection:
            mark = {"id": self._id, "sequence": self._sequence, "seen": now}
            if self._statements.mark.run(connection, mark).rowcount == 0:
                return  # The try before was kept after all: what it left in `batch` stands.
            work = Work(
                connection,
                self._statements,
                now,
                key_ids=(key_id for pending in batch for key_id in pending.operation.key_ids),
                reservation_ids=(each for pending in batch for each in pending.operation.reservation_ids),
            )
            for pending in batch:
                pending.result = pending.error = None
                try:
                    pending.result = pending.operation.apply(work)
                except SmcsError as error:
                    pending.error = error
            work.flush()

    def _patient(self, batch: Sequence[_Pending], error: Exception) -> list[_Pending]:
        """Fail those who waited too long, in the batch and behind it; return who is left of the batch."""
        why = reason(error) if isinstance(error, DBAPIError) else str(error)
        if not self._failure:
            _log.warning("the ledger at %s cannot be written, trying again: %s", self._database.url, why)
        self._failure = f" Last failure: {why}."
        now = time.monotonic()
        with self._wakes:
            late = [pending for pending in (*batch, *self._waiting) if min(pending.deadline, self._end) <= now]
            if late:
                self._waiting = deque(self._of_time(self._waiting, now))
        left = self._of_time(batch, now)
        for pending in late:
            pending.error = LedgerUnavailableError(f"The ledger at {self._database.url!r} cannot be written: {why}.")
        _deliver(late)
        return left

    def _of_time(self, pendings: Iterable[_Pending], now: float) -> list[_Pending]:
        return [pending for pending in pendings if min(pending.deadline, self._end) > now]

    def _named(self, error: Exception) -> Exception:
        if isinstance(error, DBAPIError):
            return RunError(f"The ledger at {self._database.url!r} refused what was to be written: {reason(error)}.")
        return error


def _deliver(batch: Iterable[_Pending]) -> None:
    """Give results to whoever waits, with one wake-up per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Pending]] = {}
    for pending in batch:
        by_loop.setdefault(pending.loop, []).append(pending)
    for loop, done in by_loop.items():
        with suppress(RuntimeError):  # The loop is closed, and whoever waited is gone with it.
            loop.call_soon_threadsafe(_settle, done)


def _settle(done: Iterable[_Pending]) -> None:
    for pending in done:
        if pending.future.done():
            continue
        if pending.error is None:
            pending.future.set_result(pending.result)
        else:
            pending.future.set_exception(pending.error)
