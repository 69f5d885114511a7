"""The connection to a bank's database: SQLite by path or URL, PostgreSQL by URL. The only place that knows the dialect.

A write runs in one transaction that holds the manifest's lock (the write lock of SQLite, a row lock elsewhere), so
concurrent writers take turns and the content sum always fits the rows. A read sees one consistent state throughout.
What a write acknowledged is on disk: SQLite and PostgreSQL are told to flush, whatever their settings say.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, inspect, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from smcs._databases import database_url, reason, server_engine, shown, sqlite_engine
from smcs.bank.journal import Header, Journal
from smcs.bank.migrations import migrate
from smcs.bank.records import EMPTY_SUM, add_digests
from smcs.bank.schema import SCHEMA_VERSION, manifest, metadata
from smcs.errors import BankError, RunError

__all__ = ("Database", "Writer")

_BUSY_SECONDS = 300.0
"""How long a writer waits for another one's transaction (an import may be large) before it gives up."""

_CREATE_LOCK = 0x736D6373
"""PostgreSQL's advisory lock that creating and migrating a bank takes: until there is a manifest, no row can be locked.
"""


@dataclass
class Writer:
    """An open write transaction, and the content sum it will leave behind."""

    connection: Connection
    content_sum: str
    default_embedder: str | None
    journal: Journal | None = None
    """Where each step is logged, if this transaction is a change that can be undone."""

    def count(self, *, new: Sequence[bytes] = (), old: Sequence[bytes] = ()) -> None:
        """Take the digests of added and removed rows into the content sum."""
        self.content_sum = add_digests(self.content_sum, new=new, old=old)

    def upsert(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows, replacing those whose primary key is already there."""
        if not rows:
            return
        dialect = self.connection.dialect
        insert = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
        statement = insert(table)
        keys = [column.name for column in table.primary_key]
        changes = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        upsert = statement.on_conflict_do_update(index_elements=keys, set_=changes)
        # Our columns need no conversion, and converting each of millions of values would cost as much as writing them.
        compiled = upsert.compile(dialect=dialect, column_keys=list(rows[0]))
        order = compiled.positiontup
        values = list(rows) if order is None else list(map(itemgetter(*order), rows))
        self.connection.exec_driver_sql(str(compiled), values)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Undo what the block wrote, and only that, if it raises: a step of a larger transaction is all or nothing."""
        before = self.content_sum, self.default_embedder
        mark = None if self.journal is None else self.journal.mark()
        try:
            with self.connection.begin_nested():
                yield
        except BaseException:
            self.content_sum, self.default_embedder = before
            if self.journal is not None and mark is not None:
                self.journal.rewind(mark)
            raise


class Database:
    """An opened bank database. Safe to use from several threads; close it when done."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        # Threads of one process queue here, so that those who wait hold no connection.
        self._write_lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where the bank is, without a password: a path for SQLite, else a URL."""
        return shown(self._engine.url)

    @classmethod
    def open(cls, url_or_path: str | Path) -> Database:
        """Open an existing bank, bringing it to the present schema first (see `migrations`).

        Raises:
            BankError: There is no bank there, it is of a newer schema, it is of an older one and cannot be written, or
                the database cannot be reached.
            MissingExtraError: The URL is of PostgreSQL and its driver is not installed.
        """
        url = _url(url_or_path)
        hint = f"Create one with QuestionBank.create({shown(url)!r})."
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise BankError(f"There is no question bank at {shown(url)!r}. {hint}")
        database = cls(_engine(url))
        try:
            version = database._schema_version()
            if version is None:
                raise BankError(f"{shown(url)!r} is a database without a question bank in it. {hint}")
            if version > SCHEMA_VERSION:
                raise BankError(
                    f"The question bank at {shown(url)!r} has schema version {version}, made by a newer smcs; this "
                    f"one reads versions up to {SCHEMA_VERSION}. Upgrade smcs, or export the bank there and import it."
                )
            if version < SCHEMA_VERSION:
                database._migrate(version)
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def create(cls, url_or_path: str | Path) -> Database:
        """Create an empty bank, folders included.

        Raises:
            BankError: There is a bank already, or the database cannot be written.
            MissingExtraError: The URL is of PostgreSQL and its driver is not installed.
        """
        url = _url(url_or_path)
        if url.get_backend_name() == "sqlite":
            path = Path(url.database or "")
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                return cls._create_file(path)
        return cls._create_tables(url)

    @classmethod
    def _create_file(cls, path: Path) -> Database:
        """Create a SQLite bank that appears under its name whole or not at all, whenever the process is killed."""
        work = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            cls._create_tables(_url(work)).close()
            os.link(work, path)
        except FileExistsError:
            raise BankError(f"Another process has just created a question bank at {str(path)!r}: open it.") from None
        finally:
            work.unlink(missing_ok=True)
        return cls(_engine(_url(path)))

    @classmethod
    def _create_tables(cls, url: URL) -> Database:
        database = cls(_engine(url, wal=True))
        try:
            if database._schema_version() is not None:
                raise BankError(f"There is already a question bank at {shown(url)!r}. Use QuestionBank.open instead.")
            with database._transaction(write=True) as connection:
                database._lock_schema(connection)
                if inspect(connection).has_table(manifest.name):
                    raise BankError(f"Another process has just created a question bank at {shown(url)!r}: open it.")
                metadata.create_all(connection)
                row = {"id": 1, "schema_version": SCHEMA_VERSION, "created": time.time(), "content_sum": EMPTY_SUM}
                connection.execute(manifest.insert(), row)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the bank until the block ends."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def write(self, header: Header | None = None) -> Iterator[Writer]:
        """Give a transaction that is committed when the block ends well and undone when it raises.

        Args:
            header: Logs what the transaction does as a change of this name, so that it can be undone.

        Raises:
            RunError: Another writer did not finish in time, or the database failed.
        """
        with self._turn(), self._transaction(write=True) as connection:
            columns = (manifest.c.content_sum, manifest.c.default_embedder)
            row = connection.execute(select(*columns).with_for_update()).one()
            journal = None if header is None else Journal(connection, header, row.content_sum)
            writer = Writer(connection, row.content_sum, row.default_embedder, journal)
            yield writer
            if (writer.content_sum, writer.default_embedder) != (row.content_sum, row.default_embedder):
                changes = {"content_sum": writer.content_sum, "default_embedder": writer.default_embedder}
                connection.execute(update(manifest).values(changes))
            if journal is not None:
                journal.finish(writer.content_sum)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._write_lock.acquire(timeout=_BUSY_SECONDS):
            raise RunError(
                f"The question bank at {self.url!r} was busy: another write took over {_BUSY_SECONDS:.0f} s."
            )
        try:
            yield
        finally:
            self._write_lock.release()

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        options: dict[str, Any] = {"smcs_write": True} if write else {}
        if not write and not self._is_sqlite:
            options["isolation_level"] = "REPEATABLE READ"
        try:
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                if write and not self._is_sqlite:
                    connection.execute(text("SET LOCAL synchronous_commit = on"))
                    connection.execute(text(f"SET LOCAL lock_timeout = '{_BUSY_SECONDS:.0f}s'"))
                yield connection
        except IntegrityError:
            raise
        except PoolTimeoutError as error:
            raise RunError(f"The question bank at {self.url!r} is read by too many threads at once.") from error
        except DBAPIError as error:
            raise RunError(f"The question bank at {self.url!r} could not be used: {reason(error)}.") from error

    def _migrate(self, version: int) -> None:
        try:
            with self._turn(), self._transaction(write=True) as connection:
                self._lock_schema(connection)
                migrate(connection, self._engine.url)
        except RunError as error:
            raise BankError(
                f"The question bank at {self.url!r} has schema version {version} and must be brought to version "
                f"{SCHEMA_VERSION}, which failed and changed nothing: {error} Make the file and its folder writable, "
                "or copy them to where they are."
            ) from error

    def _lock_schema(self, connection: Connection) -> None:
        if not self._is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATE_LOCK})

    def _schema_version(self) -> int | None:
        try:
            with self._engine.connect() as connection:
                if not inspect(connection).has_table(manifest.name):
                    return None
                return connection.execute(select(manifest.c.schema_version)).scalar_one_or_none()
        except DBAPIError as error:
            raise BankError(f"{self.url!r} cannot be opened as a question bank: {reason(error)}.") from error


def _url(url_or_path: str | Path) -> URL:
    return database_url(url_or_path, "A question bank", BankError)


def _engine(url: URL, *, wal: bool = False) -> Engine:
    if url.get_backend_name() != "sqlite":
        return server_engine(url, "A question bank", busy_seconds=_BUSY_SECONDS)
    # An outcome costs seconds of an LLM's time and a flush a few milliseconds: what was acknowledged stays.
    # WAL stays with the file, so only `create` sets it, and opening a foreign file changes nothing.
    pragmas = ("synchronous = FULL", "foreign_keys = ON")
    return sqlite_engine(url, busy_seconds=_BUSY_SECONDS, pragmas=pragmas, wal=wal)
