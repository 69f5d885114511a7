"""Databases that an older version made, and connections that a server leaves behind."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from helpers_bank import Place
from helpers_ledger import Ledgers, PostgresServer, entry
from smcs.gateway import schema
from smcs.gateway.database import Database
from smcs.gateway.ledger import Hold, KeyLimits


async def test_a_database_of_version_1_is_given_what_it_lacks_and_keeps_the_rest(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    text, key = await ledger.create_key("team", KeyLimits(usd_per_day=1.0))
    made = entry(key_id=key.id)
    await ledger.settle(await ledger.reserve(key, Hold(0.5, 100)), made)
    await ledger.close()
    older = ("DROP TABLE gateway_shares", "DROP TABLE gateway_switches", "UPDATE gateway_meta SET schema_version = 1")
    ledgers.place.execute("ledger", *older)
    # as `smcs runs list` opens it, which makes no new database
    opened = [ledgers.open(create=False), ledgers.open()]
    for each in opened:
        assert await each.authenticate(text) == key
        assert [row.id for row in await each.runs()] == [made.id]
        assert (await each.key_use())[key.id].usd_today == 0.25
        assert await each.switches() == {}
    await opened[0].share(made.id)
    assert await opened[1].is_shared(made.id)
    assert await opened[0]._read(lambda found: found.execute(select(schema.meta.c.schema_version)).scalar_one()) == 2


@contextmanager
def left_amid_many(patched: pytest.MonkeyPatch) -> Iterator[None]:
    """Let `executemany` end as when the server dies amid its pipeline: with it open and what was sent unanswered."""

    def executemany(self: psycopg.Cursor, *_: object) -> None:
        self.connection.pgconn.enter_pipeline_mode()
        self.connection.pgconn.send_query_params(b"SELECT 1", None)
        self.connection.pgconn.exit_pipeline_mode()

    with patched.context() as patch:
        patch.setattr(psycopg.Cursor, "executemany", executemany)
        yield


def test_a_connection_that_was_left_amid_many_rows_is_dropped_without_noise(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database.open(Place("postgresql", postgres.url, prefix="amid_").url("ledger"))
    rows = ({"id": each, "sequence": 1, "seen": 1.0} for each in ("a", "b"))
    with (
        caplog.at_level(logging.DEBUG),
        left_amid_many(monkeypatch),
        pytest.raises(OperationalError, match="cannot exit pipeline mode") as caught,
        database.write() as connection,
    ):
        connection.execute(schema.writers.insert(), list(rows))
    assert caught.value.connection_invalidated
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert database.read(lambda found: found.execute(select(schema.writers)).all()) == []
    database.close()
