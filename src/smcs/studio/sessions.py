"""Signed-in browsers: a random cookie each, which stands for a key on this server and nowhere else."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final

__all__ = ("COOKIE", "SESSION_SECONDS", "Sessions", "cookie_of")

COOKIE: Final = "smcs_session"

SESSION_SECONDS: Final = 12 * 3600
"""How long a sign-in lasts."""

_MOST: Final = 10_000
"""Sessions kept; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class _Session:
    key_id: str
    expires: float


class Sessions:
    """Who is signed in, in this process's memory: a restart signs everybody out.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_digest: OrderedDict[bytes, _Session] = OrderedDict()

    def open(self, key_id: str) -> str:
        """Begin a session of a key and return its token: 256 random bits, kept here as a hash only."""
        token = secrets.token_urlsafe(32)
        self._by_digest[_digest(token)] = _Session(key_id, self._clock() + SESSION_SECONDS)
        while len(self._by_digest) > _MOST:
            self._by_digest.popitem(last=False)
        return token

    def key_id(self, token: str | None) -> str | None:
        """Return the key that a token stands for; `None` if it stands for none, or no longer."""
        if not token:
            return None
        digest = _digest(token)
        session = self._by_digest.get(digest)
        if session is None:
            return None
        if session.expires <= self._clock():
            del self._by_digest[digest]
            return None
        return session.key_id

    def close(self, token: str | None) -> None:
        """End a session."""
        if token:
            self._by_digest.pop(_digest(token), None)


def cookie_of(header: str) -> str | None:
    """Return the session's token in a `Cookie` header."""
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
