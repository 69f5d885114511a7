"""One config as live objects: pool, bank, models. A reload builds the next one and retires this one when it is idle."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Self

from yarl import URL

from smcs.config import Config, FoundConfig, Live
from smcs.errors import ConfigError
from smcs.gateway.errors import GatewayError
from smcs.gateway.models import Models
from smcs.gateway.switches import Switch
from smcs.llms import Breaker
from smcs.strategies import Resources

__all__ = ("Service", "Services", "check_not_itself")

_log = logging.getLogger(__name__)

_PATIENCE: Final = 60.0
"""Seconds without a word after which a call that is given up speaks against its LLM."""

_AT_START: Final = ("host", "port", "database", "record", "retention_days", "tracing", "log_texts", "stop_seconds")
"""Settings of `gateway` that a reload does not change."""

SwitchedOff = Callable[[], Mapping[str, Switch]]
"""Returns the LLMs that are switched off by hand at the moment, by name."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a config describes, opened."""

    live: Live
    breakers: Mapping[str, Breaker]

    @classmethod
    def open(cls, found: FoundConfig) -> Self:
        """Open the bank and make the pool; may take seconds, on any thread."""
        gateway = found.config.gateway
        breakers: dict[str, Breaker] = {}

        def breaker(name: str) -> Breaker:
            made = Breaker(
                gateway.breaker_failures,
                gateway.breaker_seconds,
                max_open_seconds=max(300.0, gateway.breaker_seconds),
                patience_seconds=_PATIENCE,
            )
            breakers[name] = made
            return made

        return cls(Live(found, breaker=breaker), breakers)


class Service:
    """What answers requests under one version of the config.

    Args:
        found: The config.
        switched_off: See `SwitchedOff`; nothing is off if not given.
        parts: What it describes, where that is open already; it is closed with the service.

    Raises:
        BankError: The bank cannot be used.
        ConfigError: The config, or something it names, is wrong.
    """

    def __init__(
        self, found: FoundConfig, *, switched_off: SwitchedOff | None = None, parts: _Parts | None = None
    ) -> None:
        parts = parts or _Parts.open(found)
        self.breakers = parts.breakers
        """The circuit of each LLM, by its name."""
        self.found = found
        self._switched_off = switched_off
        self._live = parts.live
        self._resources = self._live.resources
        self._preparing: asyncio.Task[None] | None = None
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.models = Models(found.config, self._resources)
        self.version = hashlib.sha256(found.config.model_dump_json().encode()).hexdigest()[:16]
        """Changes with the config; answers cached under another version are not used."""

    @classmethod
    async def open(cls, found: FoundConfig, *, switched_off: SwitchedOff | None = None) -> Self:
        """Make one while the event loop goes on; what a wrong config has opened is closed again.

        Raises:
            BankError: The bank cannot be used.
            ConfigError: The config, or something it names, is wrong.
        """
        opening = asyncio.create_task(asyncio.to_thread(_Parts.open, found))
        try:
            parts = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait({opening})
            if opening.exception() is None:
                await opening.result().live.close()
            raise
        try:
            return cls(found, switched_off=switched_off, parts=parts)
        except BaseException:
            await parts.live.close()
            raise

    async def successor(self, found: FoundConfig) -> Self:
        """Make the service of another config, with the same LLMs switched off; see `open`."""
        return await self.open(found, switched_off=self._switched_off)

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
    def out(self) -> Mapping[str, str]:
        """LLMs that are left alone, each with why: its circuit is open, or somebody switched it off."""
        out = {name: breaker.describe() for name, breaker in self.breakers.items() if breaker.state == "open"}
        off = {} if self._switched_off is None else self._switched_off()
        return out | {name: switch.words for name, switch in off.items() if name in self.breakers}

    @property
    def resources(self) -> Resources:
        """Pool, aggregators, embedder and bank, with those named that are `out`.

        They are asked only where nobody else is left, as the last aggregator or the last LLM that a request allows;
        its run is then degraded and says so.
        """
        out = self.out
        return replace(self._resources, out=out) if out else self._resources

    def check_not_off(self, llm: str | None) -> None:
        """Refuse to ask an LLM by its name that somebody switched off; `None` is nobody.

        Raises:
            GatewayError: 503.
        """
        switch = None if llm is None or self._switched_off is None else self._switched_off().get(llm)
        if switch is not None:
            why = f": {switch.why}" if switch.why else ""
            raise GatewayError(
                503,
                f"{llm!r} is {switch.words} since {switch.created[:16]}Z{why}. Ask another model.",
                type="server_error",
                code="llm_switched_off",
            )

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
        self._at_start = service.config.gateway
        self._retiring: set[asyncio.Task[None]] = set()

    async def replace(self, found: FoundConfig) -> None:
        """Put another config in force; requests that are running go on under the old one.

        Raises:
            BankError: The bank cannot be used; the old config stays in force.
            ConfigError: The config is wrong; the old one stays in force.
        """
        fresh = await self.current.successor(found)
        try:
            await fresh.prepare()
        except BaseException:
            await fresh.close()
            raise
        old, self.current = self.current, fresh
        self._warn_of_restart(found.config)
        task = asyncio.create_task(old.close(), name="retire a config")
        self._retiring.add(task)
        task.add_done_callback(self._retired)

    def _warn_of_restart(self, config: Config) -> None:
        """Say which settings were changed in vain."""
        before, now = self._at_start, config.gateway
        changed = [f"gateway.{name}" for name in _AT_START if getattr(before, name) != getattr(now, name)]
        if changed:
            _log.warning("not in force before the server is restarted: %s", ", ".join(changed))

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
