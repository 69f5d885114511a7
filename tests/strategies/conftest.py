from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from helpers_methods import KNOWN
from helpers_strategies import make_bank
from smcs.bank import QuestionBank


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionBank]:
    """Return a bank that knows four LLMs, adder, guide, half and poor; tests do not write to it."""
    bank = asyncio.run(make_bank(tmp_path_factory.mktemp("known") / "bank.db", KNOWN))
    yield bank
    bank.close()
