"""What every response says of the run behind it: in the `smcs` field, and in headers for who reads no body."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

from smcs.llms.untrusted import one_line
from smcs.run import Run

__all__ = ("SmcsInfo",)


@dataclass(frozen=True, slots=True)
class SmcsInfo:
    """Where an answer came from, what it cost and what it lacks."""

    run_id: str
    """32 hexadecimal digits; the record is at `/v1/runs/{id}`."""
    strategy: str
    """Name of the strategy, or "pass_through" where one LLM was asked by its name."""
    _: KW_ONLY
    answered_by: str | None = None
    """LLM that wrote the answer."""
    degraded: tuple[str, ...] = ()
    """Why the answer is less than was asked for; empty for a full run."""
    calls: int = 0
    """LLM calls that were sent."""
    seconds: float = 0.0
    """Wall time."""
    cost_usd: float | None = None
    """USD of all calls; `None` as soon as the price of one is unknown, never 0 for that."""
    known_cost_usd: float = 0.0
    """USD of the calls whose price is known: a lower bound."""
    cached: bool = False
    """Whether the answer was given before, and nothing was spent on it now."""
    run: Run | None = None
    """The whole record, where the client asked for it (`explain`)."""

    @classmethod
    def of_run(cls, run: Run, *, explain: bool = False, cached: bool = False) -> Self:
        """Return what a response says of a run.

        Args:
            run: The record.
            explain: Whether the client asked for all of it.
            cached: Whether the answer comes from a cache.
        """
        return cls(
            run.id,
            run.strategy,
            answered_by=run.answered_by,
            degraded=run.degraded,
            calls=run.calls,
            seconds=run.seconds,
            cost_usd=run.cost_usd,
            known_cost_usd=run.known_cost_usd,
            cached=cached,
            run=run if explain else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the `smcs` field: `degraded` is a flag there, and its reasons stand beside it."""
        fields: dict[str, Any] = {
            "run_id": self.run_id,
            "strategy": self.strategy,
            "answered_by": self.answered_by,
            "degraded": bool(self.degraded),
            "degraded_reasons": self.degraded,
            "calls": self.calls,
            "seconds": round(self.seconds, 3),
            "cost_usd": self.cost_usd,
            "known_cost_usd": self.known_cost_usd,
            "cached": self.cached,
        }
        return fields if self.run is None else {**fields, "run": self.run}

    def headers(self) -> dict[str, str]:
        """Return response headers: ASCII, one line each."""
        return {
            "x-smcs-run-id": self.run_id,
            "x-smcs-strategy": self.strategy,
            "x-smcs-answered-by": one_line(self.answered_by or "").encode("ascii", "replace").decode(),
            "x-smcs-degraded": "true" if self.degraded else "false",
            "x-smcs-cost-usd": "unknown" if self.cost_usd is None else f"{self.cost_usd:.9f}",
            "x-smcs-cached": "true" if self.cached else "false",
        }
