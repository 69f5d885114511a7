"""Putting rows into the five tables of content and taking them out: the one place where sums and the log are kept.

A row is known by a group and an id: (LLM, question id), (embedder, question id), or ("", name) where that is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, Table, and_, delete, select, true, update

from smcs.bank import schema
from smcs.bank.database import Writer
from smcs.bank.reads import chunks
from smcs.bank.records import EMPTY_SUM, Row, add_digests, answer_hash, llm_digest

__all__ = ("TARGETS", "Dropped", "Key", "Target", "TargetName", "by_group", "digests", "drop", "matching", "put")

TargetName = Literal["questions", "llms", "outcomes", "embedders", "embeddings"]

Key = tuple[str, str]
"""Group and id of a row."""

_ROWS_AT_ONCE = 50
"""Whole rows in memory at a time: each may hold a long response, for every LLM."""

_NOTHING = bytes(32)
"""Digest of an embedder's row, which is no content: its vectors are."""


@dataclass(frozen=True)
class Target:
    """A table of content and the columns its rows are known by."""

    name: TargetName
    table: Table
    id: Column[str]
    group: Column[str] | None = None

    def key(self, row: Mapping[str, Any]) -> Key:
        """Return the group and the id of a row."""
        return ("" if self.group is None else row[self.group.name], row[self.id.name])

    def digest(self, row: Mapping[str, Any]) -> bytes:
        """Return what a row adds to its sum."""
        if self.name == "embedders":
            return _NOTHING
        return llm_digest(row["name"]) if self.name == "llms" else bytes(row["digest"])


_ALL = (
    Target("questions", schema.questions, schema.questions.c.id),
    Target("llms", schema.llms, schema.llms.c.name),
    Target("outcomes", schema.outcomes, schema.outcomes.c.question_id, schema.outcomes.c.llm),
    Target("embedders", schema.embedders, schema.embedders.c.name),
    Target("embeddings", schema.embeddings, schema.embeddings.c.question_id, schema.embeddings.c.embedder),
)
TARGETS: Mapping[str, Target] = {target.name: target for target in _ALL}


@dataclass(frozen=True)
class Dropped:
    """Rows that were taken out."""

    count: int
    digest_sum: str
    """Sum of their digests."""


def by_group(keys: Iterable[Key]) -> dict[str, list[str]]:
    """Return group -> ids, both in the order they come."""
    groups: dict[str, list[str]] = {}
    for group, row_id in keys:
        groups.setdefault(group, []).append(row_id)
    return groups


def matching(target: Target, keys: Iterable[Key], *, at_once: int = 500) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that together select some rows, each at most `at_once` of them."""
    for group, ids in by_group(keys).items():
        same_group = true() if target.group is None else target.group == group
        for chunk in chunks(ids, at_once):
            yield and_(same_group, target.id.in_(chunk))


def digests(writer: Writer, target: Target, keys: Iterable[Key]) -> dict[Key, bytes]:
    """Return key -> digest of those rows that exist."""
    return {key: digest for condition in matching(target, keys) for key, digest in _marks(writer, target, condition)}


def put(writer: Writer, target: Target, rows: Sequence[Row], known: Mapping[Key, bytes]) -> None:
    """Write rows; logged as added or, with what was there before, as replaced.

    Args:
        writer: The open transaction.
        target: Their table.
        rows: Whole rows, each key once.
        known: Key -> digest of the rows that are there now; other keys in it do no harm.
    """
    new = {target.key(row): target.digest(row) for row in rows}
    old = {key: known[key] for key in new if key in known}
    if writer.journal is not None:
        added = [key for key in new if key not in old]
        writer.journal.added(target.name, added, [new[key] for key in added])
        for condition in matching(target, old, at_once=_ROWS_AT_ONCE):
            before = _read(writer, target, condition)
            writer.journal.replaced(target.name, before, [(key, new[key]) for key in map(target.key, before)])
    writer.upsert(target.table, rows)
    _count(writer, target, new=new, old=old)
    if target.name == "outcomes":
        _drop_stale_answers(writer, {key: row["response"] for row in rows if (key := target.key(row)) in old})


def drop(writer: Writer, target: Target, condition: ColumnElement[bool]) -> Dropped:
    """Take out the rows that meet a condition; if logged, all of them are in memory at once."""
    if writer.journal is None:
        gone = dict(_marks(writer, target, condition))
    else:
        found = _read(writer, target, condition)
        writer.journal.removed(target.name, found)
        gone = {target.key(row): target.digest(row) for row in found}
    if gone:
        writer.connection.execute(delete(target.table).where(condition))
        _count(writer, target, new={}, old=gone)
    return Dropped(len(gone), add_digests(EMPTY_SUM, new=gone.values()))


def _drop_stale_answers(writer: Writer, responses: Mapping[Key, str]) -> None:
    """Take out the vectors of answers that gave way to another text; an equal text keeps its vectors."""
    table = schema.answer_embeddings
    for llm, ids in by_group(responses).items():
        for chunk in chunks(ids):
            embedded = (table.c.llm == llm) & table.c.question_id.in_(chunk)
            found = writer.connection.execute(select(table.c.question_id, table.c.text_hash).where(embedded))
            stale = {row[0] for row in found if answer_hash(responses[llm, row[0]]) != row[1]}
            if stale:
                condition = (table.c.llm == llm) & table.c.question_id.in_(sorted(stale))
                writer.connection.execute(delete(table).where(condition))


def _marks(writer: Writer, target: Target, condition: ColumnElement[bool]) -> Iterator[tuple[Key, bytes]]:
    wanted = [column for column in (target.id, target.group, target.table.c.get("digest")) if column is not None]
    for found in writer.connection.execute(select(*wanted).where(condition)).mappings():
        row = dict(found)
        yield target.key(row), target.digest(row)


def _read(writer: Writer, target: Target, condition: ColumnElement[bool]) -> list[Row]:
    return [dict(row) for row in writer.connection.execute(select(target.table).where(condition)).mappings()]


def _count(writer: Writer, target: Target, *, new: Mapping[Key, bytes], old: Mapping[Key, bytes]) -> None:
    if target.name == "embedders":
        return
    if target.name != "embeddings":
        writer.count(new=list(new.values()), old=list(old.values()))
        return
    table = schema.embedders
    for name in by_group([*new, *old]):
        total = writer.connection.execute(select(table.c.vector_sum).where(table.c.name == name)).scalar_one()
        come, go = ([digest for key, digest in side.items() if key[0] == name] for side in (new, old))
        changed = add_digests(total, new=come, old=go)
        writer.connection.execute(update(table).where(table.c.name == name).values(vector_sum=changed))
