"""Figures about a bank: how much is in it, and how well each LLM did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Integer, cast, func, select

from smcs.bank import reads, schema
from smcs.bank.columns import packed, score_columns, unpacked
from smcs.bank.records import content_hash

__all__ = ("Accuracy", "BankInfo", "EmbedderInfo", "bank_info")

_COARSE = 2.0**26


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
    """Count and average all of it, as one read transaction sees it."""
    manifest = reads.manifest_row(connection)
    names = reads.llm_names(connection)
    subjects = _subjects(connection, names)
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


def _subjects(connection: Connection, names: Sequence[str]) -> tuple[Accuracy, ...]:
    table = schema.questions
    statement = select(*(packed(connection, column) for column in (table.c.id, table.c.task, table.c.subject)))
    ids, tasks, subjects = map(unpacked, connection.execute(statement).one())
    labels = list(zip(tasks, subjects, strict=True))
    questions = sorted(Counter(labels).items())
    part_of_label = {label: part for part, (label, _) in enumerate(questions)}
    part_of = {question_id: part_of_label[label] for question_id, label in zip(ids, labels, strict=True)}
    counts = [_count(*column, len(questions)) for column in score_columns(connection, names, part_of)]
    rows: list[Accuracy] = []
    for part, ((task, subject), total) in enumerate(questions):
        for llm, count in zip(names, counts, strict=True):
            outcomes, graded, right = count[part]
            mean = right / graded if graded else None
            rows.append(Accuracy(llm, task, subject, total, graded, outcomes - graded, mean))
    return tuple(rows)


def _count(part: NDArray[np.intp], scores: NDArray[np.float64], parts: int) -> list[tuple[int, int, float]]:
    """Return the outcomes, the graded ones and the sum of their scores, for each part."""
    graded = ~np.isnan(scores)
    place, known = part[graded], scores[graded]
    # Coarse scores add up without rounding and what is left is tiny, so the sum does not hang on the order.
    coarse = np.rint(known * _COARSE) / _COARSE
    sums = np.bincount(place, coarse, parts) + np.bincount(place, known - coarse, parts)
    outcomes = np.bincount(part, minlength=parts)
    return list(zip(outcomes.tolist(), np.bincount(place, minlength=parts).tolist(), sums.tolist(), strict=True))


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
