"""The one door to all graders."""

from __future__ import annotations

from typing import get_args

from smcs.errors import InputError, suggest
from smcs.grading.choice import grade_choice
from smcs.grading.exact import grade_exact
from smcs.grading.ifeval import grade_ifeval
from smcs.grading.instructions import grade_instructions
from smcs.grading.mathematics import grade_math
from smcs.grading.number import grade_number
from smcs.types import Grade, GraderName, Question

__all__ = ("grade",)


def grade(question: Question, answer: str) -> Grade:
    """Say whether an answer to a question is right.

    Takes bounded time whatever the answer contains; programs run in a sandbox with a time limit.

    Args:
        question: Names its grader, and carries the gold or the check it needs.
        answer: What was answered, as free text. A call that failed is no answer: do not grade it.

    Returns:
        A score from 0 to 1, or `None` when the grader itself gave way. An answer in which nothing can be recognised
        is wrong.

    Raises:
        InputError: The question has no grader, an unknown one, or lacks what its grader needs.
    """
    match question.grader:
        case "choice":
            return grade_choice(question, answer)
        case "number":
            return grade_number(question, answer)
        case "math":
            return grade_math(question, answer)
        case "exact":
            return grade_exact(question, answer)
        case "instructions":
            return grade_instructions(question, answer)
        case "ifeval":
            return grade_ifeval(question, answer)
        case "code":
            from smcs.grading.code import grade_code

            return grade_code(question, answer)
    names = get_args(GraderName)
    raise InputError(
        f"Question {question.id!r} cannot be graded: its grader is {question.grader!r}."
        f"{suggest(str(question.grader), names)}"
    )
