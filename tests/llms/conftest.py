from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from helpers_llms import MisbehavingServer, no_leaks, serve
from smcs.llms import HttpSession


@pytest.fixture
async def server() -> AsyncIterator[MisbehavingServer]:
    async with serve() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[HttpSession]:
    async with no_leaks() as session:
        yield session
