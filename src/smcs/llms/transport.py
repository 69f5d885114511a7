"""The bounds on one HTTP exchange: how long each phase may take and how large the body may grow."""

from __future__ import annotations

import asyncio

import aiohttp

from smcs.errors import LLMError
from smcs.llms.session import Timeouts

__all__ = ("BoundedBody", "Deadline")

_TRAILER_SECONDS = 0.1


class Deadline:
    """One timer for all phases of a call: each phase moves it, `Timeouts.total` bounds it."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        now = self._loop.time()
        self._end = now + timeouts.total
        self._phase, self._seconds = "the first byte", timeouts.first_byte
        self.timer = asyncio.timeout_at(min(now + timeouts.first_byte, self._end))
        """Context manager around the exchange, or around the part of it that `renew` was called for.

        It begins with the wait for the response headers.
        """

    @property
    def passed(self) -> bool:
        """Whether a limit was passed."""
        return self.timer.expired() or self._loop.time() >= self._end

    def renew(self) -> asyncio.Timeout:
        """Begin to wait for the next piece of the body, and return a new timer for that part of the exchange.

        An async generator must leave its timer before it yields: it would go off in whoever iterates.
        """
        self.timer = asyncio.timeout_at(self._next_bytes())
        return self.timer

    def next_bytes(self) -> None:
        """Begin to wait for the next piece of the body."""
        self.timer.reschedule(self._next_bytes())

    def _next_bytes(self) -> float:
        self._phase, self._seconds = "the next bytes of the body", self._timeouts.between_bytes
        return min(self._loop.time() + self._seconds, self._end)

    def describe(self) -> str:
        """Say which limit was passed."""
        if self._loop.time() >= self._end:
            return f"the whole call took more than {self._timeouts.total:g} s"
        return f"{self._phase} did not come within {self._seconds:g} s"


class BoundedBody:
    """A response body that is read in pieces and may not grow past a cap (counted after decompression)."""

    def __init__(self, response: aiohttp.ClientResponse, deadline: Deadline, *, cap: int, llm: str) -> None:
        self._content = response.content
        self._deadline = deadline
        self._cap = cap
        self._llm = llm
        self._size = 0

    async def next(self) -> bytes:
        """Return the next piece, empty at the end.

        Raises:
            LLMError: The cap is passed.
        """
        if (here := self._here()) is not None:
            return here
        self._deadline.next_bytes()
        return self._counted(await self._content.readany())

    async def next_alone(self) -> bytes:
        """Return the next piece, empty at the end, with a timer of its own: for async generators.

        Raises:
            LLMError: The cap is passed.
            TimeoutError: A limit of the deadline is.
        """
        if self._deadline.passed:
            raise TimeoutError
        if (here := self._here()) is not None:
            return here
        async with self._deadline.renew():
            return self._counted(await self._content.readany())

    def _here(self) -> bytes | None:
        """Return what has arrived, empty at the end, and `None` where that must be waited for: only then time runs."""
        waiting = self._content.read_nowait()
        return self._counted(waiting) if waiting or self._content.at_eof() else None

    def handed_on(self) -> None:
        """Count from zero again: what came so far is no longer held."""
        self._size = 0

    async def read(self) -> bytes:
        """Return the whole body."""
        chunks = []
        while chunk := await self.next():
            chunks.append(chunk)
        return b"".join(chunks)

    async def read_up_to(self, size: int) -> bytes:
        """Return the beginning of the body, of at least `size` bytes if it has as many."""
        head = b""
        while len(head) < size and (chunk := await self.next()):
            head += chunk
        return head

    def _counted(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        if self._size > self._cap:
            raise LLMError(f"the body is larger than the cap of {self._cap:,} bytes", llm=self._llm)
        return chunk

    async def skip_end(self) -> None:
        """Take the end of a body that has said all, so that its connection can be used again."""
        try:
            async with asyncio.timeout(_TRAILER_SECONDS):
                await self._content.readany()
        except (TimeoutError, aiohttp.ClientError):
            return  # The answer is complete; only the connection is lost.
