"""API keys: what is kept of them, who may come in, and how soon a revocation works."""

from __future__ import annotations

import asyncio
import hashlib
import re

import pytest
from sqlalchemy import Connection, select

from helpers_ledger import Ledgers
from smcs.errors import InputError
from smcs.gateway import schema
from smcs.gateway.database import LedgerUnavailableError
from smcs.gateway.keys import KeyRecord, KeyRing, Keys, check_name, new_key
from smcs.gateway.limits import KeyLimits


class Loads:
    """What a key ring reads, how often, and with which failures."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.count = 0
        self.fails = False
        self.waits: asyncio.Event | None = None

    async def __call__(self, known: int) -> Keys | None:
        self.count += 1
        answer = self.keys
        if self.waits is not None:
            await self.waits.wait()
        if self.fails:
            raise LedgerUnavailableError("gone")
        return None if answer.version == known else answer


def made(name: str = "team") -> tuple[str, bytes, KeyRecord]:
    key_id, text, digest = new_key()
    return text, digest, KeyRecord(key_id, name, "2025-11-22", KeyLimits())


def ring_of(*keys: tuple[str, bytes, KeyRecord]) -> tuple[KeyRing, Loads, list[float]]:
    loads, now = Loads(Keys(1, {record.id: (digest, record) for _, digest, record in keys})), [1000.0]
    return KeyRing(loads, lambda: now[0]), loads, now


def test_a_key_says_what_it_is_and_hides_the_rest() -> None:
    key_id, text, digest = new_key()
    assert re.fullmatch(r"sk-smcs-[0-9a-f]{12}-[A-Za-z0-9_-]{43}", text)
    assert text.split("-")[2] == key_id
    assert digest == hashlib.sha256(text.encode()).digest()
    assert len({new_key()[1] for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "tab\t", "line\nbreak", "\x1b[31m", " lead", "0123456789ab", "<script>"]
)
def test_names_are_words(name: str) -> None:
    with pytest.raises(InputError, match="A key's name"):
        check_name(name)
    assert check_name("Anna's team".replace("'", "")) == "Annas team"


async def test_only_the_whole_key_opens() -> None:
    key = made()
    ring, loads, _ = ring_of(key)
    text = key[0]
    assert await ring.find(text) == key[2]
    other = text[:-1] + ("A" if text[-1] != "A" else "B")
    stranger = made()[0]
    for wrong in (other, stranger, "", text + "x", f" {text}", text.upper(), "sk-smcs-" + "0" * 12, "é" * 60):
        assert await ring.find(wrong) is None
    assert loads.count == 1


async def test_wrong_keys_cannot_hammer_the_database() -> None:
    ring, loads, now = ring_of(made())
    for _ in range(200):
        assert await ring.find(made()[0]) is None
        now[0] += 0.001
    assert loads.count <= 2


async def test_requests_at_once_share_one_look() -> None:
    key = made()
    ring, loads, _ = ring_of(key)
    loads.waits = asyncio.Event()
    tasks = [asyncio.create_task(ring.find(key[0])) for _ in range(20)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    loads.waits.set()
    assert [await task for task in tasks[1:]] == [key[2]] * 19
    assert loads.count == 1


async def test_a_view_is_renewed_beside_the_requests_and_never_older_than_two_seconds() -> None:
    text, digest, record = made()
    ring, loads, now = ring_of((text, digest, record))
    assert await ring.find(text) is not None
    revoked = KeyRecord(record.id, record.name, record.created, record.limits, "2025-11-23")
    loads.keys = Keys(2, {record.id: (digest, revoked)})
    now[0] += 0.9
    assert await ring.find(text) is not None
    assert loads.count == 1
    now[0] += 0.2
    assert await ring.find(text) is not None
    await ring.close()
    assert loads.count == 2
    assert await ring.find(text) is None
    loads.keys = Keys(3, {record.id: (digest, record)})
    now[0] += 2.1
    assert await ring.find(text) == record


async def test_when_nobody_knows_nobody_comes_in() -> None:
    key = made()
    ring, loads, now = ring_of(key)
    assert await ring.find(key[0]) is not None
    loads.fails = True
    now[0] += 1.5
    assert await ring.find(key[0]) is not None
    await ring.close()
    now[0] += 1.0
    with pytest.raises(LedgerUnavailableError):
        await ring.find(key[0])
    loads.fails = False
    assert await ring.find(key[0]) is not None


async def test_a_change_here_is_seen_at_once_even_while_a_look_is_under_way() -> None:
    key = made()
    ring, loads, now = ring_of()
    loads.waits = asyncio.Event()
    early = asyncio.create_task(ring.find(key[0]))
    await asyncio.sleep(0)
    loads.keys = Keys(2, {key[2].id: (key[1], key[2])})
    ring.forget()
    late = asyncio.create_task(ring.find(key[0]))
    loads.waits.set()
    assert await late == key[2]
    assert await early == key[2]
    assert now == [1000.0]


async def test_keys_are_made_listed_and_revoked(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    limits = KeyLimits(("smcs*",), requests_per_minute=5, usd_per_day=0.5)
    text, record = await ledger.create_key("team", limits)
    assert await ledger.authenticate(text) == record
    assert (record.limits, record.created[:10]) == (limits, "2025-11-22")
    with pytest.raises(InputError, match="a key named 'team' already"):
        await ledger.create_key("team")
    ledgers.clock.now += 1
    other, _ = await ledger.create_key("other")
    assert [each.name for each in await ledger.list_keys()] == ["team", "other"]
    revoked = await ledger.revoke_key(record.id)
    assert revoked.revoked is not None
    assert await ledger.authenticate(text) is None
    assert await ledger.authenticate(other) is not None
    with pytest.raises(InputError, match="revoked already"):
        await ledger.revoke_key("team")
    with pytest.raises(InputError, match="Did you mean 'other'"):
        await ledger.revoke_key("othr")
    again, _ = await ledger.create_key("team")
    assert await ledger.authenticate(again) is not None


async def test_a_key_may_look_after_the_others(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    text, record = await ledger.create_key("boss", KeyLimits(admin=True))
    _, plain = await ledger.create_key("team")
    assert (record.limits.admin, plain.limits.admin) == (True, False)
    assert not record.limits.counted
    assert record.limits.allows("anything")
    elsewhere = ledgers.open()
    assert await elsewhere.authenticate(text) == await elsewhere.key(record.id) == record
    await ledger.revoke_key("boss")
    ledgers.opened.remove(elsewhere)
    await elsewhere.close()
    assert await ledgers.open().key(record.id) is None


async def test_keys_of_an_older_version_are_no_administrators(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    text, _ = await ledger.create_key("old", KeyLimits(("smcs*",), usd_per_day=0.5))
    await ledger.close()
    ledgers.place.execute("ledger", 'UPDATE gateway_keys SET limits = \'{"models": ["smcs*"], "usd_per_day": 0.5}\'')
    record = await ledgers.open().authenticate(text)
    assert record is not None
    assert record.limits == KeyLimits(("smcs*",), usd_per_day=0.5)
    assert not record.limits.admin


async def test_another_process_sees_a_new_key(ledgers: Ledgers) -> None:
    here, there = ledgers.open(), ledgers.open()
    text, record = await here.create_key("team")
    assert await there.authenticate(text) == record


async def test_the_database_holds_no_key(sqlite: Ledgers) -> None:
    ledger = sqlite.open()
    text, _ = await ledger.create_key("team")

    def dump(connection: Connection) -> str:
        return repr(connection.execute(select(schema.keys)).all())

    secret = text.split("-", 3)[3]
    assert secret not in await ledger._read(dump)
