"""Answers to requests that were asked before, word for word: bounded by bytes and age, for those who want it.

What may be cached is decided by `cacheable` before anything runs, and by the caller after it: only complete answers
belong here, never failures or degraded runs. Belongs to one event loop.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from smcs.errors import InputError

__all__ = ("CachePolicy", "CachedAnswer", "ResponseCache", "cacheable", "request_key")

CachePolicy = Literal["off", "deterministic", "all"]
"""Whose answers may be given again: nobody's, those of requests that ask for the same answer each time, everybody's."""

_LABELS: Final = frozenset({"user", "metadata", "store", "safety_identifier", "prompt_cache_key"})
"""Fields of a request that no answer depends on."""
_TRANSPORT: Final = frozenset({"stream", "stream_options"})
"""Fields that say how the answer travels."""
_OVERHEAD_BYTES: Final = 400
"""Memory of an entry besides its body: key, record, and two places in the dictionary."""
_LARGEST_SHARE: Final = 0.25
"""A body above this share of the cache is not kept, because it would push out too much for one."""


def cacheable(request: Mapping[str, Any], policy: CachePolicy) -> bool:
    """Return whether a request's answer may be given to the next one that is the same.

    A request is deterministic if it has `temperature` 0 or a `seed`: whoever samples without them wants a new answer
    each time.
    """
    if policy == "deterministic":
        return request.get("seed") is not None or request.get("temperature") == 0
    return policy == "all"


def request_key(
    model: str, request: Mapping[str, Any], *, scope: str, version: str, with_transport: bool = False
) -> str:
    """Return what tells requests apart, as SHA-256 (hex).

    Args:
        model: Name of the model that answers.
        request: The request's body as JSON-ready values. The order of fields, fields that are null, and fields that
            only label the request make no difference.
        scope: Who may share the answer: a key's id, or one word for all keys.
        version: Changes whenever the config or the bank does.
        with_transport: Whether `stream` and `stream_options` make a difference; they do where the running answer is
            shared and not only the finished one.
    """
    ignored = _LABELS if with_transport else _LABELS | _TRANSPORT
    told = {name: value for name, value in request.items() if value is not None and name not in ignored}
    return hashlib.sha256(msgspec.json.encode([version, scope, model, told], order="sorted")).hexdigest()


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer out of the cache."""

    body: bytes
    """The response's body as it was sent."""
    run_id: str
    """The run that made it."""
    age_seconds: float


@dataclass(frozen=True, slots=True)
class _Entry:
    body: bytes
    run_id: str
    stored: float
    expires: float

    @property
    def size(self) -> int:
        return len(self.body) + _OVERHEAD_BYTES


class ResponseCache:
    """Bodies of responses; what was not used for longest goes first.

    Args:
        max_bytes: Most memory, 0 or more; 0 keeps nothing.
        ttl_seconds: How long an answer is given again, above 0.
        clock: Monotonic seconds; can be replaced so tests need not wait.

    Raises:
        InputError: A bound is out of range.
    """

    def __init__(self, max_bytes: int, ttl_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        if max_bytes < 0:
            raise InputError(f"`max_bytes` must be 0 or more, got {max_bytes}.")
        self._max_bytes = max_bytes
        self._ttl = _checked_ttl(ttl_seconds)
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Memory in use."""
        return self._bytes

    def get(self, key: str) -> CachedAnswer | None:
        """Return the answer to a request, or `None` where there is none that is young enough."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        now = self._clock()
        if now >= entry.expires:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return CachedAnswer(entry.body, entry.run_id, now - entry.stored)

    def put(self, key: str, body: bytes, *, run_id: str, ttl_seconds: float | None = None) -> bool:
        """Keep an answer; return whether it is kept, which one that is too large is not.

        Args:
            key: From `request_key`.
            body: The response's body.
            run_id: The run that made it.
            ttl_seconds: Another time to live than the cache's, above 0.

        Raises:
            InputError: `ttl_seconds` is out of range.
        """
        now = self._clock()
        ttl = self._ttl if ttl_seconds is None else _checked_ttl(ttl_seconds)
        entry = _Entry(body, run_id, now, now + ttl)
        self._drop(key)
        if entry.size > self._max_bytes * _LARGEST_SHARE:
            return False
        self._entries[key] = entry
        self._bytes += entry.size
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size


def _checked_ttl(seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(f"`ttl_seconds` must be a finite number above 0, got {seconds}.")
    return seconds
