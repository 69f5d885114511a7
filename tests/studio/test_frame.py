"""What pages are made of."""

from __future__ import annotations

import asyncio

import pytest

from smcs.studio.frame import breathe


async def test_a_breath_lets_a_request_through_all_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcs.studio.frame._BREATH_SECONDS", 1.0)

    async def request() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    asked = asyncio.create_task(request())
    await breathe()
    assert asked.done()
