from __future__ import annotations

import pytest

from smcs.errors import InputError
from smcs.tasks.seed import PROMPTS, generate, messages, sampling
from smcs.types import Question


def test_every_question_is_asked_in_full_in_one_user_message() -> None:
    for question in generate():
        (message,) = messages(question)
        assert message.role == "user"
        assert question.prompt() in message.content
        assert question.grader is not None
        extra = len(message.content) - len(question.prompt())
        assert extra == len(PROMPTS[question.grader]) - len("{question}")


def test_answers_are_short() -> None:
    limits = {question.grader: sampling(question).max_tokens for question in generate(count=40)}
    assert set(limits) == {"number", "choice", "instructions", "code"}
    assert all(limit is not None and 100 <= limit <= 220 for limit in limits.values())


def test_a_question_with_braces_is_left_as_it_is() -> None:
    question = Question("q", "What is {question} in {x}?", grader="number", gold="1")
    assert "What is {question} in {x}?" in messages(question)[0].content


def test_a_question_without_grader_is_refused() -> None:
    with pytest.raises(InputError, match="no seed prompt"):
        messages(Question("q", "Why?"))
    with pytest.raises(InputError, match="no seed prompt"):
        sampling(Question("q", "Why?"))
