"""Hard caps on calls, seconds and money, checked before each call is sent.

Money is reserved at a call's worst case (every token it may write) and settled at what it used, so that calls in
flight at the same time cannot pass the cap together. An LLM whose price is unknown cannot be called under a money cap:
its cost could not be bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from smcs.errors import BudgetExceededError
from smcs.llms import Member
from smcs.types import Attempt, Request, Usage

__all__ = ("BYTES_PER_TOKEN", "Budget", "worst_case_usd")

BYTES_PER_TOKEN = 2
"""A pessimistic reading of how much text a prompt token holds; tokenizers of English average about 4."""


def worst_case_usd(member: Member, request: Request) -> float | None:
    """Return the most USD a call can cost; `None` when its price or its length has no bound."""
    max_tokens = member.sampling.over(request.sampling).max_tokens
    if member.price is None:
        return None
    prompt = sum(len(message.content.encode()) for message in request.messages) / BYTES_PER_TOKEN
    return member.price.cost(Usage(math.ceil(prompt), None if max_tokens is None else max_tokens * request.n))


class Budget:
    """What one run may still spend.

    Args:
        clock: Seconds since the run began.
        max_calls: Most calls, or `None`.
        max_seconds: Most seconds, or `None`.
        max_usd: Most USD, or `None`.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        max_calls: int | None = None,
        max_seconds: float | None = None,
        max_usd: float | None = None,
    ) -> None:
        self._clock = clock
        self._max_calls = max_calls
        self._max_seconds = max_seconds
        self._max_usd = max_usd
        self._calls = 0
        self._committed_usd = 0.0

    @property
    def deadline(self) -> float | None:
        """The time on the run's clock at which it must be over; `None` when there is no such time."""
        return self._max_seconds

    def reserve(self, member: Member, request: Request, *, keep_calls: int = 0, share: float = 1.0) -> float:
        """Set aside one call and its worst-case cost.

        Args:
            member: Who would be called.
            request: With what.
            keep_calls: Calls that must be left after this one.
            share: Part of the seconds and of the money, in (0, 1], that may be used up by then; the rest is kept for
                what comes later.

        Returns:
            The USD set aside, to be handed to `settle`.

        Raises:
            BudgetExceededError: The call would pass a cap; nothing was set aside.
        """
        if self._max_calls is not None and self._calls + keep_calls >= self._max_calls:
            raise BudgetExceededError(f"max_calls={self._max_calls} is used up")
        if self._max_seconds is not None and self._clock() >= share * self._max_seconds:
            raise BudgetExceededError(f"max_seconds={self._max_seconds:g} has passed")
        held = 0.0
        if self._max_usd is not None:
            cost = worst_case_usd(member, request)
            if cost is None:
                raise BudgetExceededError(
                    f"max_usd is set but what a call of {member.name} costs has no known bound; "
                    "give it a price and max_tokens"
                )
            if self._committed_usd + cost > share * self._max_usd:
                raise BudgetExceededError(
                    f"max_usd={self._max_usd:g}: {self._committed_usd:.6f} are spent or reserved "
                    f"and this call may cost {cost:.6f}"
                )
            held = cost
        self._calls += 1
        self._committed_usd += held
        return held

    def settle(self, held: float, attempt: Attempt) -> None:
        """Replace a reservation by the call's real cost; an unknown one keeps the worst case, one not sent nothing."""
        if attempt.status == "skipped":
            self._calls -= 1
        if attempt.cost_usd is not None and self._max_usd is not None:
            self._committed_usd += attempt.cost_usd - held
