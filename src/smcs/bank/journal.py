"""The log of one change while it is made: each step is written down as it happens, so nothing piles up in memory.

Like the undo log of a database: a step says which rows it added (their keys) or what stood in the rows that it replaced
or removed, and the sum of the digests that it left behind. Going through the steps backwards restores the former state.
"""

from __future__ import annotations

import json
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from smcs.bank import schema
from smcs.bank.records import EMPTY_SUM, Row, add_digests, check_name, clean
from smcs.errors import BankError

__all__ = ("Action", "Header", "Journal", "Step", "steps_backwards")

Action = Literal["added", "replaced", "removed"]

_KEYS_AT_ONCE = 10_000
_BYTES_AT_ONCE = 4 * 2**20
_VECTOR_BYTES = 64 * 2**20
"""Vectors a change keeps for its reversal; more would make the log as big as the bank, and they can be made again."""


@dataclass(frozen=True)
class Header:
    """What a change is called, by whom and why."""

    kind: str
    """A word such as "import", "remove", "feedback"."""
    note: str = ""
    author: str = ""
    run_id: str | None = None
    """The run that caused it, if one did."""
    undoes: int | None = None
    """The change it reverses, if it does."""


@dataclass(frozen=True)
class Step:
    """One part of a change: rows of one table that had one thing happen to them."""

    target: str
    action: Action
    keys: tuple[tuple[str, str], ...]
    """Group and id of what was added."""
    before: tuple[Row, ...]
    """What was replaced or removed."""
    count: int
    digest_sum: str
    """Sum of the digests of the added or replacing rows."""


class _Payload(msgspec.Struct, omit_defaults=True):
    keys: dict[str, list[str]] = {}
    rows: list[dict[str, Any]] = []


class Journal:
    """Writes the steps of one change into the log, in the transaction of the change."""

    def __init__(self, connection: Connection, header: Header, content_sum: str) -> None:
        check_name("the kind of a change", header.kind)
        self._connection = connection
        self._header = header
        self._before = content_sum
        self._parts = 0
        self._vector_bytes = 0
        self._counts: Counter[str] = Counter()
        self.id: int | None = None
        """The number of the change; `None` until its first step."""

    def added(self, target: str, keys: Sequence[tuple[str, str]], digests: Sequence[bytes]) -> None:
        """Log rows that were not there before, by group and id."""
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            part = keys[start : start + _KEYS_AT_ONCE]
            groups: dict[str, list[str]] = {}
            for group, row_id in part:
                groups.setdefault(group, []).append(row_id)
            total = add_digests(EMPTY_SUM, new=digests[start : start + _KEYS_AT_ONCE])
            self._step(target, "added", len(part), total, _Payload(keys=groups))

    def replaced(self, target: str, before: Sequence[Row], after: Sequence[tuple[tuple[str, str], bytes]]) -> None:
        """Log rows that gave way to others: what they were, and key and digest of each that took its place."""
        if not before:
            return
        if not self._keeps(target, before):
            # Undoing takes the new vectors away; the old ones can be made again.
            self.added(target, [key for key, _ in after], [digest for _, digest in after])
            return
        total = add_digests(EMPTY_SUM, new=[digest for _, digest in after])
        self._step(target, "replaced", len(before), total, _Payload(rows=list(before)))

    def removed(self, target: str, before: Sequence[Row]) -> None:
        """Log rows that were taken out, as they were."""
        for part in _portions(before):
            if self._keeps(target, part):
                self._step(target, "removed", len(part), EMPTY_SUM, _Payload(rows=part))
            else:
                self.begin()
                self._counts[f"{target}_removed"] += len(part)
                self._counts[f"{target}_not_kept"] += len(part)

    def begin(self) -> int:
        """Give the change its number and its line in the log, if it has none yet."""
        if self.id is None:
            latest = self._connection.execute(select(func.max(schema.changes.c.id))).scalar_one()
            self.id = (latest or 0) + 1
            row = {
                "id": self.id,
                "created": time.time(),
                "kind": self._header.kind,
                "author": clean(self._header.author),
                "note": clean(self._header.note),
                "run_id": None if self._header.run_id is None else clean(self._header.run_id),
                "counts": "{}",
                "sum_before": self._before,
                "sum_after": self._before,
                "undoes": self._header.undoes,
            }
            self._connection.execute(insert(schema.changes), row)
        return self.id

    def finish(self, content_sum: str) -> None:
        """Complete the line in the log; without a step there is none."""
        if self.id is None:
            return
        table = schema.changes
        values = {"counts": json.dumps(dict(sorted(self._counts.items()))), "sum_after": content_sum}
        self._connection.execute(update(table).where(table.c.id == self.id).values(values))

    def mark(self) -> tuple[int | None, int, int, Counter[str]]:
        """Return where the log stands, for `rewind`."""
        return self.id, self._parts, self._vector_bytes, self._counts.copy()

    def rewind(self, mark: tuple[int | None, int, int, Counter[str]]) -> None:
        """Forget what came after `mark`, whose rows the database has undone."""
        self.id, self._parts, self._vector_bytes, self._counts = mark

    def _keeps(self, target: str, rows: Sequence[Row]) -> bool:
        size = sum(len(row["vector"]) for row in rows) if target == "embeddings" else 0
        if self._vector_bytes + size > _VECTOR_BYTES:
            return False
        self._vector_bytes += size
        return True

    def _step(self, target: str, action: Action, count: int, digest_sum: str, payload: _Payload) -> None:
        change_id = self.begin()
        row = {
            "change_id": change_id,
            "part": self._parts,
            "target": target,
            "action": action,
            "rows": count,
            "digest_sum": digest_sum,
            "payload": zlib.compress(msgspec.msgpack.encode(payload)),
        }
        self._connection.execute(insert(schema.change_parts), row)
        self._parts += 1
        self._counts[f"{target}_{action}"] += count


def steps_backwards(connection: Connection, change_id: int) -> Iterator[Step]:
    """Yield the steps of a change, the last one first, one in memory at a time.

    Raises:
        BankError: The log is damaged.
    """
    table = schema.change_parts
    parts = connection.execute(select(table.c.part).where(table.c.change_id == change_id)).scalars()
    for part in sorted(parts, reverse=True):
        row = connection.execute(select(table).where(table.c.change_id == change_id, table.c.part == part)).one()
        try:
            payload = msgspec.msgpack.decode(zlib.decompress(row.payload), type=_Payload)
        except (zlib.error, msgspec.MsgspecError) as error:
            raise BankError(f"The log of change {change_id} is damaged (part {part}): {error}.") from error
        keys = tuple((group, row_id) for group, ids in payload.keys.items() for row_id in ids)
        yield Step(row.target, row.action, keys, tuple(payload.rows), row.rows, row.digest_sum)


def _portions(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield slices of a few megabytes each."""
    part: list[Row] = []
    size = 0
    for row in rows:
        part.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, (str, bytes)))
        if size >= _BYTES_AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part
