"""Where a database is and how it is opened, for all that keeps its state in SQLite or PostgreSQL through SQLAlchemy."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from smcs._sqlite import write_ahead
from smcs.errors import MissingExtraError, UserError

__all__ = ("database_url", "reason", "server_engine", "shown", "sqlite_engine")


def database_url(url_or_path: str | Path, what: str, error: type[UserError]) -> URL:
    """Return where a database is.

    Args:
        url_or_path: A path, which is of SQLite, or a URL of SQLite or PostgreSQL.
        what: What lives there, as the subject of a sentence: "A question bank".
        error: Raised where it can be none. Messages leave a URL out, as it may hold a password.
    """
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return URL.create("sqlite", database=str(Path(url_or_path).expanduser()))
    try:
        url = make_url(url_or_path)
    except ArgumentError as failure:
        raise error(
            f"{what} lives in SQLite or PostgreSQL, and what was given is neither a path nor a URL such as "
            "'postgresql://user@host/name'."
        ) from failure
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise error(f"{what} lives in SQLite or PostgreSQL, got a URL for {url.get_backend_name()!r}.")
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise error(f"{what} needs a file: an in-memory SQLite database is not shared between threads.")
    return url


def shown(url: URL) -> str:
    """Return where a database is, without a password: a path for SQLite, else a URL."""
    return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def reason(error: DBAPIError) -> str:
    """Return what the driver said, on one line."""
    return " ".join(str(error.orig).split()).rstrip(".")


def sqlite_engine(url: URL, *, busy_seconds: float, pragmas: Sequence[str], wal: bool) -> Engine:
    """Return an engine whose transactions begin when they are said to.

    Args:
        url: A file.
        busy_seconds: How long one try waits for another's transaction, or for a connection.
        pragmas: Settings of each connection, as in "synchronous = FULL".
        wal: Whether the file is to log what is written before it is written; it stays so.

    Returns:
        The engine. A transaction of a connection with the execution option `smcs_write` takes the lock for writing at
        its beginning; any other only reads.
    """
    engine = create_engine(url, connect_args={"timeout": busy_seconds}, pool_timeout=busy_seconds)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        # The driver would begin transactions lazily; `begin` below does it, with the right kind of lock.
        connection.isolation_level = None
        if wal:
            write_ahead(connection, busy_seconds)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("smcs_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def server_engine(
    url: URL,
    what: str,
    *,
    busy_seconds: float,
    settings: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
) -> Engine:
    """Return an engine of PostgreSQL that drops every connection whose server was lost.

    Args:
        url: A URL of PostgreSQL.
        what: What lives there, as the subject of a sentence.
        busy_seconds: How long one try waits for a connection of the pool.
        settings: Statements that each connection begins with.
        parameters: What the driver is given to connect.

    Raises:
        MissingExtraError: The driver is not installed.
    """
    try:
        engine = create_engine(url, connect_args=dict(parameters or {}), pool_timeout=busy_seconds)
    except ImportError as error:
        raise MissingExtraError(f"{what} in PostgreSQL ({shown(url)})", "postgres") from error

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            for setting in settings:
                cursor.execute(setting)
        connection.commit()

    @event.listens_for(engine, "handle_error")
    def lost(context: ExceptionContext) -> None:
        # A server that dies amid `executemany` leaves a connection that is neither closed nor able to roll back.
        # An error without a code (SQLSTATE) did not come from a server that still answers.
        if isinstance(context.sqlalchemy_exception, OperationalError):
            context.is_disconnect |= getattr(context.original_exception, "sqlstate", None) is None

    return engine
