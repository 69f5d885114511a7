"""What the engine tests share: a bank of additions, and answerers that follow a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from smcs.bank import QuestionBank
from smcs.types import Attempt, Choice, Completion, Message, Question, Request, Usage


def additions(count: int, *, tasks: int = 2) -> tuple[Question, ...]:
    """Questions whose gold is a number, spread over some tasks."""
    return tuple(
        Question(f"q{i:04d}", f"What is {i} + 1?", task=f"t{i * tasks // count}", gold=str(i + 1), grader="number")
        for i in range(count)
    )


def ask(question: Question) -> tuple[Message, ...]:
    """The prompt of an addition."""
    return (Message("user", question.text),)


def new_bank(folder: Path) -> QuestionBank:
    """An empty bank in a folder."""
    return QuestionBank.create(folder / "bank.db")


class CountingLLM:
    """Adds one to the first number of the prompt, wrongly where `wrong` says so; counts calls in flight."""

    def __init__(
        self,
        *,
        delay: float = 0.0,
        wrong: Callable[[int], bool] = lambda number: False,
        fails: Callable[[int], Exception | None] = lambda number: None,
    ) -> None:
        self.delay = delay
        self.wrong = wrong
        self.fails = fails
        self.asked: list[int] = []
        self.requests: list[Request] = []
        self.in_flight = 0
        self.most_in_flight = 0

    async def complete(self, request: Request, *, on_delta: object = None) -> Completion:
        number = int("".join(filter(str.isdigit, request.messages[-1].content.partition("+")[0])))
        self.asked.append(number)
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.in_flight -= 1
        error = self.fails(number)
        if error is not None:
            raise error
        answer = 0 if self.wrong(number) else number + 1
        return Completion((Choice(f"Answer: {answer}"),), Usage(10, 3))


class NamedAnswerer:
    """An answerer that is no LLM."""

    def __init__(self, name: str, answer: str) -> None:
        self.name = name
        self._answer = answer

    async def answer(self, question: Question, sample: int = 0) -> Attempt:
        return Attempt(self.name, "grading", "ok", choices=(Choice(self._answer),))
