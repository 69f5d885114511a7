"""The studio as a process of its own behind the API's port: `python -m smcs.studio.process`, run by `smcs serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from smcs._network import is_loopback
from smcs.config import FoundConfig
from smcs.errors import SmcsError
from smcs.gateway.annex.calling import DistantDesk
from smcs.gateway.annex.handover import Place, SortingProtocol
from smcs.gateway.annex.keeper import Task
from smcs.gateway.app import surround
from smcs.gateway.logs import structured_logs
from smcs.gateway.reception import Reception
from smcs.gateway.serve import Server, collect_rarely
from smcs.studio.bank.data import overview
from smcs.studio.mounting import mount

__all__ = ("main",)

_log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 5.0
"""After how long a config that could not be shown is tried again."""

_VERSION_SECONDS: Final = 1.0
"""How often it is looked whether the config in force is still the one shown here."""


class _Shown(Reception):
    """Config, keys, models and ledger as pages show them; the process that answers the API looks after them.

    Args:
        found: The config.
        database: See `Serving.database`.
        desk: Where pages ask.
    """

    def __init__(self, found: FoundConfig, database: str | None, desk: DistantDesk) -> None:
        super().__init__(found, database=database, public=not is_loopback(found.config.gateway.host))
        self._desk = desk

    async def needs_key(self) -> bool:
        """Return whether a page needs a key: wherever the API does, and where the config shown here says so."""
        return self._desk.needs_key or await super().needs_key()

    async def start(self) -> None:
        """Begin to follow what happens elsewhere.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        await self.ledger.switches()
        await self._desk.look()
        self._begin(self.ledger.watch_switches(), "watch the switches")
        self._begin(self._desk.watch(), "watch the gateway")
        self._begin(self._prepare_later(), "prepare the pool")
        self._begin(self._follow(), "follow the config")

    async def _prepare_later(self) -> None:
        """Take what was probed and embedded elsewhere, to pay for it once, and count what is in the bank."""
        await self._desk.prepared()
        await self._prepare()
        async with self.service.in_use() as service:
            bank = service.resources.bank
            if bank is None:
                return
            try:
                await overview(bank)
            except SmcsError as error:
                _log.warning("the bank was not counted: %s", error)

    async def _follow(self) -> None:
        """Take the config that is in force there; while processes differ, that of any of them."""
        failed: frozenset[str] = frozenset()
        while True:
            await asyncio.sleep(_VERSION_SECONDS)
            versions = self._desk.versions
            if not versions or self.service.version in versions:
                continue
            try:
                await self.reload(await self._desk.config())
            except SmcsError as error:
                if versions != failed:
                    _log.error("the studio shows the config from before until this is mended: %s", error)
                failed = versions
                await asyncio.sleep(_AGAIN_SECONDS)
            except Exception:  # noqa: BLE001 - it must neither go unsaid nor end what follows the config
                _log.exception("the studio shows the config from before")
                await asyncio.sleep(_AGAIN_SECONDS)


def _application(task: Task, found: FoundConfig, begin: Callable[[], None], end: Callable[[], None]) -> FastAPI:
    """Return the pages as an application.

    Args:
        task: What this process is to do.
        found: The config.
        begin: Called in its event loop once it can take connections.
        end: Called when it ends.
    """
    desk = DistantDesk(Path(task.folder))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        shown = app.state.gateway = _Shown(found, task.database, desk)
        try:
            await shown.start()
            begin()
            try:
                yield
            finally:
                end()
        finally:
            await shown.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    surround(app)
    mount(app, lambda: desk)
    return app


def _serve(task: Task, found: FoundConfig) -> None:
    place = Place(None, Path(task.folder), serves_api=False)

    def protocol() -> SortingProtocol:
        return SortingProtocol(place, server.config, server.server_state, server.lifespan.state)

    def begin() -> None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), orphaned)
        place.take_from(socket.socket(fileno=task.listening), protocol)

    def end() -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        place.close()

    def orphaned() -> None:
        """End with the process that began this one, and tidy up what it cannot any more."""
        if not os.read(sys.stdin.fileno(), 1):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            shutil.rmtree(task.folder, ignore_errors=True)
            server.should_exit = True

    server = Server(
        uvicorn.Config(
            _application(task, found, begin, end),
            ws="websockets-sansio",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(found.config.gateway.stop_seconds),
            lifespan="on",
        )
    )
    collect_rarely()
    server.run(sockets=[])


def main() -> None:
    """Serve pages until told to stop, or until the process that began this one has ended."""
    task = Task.read()
    found = task.config.found()
    with structured_logs(task.log_level.upper(), log_texts=found.config.gateway.log_texts):
        _serve(task, found)


if __name__ == "__main__":
    main()
