"""What can be changed in a bank's tables, in one write transaction: all or nothing, and twice is once.

Everything goes through `rows`, which keeps the sums and, where the transaction is a change that is logged, the log.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed_copy

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from smcs.bank import reads, schema
from smcs.bank.database import Writer
from smcs.bank.reads import chunks
from smcs.bank.records import (
    EMPTY_SUM,
    Row,
    answer_digest,
    answer_hash,
    check_name,
    outcome_of,
    outcome_row,
    vector_digest,
)
from smcs.bank.rows import TARGETS, TargetName, digests, drop, put
from smcs.errors import BankError, InputError

__all__ = (
    "EmbeddedAnswers",
    "EmbeddedTexts",
    "add_llms",
    "add_questions",
    "merge_questions",
    "record",
    "remove_llm",
    "remove_questions",
    "store_answers",
    "store_embeddings",
    "unit_rows",
)

_QUESTIONS_AT_ONCE = 50
"""Whose outcomes are taken out together: a whole row may hold a long response, for every LLM."""

_ASKED = ("text", "choices", "gold", "grader", "check_json")


@dataclass(frozen=True)
class EmbeddedTexts:
    """Which texts some vectors stand for: n questions and, for each, the hash of the text that was embedded."""

    question_ids: Sequence[str]
    text_hashes: Sequence[str] | None = None
    """`None` means the present text of each question."""


@dataclass(frozen=True)
class EmbeddedAnswers:
    """Which recorded answers of an LLM some vectors stand for."""

    llm: str
    responses: Mapping[str, str]
    """Question id -> the whole text recorded when its vector was made."""


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
    _drop_with(writer, "outcomes", asked_anew)
    new = [row for row in rows.values() if row["id"] not in known]
    now = time.time()
    old = {("", row["id"]): known[row["id"]].digest for row in changed}
    put(writer, TARGETS["questions"], [{**row, "created": now} for row in [*changed, *new]], old)
    return len(new)


def remove_questions(writer: Writer, ids: Iterable[str]) -> int:
    """Remove questions with their outcomes and embeddings, and return how many there were."""
    wanted = list(dict.fromkeys(ids))
    _drop_with(writer, "outcomes", wanted)
    _drop_with(writer, "embeddings", wanted)
    return _drop_with(writer, "questions", wanted)


def merge_questions(writer: Writer, keep: str, duplicates: Sequence[str]) -> int:
    """Remove questions that are the same as another, which takes over those outcomes that it lacks.

    Returns how many outcomes moved.

    An LLM's outcome on the kept question stays; where it has none, the first duplicate that has one gives it.

    Raises:
        BankError: A question is not in the bank.
        InputError: No duplicate is named, one twice, or the kept question is among them.
    """
    if not duplicates or len({keep, *duplicates}) != len(duplicates) + 1:
        raise InputError("Name at least one duplicate, each once, and not the question that is kept.")
    _check_questions(writer, [keep, *duplicates])
    table = schema.outcomes
    taken = set(writer.connection.execute(select(table.c.llm).where(table.c.question_id == keep)).scalars())
    count = 0
    for duplicate in duplicates:
        found = writer.connection.execute(select(table).where(table.c.question_id == duplicate)).mappings()
        moved = [row for row in found if row["llm"] not in taken]
        taken.update(row["llm"] for row in moved)
        there = [
            {**outcome_row(changed_copy(outcome_of(row), question_id=keep)), "created": row["created"]} for row in moved
        ]
        put(writer, TARGETS["outcomes"], there, {})
        count += len(there)
    remove_questions(writer, duplicates)
    return count


def add_llms(writer: Writer, names: Iterable[str]) -> int:
    """Add LLMs and return how many were new."""
    known = set(reads.llm_names(writer.connection))
    new = [name for name in dict.fromkeys(names) if name not in known]
    for name in new:
        check_name("an LLM's name", name)
    now = time.time()
    put(writer, TARGETS["llms"], [{"name": name, "created": now} for name in new], {})
    return len(new)


def remove_llm(writer: Writer, name: str) -> None:
    """Remove an LLM with its outcomes.

    Raises:
        BankError: It is not in the bank.
    """
    reads.check_llms(writer.connection, [name])
    table = schema.outcomes
    for chunk in chunks(sorted(reads.answered(writer.connection, name))):
        drop(writer, TARGETS["outcomes"], (table.c.llm == name) & table.c.question_id.in_(chunk))
    drop(writer, TARGETS["llms"], schema.llms.c.name == name)


def record(writer: Writer, outcomes: Iterable[Row]) -> int:
    """Record outcomes (`outcome_row`) and return how many were new or differed; the last one of a pair counts.

    Raises:
        BankError: A question or an LLM is not in the bank.
    """
    rows = {(row["llm"], row["question_id"]): row for row in outcomes}
    reads.check_llms(writer.connection, {llm for llm, _ in rows})
    known = digests(writer, TARGETS["outcomes"], rows)
    changed = {key: row for key, row in rows.items() if known.get(key) != row["digest"]}
    _check_questions(writer, {question_id for llm, question_id in changed if (llm, question_id) not in known})
    now = time.time()
    put(writer, TARGETS["outcomes"], [{**row, "created": now} for row in changed.values()], known)
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
    present = reads.text_hashes(writer.connection, ids)
    _check_questions(writer, ids, present)
    hashes = texts.text_hashes or [present[question_id] for question_id in ids]
    if not ids:
        return 0
    _prepare_embedder(writer, embedder, unit.shape[1])
    rows: list[Row] = []
    for question_id, text_hash, vector in zip(ids, hashes, unit.astype("<f4"), strict=True):
        blob = vector.tobytes()
        key: Row = {"embedder": embedder, "question_id": question_id, "text_hash": text_hash, "vector": blob}
        rows.append({**key, "digest": vector_digest(question_id, text_hash, blob)})
    known = digests(writer, TARGETS["embeddings"], [(embedder, question_id) for question_id in ids])
    changed = [row for row in rows if known.get((embedder, row["question_id"])) != row["digest"]]
    put(writer, TARGETS["embeddings"], changed, known)
    return len(changed)


def store_answers(writer: Writer, embedder: str, answers: EmbeddedAnswers, vectors: NDArray[np.floating]) -> int:
    """Store one vector per recorded answer, made unit norm, but for answers that have changed or gone since.

    Args:
        writer: The open transaction.
        embedder: Name the vectors are stored under.
        answers: The n answers.
        vectors: (n, d), finite and non-zero, in the order of the answers.

    Returns:
        How many were stored.

    Raises:
        BankError: d is not what this embedder's other vectors have.
        InputError: Wrong shape, or a vector that is zero or not finite.
    """
    check_name("an embedder's name", embedder)
    unit = unit_rows(vectors, rows=len(answers.responses))
    known = reads.dimensions(writer.connection, embedder)
    if known not in (None, unit.shape[1]):
        raise _other_dimensions(embedder, known, unit.shape[1])
    present = reads.responses(writer.connection, answers.llm, list(answers.responses))
    rows: list[Row] = []
    for (question_id, response), vector in zip(answers.responses.items(), unit.astype("<f4"), strict=True):
        if present.get(question_id) != response:
            continue
        key: Row = {"embedder": embedder, "llm": answers.llm, "question_id": question_id}
        row = {**key, "text_hash": answer_hash(response), "vector": vector.tobytes()}
        rows.append({**row, "digest": answer_digest(row)})
    writer.upsert(schema.answer_embeddings, rows)
    return len(rows)


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
        put(writer, TARGETS["embedders"], [values], {})
        writer.default_embedder = writer.default_embedder or name
    elif row.dimensions != dimensions:
        raise _other_dimensions(name, row.dimensions, dimensions)


def _other_dimensions(embedder: str, known: int | None, got: int) -> BankError:
    return BankError(
        f"Vectors of {embedder!r} have {known} dimensions in this bank, got {got}. "
        "Another model needs another embedder name."
    )


def _drop_with(writer: Writer, name: TargetName, ids: Sequence[str]) -> int:
    """Take the rows of some questions out of a table."""
    target = TARGETS[name]
    return sum(drop(writer, target, target.id.in_(chunk)).count for chunk in chunks(ids, _QUESTIONS_AT_ONCE))


def _check_questions(writer: Writer, ids: Collection[str], known: Collection[str] | None = None) -> None:
    present = reads.text_hashes(writer.connection, list(ids)) if known is None else known
    for question_id in ids:
        if question_id not in present:
            raise BankError(f"Question {question_id!r} is not in this bank; add_questions adds it.")
