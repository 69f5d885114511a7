"""Figures about a bank: how much is in it, and how well each LLM did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, Integer, cast, func, select

from smcs.bank import reads, schema
from smcs.bank.records import content_hash

__all__ = ("Accuracy", "BankInfo", "EmbedderInfo", "bank_info")


@dataclass(frozen=True)
class Accuracy:
    """How an LLM did on some questions. What is missing or ungraded counts neither as right nor as wrong."""

    llm: str
    task: str | None
    """`None` means all tasks."""
    subject: str | None
    """`None` means all subjects."""
    questions: int
    """How many the bank has."""
    graded: int
    """Outcomes with a score: what `accuracy` is the mean of."""
    ungraded: int
    """Outcomes without a score."""
    accuracy: float | None
    """Mean score from 0 to 1; `None` if nothing is graded."""

    @property
    def missing(self) -> int:
        """Questions without an outcome."""
        return self.questions - self.graded - self.ungraded


@dataclass(frozen=True)
class EmbedderInfo:
    """The vectors of one embedder."""

    name: str
    dimensions: int
    embedded: int
    """Questions whose present text has a vector."""
    stale: int
    """Questions whose text has changed since."""
    default: bool


@dataclass(frozen=True)
class BankInfo:
    """A bank in figures."""

    url: str
    schema_version: int
    created: float
    """Unix seconds."""
    content_hash: str
    questions: int
    outcomes: int
    """Recorded (question, LLM) pairs, graded or not."""
    embedders: tuple[EmbedderInfo, ...]
    llms: tuple[Accuracy, ...]
    """Each LLM over everything, sorted by name."""
    subjects: tuple[Accuracy, ...]
    """Each LLM on each task and subject, sorted by task, subject and name."""
    answers: Mapping[str, int] = field(default_factory=dict[str, int])
    """Embedder -> recorded answers that have a vector of it, sorted by name."""

    @property
    def missing(self) -> int:
        """(question, LLM) pairs without an outcome."""
        return self.questions * len(self.llms) - self.outcomes


def bank_info(connection: Connection, *, url: str) -> BankInfo:
    """Count and average with SQL, in one read transaction."""
    manifest = reads.manifest_row(connection)
    subjects = _subjects(connection)
    names = reads.llm_names(connection)
    questions = reads.question_count(connection)
    return BankInfo(
        url=url,
        schema_version=manifest.schema_version,
        created=manifest.created,
        content_hash=content_hash(manifest.content_sum),
        questions=questions,
        outcomes=reads.outcome_count(connection),
        embedders=_embedders(connection, manifest.default_embedder),
        llms=tuple(_overall(name, questions, [part for part in subjects if part.llm == name]) for name in names),
        subjects=subjects,
        answers=reads.answer_counts(connection),
    )


def _subjects(connection: Connection) -> tuple[Accuracy, ...]:
    question, outcome = schema.questions, schema.outcomes
    group = (question.c.task, question.c.subject)
    totals = {(row[0], row[1]): row[2] for row in connection.execute(select(*group, func.count()).group_by(*group))}
    statement = (
        select(outcome.c.llm, *group, func.count(), func.count(outcome.c.score), func.avg(outcome.c.score))
        .join(question, question.c.id == outcome.c.question_id)
        .group_by(outcome.c.llm, *group)
    )
    found = {(row[1], row[2], row[0]): (row[3], row[4], row[5]) for row in connection.execute(statement)}
    names = reads.llm_names(connection)
    rows: list[Accuracy] = []
    for task, subject, llm in sorted((task, subject, llm) for task, subject in totals for llm in names):
        count, graded, mean = found.get((task, subject, llm), (0, 0, None))
        rows.append(Accuracy(llm, task, subject, totals[task, subject], graded, count - graded, mean))
    return tuple(rows)


def _overall(llm: str, questions: int, parts: list[Accuracy]) -> Accuracy:
    graded = sum(part.graded for part in parts)
    total = sum(part.graded * part.accuracy for part in parts if part.accuracy is not None)
    ungraded = sum(part.ungraded for part in parts)
    return Accuracy(llm, None, None, questions, graded, ungraded, total / graded if graded else None)


def _embedders(connection: Connection, default: str | None) -> tuple[EmbedderInfo, ...]:
    embedder, embedding, question = schema.embedders, schema.embeddings, schema.questions
    fresh = func.sum(cast(embedding.c.text_hash == question.c.text_hash, Integer))
    statement = (
        select(embedder.c.name, embedder.c.dimensions, func.count(embedding.c.question_id), fresh)
        .outerjoin(embedding, embedding.c.embedder == embedder.c.name)
        .outerjoin(question, question.c.id == embedding.c.question_id)
        .group_by(embedder.c.name, embedder.c.dimensions)
    )
    rows = sorted(
        (name, dimensions, count, good or 0) for name, dimensions, count, good in connection.execute(statement)
    )
    return tuple(EmbedderInfo(name, d, good, count - good, name == default) for name, d, count, good in rows)
