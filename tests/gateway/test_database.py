"""Databases that an older version made."""

from __future__ import annotations

from sqlalchemy import select

from helpers_ledger import Ledgers, entry
from smcs.gateway import schema
from smcs.gateway.ledger import Hold, KeyLimits


async def test_a_database_of_version_1_is_given_what_it_lacks_and_keeps_the_rest(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    text, key = await ledger.create_key("team", KeyLimits(usd_per_day=1.0))
    made = entry(key_id=key.id)
    await ledger.settle(await ledger.reserve(key, Hold(0.5, 100)), made)
    await ledger.close()
    older = ("DROP TABLE gateway_shares", "DROP TABLE gateway_switches", "UPDATE gateway_meta SET schema_version = 1")
    ledgers.place.execute("ledger", *older)
    # as `smcs runs list` opens it, which makes no new database
    opened = [ledgers.open(create=False), ledgers.open()]
    for each in opened:
        assert await each.authenticate(text) == key
        assert [row.id for row in await each.runs()] == [made.id]
        assert (await each.key_use())[key.id].usd_today == 0.25
        assert await each.switches() == {}
    await opened[0].share(made.id)
    assert await opened[1].is_shared(made.id)
    assert await opened[0]._read(lambda found: found.execute(select(schema.meta.c.schema_version)).scalar_one()) == 2
