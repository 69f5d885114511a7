"""What can be asked of a bank's tables, on an open connection. Every order is by id or name, so it follows content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, and_, func, or_, select

from smcs.bank import schema
from smcs.bank.columns import score_columns
from smcs.bank.records import outcome_of, question_of
from smcs.errors import BankError, suggest
from smcs.types import Outcome, Question

__all__ = (
    "OutcomeMatrix",
    "answer_counts",
    "answer_texts",
    "answered",
    "answers_without_embedding",
    "check_llms",
    "chunks",
    "dimensions",
    "embedder_names",
    "embedder_row",
    "existing_questions",
    "extracted_answers",
    "fresh_embedding_ids",
    "graders",
    "ids_without_embedding",
    "llm_names",
    "manifest_row",
    "outcome_count",
    "outcome_counts",
    "outcome_matrix",
    "outcomes_on",
    "question_count",
    "question_ids",
    "question_rows",
    "questions",
    "questions_by_id",
    "recorded",
    "responses",
    "text_hashes",
    "vectors",
)

T = TypeVar("T")


@dataclass(frozen=True)
class OutcomeMatrix:
    """Which LLM got which question right: the capability matrix V (paper Eq. 1), with holes."""

    question_ids: tuple[str, ...]
    """N ids, sorted: one per row."""
    llms: tuple[str, ...]
    """R names, sorted: one per column."""
    scores: NDArray[np.float32]
    """(N, R), from 0 to 1; NaN where there is no outcome or it was not graded."""


def chunks(items: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    """Yield consecutive slices, short enough for the number of variables a statement may have."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def manifest_row(connection: Connection) -> Row[Any]:
    """Return the manifest."""
    return connection.execute(select(schema.manifest)).one()


def question_count(connection: Connection) -> int:
    """Return N."""
    return connection.execute(select(func.count()).select_from(schema.questions)).scalar_one()


def outcome_count(connection: Connection) -> int:
    """Return how many (question, LLM) pairs have an outcome, graded or not."""
    return connection.execute(select(func.count()).select_from(schema.outcomes)).scalar_one()


def outcome_counts(connection: Connection) -> dict[str, int]:
    """Return LLM -> questions that have an outcome of it, graded or not; zero for an LLM that was asked nothing."""
    table = schema.outcomes
    found = connection.execute(select(table.c.llm, func.count()).group_by(table.c.llm))
    counts = {str(row[0]): int(row[1]) for row in found}
    return {name: counts.get(name, 0) for name in llm_names(connection)}


def question_ids(connection: Connection) -> tuple[str, ...]:
    """Return all question ids, sorted."""
    return tuple(sorted(connection.execute(select(schema.questions.c.id)).scalars()))


def questions(connection: Connection) -> tuple[Question, ...]:
    """Return all questions, sorted by id."""
    found = (question_of(row) for row in connection.execute(select(schema.questions)).mappings())
    return tuple(sorted(found, key=lambda question: question.id))


def questions_by_id(connection: Connection, ids: Iterable[str]) -> tuple[Question, ...]:
    """Return the questions of some ids, in their order.

    Raises:
        BankError: An id is not in the bank.
    """
    wanted = list(ids)
    found = existing_questions(connection, wanted)
    for question_id in wanted:
        if question_id not in found:
            raise BankError(f"There is no question {question_id!r} in this bank.")
    return tuple(found[question_id] for question_id in wanted)


def existing_questions(connection: Connection, ids: Sequence[str]) -> dict[str, Question]:
    """Return id -> question for those ids that exist, in their order."""
    found: dict[str, Question] = {}
    for chunk in chunks(ids):
        statement = select(schema.questions).where(schema.questions.c.id.in_(chunk))
        found.update((row["id"], question_of(row)) for row in connection.execute(statement).mappings())
    return {question_id: found[question_id] for question_id in ids if question_id in found}


def question_rows(connection: Connection, ids: Sequence[str]) -> dict[str, Row[Any]]:
    """Return id -> row for those ids that exist."""
    found: dict[str, Row[Any]] = {}
    for chunk in chunks(ids):
        statement = select(schema.questions).where(schema.questions.c.id.in_(chunk))
        found.update((row.id, row) for row in connection.execute(statement))
    return found


def text_hashes(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Return id -> hash of the present text for those questions that exist."""
    found: dict[str, str] = {}
    for chunk in chunks(ids):
        statement = select(schema.questions.c.id, schema.questions.c.text_hash)
        rows = connection.execute(statement.where(schema.questions.c.id.in_(chunk)))
        found.update((row.id, row.text_hash) for row in rows)
    return found


def llm_names(connection: Connection) -> tuple[str, ...]:
    """Return all LLMs, sorted by name."""
    return tuple(sorted(connection.execute(select(schema.llms.c.name)).scalars()))


def check_llms(connection: Connection, names: Iterable[str]) -> None:
    """Raise `BankError` unless all LLMs are in the bank."""
    known = llm_names(connection)
    for name in names:
        if name not in known:
            raise BankError(f"LLM {name!r} is not in this bank; add_llm({name!r}) adds it.{suggest(name, known)}")


def answered(connection: Connection, llm: str) -> set[str]:
    """Return the ids of the questions that have an outcome of an LLM, graded or not."""
    return set(connection.execute(select(schema.outcomes.c.question_id).where(schema.outcomes.c.llm == llm)).scalars())


def recorded(connection: Connection, llm: str) -> Iterator[Outcome]:
    """Yield an LLM's outcomes by question id, a chunk in memory at a time."""
    table = schema.outcomes
    for chunk in chunks(sorted(answered(connection, llm))):
        statement = select(table).where(table.c.llm == llm, table.c.question_id.in_(chunk))
        rows = connection.execute(statement).mappings()
        yield from sorted((outcome_of(row) for row in rows), key=lambda outcome: outcome.question_id)


def extracted_answers(connection: Connection, llm: str) -> list[tuple[str, float, str, int]]:
    """Return what was read out of an LLM's graded answers, in no order.

    Returns:
        Question id, score, extracted answer and the characters of the text it was read out of.
    """
    table = schema.outcomes
    statement = select(table.c.question_id, table.c.score, table.c.extracted, func.length(table.c.response)).where(
        table.c.llm == llm, table.c.score.is_not(None), table.c.extracted.is_not(None)
    )
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(statement)]


def graders(connection: Connection) -> dict[str, str | None]:
    """Return question id -> the grader of its answers, `None` where the bank names none."""
    table = schema.questions
    return {row[0]: row[1] for row in connection.execute(select(table.c.id, table.c.grader))}


def outcomes_on(connection: Connection, question_id: str) -> tuple[Outcome, ...]:
    """Return the outcomes of all LLMs on one question, sorted by name."""
    statement = select(schema.outcomes).where(schema.outcomes.c.question_id == question_id)
    return tuple(sorted(map(outcome_of, connection.execute(statement).mappings()), key=lambda found: found.llm))


def outcome_matrix(connection: Connection, ids: tuple[str, ...]) -> OutcomeMatrix:
    """Return the scores of all LLMs on some questions (N ids, in the order given)."""
    names = llm_names(connection)
    row_of = {question_id: row for row, question_id in enumerate(ids)}
    matrix = np.full((len(ids), len(names)), np.nan, dtype=np.float32)
    for column, (rows, scores) in enumerate(score_columns(connection, names, row_of)):
        matrix[rows, column] = scores
    return OutcomeMatrix(ids, names, matrix)


def embedder_names(connection: Connection) -> tuple[str, ...]:
    """Return the names of the embedders with vectors, sorted."""
    return tuple(sorted(connection.execute(select(schema.embedders.c.name)).scalars()))


def embedder_row(connection: Connection, name: str) -> Row[Any] | None:
    """Return an embedder's row, or `None` if the bank has no vectors of it."""
    return connection.execute(select(schema.embedders).where(schema.embedders.c.name == name)).one_or_none()


def fresh_embedding_ids(connection: Connection, embedder: str) -> tuple[str, ...]:
    """Return the sorted ids of the questions whose present text has a vector of this embedder."""
    question, embedding = schema.questions, schema.embeddings
    statement = (
        select(question.c.id)
        .join(embedding, embedding.c.question_id == question.c.id)
        .where(embedding.c.embedder == embedder, embedding.c.text_hash == question.c.text_hash)
    )
    return tuple(sorted(connection.execute(statement).scalars()))


def ids_without_embedding(connection: Connection, embedder: str) -> tuple[str, ...]:
    """Return the sorted ids of the questions that have no vector of this embedder or one of another text."""
    question, embedding = schema.questions, schema.embeddings
    on = and_(embedding.c.question_id == question.c.id, embedding.c.embedder == embedder)
    stale = or_(embedding.c.text_hash.is_(None), embedding.c.text_hash != question.c.text_hash)
    return tuple(sorted(connection.execute(select(question.c.id).outerjoin(embedding, on).where(stale)).scalars()))


def vectors(connection: Connection, embedder: str, ids: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """Yield (question id, hash of the embedded text, float32 bytes) of some embedded questions, in their order."""
    table = schema.embeddings
    for chunk in chunks(ids):
        statement = select(table.c.question_id, table.c.text_hash, table.c.vector)
        statement = statement.where(table.c.embedder == embedder, table.c.question_id.in_(chunk))
        found = {row[0]: row for row in connection.execute(statement)}
        yield from (found[question_id] for question_id in chunk)


def dimensions(connection: Connection, embedder: str) -> int | None:
    """Return the length of an embedder's vectors, of questions or answers; `None` if the bank has none of it."""
    row = embedder_row(connection, embedder)
    if row is not None:
        return int(row.dimensions)
    table = schema.answer_embeddings
    size = select(func.length(table.c.vector)).where(table.c.embedder == embedder).limit(1)
    found = connection.execute(size).scalar_one_or_none()
    return None if found is None else int(found) // 4


def responses(connection: Connection, llm: str, ids: Sequence[str]) -> dict[str, str]:
    """Return question id -> text of an LLM's recorded answer, where one is kept."""
    table = schema.outcomes
    found: dict[str, str] = {}
    for chunk in chunks(ids):
        statement = select(table.c.question_id, table.c.response)
        statement = statement.where(table.c.llm == llm, table.c.question_id.in_(chunk), table.c.response != "")
        found.update((row[0], row[1]) for row in connection.execute(statement))
    return found


def answer_counts(connection: Connection) -> dict[str, int]:
    """Return embedder -> recorded answers that have a vector of it, sorted by name."""
    name = schema.answer_embeddings.c.embedder
    return {row[0]: row[1] for row in sorted(connection.execute(select(name, func.count()).group_by(name)))}


def answer_texts(connection: Connection, llm: str) -> int:
    """Return how many of an LLM's recorded answers have a text."""
    table = schema.outcomes
    statement = select(func.count()).select_from(table).where(table.c.llm == llm, table.c.response != "")
    return connection.execute(statement).scalar_one()


def answers_without_embedding(connection: Connection, embedder: str, llm: str) -> tuple[str, ...]:
    """Return the sorted ids of the questions to which an LLM's answer has a text, but no vector of this embedder."""
    outcome, embedding = schema.outcomes, schema.answer_embeddings
    on = and_(
        embedding.c.question_id == outcome.c.question_id,
        embedding.c.llm == outcome.c.llm,
        embedding.c.embedder == embedder,
    )
    statement = select(outcome.c.question_id).outerjoin(embedding, on)
    statement = statement.where(outcome.c.llm == llm, outcome.c.response != "", embedding.c.embedder.is_(None))
    return tuple(sorted(connection.execute(statement).scalars()))
