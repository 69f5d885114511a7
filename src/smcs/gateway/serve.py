"""`smcs serve`: what is checked before a socket is opened, and the server process or processes."""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from starlette.types import Lifespan
from uvicorn.supervisors import Multiprocess

from smcs._network import is_loopback
from smcs.config import FoundConfig
from smcs.config.schema import LocalLLMConfig
from smcs.errors import ConfigError, InputError
from smcs.gateway.annex.answering import answering
from smcs.gateway.annex.handover import Place, SortingProtocol
from smcs.gateway.annex.keeper import Keeper
from smcs.gateway.app import create_app
from smcs.gateway.ledger import Ledger
from smcs.gateway.logs import structured_logs
from smcs.gateway.metrics import prepare_workers
from smcs.gateway.service import Service, check_not_itself
from smcs.gateway.serving import Serving
from smcs.gateway.settings import database_of

__all__ = ("Extension", "Server", "app_from_environment", "collect_rarely", "serve")

_log = logging.getLogger(__name__)

_SERVING: Final = "SMCS_SERVING"
"""Environment variable by which worker processes learn what they serve."""

Extension = Callable[[FastAPI], None]
"""Adds pages to the application of a server."""


_STOPS: Final = (signal.SIGINT, signal.SIGTERM)
"""Signals that say that it is time to stop."""


def serve(
    serving: Serving,
    found: FoundConfig,
    *,
    keeper: Keeper | None = None,
    extension: Extension | None = None,
    note: str = "",
) -> None:
    """Serve until told to stop (SIGINT, SIGTERM), and return once running requests have ended and all is logged.

    Args:
        serving: How.
        found: What `serving.found` returned; each worker process reads its own.
        keeper: Of the process that makes the studio's pages; started and stopped by the caller.
        extension: Pages to add to the application itself; only where one process serves.
        note: What whoever starts the server has to say in its log.

    Raises:
        BankError: The bank cannot be used.
        ConfigError: The config is wrong, the address is public and there is no key, or the port is taken.
        InputError: There is to be no worker.
        LedgerUnavailableError: The database cannot be used.
    """
    if serving.workers < 1:
        raise InputError(f"`workers` must be at least 1, got {serving.workers}.")
    config = found.config.gateway
    public = not is_loopback(config.host)
    check_not_itself(found.config, config.host, config.port)
    asyncio.run(_check_usable(found))
    _check_keys(found, serving.database, public=public)
    if serving.workers > 1 and any(isinstance(llm, LocalLLMConfig) for llm in found.config.pool):
        raise ConfigError(
            "Several workers would each start their own copy of every local LLM. Serve with one worker, or serve the "
            "LLMs with a server of their own and name it with `base_url`."
        )
    listening = _listen(config.host, config.port)
    try:
        with structured_logs(serving.log_level.upper(), log_texts=config.log_texts):
            _log.info("listening on http://%s:%d", *_address(listening))
            if note:
                _log.info(note)
            try:
                _run(serving, found, public, listening, keeper, extension)
            finally:
                if keeper is not None:
                    keeper.stop()  # here, where what it says is a line of the log
    finally:
        listening.close()


class Server(uvicorn.Server):
    """A server that returns when it was told to stop: uvicorn's own sends itself the signal again, and dies of it.

    Args:
        config: How it serves.
        keeper: Of the process that is to stop with it.
    """

    def __init__(self, config: uvicorn.Config, keeper: Keeper | None = None) -> None:
        super().__init__(config)
        self._keeper = keeper

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, and the studio at the same time."""
        super().handle_exit(sig, frame)
        if self._keeper is not None:
            self._keeper.begin_stop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to the signals that say so, where this thread may."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _STOPS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Workers(Multiprocess):
    """Worker processes that read the config again by themselves, so that none of their requests ends for it.

    Args:
        config: How they serve.
        sockets: On which they listen.
        keeper: Of the process that is to stop with them.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], keeper: Keeper | None) -> None:
        super().__init__(config, sockets)
        self._keeper = keeper

    def terminate_all(self) -> None:
        """Stop them, and the studio at the same time."""
        if self._keeper is not None:
            self._keeper.begin_stop()
        super().terminate_all()

    def handle_hup(self) -> None:
        """Tell every worker, as soon as it listens to that: a signal before would end it."""
        for process in self.processes:
            seconds = self.config.timeout_worker_healthcheck
            if process.wait_until_ready(seconds, self.should_exit) and process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)


def _run(
    serving: Serving,
    found: FoundConfig,
    public: bool,
    listening: socket.socket,
    keeper: Keeper | None,
    extension: Extension | None,
) -> None:
    common: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": int(found.config.gateway.stop_seconds),
        "lifespan": "on",
    }
    if keeper is not None:
        common["http"] = partial(SortingProtocol, Place(keeper.there, keeper.folder, serves_api=True))
    if serving.workers == 1:
        app = create_app(found, database=serving.database, public=public, read_again=serving.found)
        if keeper is not None:
            _answer_from(app, keeper.folder)
        if extension is not None:
            extension(app)
        collect_rarely()
        sockets = "none" if extension is None else "websockets-sansio"
        Server(uvicorn.Config(app, ws=sockets, **common), keeper).run(sockets=[listening])
        return
    with tempfile.TemporaryDirectory(prefix="smcs-metrics-") as folder:
        prepare_workers(Path(folder))
        annex = None if keeper is None else str(keeper.folder)
        os.environ[_SERVING] = json.dumps({**asdict(serving), "public": public, "annex": annex})
        try:
            plan = uvicorn.Config(
                "smcs.gateway.serve:app_from_environment",
                factory=True,
                ws="none",
                workers=serving.workers,
                **common,
            )
            _Workers(plan, [listening], keeper).run()
        finally:
            del os.environ[_SERVING]


def _answer_from(app: FastAPI, folder: Path) -> None:
    """Have an application do what pages in the studio's process ask for, while it runs."""
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def answering_too(app: FastAPI) -> AsyncIterator[Any]:
        async with lifespan(app) as state, answering(app.state.gateway, folder):
            yield state

    app.router.lifespan_context = answering_too


def app_from_environment() -> FastAPI:
    """Return the application of a worker process."""
    told = json.loads(os.environ[_SERVING])
    public, annex = told.pop("public"), told.pop("annex")
    serving = Serving(**told)
    found = serving.found()
    collect_rarely()
    logs = structured_logs(serving.log_level.upper(), log_texts=found.config.gateway.log_texts)
    logs.__enter__()
    atexit.register(logs.__exit__, None, None, None)
    app = create_app(found, database=serving.database, public=public, read_again=serving.found)
    if annex is not None:
        _answer_from(app, Path(annex))
    app.router.lifespan_context = _ending_well(app.router.lifespan_context)
    return app


def _ending_well(lifespan: Lifespan[Any]) -> Lifespan[Any]:
    """Return a lifespan after which the process ends by itself, so that its last log lines are written.

    uvicorn, which makes the servers of worker processes, would end them by sending the signal once more.
    """

    @asynccontextmanager
    async def until_the_end(app: Any) -> AsyncIterator[Any]:
        async with lifespan(app) as state:
            yield state
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)

    return until_the_end


def collect_rarely() -> None:
    """Keep the garbage collector from what start-up has made, and let it look at new objects less often.

    Most of what a request makes ends with it, without the collector, which took a fifth of a query's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _check_usable(found: FoundConfig) -> None:
    """Find out here what is wrong with a config, where it can be said in one line; a server would log a traceback."""
    await Service(found).close()


def _check_keys(found: FoundConfig, database: str | None, *, public: bool) -> None:
    """Refuse to be reachable from other machines as long as nobody needs a key."""
    if not public:
        return
    host = found.config.gateway.host
    if found.config.gateway.keys == "off":
        raise ConfigError(f"`gateway.keys: off` is for this machine only, and {host!r} can be reached from others.")

    async def any_key() -> bool:
        async with Ledger.open(database_of(found, database)) as ledger:
            return any(key.revoked is None for key in await ledger.list_keys())

    if not asyncio.run(any_key()):
        raise ConfigError(
            f"{host!r} can be reached from other machines, and there is no API key yet. Make one with "
            "`smcs keys create NAME`, or serve on 127.0.0.1."
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Choose another with --port."
        ) from error
    listening.set_inheritable(True)
    return listening


def _address(listening: socket.socket) -> tuple[str, int]:
    name = listening.getsockname()
    return str(name[0]), int(name[1])
