"""What a bank remembers beside its content: notes of whoever fills it, and what answers have cost so far."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, Text, case, delete, func, inspect, select

from smcs.bank import schema
from smcs.bank.answers import AnswersBank
from smcs.bank.records import check_name
from smcs.errors import InputError

__all__ = ("NotedBank", "TaskUsage")

_metadata = MetaData()

_notes = Table("bank_notes", _metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))
"""Made by the first note that is written, so that it is no part of the schema version."""


@dataclass(frozen=True)
class TaskUsage:
    """What an LLM's answers to the questions of one task took."""

    llm: str
    task: str
    answers: int
    """Answers whose written tokens are known, every sample counted."""
    completion_tokens: int
    """Tokens written in them."""
    cost_usd: float
    """USD of the answers whose cost is known."""


class NotedBank(AnswersBank):
    """The part of a `QuestionBank` that keeps notes and adds tokens up."""

    def get_note(self, key: str) -> Any:
        """Return a note, or `None` if there is none of that key."""
        with self._read() as connection:
            if not inspect(connection).has_table(_notes.name):
                return None
            value = connection.execute(select(_notes.c.value).where(_notes.c.key == key)).scalar_one_or_none()
        return None if value is None else json.loads(value)

    def set_note(self, key: str, value: Any) -> None:
        """Write a note, in the place of an earlier one. Notes are no part of the content: its hash stays.

        Args:
            key: Names it.
            value: JSON; `None` takes the note away.

        Raises:
            InputError: The value is not JSON, or the key is empty.
        """
        check_name("a note's key", key)
        try:
            text = json.dumps(value, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"The note {key!r} must be JSON: {error}.") from error
        with self._write() as writer:
            _metadata.create_all(writer.connection)
            if value is None:
                writer.connection.execute(delete(_notes).where(_notes.c.key == key))
            else:
                writer.upsert(_notes, [{"key": key, "value": text}])

    def usage(self) -> tuple[TaskUsage, ...]:
        """Return what answers took, by LLM and task; what is not known is left out."""
        outcome, question = schema.outcomes, schema.questions
        known = outcome.c.completion_tokens.is_not(None)
        answers = func.sum(case((known, outcome.c.samples), else_=0)).cast(Integer)
        written = func.coalesce(func.sum(outcome.c.completion_tokens), 0).cast(Integer)
        cost = func.coalesce(func.sum(outcome.c.cost_usd), 0.0)
        statement = (
            select(outcome.c.llm, question.c.task, answers, written, cost)
            .join(question, question.c.id == outcome.c.question_id)
            .group_by(outcome.c.llm, question.c.task)
            .order_by(outcome.c.llm, question.c.task)
        )
        with self._read() as connection:
            return tuple(TaskUsage(*row) for row in connection.execute(statement))
