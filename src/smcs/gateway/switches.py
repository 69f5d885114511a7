"""LLMs that somebody switched off by hand: kept in the database, and in force in every process within seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, select

from smcs.gateway import schema
from smcs.gateway.database import LedgerUnavailableError
from smcs.gateway.work import Work

__all__ = ("Switch", "SwitchBoard", "SwitchOff", "SwitchOn", "read_switches")

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 2.0
"""Between two looks at what other processes switched: a row per LLM that is off, so a millisecond at most."""


@dataclass(frozen=True, slots=True)
class Switch:
    """An LLM that is switched off."""

    llm: str
    key_id: str
    """Of whoever did it; empty without a key."""
    by: str
    """Name of that key, empty without one."""
    created: str
    """Since when; ISO 8601, UTC."""
    why: str
    """In the words of whoever did it; may be empty."""

    @property
    def words(self) -> str:
        """What a run says of it, as in `Resources.out`."""
        return f"switched off by {self.by or 'hand'}"


@dataclass(frozen=True, slots=True)
class SwitchOff:
    """Switch an LLM off, or say anew who did and why."""

    llm: str
    key_id: str
    created: str
    why: str
    key_ids: tuple[str, ...] = ()
    reservation_ids: tuple[str, ...] = ()

    def apply(self, work: Work) -> None:
        """Keep it."""
        table = schema.switches
        work.connection.execute(select(schema.meta.c.id).with_for_update())  # two servers take turns
        work.connection.execute(delete(table).where(table.c.llm == self.llm))
        row = {"llm": self.llm, "key_id": self.key_id, "created": self.created, "why": self.why}
        work.connection.execute(table.insert(), row)


@dataclass(frozen=True, slots=True)
class SwitchOn:
    """Switch an LLM on again."""

    llm: str
    key_ids: tuple[str, ...] = ()
    reservation_ids: tuple[str, ...] = ()

    def apply(self, work: Work) -> None:
        """Forget that it was off."""
        work.connection.execute(delete(schema.switches).where(schema.switches.c.llm == self.llm))


def read_switches(connection: Connection) -> dict[str, Switch]:
    """Return the LLMs that are off, by name."""
    off, keys = schema.switches, schema.keys
    named = select(off, keys.c.name).select_from(off.outerjoin(keys, keys.c.id == off.c.key_id)).order_by(off.c.llm)
    return {
        row.llm: Switch(row.llm, row.key_id, row.name or "", row.created, row.why) for row in connection.execute(named)
    }


class SwitchBoard:
    """The switches as this process knows them.

    Args:
        load: Reads them.
    """

    def __init__(self, load: Callable[[], Awaitable[Mapping[str, Switch]]]) -> None:
        self._load = load
        self._looking = asyncio.Lock()
        self.off: Mapping[str, Switch] = {}
        """LLMs that are off, by name, as of the latest look."""

    async def look(self) -> Mapping[str, Switch]:
        """Read them now; what was written before is seen.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        async with self._looking:
            self.off = await self._load()
            return self.off

    async def watch(self) -> None:
        """Look every 2 s until it is cancelled; while the database fails, what is known stays in force."""
        failing = False
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
                failing = False
            except LedgerUnavailableError as error:
                if not failing:
                    _log.warning("which LLMs are switched off is not known anew, the old view stays: %s", error)
                failing = True
