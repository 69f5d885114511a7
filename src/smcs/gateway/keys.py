"""API keys: made at random, shown once, kept as a hash, and compared in constant time.

Every process holds all keys in memory and asks the database no more than every second whether they have changed, so a
flood of wrong keys costs it nothing, and a key revoked elsewhere is refused here within two seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection, select, update

from smcs.errors import InputError, suggest
from smcs.gateway import schema
from smcs.gateway.limits import KeyLimits, KeyState
from smcs.gateway.work import Work

__all__ = ("CreateKey", "KeyRecord", "KeyRing", "Keys", "RevokeKey", "check_name", "new_key", "read_keys")

_KEY: Final = re.compile(r"sk-smcs-([0-9a-f]{12})-[A-Za-z0-9_-]{43}")
_ID: Final = re.compile(r"[0-9a-f]{12}")
_NAME: Final = re.compile(r"\w[\w .@+/-]{0,63}")

_NOBODY: Final = bytes(32)
"""Compared with when there is no such key, so that this takes as long as a wrong secret."""

_FRESH_SECONDS: Final = 2.0
"""Oldest view of the keys that a request is judged by."""

_LOOK_AGAIN_SECONDS: Final = 1.0
"""Age from which the view is renewed beside the requests, which do not wait for it."""

_UNKNOWN_SECONDS: Final = 0.2
"""Age from which an unknown key has the view renewed: it may have just been made."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key without its secret."""

    id: str
    """12 hexadecimal digits; part of the key."""
    name: str
    created: str
    """ISO 8601, UTC."""
    limits: KeyLimits
    revoked: str | None = None
    """When it was, if it was."""


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys at one moment."""

    version: int
    """Grows with every change."""
    by_id: Mapping[str, tuple[bytes, KeyRecord]]
    """SHA-256 of the key, and the rest."""


def check_name(name: str) -> str:
    """Return a name for a key.

    Raises:
        InputError: It is empty, too long, has control characters, or looks like an id.
    """
    if not _NAME.fullmatch(name) or _ID.fullmatch(name):
        raise InputError(
            "A key's name is 1 to 64 letters, digits, spaces and . @ + / _ - (and not 12 hexadecimal digits, as its id "
            f"is), got {name!r:.80}."
        )
    return name


def new_key() -> tuple[str, str, bytes]:
    """Return a new key's id, its text (256 random bits), and the hash that is kept."""
    key_id = secrets.token_hex(6)
    key = f"sk-smcs-{key_id}-{secrets.token_urlsafe(32)}"
    return key_id, key, _digest(key)


def read_keys(connection: Connection, known: int = -1) -> Keys | None:
    """Read all keys; `None` if there was no change since version `known`."""
    version = connection.execute(select(schema.meta.c.keys_version)).scalar_one()
    if version == known:
        return None
    rows = connection.execute(select(schema.keys).order_by(schema.keys.c.created, schema.keys.c.id)).all()
    records = {
        row.id: (
            bytes(row.digest),
            KeyRecord(
                row.id,
                row.name,
                row.created,
                msgspec.json.decode(row.limits, type=KeyLimits),
                row.revoked,
            ),
        )
        for row in rows
    }
    return Keys(version, records)


@dataclass(frozen=True, slots=True)
class CreateKey:
    """Store a new key."""

    record: KeyRecord
    digest: bytes
    key_ids: tuple[str, ...] = ()
    reservation_ids: tuple[str, ...] = ()

    def apply(self, work: Work) -> KeyRecord:
        """Raise `InputError` where a key of this name is in use, or store it."""
        _begin_change(work)
        table, record = schema.keys, self.record
        taken = select(table.c.id).where(table.c.name == record.name, table.c.revoked.is_(None))
        if work.connection.execute(taken).first() is not None:
            raise InputError(f"There is a key named {record.name!r} already. Revoke it first, or choose another name.")
        row = {
            "id": record.id,
            "name": record.name,
            "digest": self.digest,
            "created": record.created,
            "revoked": None,
            "limits": msgspec.json.encode(record.limits).decode(),
        }
        work.connection.execute(table.insert(), row)
        _count_change(work)
        work.set_state(KeyState(record.id))
        return record


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """Make a key invalid for good."""

    id_or_name: str
    revoked: str
    key_ids: tuple[str, ...] = ()
    reservation_ids: tuple[str, ...] = ()

    def apply(self, work: Work) -> KeyRecord:
        """Raise `InputError` where no such key is in use, or revoke it."""
        _begin_change(work)
        keys = read_keys(work.connection)
        records = [record for _, record in keys.by_id.values()] if keys else []
        for record in records:
            if self.id_or_name in (record.id, record.name) and record.revoked is None:
                changed = update(schema.keys).where(schema.keys.c.id == record.id).values(revoked=self.revoked)
                work.connection.execute(changed)
                _count_change(work)
                return KeyRecord(record.id, record.name, record.created, record.limits, self.revoked)
        names = [record.name for record in records if record.revoked is None]
        if any(self.id_or_name in (record.id, record.name) for record in records):
            raise InputError(f"The key {self.id_or_name!r} is revoked already.")
        raise InputError(f"There is no key {self.id_or_name!r:.80}.{suggest(self.id_or_name, names)}")


class KeyRing:
    """The keys as this process knows them.

    Args:
        load: Reads all keys, or returns `None` if they are still of the version it is given.
        clock: Monotonic seconds.
    """

    def __init__(
        self, load: Callable[[int], Awaitable[Keys | None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._clock = clock
        self._keys = Keys(-1, {})
        self._seen = -math.inf
        self._changes = 0
        self._stale = True
        self._loading: asyncio.Task[None] | None = None

    async def find(self, text: str) -> KeyRecord | None:
        """Return the record of a valid key; `None` for any other text.

        Raises:
            LedgerUnavailableError: The database fails, so that nobody knows.
        """
        shape = _KEY.fullmatch(text)
        if shape is None:
            return None
        key_id = shape.group(1)
        await self._catch_up(key_id)
        digest, record = self._keys.by_id.get(key_id, (_NOBODY, None))
        if not hmac.compare_digest(_digest(text), digest) or record is None or record.revoked is not None:
            return None
        return record

    async def get(self, key_id: str) -> KeyRecord | None:
        """Return the record of a key by its id; `None` if there is none or it was revoked.

        Raises:
            LedgerUnavailableError: The database fails, so that nobody knows.
        """
        await self._catch_up(key_id)
        _, record = self._keys.by_id.get(key_id, (_NOBODY, None))
        return None if record is None or record.revoked is not None else record

    async def _catch_up(self, key_id: str) -> None:
        """Have a view of the keys that is fresh enough to judge one by."""
        age = self._clock() - self._seen
        if age > _FRESH_SECONDS or (key_id not in self._keys.by_id and age > _UNKNOWN_SECONDS):
            await asyncio.shield(self._refresh())
        elif age > _LOOK_AGAIN_SECONDS:
            self._refresh()
        while self._stale:
            await asyncio.shield(self._refresh())

    def forget(self) -> None:
        """Look at the database before the next answer."""
        self._changes += 1
        self._stale = True

    async def close(self) -> None:
        """Wait for a look that is under way."""
        if self._loading is not None:
            await asyncio.wait({self._loading})

    def _refresh(self) -> asyncio.Task[None]:
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._look())
            # One that nobody waits for may fail; whoever comes once the view is too old meets the same failure.
            self._loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._loading

    async def _look(self) -> None:
        begun, changes = self._clock(), self._changes
        found = await self._load(self._keys.version)
        if found is not None:
            self._keys = found
        self._seen = begun
        self._stale = changes != self._changes


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _begin_change(work: Work) -> None:
    """Let changes of the keys take turns, on any server."""
    work.connection.execute(select(schema.meta.c.keys_version).with_for_update())


def _count_change(work: Work) -> None:
    meta = schema.meta
    work.connection.execute(update(meta).values(keys_version=meta.c.keys_version + 1))
