"""What all requests of one server process share, and what is noted of each when it has ended."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

from starlette.requests import HTTPConnection, Request

from smcs import __version__
from smcs._network import is_loopback
from smcs.config import FoundConfig
from smcs.errors import SmcsError
from smcs.gateway.admission import Admission
from smcs.gateway.cache import ResponseCache
from smcs.gateway.coalesce import Coalescer
from smcs.gateway.errors import GatewayError, forbidden, stopping, unauthorized
from smcs.gateway.http import bearer
from smcs.gateway.ledger import Entry, KeyLimits, KeyRecord, Ledger, Redaction, Reservation, Retention
from smcs.gateway.logs import RequestLine, log_request
from smcs.gateway.metrics import Metrics
from smcs.gateway.models import PassThrough, VirtualModel, embedder_names
from smcs.gateway.service import Service, Services
from smcs.gateway.settings import database_of
from smcs.gateway.tracing import TracedRequest, Tracing, TracingSettings, open_tracing
from smcs.llms import Breaker
from smcs.llms.session import INSTANCE, VIA_HEADER, came_via
from smcs.strategies import STRATEGIES

__all__ = ("Gateway", "Told")

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")
_ORIGIN: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")
_VIA: Final = re.compile(r"[0-9a-f]{32}(, ?[0-9a-f]{32}){0,15}")

_NO_KEY: Final = (
    "No API key was sent. Send one as `Authorization: Bearer sk-smcs-...`. `smcs keys create NAME` makes one."
)
_BAD_KEY: Final = "The API key is not valid, or was revoked."

_REDACTIONS: Final[Mapping[str, Redaction]] = {"full": "none", "no-texts": "texts", "none": "all"}
_KEYS_SECONDS: Final = 2.0
"""How old the knowledge may be whether there are keys at all."""


@dataclass(frozen=True, slots=True)
class Told:
    """How a request went, beside its record."""

    endpoint: str
    http_status: int
    started: float
    """Unix time in seconds."""
    seconds: float
    first_byte_seconds: float | None = None
    error: str | None = None
    """Code of the error; never its message."""
    traceparent: str | None = None
    tracestate: str | None = None


class Gateway:
    """The shared state; make one per process and event loop, `start` it, and `close` it.

    Args:
        found: The config.
        database: Another database than the config's; see `settings.database_of`.
        public: Whether it is reachable from other machines, so that everybody needs a key.

    Raises:
        BankError: The bank cannot be used.
        ConfigError: The config, or something it names, is wrong.
        LedgerUnavailableError: The database cannot be used.
    """

    def __init__(self, found: FoundConfig, *, database: str | None = None, public: bool = False) -> None:
        config = found.config.gateway
        self._public = public
        self.services = Services(Service(found, switched_off=lambda: self.ledger.switched_off))
        self.ledger = Ledger.open(
            database_of(found, database),
            redaction=_REDACTIONS[config.record],
            retention=Retention(runs_days=config.retention_days),
        )
        self.admission = Admission(
            config.max_running, config.max_waiting, config.max_wait_seconds, config.per_key_share
        )
        self.cache = ResponseCache(round(config.cache.megabytes * 1e6), config.cache.seconds)
        self.coalescer = Coalescer()
        self.metrics = Metrics(strategies=STRATEGIES, version=__version__)
        tracing = config.tracing
        self.tracing: Tracing = open_tracing(None if tracing is None else TracingSettings(**tracing.model_dump()))
        self._keys_seen = (-_KEYS_SECONDS, False)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reloading = asyncio.Lock()
        self.stopping = False
        self._know_names()

    @property
    def service(self) -> Service:
        """What answers new requests."""
        return self.services.current

    def usable_models(self, key: KeyRecord | None) -> list[VirtualModel | PassThrough]:
        """Return what can answer now and this key may ask for, virtual models first."""
        service, limits = self.service, KeyLimits() if key is None else key.limits
        usable = service.models.usable(service.resources, off=self.ledger.switched_off)
        return [model for model in usable if limits.allows(model.name)]

    async def start(self) -> None:
        """Begin the upkeep, and make the pool ready in the background.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        self.ledger.start()
        await self.ledger.switches()
        self._begin(self.ledger.watch_switches(), "watch the switches")
        self._begin(self.metrics.watch(self.admission), "watch the queue")
        self._begin(self._prepare(), "prepare the pool")

    async def close(self) -> None:
        """Let running requests end, then let go of everything."""
        self.stopping = True
        self.admission.close()
        for task in self._tasks:
            if not task.cancelling():
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.services.close()
        await self.ledger.close()
        await self.tracing.close()
        self.metrics.close()

    async def reload(self, found: FoundConfig) -> None:
        """Put another config in force without dropping a request; an unusable one changes nothing.

        Raises:
            BankError: The bank cannot be used.
            ConfigError: The config, or something it names, is wrong.
        """
        async with self._reloading:
            await self.services.replace(found)
            config = found.config.gateway
            self.admission.configure(
                config.max_running, config.max_waiting, config.max_wait_seconds, config.per_key_share
            )
            self.cache = ResponseCache(round(config.cache.megabytes * 1e6), config.cache.seconds)
            self._know_names()
        _log.info("the config was read again and is in force")

    def reload_from(self, read: Callable[[], FoundConfig]) -> None:
        """Begin to put the config that `read` returns in force; what is wrong with it is logged."""

        async def work() -> None:
            try:
                await self.reload(await asyncio.to_thread(read))
            except SmcsError as error:
                _log.error("the config was not read again, the old one stays in force: %s", error)
            except Exception:  # noqa: BLE001 - whatever is wrong with a file must not go unsaid
                _log.exception("the config was not read again, the old one stays in force")

        self._begin(work(), "read the config again")

    async def authenticate(self, http: Request) -> KeyRecord | None:
        """Return the key of a request; `None` where none is needed.

        Raises:
            GatewayError: 401 without a valid key; 403 for a request that a web page sent to a local server without
                keys, be it under a name of its own (DNS rebinding) or from another origin; 508 for a request of this
                gateway to itself.
            LedgerUnavailableError: The database failed.
        """
        passed = http.headers.get(VIA_HEADER, "")
        if INSTANCE in passed:
            raise GatewayError(
                508,
                "This request comes from this very gateway: one of its LLMs is the gateway itself. Take it out of "
                "the pool.",
                type="server_error",
                code="loop_detected",
            )
        if _VIA.fullmatch(passed):
            came_via.set(passed)
        if not await self.needs_key():
            self.check_host(http)
            return None
        text = bearer(http)
        if text is None:
            raise unauthorized(_NO_KEY)
        key = await self.ledger.authenticate(text)
        if key is None:
            raise unauthorized(_BAD_KEY)
        return key

    async def still_valid(self, key: KeyRecord | None) -> KeyRecord | None:
        """Return the key of somebody who was let in before, as it stands now; `None` where none is needed.

        Raises:
            GatewayError: 401, one is needed, or this one was revoked.
            LedgerUnavailableError: The database failed.
        """
        if not await self.needs_key():
            return None
        if key is None:
            raise unauthorized(_NO_KEY)
        known = await self.ledger.key(key.id)
        if known is None:
            raise unauthorized(_BAD_KEY)
        return known

    async def needs_key(self) -> bool:
        """Return whether a request needs a key to be answered.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        mode = self.service.config.gateway.keys
        if mode == "off":
            return False
        if self._public or mode == "required":
            return True
        now = time.monotonic()
        seen, exist = self._keys_seen
        if now - seen >= _KEYS_SECONDS:
            exist = any(key.revoked is None for key in await self.ledger.list_keys())
            self._keys_seen = (now, exist)
        return exist

    def check_host(self, http: HTTPConnection) -> None:
        """Refuse what a web page may send to a server that asks for no key: see `authenticate`.

        The header itself is read: a URL made of a request takes the server's own address where that is malformed.
        """
        if self._public:
            return
        for host in http.headers.getlist("host"):
            if not _is_local(host):
                raise forbidden(
                    f"Without keys this server answers under a name of this machine only, not as {host!r:.100}. "
                    "Make a key with `smcs keys create NAME`.",
                    code="host_not_allowed",
                )
        origin = http.headers.get("origin")
        if origin is not None and _is_foreign(origin):
            raise forbidden(
                f"Without keys this server does not answer web pages of other origins, such as {origin!r:.100}. "
                "Make a key with `smcs keys create NAME`.",
                code="origin_not_allowed",
            )

    async def settle(self, reservation: Reservation, entry: Entry, told: Told) -> None:
        """Write a request to the ledger, and count and log it; returns when it is committed.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        try:
            await self.ledger.settle(reservation, entry)
        finally:
            self.note(told, RequestLine.of(entry, error=told.error))
            run = entry.record
            if run is not None and not entry.cached:
                self.metrics.observe_run(run)
            self.tracing.record(
                TracedRequest(
                    told.endpoint,
                    entry.model,
                    told.http_status,
                    told.started,
                    told.seconds,
                    run=run,
                    key_id=entry.key_id or None,
                    streamed=entry.streamed,
                    cached=entry.cached,
                    first_byte_seconds=told.first_byte_seconds,
                    error=told.error,
                    traceparent=told.traceparent,
                    tracestate=told.tracestate,
                )
            )

    def note(self, told: Told, line: RequestLine) -> None:
        """Count and log a request."""
        self.metrics.observe_request(
            endpoint=told.endpoint,
            model=line.model,
            strategy=line.strategy,
            status=line.status,
            http_status=told.http_status,
            seconds=told.seconds,
            first_byte_seconds=told.first_byte_seconds,
        )
        log_request(line)

    async def attend(self, work: Coroutine[Any, Any, _T], name: str) -> _T:
        """Await work that ends with whoever awaits it, and with the gateway.

        Args:
            work: Runs in a task of its own, which is cancelled when the awaiting task is, and when the gateway closes.
            name: Of the task.

        Raises:
            GatewayError: 503, the gateway was closed before the work began.
            Exception: Whatever the work raises.
        """
        if self.stopping:
            work.close()
            raise stopping()
        task = self._begin(work, name)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.wait({task})
            raise
        if task.cancelled():
            raise stopping()
        return task.result()

    def _know_names(self) -> None:
        resources = self.service.resources
        llms, embedders = (*resources.pool, *resources.mergers), embedder_names(resources.embedder)
        self.metrics.know(models=self.service.models, llms=llms, embedders=embedders)
        for name, breaker in self.service.breakers.items():
            breaker.listen(partial(self._breaker_changed, name))
            self._breaker_changed(name, breaker)

    def _breaker_changed(self, name: str, breaker: Breaker) -> None:
        self.metrics.observe_breaker(name, breaker.state)

    async def _prepare(self) -> None:
        try:
            await self.service.prepare()
        except SmcsError as error:
            _log.error("the pool is not ready: %s", error)

    def _begin(self, work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@lru_cache(maxsize=256)
def _is_local(host: str) -> bool:
    """Return whether a `Host` header names this machine."""
    name = _HOST.fullmatch(host)
    return name is not None and is_loopback(name[1])


def _is_foreign(origin: str) -> bool:
    """Return whether an `Origin` is that of a web page which is not of this machine; apps have schemes of their own."""
    if origin != "null" and not origin.lower().startswith(("http://", "https://")):
        return False
    page = _ORIGIN.fullmatch(origin.lower())
    return page is None or not is_loopback(page[1])
