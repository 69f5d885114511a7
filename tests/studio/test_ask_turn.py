from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest

from smcs.run import Degraded, Run
from smcs.studio.ask import turn
from smcs.studio.ask.progress import Fold
from smcs.studio.ask.turn import _Side


async def test_what_did_not_change_is_shown_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    assert turn._CLOCK_SECONDS == 1.0
    monkeypatch.setattr(turn, "_CLOCK_SECONDS", 60.0)
    never: asyncio.Task[Run | None] = asyncio.create_task(asyncio.sleep(60, None))
    nothing = cast("Any", None)
    side = _Side(nothing, "", Fold(), nothing, never, time.monotonic())
    due = [side.is_due]
    side.shown = time.monotonic()
    due.append(side.is_due)
    side.fold.add(Degraded("no question bank", 0.1))
    due.append(side.is_due)
    side.fold.progress()
    due.append(side.is_due)
    side.shown -= 60.0
    due.append(side.is_due)
    assert due == [True, False, True, False, True]
    side.shown = time.monotonic()
    never.cancel()
    await asyncio.wait({never})
    assert side.is_due
