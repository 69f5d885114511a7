"""Who may come in, and what there is: config, keys, models and ledger, for a process that answers or one that shows."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

from starlette.requests import HTTPConnection

from smcs._network import is_loopback
from smcs.config import FoundConfig
from smcs.errors import SmcsError
from smcs.gateway.errors import forbidden, unauthorized
from smcs.gateway.ledger import KeyLimits, KeyRecord, Ledger, Redaction, Retention
from smcs.gateway.models import PassThrough, VirtualModel
from smcs.gateway.service import Service, Services
from smcs.gateway.settings import database_of

__all__ = ("BAD_KEY", "NO_KEY", "Reception")

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")
_ORIGIN: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")

NO_KEY: Final = (
    "No API key was sent. Send one as `Authorization: Bearer sk-smcs-...`. `smcs keys create NAME` makes one."
)
BAD_KEY: Final = "The API key is not valid, or was revoked."

_REDACTIONS: Final[Mapping[str, Redaction]] = {"full": "none", "no-texts": "texts", "none": "all"}
_KEYS_SECONDS: Final = 2.0
"""How old the knowledge may be whether there are keys at all."""


class Reception:
    """What a process needs to let people in and to show them what there is; `close` it.

    Args:
        found: The config.
        database: Another database than the config's; see `settings.database_of`.
        public: Whether it is reachable from other machines, so that everybody needs a key.
        clock: Unix seconds, by which keys use up their limits; can be replaced so tests see no window end.

    Raises:
        BankError: The bank cannot be used.
        ConfigError: The config, or something it names, is wrong.
        LedgerUnavailableError: The database cannot be used.
    """

    def __init__(
        self,
        found: FoundConfig,
        *,
        database: str | None = None,
        public: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        config = found.config.gateway
        self._public = public
        self.services = Services(Service(found, switched_off=lambda: self.ledger.switched_off))
        self.ledger = Ledger.open(
            database_of(found, database),
            redaction=_REDACTIONS[config.record],
            retention=Retention(runs_days=config.retention_days),
            clock=clock,
        )
        self._keys_seen = (-_KEYS_SECONDS, False)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reloading = asyncio.Lock()
        self.stopping = False

    @property
    def service(self) -> Service:
        """What answers new requests."""
        return self.services.current

    def usable_models(self, key: KeyRecord | None) -> list[VirtualModel | PassThrough]:
        """Return what can answer now and this key may ask for, virtual models first."""
        service, limits = self.service, KeyLimits() if key is None else key.limits
        usable = service.models.usable(service.resources, off=self.ledger.switched_off)
        return [model for model in usable if limits.allows(model.name)]

    async def close(self) -> None:
        """End what runs in the background, then let go of everything."""
        self.stopping = True
        for task in self._tasks:
            if not task.cancelling():
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.services.close()
        await self.ledger.close()

    async def reload(self, found: FoundConfig) -> None:
        """Put another config in force without dropping a request; an unusable one changes nothing.

        Raises:
            BankError: The bank cannot be used.
            ConfigError: The config, or something it names, is wrong.
        """
        async with self._reloading:
            await self.services.replace(found)
            self._take_over()
        _log.info("the config was read again and is in force")

    def _take_over(self) -> None:
        """Have what stands beside the service follow a new config."""

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

    async def still_valid(self, key: KeyRecord | None) -> KeyRecord | None:
        """Return the key of somebody who was let in before, as it stands now; `None` where none is needed.

        Raises:
            GatewayError: 401, one is needed, or this one was revoked.
            LedgerUnavailableError: The database failed.
        """
        return await self.key_of(None if key is None else key.id)

    async def key_of(self, key_id: str | None) -> KeyRecord | None:
        """Return the key of an id; `None` where none is needed. See `still_valid`."""
        if not await self.needs_key():
            return None
        if key_id is None:
            raise unauthorized(NO_KEY)
        known = await self.ledger.key(key_id)
        if known is None:
            raise unauthorized(BAD_KEY)
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
