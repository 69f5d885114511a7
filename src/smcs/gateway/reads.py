"""What is asked of the ledger, as queries of one connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, or_, select, tuple_

from smcs.errors import InputError
from smcs.gateway import schema
from smcs.gateway.entries import (
    AttemptSummary,
    Feedback,
    KeyUse,
    RunFilter,
    RunRow,
    SpendBy,
    SpendRow,
    StoredRun,
    Totals,
    utc,
)
from smcs.gateway.limits import NANO, KeyState
from smcs.gateway.retention import unpack
from smcs.run import Run

__all__ = ("key_use", "many_runs", "one_run", "page_of_runs", "spending", "sum_up")

_MIDNIGHT: Final = "T00:00:00.000+00:00"

_COLUMNS: Final = tuple(
    column
    for column in schema.runs.columns
    if column.name not in ("stage_seconds", "metadata", "attempts", "settled", "nano", "known_nano", "charged_nano")
)
_MONEY: Final = (schema.runs.c.nano, schema.runs.c.known_nano, schema.runs.c.charged_nano)
_DETAILS: Final = (schema.runs.c.stage_seconds, schema.runs.c.metadata, schema.runs.c.attempts)


def many_runs(
    connection: Connection,
    where: RunFilter,
    *,
    limit: int,
    before: tuple[str, str] | None = None,
    after: tuple[str, str] | None = None,
) -> list[RunRow]:
    """Return lines of the ledger, the newest first: the newest ones, or those next to `after`."""
    created, run_id = schema.runs.c.created, schema.runs.c.id
    query = _filtered(select(*_COLUMNS, *_MONEY), where)
    if before is not None:
        query = query.where(tuple_(created, run_id) < tuple_(*before))
    if after is not None:
        query = query.where(tuple_(created, run_id) > tuple_(*after))
    ordered = query.order_by(created.desc(), run_id.desc()) if after is None else query.order_by(created, run_id)
    rows = [_row(found) for found in connection.execute(ordered.limit(limit)).mappings()]
    return rows if after is None else rows[::-1]


def one_run(connection: Connection, run_id: str) -> StoredRun | None:
    """Return all there is about a run."""
    query = _with_records((*_COLUMNS, *_MONEY, *_DETAILS)).where(schema.runs.c.id == run_id)
    found = connection.execute(query).mappings().first()
    if found is None:
        return None
    table = schema.feedback
    said = connection.execute(select(table).where(table.c.run_id == run_id).order_by(table.c.created)).mappings()
    return _stored(found, tuple(Feedback(**each) for each in said))


def page_of_runs(
    connection: Connection, where: RunFilter, after: tuple[str, str] | None, *, limit: int, records: bool
) -> list[StoredRun]:
    """Return everything about some runs, the oldest first.

    Args:
        connection: Where they are read.
        where: Which runs.
        after: Cursor of the last one of the page before.
        limit: Most runs of the page.
        records: Whether the record of each run is read too.
    """
    runs, said = schema.runs, schema.feedback
    columns = (*_COLUMNS, *_MONEY, *_DETAILS)
    query = _filtered(_with_records(columns) if records else select(*columns), where)
    if after is not None:
        query = query.where(tuple_(runs.c.created, runs.c.id) > tuple_(*after))
    found = connection.execute(query.order_by(runs.c.created, runs.c.id).limit(limit)).mappings().all()
    feedback: dict[str, list[Feedback]] = {}
    mine = select(said).where(said.c.run_id.in_([row["id"] for row in found])).order_by(said.c.created)
    for each in connection.execute(mine).mappings():
        feedback.setdefault(each["run_id"], []).append(Feedback(**each))
    return [_stored(row, tuple(feedback.get(row["id"], ()))) for row in found]


def spending(
    connection: Connection, by: SpendBy, since: str | None, until: str | None, key_id: str | None = None
) -> list[SpendRow]:
    """Return what was spent, most of it first (by day: the latest day first); `key_id`: by one key."""
    table = schema.daily
    group = {
        "key": table.c.key_id,
        "model": table.c.model,
        "strategy": table.c.strategy,
        "day": table.c.day,
        "llm": table.c.llm,
    }[by]
    query = select(group.label("name"), *_sums()).where(table.c.llm != "" if by == "llm" else table.c.llm == "")
    if key_id is not None:
        query = query.where(table.c.key_id == key_id)
    if since is not None:
        query = query.where(table.c.day >= since[:10])
    if until is not None:
        day, time = until[:10], until[10:]
        query = query.where(table.c.day < day if time == _MIDNIGHT else table.c.day <= day)
    rows = [_spend(found) for found in connection.execute(query.group_by(group)).mappings()]
    if by == "day":
        return sorted(rows, key=lambda row: row.name, reverse=True)
    if by == "key":
        named = connection.execute(select(schema.keys.c.id, schema.keys.c.name))
        names = {key.id: key.name for key in named}
        rows = [replace(row, label=names.get(row.name, row.name or "no key")) for row in rows]
    return sorted(rows, key=lambda row: (-row.known_cost_usd, -row.calls, row.name))


def sum_up(connection: Connection) -> Totals:
    """Return the whole ledger in figures."""
    table = schema.daily
    found = connection.execute(select(*_sums()).where(table.c.llm == "")).mappings().one()
    sums = {name: int(value or 0) for name, value in found.items()}
    running = connection.execute(select(func.count()).select_from(schema.reservations)).scalar_one()
    known = sums.pop("known_nano") / NANO
    return Totals(**sums, cost_usd=None if sums["unknown"] else known, known_cost_usd=known, running=running)


def key_use(connection: Connection, now: float) -> dict[str, KeyUse]:
    """Return what the keys with limits have used of their present windows, by key."""
    states = [KeyState(**row).at(now) for row in connection.execute(select(schema.key_states)).mappings()]
    return {
        state.key_id: KeyUse(
            state.requests,
            state.tokens,
            state.day_nano / NANO,
            state.month_nano / NANO,
            state.held_nano / NANO,
            state.running,
        )
        for state in states
    }


def _filtered(query: Select[Any], where: RunFilter) -> Select[Any]:
    runs = schema.runs
    exact = {"key_id": where.key_id, "model": where.model, "strategy": where.strategy, "status": where.status}
    for name, wanted in exact.items():
        if wanted is not None:
            query = query.where(runs.c[name] == wanted)
    if where.since is not None:
        query = query.where(runs.c.created >= utc(where.since))
    if where.until is not None:
        query = query.where(runs.c.created < utc(where.until))
    if where.text is not None:
        inside = (column.icontains(where.text, autoescape=True) for column in (runs.c.question, runs.c.error))
        query = query.where(or_(*inside))
    return query


def _with_records(columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    runs, records = schema.runs, schema.records
    return select(*columns, records.c.record).select_from(runs.outerjoin(records, records.c.run_id == runs.c.id))


def _sums() -> list[ColumnElement[Any]]:
    names = ("runs", "failed", "degraded", "calls", "prompt_tokens", "completion_tokens", "known_nano", "unknown")
    return [func.sum(schema.daily.c[name]).label(name) for name in names]


def _spend(found: RowMapping) -> SpendRow:
    name = found["name"]
    sums = {key: int(value or 0) for key, value in found.items() if key != "name"}
    known = sums.pop("known_nano") / NANO
    return SpendRow(name, name, **sums, cost_usd=None if sums["unknown"] else known, known_cost_usd=known)


def _row(found: RowMapping) -> RunRow:
    values = {column.name: found[column.name] for column in _COLUMNS}
    values["degraded"] = tuple(msgspec.json.decode(values["degraded"]))
    values |= {"streamed": bool(values["streamed"]), "cached": bool(values["cached"])}
    nano = found["nano"]
    return RunRow(
        **values,
        cost_usd=None if nano is None else nano / NANO,
        known_cost_usd=found["known_nano"] / NANO,
        charged_usd=found["charged_nano"] / NANO,
    )


def _stored(found: RowMapping, feedback: tuple[Feedback, ...]) -> StoredRun:
    record: Run | None = None
    why: str | None = "none was kept"
    packed = found.get("record")
    if packed is not None:
        try:
            record, why = unpack(bytes(packed)), None
        except InputError as error:
            why = str(error)
    return StoredRun(
        _row(found),
        attempts=msgspec.json.decode(found["attempts"], type=tuple[AttemptSummary, ...]),
        stage_seconds=msgspec.json.decode(found["stage_seconds"]),
        metadata=msgspec.json.decode(found["metadata"]),
        feedback=feedback,
        record=record,
        no_record=why,
    )
