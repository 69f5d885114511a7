from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from smcs.gateway.serve import Server, _ending_well

STOPS = (signal.SIGINT, signal.SIGTERM)


async def nothing(*_: Any) -> None:
    """Serve nobody."""


def test_a_server_that_was_told_to_stop_returns() -> None:
    before = [signal.getsignal(number) for number in STOPS]
    for number in STOPS:
        server = Server(uvicorn.Config(nothing, log_config=None))
        with server.capture_signals():
            signal.raise_signal(number)
            assert server.should_exit
            assert not server.force_exit
            signal.raise_signal(signal.SIGINT)
            assert server.force_exit, "whoever is impatient need not wait for running requests"
    assert [signal.getsignal(number) for number in STOPS] == before


async def test_a_worker_process_outlives_the_signal_it_is_sent_again() -> None:
    said = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, int]]:
        said.append("begins")
        yield {"a": 1}
        said.append("ends")

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        async with _ending_well(lifespan)(None) as state:
            assert state == {"a": 1}
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
        assert said == ["begins", "ends"]
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before | set(STOPS)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
