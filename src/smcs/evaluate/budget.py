"""A cap on money that calls in flight cannot break: each call reserves what it may cost before it is sent."""

from __future__ import annotations

import asyncio
import math

from smcs.errors import InputError
from smcs.llms.pool import Member
from smcs.strategies.tokens import ASSUMED_LIMIT
from smcs.types import Request

__all__ = ("ASSUMED_LIMIT", "Budget", "call_bound")

_TEMPLATE_TOKENS = 32
"""What a chat template adds to each message, generously."""


def call_bound(member: Member, request: Request) -> float:
    """Return the most USD a call can cost; 0 where the price is unknown.

    No token is shorter than a byte, and no answer longer than `max_tokens`, else the context window, else
    `ASSUMED_LIMIT`.

    Args:
        member: Whose price counts.
        request: As it is sent.
    """
    if member.price is None:
        return 0.0
    read = sum(len(message.content.encode()) + _TEMPLATE_TOKENS for message in request.messages)
    written = request.sampling.max_tokens or member.context_window or ASSUMED_LIMIT
    return (read * member.price.input + written * request.n * member.price.output) / 1e6


class Budget:
    """Money for many calls at once, in one event loop."""

    def __init__(self, max_usd: float, *, spent: float = 0.0) -> None:
        """Set the cap, and what of it is spent already.

        Raises:
            InputError: It is negative or not finite.
        """
        if not (math.isfinite(max_usd) and max_usd >= 0):
            raise InputError(f"`max_usd` must be a finite number of at least 0, got {max_usd!r}.")
        self.max_usd = max_usd
        self.spent = spent
        """USD of settled calls."""
        self._reserved = 0.0
        self._in_flight = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def left(self) -> float:
        """USD neither spent nor reserved."""
        return max(0.0, self.max_usd - self.spent - self._reserved)

    async def reserve(self, usd: float) -> bool:
        """Set an amount aside, waiting for calls in flight to turn out cheaper than feared.

        Returns:
            Whether it is set aside; if not, it does not fit even with nothing in flight.
        """
        while usd > self.max_usd - self.spent - self._reserved:
            if not self._in_flight:
                return False
            settled = asyncio.get_running_loop().create_future()
            self._waiting.append(settled)
            await settled
        self._reserved += usd
        self._in_flight += 1
        return True

    def settle(self, reserved: float, spent: float) -> None:
        """Turn a reservation into what the call cost."""
        self.spent += spent
        self._in_flight -= 1
        self._reserved = self._reserved - reserved if self._in_flight else 0.0
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
