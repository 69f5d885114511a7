"""The connection to the gateway's database: SQLite by path or URL, PostgreSQL by URL.

The tables may stand beside those of a question bank. What is committed survives `kill -9` of the process: SQLite with
its write-ahead log and no flush per transaction (a power cut may take the last ones), PostgreSQL with one, so that it
survives the end of the server too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Delete,
    Engine,
    Insert,
    Update,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from smcs._databases import database_url, reason, server_engine, shown, sqlite_engine
from smcs.errors import ConfigError, RunError
from smcs.gateway.schema import SCHEMA_VERSION, meta, metadata

__all__ = ("Database", "LedgerUnavailableError", "Prepared", "iso")

_T = TypeVar("_T")

_BUSY_SECONDS = 5.0
"""How long one try waits for another process's transaction, for a connection, or for a server to accept one."""

_CREATE_LOCK = 0x736D6367
"""PostgreSQL's advisory lock that creating the tables takes, as there is no row to lock yet."""

_SERVER_SETTINGS = (
    # An acknowledged row survives the server, whatever its configuration says.
    "SET synchronous_commit = on",
    "SET lock_timeout = '10s'",
    "SET statement_timeout = '60s'",
    "SET idle_in_transaction_session_timeout = '60s'",
)

_KEEP_ALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""A server that vanished from the network is noticed within seconds (libpq's connection parameters)."""


class LedgerUnavailableError(RunError):
    """The database of keys and ledger cannot be reached, or is too far behind; the same may work soon."""


class Prepared:
    """A statement that was compiled once: running it costs what the driver takes."""

    def __init__(self, statement: Insert | Update | Delete, names: Sequence[str], engine: Engine) -> None:
        compiled = statement.compile(dialect=engine.dialect, column_keys=list(names))
        self._sql = str(compiled)
        order = compiled.positiontup
        self._order: Callable[[Mapping[str, Any]], Any] | None = None
        if order is not None:
            pick = itemgetter(*order)
            self._order = pick if len(order) > 1 else lambda row: (pick(row),)

    def run(self, connection: Connection, row: Mapping[str, Any]) -> CursorResult[Any]:
        """Execute it for one set of values."""
        return connection.exec_driver_sql(self._sql, dict(row) if self._order is None else self._order(row))

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute it for each row; nothing happens when there is none."""
        if rows:
            connection.exec_driver_sql(self._sql, list(rows) if self._order is None else list(map(self._order, rows)))


class Database:
    """An opened database. Safe to use from several threads; close it when done."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"

    @classmethod
    def open(cls, url_or_path: str | Path, *, create: bool = True) -> Database:
        """Open keys and ledger, creating the tables (and for SQLite the file, readable by its owner alone).

        A database of an older version is given the tables that it lacks; whatever is in it stays as it is.

        Args:
            url_or_path: A path, or a URL of SQLite or PostgreSQL.
            create: Whether to create what is not there.

        Raises:
            ConfigError: The URL is none, there is nothing there and `create` is off, or a newer smcs made it.
            LedgerUnavailableError: The database cannot be reached or written.
            MissingExtraError: The URL is of PostgreSQL and its driver is not installed.
        """
        url = database_url(url_or_path, "The ledger", ConfigError)
        if url.get_backend_name() == "sqlite":
            _ready_file(Path(url.database or ""), create=create)
        database = cls(_engine(url))
        try:
            version = database.read(_schema_version)
            if version is None and not create:
                raise ConfigError(f"{database.url!r} is a database without keys or runs in it: `smcs serve` makes it.")
            if version is None or version < SCHEMA_VERSION:
                version = database._make_tables()
            if version > SCHEMA_VERSION:
                raise ConfigError(
                    f"Keys and ledger at {database.url!r} have schema version {version}, made by a newer smcs; this "
                    f"one knows versions up to {SCHEMA_VERSION}. Upgrade smcs, or name another database."
                )
        except BaseException:
            database.close()
            raise
        return database

    @property
    def url(self) -> str:
        """Where it is, without a password: a path for SQLite, else a URL."""
        return shown(self._engine.url)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this machine rather than a server."""
        return self._is_sqlite

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def prepare(self, statement: Insert | Update | Delete, names: Sequence[str]) -> Prepared:
        """Compile a statement; `names` are the values that each run of it is given."""
        return Prepared(statement, names, self._engine)

    def read(self, query: Callable[[Connection], _T]) -> _T:
        """Run a query that sees one state of the database; once more if the connection turns out to be dead.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        try:
            return self._read(query)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise self._unavailable(error) from error
        except PoolTimeoutError as error:
            raise LedgerUnavailableError(f"The ledger at {self.url!r} is read by too many at once.") from error
        try:
            return self._read(query)
        except DBAPIError as error:
            raise self._unavailable(error) from error

    def _read(self, query: Callable[[Connection], _T]) -> _T:
        options: dict[str, Any] = {} if self._is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            return query(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction that is committed when the block ends well and undone when it raises.

        Errors of the driver pass as they are: only the writer knows whether to try again.
        """
        with self._engine.connect().execution_options(smcs_write=True) as connection, connection.begin():
            yield connection

    def _make_tables(self) -> int:
        """Create the tables that are missing, which is all that versions differ in; return the version after it."""
        try:
            with self.write() as connection:
                if not self._is_sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATE_LOCK})
                version = _schema_version(connection)
                if version is not None and version >= SCHEMA_VERSION:  # Another process was faster.
                    return version
                metadata.create_all(connection)
                if version is None:
                    row = {"id": 1, "schema_version": SCHEMA_VERSION, "created": iso(datetime.now(UTC))}
                    connection.execute(meta.insert(), {**row, "keys_version": 0})
                else:
                    connection.execute(update(meta).values(schema_version=SCHEMA_VERSION))
        except DBAPIError as error:
            raise self._unavailable(error) from error
        return SCHEMA_VERSION

    def _unavailable(self, error: DBAPIError) -> LedgerUnavailableError:
        return LedgerUnavailableError(f"The ledger at {self.url!r} could not be used: {reason(error)}.")


def iso(moment: datetime) -> str:
    """Return a moment as the tables keep it: UTC, milliseconds, sortable as text; one without a zone is UTC."""
    zoned = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return zoned.isoformat(timespec="milliseconds")


def _schema_version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(meta.name):
        return None
    return connection.execute(select(meta.c.schema_version)).scalar_one_or_none()


def _ready_file(path: Path, *, create: bool) -> None:
    if path.is_file():
        return
    if not create:
        raise ConfigError(
            f"There are no keys and no ledger at {str(path)!r}. `smcs serve` or `smcs keys create` makes it."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise ConfigError(f"The ledger cannot be created at {str(path)!r}: {error.strerror}.") from error


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        parameters = {"connect_timeout": round(_BUSY_SECONDS), **_KEEP_ALIVE}
        return server_engine(
            url, "A ledger", busy_seconds=_BUSY_SECONDS, settings=_SERVER_SETTINGS, parameters=parameters
        )
    return sqlite_engine(url, busy_seconds=_BUSY_SECONDS, pragmas=("synchronous = NORMAL",), wal=True)
