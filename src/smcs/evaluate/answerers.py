"""What the engine runs: anything with a name that answers a question."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from smcs.evaluate.budget import Budget, call_bound
from smcs.llms.pool import Member, attempt, member_request
from smcs.types import Attempt, Message, Question, Request, Sampling, Usage

__all__ = ("Answerer", "MemberAnswerer", "call_seed")


class Answerer(Protocol):
    """An LLM or a strategy."""

    @property
    def name(self) -> str:
        """Name its outcomes are recorded under."""
        ...

    async def answer(self, question: Question, sample: int = 0) -> Attempt:
        """Answer a question.

        Args:
            question: What is asked.
            sample: Number of the answer, from 0, where a question is answered several times.

        Returns:
            How it went. A failure is an attempt whose status says so, never an exception; "skipped" means that nothing
            was asked because a cap is reached, and ends the answerer's run.
        """
        ...


def call_seed(seed: int, question_id: str, sample: int = 0) -> int:
    """Return the seed of one call, from 0 to 2**31 - 1.

    It follows from its arguments alone: whatever was asked before, and however often a run was interrupted, the same
    call gets the same seed.
    """
    digest = hashlib.sha256(f"{seed}\0{question_id}\0{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


class MemberAnswerer:
    """One LLM of the pool, asked with a prompt of the caller's choice."""

    def __init__(
        self,
        member: Member,
        messages: Callable[[Question], tuple[Message, ...]],
        sampling: Callable[[Question], Sampling],
        *,
        call_seconds: float | None = None,
        seed: int | None = None,
        budget: Budget | None = None,
    ) -> None:
        """Bind a member to prompts.

        Args:
            member: The LLM with its settings.
            messages: The prompt of a question.
            sampling: Sampling of a question; the member's own is laid over it.
            call_seconds: Seconds one call may take, retries included; `None` leaves it to the LLM.
            seed: Gives every call a seed of its own (`call_seed`); `None` leaves seeds to `sampling`.
            budget: What calls are paid from; a call that may not fit is skipped.
        """
        self._member = member
        self._messages = messages
        self._sampling = sampling
        self._call_seconds = call_seconds
        self._seed = seed
        self._budget = budget

    @property
    def name(self) -> str:
        """The member's name."""
        return self._member.name

    async def answer(self, question: Question, sample: int = 0) -> Attempt:
        """Ask the LLM once."""
        sampling = self._sampling(question)
        if self._seed is not None:
            sampling = replace(sampling, seed=call_seed(self._seed, question.id, sample))
        request = Request(self._messages(question), sampling=sampling)
        if self._budget is None:
            return await self._ask(request)
        return await self._pay(request, self._budget)

    async def _ask(self, request: Request) -> Attempt:
        deadline = None if self._call_seconds is None else time.monotonic() + self._call_seconds
        return await attempt(self._member, request, stage="grading", clock=time.monotonic, deadline=deadline)

    async def _pay(self, request: Request, budget: Budget) -> Attempt:
        """Ask if the dearest outcome fits; what a call cost counts as that much until it is known."""
        bound = call_bound(self._member, member_request(self._member, request))
        if not await budget.reserve(bound):
            why = f"the next call may cost ${bound:.4f}, and ${budget.left:.4f} of ${budget.max_usd:g} are left"
            nothing = Usage(0, 0, 0)
            return Attempt(self.name, "grading", "skipped", error=why, tries=0, usage=nothing, cost_usd=0.0)
        spent = bound
        try:
            done = await self._ask(request)
            if done.status == "ok":
                spent = bound if done.cost_usd is None else done.cost_usd
            elif done.status == "error":
                spent = 0.0  # Refused or broken off before an answer; what may have been generated is charged above.
            return done
        finally:
            budget.settle(bound, spent)
