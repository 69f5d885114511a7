"""One long-lived HTTP connection pool, shared by every LLM of a pool."""

from __future__ import annotations

import asyncio
import secrets
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass
from typing import Final

import aiohttp

from smcs.errors import InputError

__all__ = ("INSTANCE", "VIA_HEADER", "HttpSession", "Timeouts", "came_via", "via")

INSTANCE: Final = secrets.token_hex(16)
"""Random name of this process: 32 hexadecimal digits."""

VIA_HEADER: Final = "X-SMCS-Via"
"""Header of every call to an LLM: the instances that passed a request on, the latest last, separated by commas."""

came_via: ContextVar[str] = ContextVar("smcs_came_via", default="")
"""The `X-SMCS-Via` of the request that is being answered, checked by whoever sets it: with it, a request that goes
round through several gateways is known when it comes back."""


def via() -> str:
    """Return the value of `VIA_HEADER` for a call made now."""
    before = came_via.get()
    return f"{before}, {INSTANCE}" if before else INSTANCE


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds each phase of a call may take; whichever ends first ends the call."""

    _: KW_ONLY
    connect: float = 10.0
    """Opening a connection, TLS included."""
    first_byte: float = 300.0
    """From the request to the response headers. A server that does not stream sends them when all is generated."""
    between_bytes: float = 120.0
    """Silence inside a body."""
    total: float = 600.0
    """The whole call."""

    def __post_init__(self) -> None:
        for name in ("connect", "first_byte", "between_bytes", "total"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise InputError(f"Time-out `{name}` must be a positive number of seconds, got {value!r}.")


class HttpSession:
    """A connection pool made on first use, inside the running event loop.

    It can be used again after `close`, also from another loop.
    """

    def __init__(self, *, max_connections: int = 4096, reuse: bool = True) -> None:
        """Set up a pool that opens nothing yet.

        Args:
            max_connections: Most open connections over all hosts; further calls wait for a free one.
            reuse: Whether a connection serves several calls. Turn it off for a server that drops idle connections
                unannounced: a call on one of them is lost.
        """
        if max_connections < 1:
            raise InputError(f"`max_connections` must be at least 1, got {max_connections!r}.")
        self._max_connections = max_connections
        self._reuse = reuse
        self._client: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def client(self) -> aiohttp.ClientSession:
        """Return the session of the running loop.

        Raises:
            InputError: It is still open in another event loop.
        """
        loop = asyncio.get_running_loop()
        if self._client is not None and not self._client.closed:
            if self._loop is loop:
                return self._client
            raise InputError(
                "These LLMs hold connections of another event loop. Close the pool in the loop that used it "
                "(`async with pool:`) before using it in a new one."
            )
        self._loop = loop
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._max_connections, ttl_dns_cache=60, force_close=not self._reuse),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self._client

    async def close(self) -> None:
        """Close every connection; harmless when none was opened."""
        client, self._client, self._loop = self._client, None, None
        if client is not None:
            await client.close()
