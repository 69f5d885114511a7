from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from smcs._sqlite import write_ahead


def opened(path: Path) -> sqlite3.Connection:
    """Return a connection that does not wait by itself, as where SQLite calls no busy handler."""
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)


def mode(connection: sqlite3.Connection) -> str:
    (found,) = connection.execute("PRAGMA journal_mode").fetchone()
    return str(found)


def test_a_busy_file_is_waited_for(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "f.db")) as other, closing(opened(tmp_path / "f.db")) as ours:
        other.execute("BEGIN EXCLUSIVE")
        waiting = threading.Thread(target=write_ahead, args=(ours, 60))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        other.execute("COMMIT")
        waiting.join(60)
        assert mode(ours) == "wal"


def test_but_not_for_ever(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "f.db")) as other, closing(opened(tmp_path / "f.db")) as ours:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write_ahead(ours, 0.05)
        other.execute("COMMIT")
        assert mode(ours) == "delete"


def test_what_is_no_database_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "f.db").write_text("these are words and not a database " * 100)
    with closing(opened(tmp_path / "f.db")) as ours, pytest.raises(sqlite3.DatabaseError, match="not a database"):
        write_ahead(ours, 60)
