"""What the engine runs: anything with a name that answers a question."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from smcs.llms.pool import Member, attempt
from smcs.types import Attempt, Message, Question, Request, Sampling

__all__ = ("Answerer", "MemberAnswerer")


class Answerer(Protocol):
    """An LLM or a strategy."""

    @property
    def name(self) -> str:
        """Name its outcomes are recorded under."""
        ...

    async def answer(self, question: Question) -> Attempt:
        """Answer a question; a failure is an attempt whose status says so, never an exception."""
        ...


class MemberAnswerer:
    """One LLM of the pool, asked with a prompt of the caller's choice."""

    def __init__(
        self,
        member: Member,
        messages: Callable[[Question], tuple[Message, ...]],
        sampling: Callable[[Question], Sampling],
        *,
        call_seconds: float | None = None,
    ) -> None:
        """Bind a member to prompts.

        Args:
            member: The LLM with its settings.
            messages: The prompt of a question.
            sampling: Sampling of a question, laid over the member's own.
            call_seconds: Seconds one call may take, retries included; `None` leaves it to the LLM.
        """
        self._member = member
        self._messages = messages
        self._sampling = sampling
        self._call_seconds = call_seconds

    @property
    def name(self) -> str:
        """The member's name."""
        return self._member.name

    async def answer(self, question: Question) -> Attempt:
        """Ask the LLM once."""
        request = Request(self._messages(question), sampling=self._sampling(question))
        deadline = None if self._call_seconds is None else time.monotonic() + self._call_seconds
        return await attempt(self._member, request, stage="grading", clock=time.monotonic, deadline=deadline)
