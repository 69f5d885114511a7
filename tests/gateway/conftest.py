from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from helpers_bank import Place
from helpers_ledger import Ledgers, PostgresServer, sqlite_ledgers

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session's own, which a test may kill and start again."""
    with PostgresServer.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
async def ledgers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledgers]:
    """Ledgers that share one empty database, of either kind."""
    if request.param == "sqlite":
        made = sqlite_ledgers(tmp_path)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        made = Ledgers(Place("postgresql", server.url, prefix=f"gateway{next(_NUMBERS)}_"))
    yield made
    await made.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Ledgers]:
    """Ledgers that share one empty SQLite file."""
    made = sqlite_ledgers(tmp_path)
    yield made
    await made.close()
