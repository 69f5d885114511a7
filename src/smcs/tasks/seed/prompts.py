"""What an LLM is sent for a seed question: one short prompt per category, asking for little text."""

from __future__ import annotations

from collections.abc import Mapping

from smcs.errors import InputError, suggest
from smcs.types import GraderName, Message, Question, Sampling

__all__ = ("PROMPTS", "messages", "sampling")

PROMPTS: Mapping[GraderName, str] = {
    "number": (
        "{question}\n\nReply with two short lines and nothing else. The first line is one calculation, the second is"
        ' the result in the form "Answer: <number>".'
    ),
    "choice": (
        "{question}\n\nGive your reason in one short sentence. Then finish with one last line of this form, with the"
        " letter of the right option:\nAnswer: <letter>"
    ),
    "instructions": "{question}",
    "code": (
        "{question}\n\nReply with this one function in a ```python block and nothing else: no explanation, no tests, no"
        " examples."
    ),
}
"""Template per grader; `{question}` is the question with its options."""

_MAX_TOKENS: Mapping[GraderName, int] = {"number": 120, "choice": 140, "instructions": 200, "code": 220}


def messages(question: Question) -> tuple[Message, ...]:
    """Return the chat messages that ask a seed question.

    Raises:
        InputError: The question's grader has no prompt.
    """
    return (Message("user", PROMPTS[_kind(question)].replace("{question}", question.prompt())),)


def sampling(question: Question) -> Sampling:
    """Return the token limit for an answer; everything else is the LLM's own choice.

    Raises:
        InputError: The question's grader has no prompt.
    """
    return Sampling(max_tokens=_MAX_TOKENS[_kind(question)])


def _kind(question: Question) -> GraderName:
    if question.grader is None or question.grader not in PROMPTS:
        raise InputError(
            f"Question {question.id!r} has no seed prompt: grader"
            f" {question.grader!r}.{suggest(str(question.grader), PROMPTS)}"
        )
    return question.grader
