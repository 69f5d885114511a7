"""What was done to a bank on purpose, and taking it back.

Adding, replacing, removing and merging questions, adding and removing LLMs, importing and growing are *changes*: each
is one transaction and one line of the log, with what it takes to reverse it. Outcomes recorded by ordinary grading and
embeddings made by `embed` are not: there are millions, and they can be made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from smcs.bank import schema
from smcs.bank.database import Writer
from smcs.bank.journal import Step, steps_backwards
from smcs.bank.reads import chunks
from smcs.bank.records import EMPTY_SUM, add_digests, content_hash
from smcs.bank.rows import TARGETS, Target, by_group, digests, drop, matching, put
from smcs.errors import BankError

__all__ = ("Change", "change", "history", "undo")

_SHOWN = 5
_QUESTIONS_AT_ONCE = 50


@dataclass(frozen=True)
class Change:
    """One line of a bank's log."""

    id: int
    """Counts from 1."""
    created: float
    """Unix seconds."""
    kind: str
    """What was done, in a word: "add", "replace", "remove", "merge", "import", "undo", or a caller's own."""
    author: str
    note: str
    run_id: str | None
    """The run that caused it, if one did."""
    counts: Mapping[str, int]
    """Rows by table and what happened to them, such as {"questions_added": 3, "outcomes_removed": 12}; "not_kept" are
    removed vectors that undoing cannot bring back, so they must be made again."""
    hash_before: str
    """Content hash of the bank when it began."""
    hash_after: str
    """Content hash of the bank when it was done."""
    undoes: int | None
    """The change that it reversed, if it did."""
    undone_by: int | None
    """The change that reversed it, if one has."""


def history(connection: Connection) -> tuple[Change, ...]:
    """Return all changes, the oldest first."""
    rows = connection.execute(select(schema.changes).order_by(schema.changes.c.id)).mappings()
    return tuple(map(_change_of, rows))


def change(connection: Connection, change_id: int) -> Change:
    """Return one change.

    Raises:
        BankError: There is none of that number.
    """
    table = schema.changes
    row = connection.execute(select(table).where(table.c.id == change_id)).mappings().one_or_none()
    if row is None:
        raise BankError(f"There is no change {change_id} in this bank's history.")
    return _change_of(row)


def undo(writer: Writer, undone: Change) -> None:
    """Put back what was there before a change; logged as a change of its own, which can be undone as well.

    Args:
        writer: The open transaction, with a log.
        undone: The change, as it is in this transaction.

    Raises:
        BankError: It is undone already, or something was built on it since: rows it left were changed or removed,
            outcomes were recorded on what it added, or what it removed is there again.
    """
    if writer.journal is None:
        raise ValueError("undoing a change needs a transaction with a log")
    if undone.undone_by is not None:
        raise BankError(
            f"Change {undone.id} ({undone.kind}) is undone already, by change {undone.undone_by}: undo that one to "
            "bring it back."
        )
    number = writer.journal.begin()
    later = _later(writer.connection, undone.id)
    for step in steps_backwards(writer.connection, undone.id):
        problem = _reverse(writer, step)
        if problem is not None:
            raise BankError(f"Change {undone.id} ({undone.kind}) cannot be undone, {problem}.{later}")
    table = schema.changes
    writer.connection.execute(update(table).where(table.c.id == undone.id).values(undone_by=number))
    if undone.undoes is not None:  # What it had reversed stands again.
        writer.connection.execute(update(table).where(table.c.id == undone.undoes).values(undone_by=None))


def _reverse(writer: Writer, step: Step) -> str | None:
    """Reverse a step, or say why it cannot be; what was done until then is rolled back by the caller."""
    target = TARGETS[step.target]
    if step.action == "added":
        return _take_away(writer, target, step)
    keys = [target.key(row) for row in step.before]
    there = digests(writer, target, keys)
    if step.action == "removed":
        if there:
            return f"{_names(target, there)} came back since"
        missing = _missing_parents(writer, target, keys)
        if missing:
            return f"{missing} that it needs is gone"
    elif len(there) != step.count or add_digests(EMPTY_SUM, new=there.values()) != step.digest_sum:
        return f"some of the {step.count:,} {target.name} it replaced were changed or removed since"
    put(writer, target, list(step.before), there)
    if target.name == "embedders":
        writer.default_embedder = writer.default_embedder or keys[0][1]
    return None


def _take_away(writer: Writer, target: Target, step: Step) -> str | None:
    if target.name == "embedders":
        _drop_unused_embedders(writer, [name for _, name in step.keys])
        return None
    built = _built_on(writer, target, step)
    if built is not None:
        return built
    dropped = [drop(writer, target, condition) for condition in matching(target, step.keys)]
    total = EMPTY_SUM
    for part in dropped:
        total = f"{(int(total, 16) + int(part.digest_sum, 16)) % 2**256:064x}"
    if sum(part.count for part in dropped) != step.count or total != step.digest_sum:
        return f"some of the {step.count:,} {target.name} it added were changed or removed since"
    return None


def _built_on(writer: Writer, target: Target, step: Step) -> str | None:
    """Say what was recorded on added questions or LLMs since; vectors made for the questions are taken away."""
    outcomes, embeddings = schema.outcomes, schema.embeddings
    names = [name for _, name in step.keys]
    column = {"questions": outcomes.c.question_id, "llms": outcomes.c.llm}.get(target.name)
    if column is None:
        return None
    for chunk in chunks(names):
        found = writer.connection.execute(select(outcomes.c.llm, outcomes.c.question_id).where(column.in_(chunk)))
        row = found.first()
        if row is not None:
            return f"because outcomes were recorded since on {target.name} it added (such as {row[0]!r} on {row[1]!r})"
    if target.name == "questions":
        for chunk in chunks(names, _QUESTIONS_AT_ONCE):
            drop(writer, TARGETS["embeddings"], embeddings.c.question_id.in_(chunk))
    return None


def _drop_unused_embedders(writer: Writer, names: list[str]) -> None:
    used = schema.embeddings.c.embedder
    table = schema.embedders
    for name in names:
        if writer.connection.execute(select(used).where(used == name).limit(1)).first() is None:
            drop(writer, TARGETS["embedders"], table.c.name == name)
    left = sorted(writer.connection.execute(select(table.c.name)).scalars())
    if writer.default_embedder not in left:
        writer.default_embedder = left[0] if left else None


def _missing_parents(writer: Writer, target: Target, keys: list[tuple[str, str]]) -> str | None:
    """Name a question, LLM or embedder that rows belong to and that is not in the bank."""
    group = {"outcomes": "llms", "embeddings": "embedders"}.get(target.name)
    if group is None:
        return None
    wanted = {"questions": {row_id for _, row_id in keys}, group: set(by_group(keys))}
    for name, ids in wanted.items():
        there = digests(writer, TARGETS[name], [("", row_id) for row_id in ids])
        gone = sorted(ids - {row_id for _, row_id in there})
        if gone:
            return f"{name[:-1]} {gone[0]!r}"
    return None


def _names(target: Target, keys: Mapping[tuple[str, str], Any]) -> str:
    group, row_id = min(keys)
    first = f"{group!r} on {row_id!r}" if group else repr(row_id)
    return f"{len(keys):,} of the {target.name} it removed (such as {first})"


def _later(connection: Connection, change_id: int) -> str:
    """Return a sentence that names the changes after one that still stand."""
    table = schema.changes
    statement = select(table.c.id, table.c.kind).where(table.c.id > change_id, table.c.undone_by.is_(None))
    rows = list(connection.execute(statement.order_by(table.c.id)))
    if not rows:
        return ""
    shown = ", ".join(f"{row.id} ({row.kind})" for row in rows[:_SHOWN])
    return f" Changes since: {shown}{', ...' if len(rows) > _SHOWN else ''}. Undo those it stands under first."


def _change_of(row: RowMapping) -> Change:
    return Change(
        id=row["id"],
        created=row["created"],
        kind=row["kind"],
        author=row["author"],
        note=row["note"],
        run_id=row["run_id"],
        counts=json.loads(row["counts"]),
        hash_before=content_hash(row["sum_before"]),
        hash_after=content_hash(row["sum_after"]),
        undoes=row["undoes"],
        undone_by=row["undone_by"],
    )
