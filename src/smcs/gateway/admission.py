"""Who may run now, who waits, and who is refused: a bounded queue that is fair to every key.

Keys take turns, and the requests of one key keep their order. Nobody waits longer than a bound, and nobody can fill the
queue for others: when it is full, the key with the most waiting requests makes room. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from smcs.errors import InputError
from smcs.gateway.errors import GatewayError, overloaded

__all__ = ("Admission", "Ticket")

_SMOOTHING: Final = 0.1
"""Weight of the newest service time in their moving average."""
_RETRY_BOUNDS: Final = (1.0, 60.0)
"""Least and most seconds a refused client is asked to wait."""


class Ticket:
    """Leave to run, until it is given back."""

    __slots__ = ("_give_back", "waited")

    def __init__(self, give_back: Callable[[], None], waited: float) -> None:
        self._give_back: Callable[[], None] | None = give_back
        self.waited = waited
        """Seconds spent in the queue."""

    def release(self) -> None:
        """Give the room back; harmless when called twice."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class _Waiter:
    """One request in the queue."""

    __slots__ = ("arrived", "future", "key", "ticket", "weight")

    def __init__(self, key: str, weight: int, future: asyncio.Future[None], arrived: float) -> None:
        self.key = key
        self.weight = weight
        self.future = future
        self.arrived = arrived
        self.ticket: Ticket | None = None


class Admission:
    """A fair, bounded queue in front of a bounded number of running requests.

    Keys take turns (round robin), the requests of one key are first come, first served. The request whose turn it is
    keeps its turn until there is room for all of its weight, so heavy requests do not starve.

    Args:
        max_running: Most weight that runs at once, at least 1.
        max_waiting: Most requests that wait, 0 or more; when that many do, the key with the most of them loses its
            newest to a key that has fewer.
        max_wait_seconds: Longest wait, 0 or more.
        per_key_share: Share of `max_running` that one key may hold, in (0, 1]; always room for one request.
        clock: Monotonic seconds; can be replaced so tests need not wait.

    Raises:
        InputError: A bound is out of range.
    """

    def __init__(
        self,
        max_running: int,
        max_waiting: int,
        max_wait_seconds: float,
        per_key_share: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._running = 0
        self._held: defaultdict[str, int] = defaultdict(int)
        self._waiting = 0
        self._queues: OrderedDict[str, OrderedDict[_Waiter, None]] = OrderedDict()
        self._blocked = False
        self._closed = False
        self._service: float | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.configure(max_running, max_waiting, max_wait_seconds, per_key_share)

    def configure(
        self, max_running: int, max_waiting: int, max_wait_seconds: float, per_key_share: float = 1.0
    ) -> None:
        """Change the bounds; what runs or waits already stays, and waits as long as it was told.

        Raises:
            InputError: A bound is out of range.
        """
        if max_running < 1:
            raise InputError(f"`max_running` must be at least 1, got {max_running}.")
        if max_waiting < 0:
            raise InputError(f"`max_waiting` must be 0 or more, got {max_waiting}.")
        if not (math.isfinite(max_wait_seconds) and max_wait_seconds >= 0):
            raise InputError(f"`max_wait_seconds` must be a finite number of 0 or more, got {max_wait_seconds}.")
        if not 0 < per_key_share <= 1:
            raise InputError(f"`per_key_share` must be above 0 and at most 1, got {per_key_share}.")
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._max_wait = max_wait_seconds
        self._per_key = max(1, math.floor(per_key_share * max_running))
        self._admit_waiting()

    @property
    def running(self) -> int:
        """Weight that runs now."""
        return self._running

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return self._waiting

    @asynccontextmanager
    async def slot(self, key_id: str | None = None, *, weight: int = 1) -> AsyncIterator[Ticket]:
        """Hold room for the block; see `acquire`."""
        ticket = await self.acquire(key_id, weight=weight)
        try:
            yield ticket
        finally:
            ticket.release()

    async def acquire(self, key_id: str | None = None, *, weight: int = 1) -> Ticket:
        """Wait for room.

        Args:
            key_id: Whose request it is; all requests without a key count as one key's.
            weight: Room it takes, at least 1; more than a key may hold counts as all of that.

        Returns:
            The leave to run; whoever gets it must release it.

        Raises:
            GatewayError: 503 with `retry_after`: the queue is full, the wait was too long, or the server is stopping.
            InputError: `weight` is below 1.
        """
        if weight < 1:
            raise InputError(f"`weight` must be at least 1, got {weight}.")
        if self._closed:
            raise _stopping()
        key = key_id or ""
        if not self._blocked and key not in self._queues and self._fits(key, weight):
            return self._let_in(key, weight)
        if self._waiting >= self._max_waiting and not self._make_room(key):
            raise self._refusal(f"The server is busy and {self._waiting} requests are waiting already.")
        return await self._wait(key, weight)

    def close(self) -> None:
        """Refuse newcomers and everybody who waits; what runs goes on."""
        self._closed = True
        for queue in list(self._queues.values()):
            for waiter in list(queue):
                self._refuse(waiter, _stopping())

    async def idle(self) -> None:
        """Wait until nothing runs."""
        await self._idle.wait()

    async def _wait(self, key: str, weight: int) -> Ticket:
        loop = asyncio.get_running_loop()
        waiter = _Waiter(key, weight, loop.create_future(), self._clock())
        self._queues.setdefault(key, OrderedDict())[waiter] = None
        self._waiting += 1
        self._admit_waiting()
        timer = loop.call_later(self._max_wait, self._expire, waiter)
        try:
            await waiter.future
        except BaseException:
            if waiter.ticket is not None:
                waiter.ticket.release()
            elif self._forget(waiter):
                self._admit_waiting()
            raise
        finally:
            timer.cancel()
        if waiter.ticket is None:
            raise RuntimeError("a request left the queue without a ticket")
        return waiter.ticket

    def _fits(self, key: str, weight: int) -> bool:
        weight = min(weight, self._per_key)
        return self._running + weight <= self._max_running and not self._over_share(key, weight)

    def _over_share(self, key: str, weight: int) -> bool:
        return self._held.get(key, 0) + min(weight, self._per_key) > self._per_key

    def _let_in(self, key: str, weight: int, arrived: float | None = None) -> Ticket:
        weight = min(weight, self._per_key)
        now = self._clock()
        self._running += weight
        self._held[key] += weight
        self._idle.clear()
        waited = 0.0 if arrived is None else now - arrived
        return Ticket(partial(self._release, key, weight, now), waited)

    def _release(self, key: str, weight: int, since: float) -> None:
        seconds = self._clock() - since
        self._service = seconds if self._service is None else self._service + _SMOOTHING * (seconds - self._service)
        self._running -= weight
        self._held[key] -= weight
        if not self._held[key]:
            del self._held[key]
        self._admit_waiting()
        if not self._running:
            self._idle.set()

    def _admit_waiting(self) -> None:
        """Let in whoever has room, in turn; `_blocked` says whether one is left whose turn it is."""
        while (waiter := self._next()) is not None:
            if waiter.future.done():
                self._forget(waiter)
                continue
            if not self._fits(waiter.key, waiter.weight):
                self._blocked = True
                return
            self._forget(waiter)
            if waiter.key in self._queues:
                self._queues.move_to_end(waiter.key)
            waiter.ticket = self._let_in(waiter.key, waiter.weight, waiter.arrived)
            waiter.future.set_result(None)
        self._blocked = False

    def _next(self) -> _Waiter | None:
        """Return the request whose turn it is; keys that hold their whole share already are passed over."""
        heads = (next(iter(queue)) for queue in self._queues.values())
        return next((waiter for waiter in heads if not self._over_share(waiter.key, waiter.weight)), None)

    def _forget(self, waiter: _Waiter) -> bool:
        """Take a request out of the queue; return whether it was in it."""
        queue = self._queues.get(waiter.key)
        if queue is None or waiter not in queue:
            return False
        del queue[waiter]
        self._waiting -= 1
        if not queue:
            del self._queues[waiter.key]
        return True

    def _make_room(self, key: str) -> bool:
        """Refuse the newest request of the key with the most waiting, if `key` would still have fewer than it."""
        longest = max(self._queues.values(), key=len, default=None)
        if longest is None or len(self._queues.get(key, ())) + 1 >= len(longest):
            return False
        newest = next(reversed(longest))
        self._refuse(
            newest, self._refusal("The server is busy, and other keys have fewer requests waiting than yours.")
        )
        return True

    def _expire(self, waiter: _Waiter) -> None:
        waited = self._clock() - waiter.arrived
        self._refuse(waiter, self._refusal(f"The server is busy: there was no room within {waited:.1f} seconds."))
        self._admit_waiting()

    def _refuse(self, waiter: _Waiter, error: GatewayError) -> None:
        self._forget(waiter)
        if not waiter.future.done():
            waiter.future.set_exception(error)

    def _refusal(self, message: str) -> GatewayError:
        """Return the error, with the seconds after which the queue should have been worked off."""
        service = 1.0 if self._service is None else self._service
        least, most = _RETRY_BOUNDS
        seconds = min(most, max(least, service * (self._waiting + 1) / self._max_running))
        return overloaded(f"{message} Try again in {math.ceil(seconds)} s.", seconds)


def _stopping() -> GatewayError:
    return overloaded("The server is stopping.", _RETRY_BOUNDS[0])
