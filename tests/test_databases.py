"""Where a database is, as a user says it: the one reader that banks and the ledger share."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from smcs._databases import database_url, shown, sqlite_engine
from smcs.errors import BankError, ConfigError, UserError


def url(text: str | Path) -> str:
    return database_url(text, "A thing", ConfigError).render_as_string(hide_password=False)


def test_paths_and_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert url("things.db") == "sqlite:///things.db"
    assert url("~/things.db") == url(Path("~/things.db")) == "sqlite:////home/ann/things.db"
    assert url("sqlite:///things.db") == "sqlite:///things.db"
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        assert url(f"{scheme}://ann:pw@db/things") == "postgresql+psycopg://ann:pw@db/things"


@pytest.mark.parametrize("error", [BankError, ConfigError])
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("mysql://ann:secret@h/d", "A thing lives in SQLite or PostgreSQL, got a URL for 'mysql'"),
        ("ann:secret@://", "A thing lives in SQLite or PostgreSQL, and what was given is neither"),
        ("sqlite://", "A thing needs a file"),
        ("sqlite:///:memory:", "A thing needs a file"),
    ],
)
def test_what_is_none_is_said_in_the_callers_words(given: str, why: str, error: type[UserError]) -> None:
    with pytest.raises(error, match=why) as caught:
        database_url(given, "A thing", error)
    assert "secret" not in str(caught.value)


def test_no_password_is_shown() -> None:
    place = database_url("postgresql://ann:secret@db/things", "A thing", ConfigError)
    assert shown(place) == "postgresql+psycopg://ann:***@db/things"
    assert shown(database_url("a/things.db", "A thing", ConfigError)) == "a/things.db"


def test_a_transaction_of_sqlite_takes_the_lock_it_asks_for(tmp_path: Path) -> None:
    place = database_url(tmp_path / "things.db", "A thing", ConfigError)
    engine = sqlite_engine(place, busy_seconds=0.01, pragmas=("synchronous = FULL",), wal=True)
    writing = engine.execution_options(smcs_write=True)
    try:
        with writing.begin() as first:
            first.execute(text("CREATE TABLE things (id INTEGER)"))
            assert first.execute(text("PRAGMA synchronous")).scalar_one() == 2
        with writing.begin(), engine.begin() as reader:
            assert reader.execute(text("SELECT count(*) FROM things")).scalar_one() == 0
            with pytest.raises(OperationalError, match="locked"), writing.begin():
                pass
    finally:
        engine.dispose()
