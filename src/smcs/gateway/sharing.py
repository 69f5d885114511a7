"""Runs that somebody lets every valid key read."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, delete, select

from smcs.gateway import schema
from smcs.gateway.operations import NoSuchRunError
from smcs.gateway.work import Work

__all__ = ("Share", "ShareRun", "UnshareRun", "is_shared")


@dataclass(frozen=True, slots=True)
class Share:
    """Leave to read a run for every valid key."""

    run_id: str
    key_id: str
    """Whose word it was; empty without a key."""
    created: str
    """ISO 8601, UTC."""


@dataclass(frozen=True, slots=True)
class ShareRun:
    """Let everybody read a run."""

    share: Share
    key_ids: tuple[str, ...] = ()
    reservation_ids: tuple[str, ...] = ()

    def apply(self, work: Work) -> Share:
        """Raise `NoSuchRunError`, or share it; return the earlier share where it is shared already."""
        runs, table, connection = schema.runs, schema.shares, work.connection
        run = select(runs.c.id).where(runs.c.id == self.share.run_id).with_for_update()
        if connection.execute(run).first() is None:
            raise NoSuchRunError(f"The ledger has no run {self.share.run_id!r}.")
        known = connection.execute(select(table).where(table.c.run_id == self.share.run_id)).mappings().first()
        if known is not None:
            return Share(**known)
        connection.execute(table.insert(), msgspec.to_builtins(self.share))
        return self.share


@dataclass(frozen=True, slots=True)
class UnshareRun:
    """Take a run back."""

    run_id: str
    key_ids: tuple[str, ...] = ()
    reservation_ids: tuple[str, ...] = ()

    def apply(self, work: Work) -> bool:
        """Return whether it was shared."""
        gone = delete(schema.shares).where(schema.shares.c.run_id == self.run_id)
        return work.connection.execute(gone).rowcount > 0


def is_shared(connection: Connection, run_id: str) -> bool:
    """Return whether every valid key may read a run."""
    query = select(schema.shares.c.run_id).where(schema.shares.c.run_id == run_id)
    return connection.execute(query).first() is not None
