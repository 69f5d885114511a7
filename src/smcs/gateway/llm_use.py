"""How the LLMs have done of late: calls, failures, seconds, tokens and money of the newest runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

import msgspec
import numpy as np
from sqlalchemy import Connection, select

from smcs.gateway import schema
from smcs.types import AttemptStatus

__all__ = ("LLMUse", "llm_use")

_MOST_RUNS: Final = 2_000
_PAGE: Final = 200
"""Rows that are decoded at once: the event loop gets its turn between two."""


@dataclass(frozen=True, slots=True)
class LLMUse:
    """What the newest runs asked of one LLM, and how it did.

    How often it wrote the answer is not here: that stands in the runs' records, which are not read for this.
    """

    llm: str
    _: KW_ONLY
    runs: int
    """Runs that called it."""
    calls: int
    """Calls that were sent."""
    failures: Mapping[AttemptStatus, int]
    """Calls without an answer that speak against it, by how they ended: "error", "timeout" or "empty"."""
    cancelled: int
    """Calls that were given up, mostly because enough others had answered."""
    median_seconds: float | None
    """Of calls that ended well; `None` without one."""
    p95_seconds: float | None
    prompt_tokens: int
    """Of calls that reported them."""
    completion_tokens: int
    cost_usd: float | None
    """`None` where `unknown` is not 0."""
    known_cost_usd: float
    unknown: int
    """Calls whose cost is unknown."""

    @property
    def failed(self) -> int:
        """Calls without an answer that speak against it."""
        return sum(self.failures.values())

    @property
    def error_rate(self) -> float | None:
        """Share of failures among the calls that were not given up, 0 to 1; `None` without one."""
        judged = self.calls - self.cancelled
        return self.failed / judged if judged else None


class _Call(msgspec.Struct, gc=False):
    """What is read of an `AttemptSummary`."""

    llm: str
    status: AttemptStatus
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class _Sums:
    runs: int = 0
    calls: list[_Call] = field(default_factory=list[_Call])

    def close(self, llm: str) -> LLMUse:
        calls = self.calls
        seconds = [call.seconds for call in calls if call.status == "ok"]
        median, p95 = np.quantile(seconds, (0.5, 0.95)).tolist() if seconds else (None, None)
        known = [call.cost_usd for call in calls if call.cost_usd is not None]
        failures: dict[AttemptStatus, int] = {}
        for call in calls:
            if call.status in ("error", "timeout", "empty"):
                failures[call.status] = failures.get(call.status, 0) + 1
        return LLMUse(
            llm,
            runs=self.runs,
            calls=len(calls),
            failures=failures,
            cancelled=sum(call.status == "cancelled" for call in calls),
            median_seconds=median,
            p95_seconds=p95,
            prompt_tokens=sum(call.prompt_tokens or 0 for call in calls),
            completion_tokens=sum(call.completion_tokens or 0 for call in calls),
            cost_usd=sum(known) if len(known) == len(calls) else None,
            known_cost_usd=sum(known),
            unknown=len(calls) - len(known),
        )


_calls: Final = msgspec.json.Decoder(list[_Call])


def llm_use(connection: Connection, since: str | None, most: int = _MOST_RUNS) -> tuple[LLMUse, ...]:
    """Return how each LLM did, by name.

    Args:
        connection: Where the runs are read.
        since: Of runs from this moment on, as the ledger keeps it.
        most: Of at most so many runs, the newest.
    """
    runs = schema.runs
    query = select(runs.c.attempts)
    if since is not None:
        query = query.where(runs.c.created >= since)
    newest = query.order_by(runs.c.created.desc(), runs.c.id.desc()).limit(most)
    sums: dict[str, _Sums] = {}
    for page in connection.execute(newest).scalars().partitions(_PAGE):
        _add(sums, page)
    return tuple(each.close(llm) for llm, each in sorted(sums.items()))


def _add(sums: dict[str, _Sums], page: Sequence[str]) -> None:
    for attempts in page:
        asked: set[str] = set()
        for call in _calls.decode(attempts):
            if call.status == "skipped":
                continue
            mine = sums.setdefault(call.llm, _Sums())
            mine.calls.append(call)
            asked.add(call.llm)
        for llm in asked:
            sums[llm].runs += 1
