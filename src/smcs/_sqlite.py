"""What SQLite needs from whoever shares a file with other processes."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

__all__ = ("write_ahead",)

_PAUSE_SECONDS: Final = 0.005


def write_ahead(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Have a file log what is written to it before it is written, so that readers and a writer do not wait.

    Of several processes that open a new file at once, SQLite refuses all but one right away, whatever the timeout of
    their connections (its busy handler is not called where waiting might be a deadlock): they try again here.

    Args:
        connection: Of the file; outside a transaction.
        busy_seconds: How long to try.

    Raises:
        sqlite3.Error: The file is busy for longer, or cannot be used.
    """
    until = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return
