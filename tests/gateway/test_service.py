"""Opening another config beside the one in force."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from helpers_gateway import found_config, gateway, put_bank
from smcs.bank import QuestionBank
from smcs.config import Live
from smcs.errors import ConfigError
from smcs.gateway.service import Service, Services

WRONG = "gateway: {models: {smcs: {strategy: moa}}}"


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The banks that were closed."""
    urls: list[str] = []
    close = QuestionBank.close

    def closing(self: QuestionBank) -> None:
        urls.append(self.url)
        close(self)

    monkeypatch.setattr(QuestionBank, "close", closing)
    return urls


async def test_a_config_is_opened_beside_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await put_bank(tmp_path)
    threads: list[threading.Thread] = []

    def live(*arguments: Any, **options: Any) -> Live:
        threads.append(threading.current_thread())
        return Live(*arguments, **options)

    monkeypatch.setattr("smcs.gateway.service.Live", live)
    services = Services(await Service.open(found_config(tmp_path)))
    await services.replace(found_config(tmp_path))
    await services.close()
    assert len(threads) == 2
    assert threading.main_thread() not in threads


async def test_a_wrong_config_leaves_no_bank_open(tmp_path: Path, closed: list[str]) -> None:
    async with gateway(tmp_path) as served:
        with pytest.raises(ConfigError, match="built-in model"):
            await served.gateway.reload(found_config(tmp_path, WRONG))
        assert closed == [str(tmp_path / "bank.db")]
        assert (await served.chat()).status == 200
    assert len(closed) == 2


async def test_one_that_is_given_up_while_it_opens_leaves_no_bank_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: list[str]
) -> None:
    await put_bank(tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    def live(*arguments: Any, **options: Any) -> Live:
        begun.set()
        go_on.wait(10)
        return Live(*arguments, **options)

    monkeypatch.setattr("smcs.gateway.service.Live", live)
    opening = asyncio.create_task(Service.open(found_config(tmp_path)))
    await asyncio.to_thread(begun.wait, 10)
    opening.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert closed == [str(tmp_path / "bank.db")]


async def test_what_only_a_restart_changes_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def said() -> list[str]:
        found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        caplog.clear()
        return found

    async with gateway(tmp_path) as served:
        told = "not in force before the server is restarted: "
        changes = {
            "gateway: {record: none, tracing: {texts: true}, database: other.db}": [
                f"{told}gateway.database, gateway.record, gateway.tracing"
            ],
            "gateway: {max_running: 3}": [],
            "gateway: {port: 1}": [f"{told}gateway.port"],
        }
        for text, words in changes.items():
            await served.gateway.reload(found_config(tmp_path, text))
            assert said() == words
