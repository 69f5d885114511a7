"""LLMs whose outcomes look wrong: all wrong, worse than guessing, equal to another's, missing or ungraded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from smcs.bank import schema
from smcs.bank.audit.report import Finding
from smcs.bank.info import Accuracy
from smcs.bank.reads import OutcomeMatrix
from smcs.types import Question

__all__ = ("coverage", "identical", "suspicious")

_ENOUGH = 10
"""Fewer graded outcomes than this on a task say nothing about an LLM."""

_FAR_BELOW_CHANCE = -4.0
"""Standard deviations under the expected number of lucky guesses; one LLM and task in 30,000 by accident."""

_ENOUGH_SHARED = 50
_ALIKE = 0.98
"""Share of equal scores from which the answers themselves are compared."""

_SAME_ANSWERS = 0.9
_COMPARED_ANSWERS = 200
_UNGRADED = 0.05


@dataclass(frozen=True, slots=True)
class _Task:
    rows: NDArray[np.intp]
    """Rows of the outcome matrix."""
    chance: NDArray[np.float64]
    """Probability that a guess is right, per row; 0 for questions without options."""


def suspicious(questions: Sequence[Question], matrix: OutcomeMatrix) -> Iterator[Finding]:
    """Find LLMs that got everything wrong or right on a task, or less than guessing would give.

    Args:
        questions: N questions in the order of the matrix' rows.
        matrix: All outcomes.
    """
    for name, task in _tasks(questions).items():
        for column, llm in enumerate(matrix.llms):
            scores = matrix.scores[task.rows, column]
            graded = ~np.isnan(scores)
            count, right = int(graded.sum()), float(scores[graded].sum())
            if count < _ENOUGH:
                continue
            chance = task.chance[graded]
            deviation = float(np.sqrt((chance * (1 - chance)).sum()))
            lucky = float(chance.sum())
            where = f"{llm} on {name or 'questions without a task'}"
            if deviation and (right - lucky) / deviation < _FAR_BELOW_CHANCE:
                message = f"{where}: {right:g} of {count} right where guessing gives {lucky:.0f}: are its answers read?"
                yield Finding("below_chance", "warning", message, llms=(llm,), task=name, value=right / count)
            elif right == 0:
                message = f"{where}: none of {count} right: look at a few of its answers"
                yield Finding("all_wrong", "warning", message, llms=(llm,), task=name, value=0.0)
            elif right == count:
                message = f"{where}: all {count} right: the task tells it from no other LLM, or it knows the answers"
                yield Finding("all_right", "note", message, llms=(llm,), task=name, value=1.0)


def identical(connection: Connection, matrix: OutcomeMatrix) -> Iterator[Finding]:
    """Find pairs of LLMs whose outcomes, or answers where they are stored, are the same."""
    graded = ~np.isnan(matrix.scores)
    scores = np.where(graded, matrix.scores, 0.0).astype(np.float32)
    for left in range(len(matrix.llms)):
        for right in range(left + 1, len(matrix.llms)):
            shared = np.flatnonzero(graded[:, left] & graded[:, right])
            if len(shared) < _ENOUGH_SHARED:
                continue
            first, second = scores[shared, left], scores[shared, right]
            if not 0.02 < float(first.mean()) < 0.98:
                continue  # LLMs that are always wrong agree without being the same
            alike = float((first == second).mean())
            if alike < _ALIKE:
                continue
            names = (matrix.llms[left], matrix.llms[right])
            ids = [matrix.question_ids[row] for row in shared.tolist()]
            same = _same_answers(connection, names, ids)
            if alike == 1.0 or (same is not None and same >= _SAME_ANSWERS):
                answers = "" if same is None else f", {100 * same:.0f} % of their answers word for word"
                message = (
                    f"{names[0]} and {names[1]} have {100 * alike:.1f} % equal scores on {len(shared)} questions"
                    f"{answers}: is it one LLM under two names?"
                )
                yield Finding("identical_llms", "warning", message, llms=names, value=alike)


def coverage(subjects: Iterable[Accuracy]) -> Iterator[Finding]:
    """Find tasks an LLM was asked in part, or answered without a grade.

    Args:
        subjects: Figures per LLM, task and subject.
    """
    parts: dict[tuple[str, str], list[Accuracy]] = defaultdict(list)
    for row in subjects:
        parts[row.llm, row.task or ""].append(row)
    for (llm, task), rows in parts.items():
        questions = sum(row.questions for row in rows)
        graded = sum(row.graded for row in rows)
        missing = sum(row.missing for row in rows)
        ungraded = sum(row.ungraded for row in rows)
        where = f"{llm} on {task or 'questions without a task'}"
        if missing == questions:
            message = f"{where}: none of {questions} questions was asked"
            yield Finding("missing_outcomes", "note", message, llms=(llm,), task=task, value=float(missing))
        elif missing:
            message = f"{where}: {missing} of {questions} questions were not asked: build the bank again to ask them"
            yield Finding("missing_outcomes", "warning", message, llms=(llm,), task=task, value=float(missing))
        if ungraded > _UNGRADED * max(graded + ungraded, 1):
            message = f"{where}: {ungraded} of {graded + ungraded} answers could not be graded"
            yield Finding("ungraded", "warning", message, llms=(llm,), task=task, value=float(ungraded))


def _tasks(questions: Sequence[Question]) -> Mapping[str, _Task]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, question in enumerate(questions):
        rows[question.task].append(row)
    return {
        task: _Task(np.array(found), np.array([_chance(questions[row]) for row in found]))
        for task, found in sorted(rows.items())
    }


def _chance(question: Question) -> float:
    return 1 / len(question.choices) if question.grader == "choice" and question.choices else 0.0


def _same_answers(connection: Connection, llms: tuple[str, str], ids: Sequence[str]) -> float | None:
    """Return the share of equal answers among some shared questions; `None` where no answers are stored."""
    step = max(1, len(ids) // _COMPARED_ANSWERS)
    table = schema.outcomes
    answers: list[dict[str, str]] = []
    for llm in llms:
        statement = select(table.c.question_id, table.c.response).where(
            table.c.llm == llm, table.c.question_id.in_(ids[::step][:_COMPARED_ANSWERS]), table.c.response != ""
        )
        answers.append({row[0]: row[1] for row in connection.execute(statement)})
    shared = answers[0].keys() & answers[1].keys()
    return sum(answers[0][key] == answers[1][key] for key in shared) / len(shared) if shared else None
