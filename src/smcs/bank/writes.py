"""What can be changed in a bank's tables, in one write transaction: all or nothing, and twice is once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, select, update

from smcs.bank import reads, schema
from smcs.bank.database import EMPTY_SUM, Writer
from smcs.bank.reads import chunks
from smcs.bank.records import (
    Row,
    add_digests,
    check_name,
    llm_digest,
    vector_digest,
)
from smcs.errors import BankError, InputError

__all__ = (
    "EmbeddedTexts",
    "add_llms",
    "add_questions",
    "record",
    "remove_llm",
    "remove_questions",
    "store_embeddings",
    "unit_rows",
)

_ASKED = ("text", "choices", "gold", "grader", "check_json")


@dataclass(frozen=True)
class EmbeddedTexts:
    """Which texts some vectors stand for: n questions and, for each, the hash of the text that was embedded."""

    question_ids: Sequence[str]
    text_hashes: Sequence[str] | None = None
    """`None` means the present text of each question."""


def add_questions(writer: Writer, questions: Iterable[Row], *, replace: bool) -> int:
    """Add questions (`question_row`) and return how many were new.

    Raises:
        BankError: An id is taken by a question that differs, and `replace` is off.
        InputError: One id stands for two questions.
    """
    rows: dict[str, Row] = {}
    for row in questions:
        if rows.setdefault(row["id"], row)["digest"] != row["digest"]:
            raise InputError(f"Two different questions have the id {row['id']!r}: give each its own.")
    known = reads.question_rows(writer.connection, list(rows))
    changed = [row for row in rows.values() if row["id"] in known and known[row["id"]].digest != row["digest"]]
    if changed and not replace:
        raise BankError(
            f"Question {changed[0]['id']!r} is already in the bank with another content ({len(changed)} such). "
            "Give the new one its own id, or pass replace=True, which drops outcomes if what is asked has changed."
        )
    asked_anew = [row["id"] for row in changed if any(row[name] != getattr(known[row["id"]], name) for name in _ASKED)]
    _remove_outcomes(writer, asked_anew)
    new = [row for row in rows.values() if row["id"] not in known]
    writer.count(old=[known[row["id"]].digest for row in changed], new=[row["digest"] for row in [*changed, *new]])
    now = time.time()
    writer.upsert(schema.questions, [{**row, "created": now} for row in [*changed, *new]])
    return len(new)


def remove_questions(writer: Writer, ids: Iterable[str]) -> int:
    """Remove questions with their outcomes and embeddings, and return how many there were."""
    known = reads.question_rows(writer.connection, list(dict.fromkeys(ids)))
    present = list(known)
    _remove_outcomes(writer, present)
    gone: dict[str, list[bytes]] = {}
    table = schema.embeddings
    for chunk in chunks(present):
        statement = select(table.c.embedder, table.c.digest).where(table.c.question_id.in_(chunk))
        for name, digest in writer.connection.execute(statement):
            gone.setdefault(name, []).append(digest)
        writer.connection.execute(delete(table).where(table.c.question_id.in_(chunk)))
        writer.connection.execute(delete(schema.questions).where(schema.questions.c.id.in_(chunk)))
    for name, digests in gone.items():
        _count_vectors(writer, name, old=digests)
    writer.count(old=[row.digest for row in known.values()])
    return len(present)


def add_llms(writer: Writer, names: Iterable[str]) -> int:
    """Add LLMs and return how many were new."""
    known = set(reads.llm_names(writer.connection))
    new = [name for name in dict.fromkeys(names) if name not in known]
    for name in new:
        check_name("an LLM's name", name)
    now = time.time()
    writer.upsert(schema.llms, [{"name": name, "created": now} for name in new])
    writer.count(new=[llm_digest(name) for name in new])
    return len(new)


def remove_llm(writer: Writer, name: str) -> None:
    """Remove an LLM with its outcomes.

    Raises:
        BankError: It is not in the bank.
    """
    reads.check_llms(writer.connection, [name])
    table = schema.outcomes
    writer.count(
        old=[
            llm_digest(name),
            *writer.connection.execute(select(table.c.digest).where(table.c.llm == name)).scalars(),
        ]
    )
    writer.connection.execute(delete(table).where(table.c.llm == name))
    writer.connection.execute(delete(schema.llms).where(schema.llms.c.name == name))


def record(writer: Writer, outcomes: Iterable[Row]) -> int:
    """Record outcomes (`outcome_row`) and return how many were new or differed; the last one of a pair counts.

    Raises:
        BankError: A question or an LLM is not in the bank.
    """
    by_llm: dict[str, dict[str, Row]] = {}
    for row in outcomes:
        by_llm.setdefault(row["llm"], {})[row["question_id"]] = row
    reads.check_llms(writer.connection, by_llm)
    changed: list[Row] = []
    table = schema.outcomes
    for llm, rows in by_llm.items():
        known: dict[str, bytes] = {}
        for chunk in chunks(list(rows)):
            statement = select(table.c.question_id, table.c.digest)
            statement = statement.where(table.c.llm == llm, table.c.question_id.in_(chunk))
            known.update((row.question_id, row.digest) for row in writer.connection.execute(statement))
        fresh = [row for question_id, row in rows.items() if known.get(question_id) != row["digest"]]
        _check_questions(writer, [row["question_id"] for row in fresh if row["question_id"] not in known])
        writer.count(
            new=[row["digest"] for row in fresh],
            old=[known[row["question_id"]] for row in fresh if row["question_id"] in known],
        )
        changed += fresh
    now = time.time()
    writer.upsert(table, [{**row, "created": now} for row in changed])
    return len(changed)


def store_embeddings(writer: Writer, embedder: str, texts: EmbeddedTexts, vectors: NDArray[np.floating]) -> int:
    """Store one vector per question, made unit norm, and return how many were new or differed.

    Args:
        writer: The open transaction.
        embedder: Name the vectors are stored under; the first one stored becomes the bank's default.
        texts: The n questions, each at most once.
        vectors: (n, d), finite and non-zero.

    Raises:
        BankError: A question is not in the bank, or d is not what this embedder's other vectors have.
        InputError: Wrong shape, a vector that is zero or not finite, or a repeated question.
    """
    check_name("an embedder's name", embedder)
    ids = list(texts.question_ids)
    unit = unit_rows(vectors, rows=len(ids))
    if len(set(ids)) != len(ids):
        raise InputError("`ids` names a question more than once.")
    questions = reads.question_rows(writer.connection, ids)
    _check_questions(writer, [question_id for question_id in ids if question_id not in questions])
    hashes = texts.text_hashes or [questions[question_id].text_hash for question_id in ids]
    if not ids:
        return 0
    _prepare_embedder(writer, embedder, unit.shape[1])
    rows: list[Row] = []
    for question_id, text_hash, vector in zip(ids, hashes, unit.astype("<f4"), strict=True):
        blob = vector.tobytes()
        key: Row = {"embedder": embedder, "question_id": question_id, "text_hash": text_hash, "vector": blob}
        rows.append({**key, "digest": vector_digest(question_id, text_hash, blob)})
    table = schema.embeddings
    known: dict[str, bytes] = {}
    for chunk in chunks(ids):
        statement = select(table.c.question_id, table.c.digest)
        statement = statement.where(table.c.embedder == embedder, table.c.question_id.in_(chunk))
        known.update((row.question_id, row.digest) for row in writer.connection.execute(statement))
    changed = [row for row in rows if known.get(row["question_id"]) != row["digest"]]
    replaced = [known[row["question_id"]] for row in changed if row["question_id"] in known]
    writer.upsert(table, changed)
    _count_vectors(writer, embedder, new=[row["digest"] for row in changed], old=replaced)
    return len(changed)


def unit_rows(vectors: NDArray[np.floating], *, rows: int) -> NDArray[np.float32]:
    """Return vectors (n, d) at unit norm as float32.

    Raises:
        InputError: Not (rows, d) with d >= 1, or a vector is zero or not finite.
    """
    matrix = np.asarray(vectors)
    if matrix.ndim != 2 or matrix.shape[0] != rows or matrix.shape[1] == 0:
        raise InputError(f"Embeddings must have the shape ({rows}, d) with d >= 1, got {matrix.shape}.")
    precise = matrix.astype(np.float64)
    norms = np.sqrt(np.vecdot(precise, precise))
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if bad.size:
        raise InputError(f"Embedding {int(bad[0])} of {rows} is zero or holds NaN or infinity ({bad.size} such).")
    # A row that is unit norm as far as float32 can tell stays as it is, to the bit.
    norms[np.abs(norms - 1) < 1e-6] = 1.0
    unit: NDArray[np.float32] = (precise / norms[:, None]).astype(np.float32)
    return unit


def _prepare_embedder(writer: Writer, name: str, dimensions: int) -> None:
    row = reads.embedder_row(writer.connection, name)
    if row is None:
        values: Row = {"name": name, "dimensions": dimensions, "vector_sum": EMPTY_SUM}
        writer.upsert(schema.embedders, [values])
        writer.default_embedder = writer.default_embedder or name
    elif row.dimensions != dimensions:
        raise BankError(
            f"Vectors of {name!r} have {row.dimensions} dimensions in this bank, got {dimensions}. "
            "Another model needs another embedder name."
        )


def _count_vectors(writer: Writer, embedder: str, *, new: Sequence[bytes] = (), old: Sequence[bytes] = ()) -> None:
    table = schema.embedders
    total = writer.connection.execute(select(table.c.vector_sum).where(table.c.name == embedder)).scalar_one()
    changed = add_digests(total, new=new, old=old)
    writer.connection.execute(update(table).where(table.c.name == embedder).values(vector_sum=changed))


def _remove_outcomes(writer: Writer, ids: Sequence[str]) -> None:
    table = schema.outcomes
    for chunk in chunks(ids):
        statement = select(table.c.digest).where(table.c.question_id.in_(chunk))
        writer.count(old=list(writer.connection.execute(statement).scalars()))
        writer.connection.execute(delete(table).where(table.c.question_id.in_(chunk)))


def _check_questions(writer: Writer, ids: Sequence[str]) -> None:
    known = reads.question_rows(writer.connection, ids)
    for question_id in ids:
        if question_id not in known:
            raise BankError(f"Question {question_id!r} is not in this bank; add_questions adds it.")
