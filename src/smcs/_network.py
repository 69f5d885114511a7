"""The one switch that every client asks before a request leaves for another machine."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager

from smcs.errors import ConfigError

__all__ = ("allow_requests", "check_request_allowed", "is_loopback")

_OFF_VARIABLE = "SMCS_NO_NETWORK"
_allowed = True


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only mean this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@contextmanager
def allow_requests(allowed: bool) -> Iterator[None]:
    """Allow or forbid requests to other machines inside the block; loopback is always allowed.

    The switch belongs to the process, not to the task: test suites turn it off once for everything.
    """
    global _allowed
    before, _allowed = _allowed, allowed
    try:
        yield
    finally:
        _allowed = before


def check_request_allowed(host: str) -> None:
    """Refuse a request to another machine while the switch is off.

    Args:
        host: Host name or address the request would go to.

    Raises:
        ConfigError: `host` is not loopback, and `allow_requests(False)` or `SMCS_NO_NETWORK=1` forbids others.
    """
    off = os.environ.get(_OFF_VARIABLE, "").lower() in ("1", "true", "yes", "on")
    if (_allowed and not off) or is_loopback(host):
        return
    how = f"unset {_OFF_VARIABLE}" if off else "leave the `allow_requests(False)` block"
    raise ConfigError(f"A request to {host!r} was stopped: only this machine may be called. To allow it, {how}.")
