"""One transaction of many operations: what they need is read at once, what they change is written at once.

Two hundred requests that end together cost one look at the states of their keys and one statement per table, not two
hundred of each. Every row that is locked is locked in one order (keys, then sums by day), so that two processes never
wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import Connection, Delete, Insert, Table, Update, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from smcs.gateway import schema
from smcs.gateway.database import Database, Prepared
from smcs.gateway.limits import KeyState

__all__ = ("Held", "Lost", "Statements", "Work")

_STATE_NAMES: Final = tuple(field.name for field in fields(KeyState))
_SUMS: Final = ("runs", "failed", "degraded", "calls", "prompt_tokens", "completion_tokens", "known_nano", "unknown")


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation as it stands in the database."""

    id: str
    key_id: str
    nano: int
    tokens: int
    endpoint: str
    model: str
    created: str
    expires: float


@dataclass(frozen=True, slots=True)
class Lost:
    """A reservation whose lease ran out: what its key was charged, and when."""

    id: str
    created: str
    model: str
    charged_nano: int
    settled: float


class Statements:
    """The statements that every request takes part in, compiled once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        writers, daily = schema.writers, schema.daily
        upsert = self._upsert(writers)
        self.mark = database.prepare(
            upsert.on_conflict_do_update(
                index_elements=["id"],
                set_={"sequence": upsert.excluded.sequence, "seen": upsert.excluded.seen},
                where=writers.c.sequence < upsert.excluded.sequence,
            ),
            ("id", "sequence", "seen"),
        )
        adding = self._upsert(daily)
        self.count = database.prepare(
            adding.on_conflict_do_update(
                index_elements=[column.name for column in daily.primary_key],
                set_={name: daily.c[name] + adding.excluded[name] for name in _SUMS},
            ),
            [column.name for column in daily.columns],
        )
        states = self._upsert(schema.key_states)
        changed = {name: states.excluded[name] for name in _STATE_NAMES if name != "key_id"}
        self.put_state = database.prepare(
            states.on_conflict_do_update(index_elements=["key_id"], set_=changed), _STATE_NAMES
        )
        self.insert_run = self._insert(schema.runs)
        self.insert_record = self._insert(schema.records)
        self.hold = self._insert(schema.reservations)
        self.drop = self._delete(schema.reservations)
        self.drop_run = self._delete(schema.runs)

    def _upsert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._database.is_sqlite else postgresql.insert(table)

    def _insert(self, table: Table) -> Prepared:
        statement: Insert | Update | Delete = table.insert()
        return self._database.prepare(statement, [column.name for column in table.columns])

    def _delete(self, table: Table) -> Prepared:
        return self._database.prepare(delete(table).where(table.c.id == bindparam("id")), ())


class Work:
    """The open transaction.

    Args:
        connection: Its connection.
        statements: Compiled statements.
        now: Unix seconds at which it happens.
        key_ids: Keys whose states are needed; they are locked until the transaction ends.
        reservation_ids: Reservations that are needed.
    """

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        now: float,
        *,
        key_ids: Iterable[str],
        reservation_ids: Iterable[str],
    ) -> None:
        self.connection = connection
        self.now = now
        self._statements = statements
        self._states = {state.key_id: state for state in _states(connection, sorted(set(key_ids)))}
        wanted = sorted(set(reservation_ids))
        self._held = {held.id: held for held in _held(connection, wanted)}
        missing = [each for each in wanted if each not in self._held]
        self._lost = {lost.id: lost for lost in _lost(connection, missing)}
        self._changed: set[str] = set()
        self._new_held: list[Mapping[str, Any]] = []
        self._dropped: list[Mapping[str, Any]] = []
        self._dropped_runs: list[Mapping[str, Any]] = []
        self._runs: list[Mapping[str, Any]] = []
        self._records: list[Mapping[str, Any]] = []
        self._sums: dict[tuple[str, ...], list[int]] = {}

    def state(self, key_id: str) -> KeyState:
        """Return what a key has used."""
        return self._states.get(key_id) or KeyState(key_id)

    def set_state(self, state: KeyState) -> None:
        """Change what a key has used."""
        self._states[state.key_id] = state
        self._changed.add(state.key_id)

    def held(self, reservation_id: str) -> Held | None:
        """Return a reservation; `None` when it is settled already."""
        return self._held.get(reservation_id)

    def lost(self, reservation_id: str) -> Lost | None:
        """Return what became of a reservation whose lease ran out."""
        return self._lost.get(reservation_id)

    def hold(self, held: Held) -> None:
        """Add a reservation."""
        self._new_held.append({field.name: getattr(held, field.name) for field in fields(Held)})

    def drop(self, held: Held) -> None:
        """Remove a reservation."""
        del self._held[held.id]
        self._dropped.append({"id": held.id})

    def find(self, lost: Lost) -> None:
        """Remove the line of a reservation that was taken for lost."""
        del self._lost[lost.id]
        self._dropped_runs.append({"id": lost.id})

    def record(self, row: Mapping[str, Any], record: bytes | None) -> None:
        """Add a run, and its packed record if it has one."""
        self._runs.append(row)
        if record is not None:
            self._records.append({"run_id": row["id"], "record": record})

    def count(self, labels: tuple[str, str, str, str, str], sums: Sequence[int]) -> None:
        """Add to the sums of a day.

        Args:
            labels: Day, key, model, strategy and LLM ("" for the run as a whole).
            sums: Runs, failed, degraded, calls, prompt tokens, completion tokens, known nano-USD, unknown costs.
        """
        before = self._sums.get(labels)
        self._sums[labels] = list(sums) if before is None else [a + b for a, b in zip(before, sums, strict=True)]

    def flush(self) -> None:
        """Write what was changed."""
        run, connection = self._statements, self.connection
        states = [self._states[key_id] for key_id in sorted(self._changed)]
        run.put_state.run_many(connection, [{name: getattr(each, name) for name in _STATE_NAMES} for each in states])
        run.drop.run_many(connection, self._dropped)
        run.hold.run_many(connection, self._new_held)
        run.drop_run.run_many(connection, self._dropped_runs)
        run.insert_run.run_many(connection, self._runs)
        run.insert_record.run_many(connection, self._records)
        names = [column.name for column in schema.daily.columns]
        rows = [dict(zip(names, (*labels, *sums), strict=True)) for labels, sums in sorted(self._sums.items())]
        run.count.run_many(connection, rows)


def _states(connection: Connection, key_ids: Sequence[str]) -> list[KeyState]:
    if not key_ids:
        return []
    table = schema.key_states
    query = select(table).where(table.c.key_id.in_(key_ids)).order_by(table.c.key_id).with_for_update()
    return [KeyState(**row) for row in connection.execute(query).mappings()]


def _held(connection: Connection, ids: Sequence[str]) -> list[Held]:
    if not ids:
        return []
    table = schema.reservations
    return [Held(**row) for row in connection.execute(select(table).where(table.c.id.in_(ids))).mappings()]


def _lost(connection: Connection, ids: Sequence[str]) -> list[Lost]:
    if not ids:
        return []
    table = schema.runs
    columns = [table.c[field.name] for field in fields(Lost)]
    query = select(*columns).where(table.c.id.in_(ids), table.c.status == "lost")
    return [Lost(**row) for row in connection.execute(query).mappings()]
