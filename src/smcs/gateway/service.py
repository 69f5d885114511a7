"""One config as live objects: pool, bank, models. A reload builds the next one and retires this one when it is idle."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from yarl import URL

from smcs.config import Config, FoundConfig, Live
from smcs.errors import ConfigError
from smcs.gateway.models import Models
from smcs.llms import Breaker
from smcs.strategies import Resources

__all__ = ("Service", "Services", "check_not_itself")

_log = logging.getLogger(__name__)

_PATIENCE: Final = 60.0
"""Seconds without a word after which a call that is given up speaks against its LLM."""


class Service:
    """What answers requests under one version of the config.

    Raises:
        BankError: The bank cannot be used.
        ConfigError: The config, or something it names, is wrong.
    """

    def __init__(self, found: FoundConfig) -> None:
        gateway = found.config.gateway
        self.breakers: dict[str, Breaker] = {}

        def breaker(name: str) -> Breaker:
            made = Breaker(
                gateway.breaker_failures,
                gateway.breaker_seconds,
                max_open_seconds=max(300.0, gateway.breaker_seconds),
                patience_seconds=_PATIENCE,
            )
            self.breakers[name] = made
            return made

        self.found = found
        self._live = Live(found, breaker=breaker)
        self._resources = self._live.resources
        self._preparing: asyncio.Task[None] | None = None
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.models = Models(found.config, self._resources)
        self.version = hashlib.sha256(found.config.model_dump_json().encode()).hexdigest()[:16]
        """Changes with the config; answers cached under another version are not used."""

    @property
    def config(self) -> Config:
        """The config."""
        return self.found.config

    @property
    def ready(self) -> bool:
        """Whether the first request would wait for nothing."""
        task = self._preparing
        return task is not None and task.done() and not task.cancelled() and task.exception() is None

    async def prepare(self) -> None:
        """Probe aggregators and embed bank questions, once; all who call wait for the same work."""
        if self._preparing is None or (self._preparing.done() and self._preparing.exception() is not None):
            self._preparing = asyncio.create_task(self._prepare(), name="prepare the pool")
        await asyncio.shield(self._preparing)

    async def _prepare(self) -> None:
        self._resources = await self._live.prepare(self._resources)

    @property
    def resources(self) -> Resources:
        """Pool, aggregators, embedder and bank, with the LLMs whose circuit is open named as out."""
        out = {name: breaker.describe() for name, breaker in self.breakers.items() if breaker.state == "open"}
        return replace(self._resources, out=out) if out else self._resources

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[Service]:
        """Keep it open for the block."""
        self._users += 1
        self._idle.clear()
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._idle.set()

    async def close(self) -> None:
        """Wait until nobody uses it, then close connections, local servers and the bank."""
        await self._idle.wait()
        if self._preparing is not None and not self._preparing.done():
            self._preparing.cancel()
            await asyncio.wait({self._preparing})
        await self._live.close()


class Services:
    """The service in force, and those that still answer requests begun under an older config."""

    def __init__(self, service: Service) -> None:
        self.current = service
        self._retiring: set[asyncio.Task[None]] = set()

    async def replace(self, found: FoundConfig) -> None:
        """Put another config in force; requests that are running go on under the old one.

        Raises:
            BankError: The bank cannot be used; the old config stays in force.
            ConfigError: The config is wrong; the old one stays in force.
        """
        if found.config.gateway.port != self.current.config.gateway.port:
            _log.warning("gateway.port is read at start only: restart the server to change it")
        fresh = Service(found)
        try:
            await fresh.prepare()
        except BaseException:
            await fresh.close()
            raise
        old, self.current = self.current, fresh
        task = asyncio.create_task(old.close(), name="retire a config")
        self._retiring.add(task)
        task.add_done_callback(self._retired)

    def _retired(self, task: asyncio.Task[None]) -> None:
        self._retiring.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("closing what an older config had opened failed: %s", error)

    async def close(self) -> None:
        """Close everything, once the requests under way have ended."""
        if self._retiring:
            await asyncio.wait(self._retiring)
        await self.current.close()


def check_not_itself(config: Config, host: str, port: int) -> None:
    """Refuse a pool that holds this very server: a question would go round until the money ran out.

    Raises:
        ConfigError: The `base_url` of an LLM is where the gateway listens.
    """
    own = {host, "localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104 compared, not bound
    for llm in config.pool:
        url = getattr(llm, "base_url", None)
        if url is None:
            continue
        there = URL(url)
        if there.port == port and there.host in own:
            raise ConfigError(
                f"{llm.name}: `base_url` {url!r} is the address this gateway listens on. "
                "Take it out of the pool, or serve on another port."
            )
