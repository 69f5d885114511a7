"""Counting a bank again, row by row, against what its manifest says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, and_, select, text

from smcs.bank import reads, schema
from smcs.bank.records import (
    EMPTY_SUM,
    Row,
    add_digests,
    answer_digest,
    answer_hash,
    content_hash,
    llm_digest,
    outcome_digest,
    question_digest,
    question_of,
    vector_digest,
)

__all__ = ("Verified", "verify")

_AT_ONCE = 200
_NAMED = 20


@dataclass(frozen=True)
class Verified:
    """What a full recount found."""

    content_hash: str
    """Of the rows as they are read now."""
    questions: int
    llms: int
    outcomes: int
    embeddings: int
    answer_embeddings: int
    problems: tuple[str, ...]
    """One line each, at most some of a kind; empty if every row says what was stored and all sums fit."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(connection: Connection) -> Verified:
    """Recompute the digest of every row from its content, in one read transaction and constant memory.

    Finds rows that were altered, lost, doubled or added behind the bank's back, outcomes and vectors of questions, LLMs
    or embedders that are not there, and, in SQLite, a damaged file.
    """
    return _Recount(connection).run()


class _Recount:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._problems: list[str] = []
        self._unnamed = 0
        self._sum = EMPTY_SUM

    def run(self) -> Verified:
        manifest = reads.manifest_row(self._connection)
        questions = self._rows(schema.questions, "question")
        llms = reads.llm_names(self._connection)
        self._sum = add_digests(self._sum, new=map(llm_digest, llms))
        outcomes = self._rows(schema.outcomes, "outcome")
        if self._sum != manifest.content_sum:
            self._report(
                f"the content has the hash {content_hash(self._sum)}, the manifest says "
                f"{content_hash(manifest.content_sum)}"
            )
        embeddings = self._embeddings()
        answers = self._answers()
        self._orphans()
        if self._connection.dialect.name == "sqlite":
            for line in self._connection.execute(text("PRAGMA quick_check")).scalars():
                if line != "ok":
                    self._report(f"the file is damaged: {line}")
        if self._unnamed:
            self._problems.append(f"and {self._unnamed:,} more")
        problems = tuple(self._problems)
        return Verified(content_hash(self._sum), questions, len(llms), outcomes, embeddings, answers, problems)

    def _rows(self, table: Table, kind: str) -> int:
        count = 0
        for row in self._stream(table):
            count += 1
            digest = question_digest(row) if kind == "question" else outcome_digest(row)
            if digest != row["digest"]:
                name = row["id"] if kind == "question" else f"{row['llm']} on {row['question_id']}"
                self._report(f"{kind} {name!r} was altered: it is not what its digest was taken of")
            if kind == "question" and question_of(row).content_hash() != row["text_hash"]:
                self._report(f"question {row['id']!r} has the hash of another text")
            self._sum = add_digests(self._sum, new=[digest])
        return count

    def _embeddings(self) -> int:
        count = 0
        for name in reads.embedder_names(self._connection):
            embedder = reads.embedder_row(self._connection, name)
            total = EMPTY_SUM
            for row in self._stream(schema.embeddings, schema.embeddings.c.embedder == name):
                count += 1
                if embedder is None or len(row["vector"]) != 4 * embedder.dimensions:
                    self._report(f"the vector of {name!r} for question {row['question_id']!r} has another length")
                total = add_digests(
                    total, new=[vector_digest(row["question_id"], row["text_hash"], bytes(row["vector"]))]
                )
            if embedder is None or total != embedder.vector_sum:
                self._report(f"the vectors of {name!r} are not those that were stored")
        return count

    def _answers(self) -> int:
        """Check each vector of an answer by itself: one that is missing can be made again, so there is no sum."""
        count = 0
        table, outcome = schema.answer_embeddings, schema.outcomes
        on = and_(outcome.c.question_id == table.c.question_id, outcome.c.llm == table.c.llm)
        sizes = {name: reads.dimensions(self._connection, name) for name in reads.answer_counts(self._connection)}
        statement = select(table, outcome.c.response).outerjoin(outcome, on).execution_options(yield_per=_AT_ONCE)
        for row in map(dict, self._connection.execute(statement).mappings()):
            count += 1
            what = f"the vector of {row['embedder']!r} for the answer of {row['llm']!r} to {row['question_id']!r}"
            if answer_digest(row) != row["digest"]:
                self._report(f"{what} was altered")
            if len(row["vector"]) != 4 * (sizes[row["embedder"]] or 0):
                self._report(f"{what} has another length")
            if row["response"] is None or answer_hash(row["response"]) != row["text_hash"]:
                self._report(f"{what} was made of another text")
        return count

    def _orphans(self) -> None:
        for table, column, owner in (
            (schema.outcomes, schema.outcomes.c.question_id, schema.questions.c.id),
            (schema.outcomes, schema.outcomes.c.llm, schema.llms.c.name),
            (schema.embeddings, schema.embeddings.c.question_id, schema.questions.c.id),
            (schema.embeddings, schema.embeddings.c.embedder, schema.embedders.c.name),
        ):
            statement = select(column).distinct().where(column.not_in(select(owner))).limit(_NAMED)
            for name in self._connection.execute(statement).scalars():
                self._report(f"{table.name} has rows of {name!r}, which is not in {owner.table.name}")

    def _stream(self, table: Table, *conditions: ColumnElement[bool]) -> Iterator[Row]:
        statement = select(table).where(*conditions).execution_options(yield_per=_AT_ONCE)
        for row in self._connection.execute(statement).mappings():
            yield dict(row)

    def _report(self, problem: str) -> None:
        if len(self._problems) < _NAMED:
            self._problems.append(problem)
        else:
            self._unnamed += 1
