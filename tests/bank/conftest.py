from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_bank import Place, postgres_server

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server of this session's own."""
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where banks can be made, on either database."""
    if request.param == "sqlite":
        made = Place("sqlite", str(tmp_path))
    else:
        made = Place("postgresql", request.getfixturevalue("postgres"), prefix=f"test{next(_NUMBERS)}_")
    yield made
    made.close()
