"""The trace: what a strategy writes to, and what turns its events into the record."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from smcs.run.events import (
    AttemptFinished,
    Degraded,
    Event,
    Noted,
    PriorFound,
    Replaced,
    RunFinished,
    RunStarted,
    SubsetsDrawn,
)
from smcs.run.record import Candidate, EstimatedPrior, Query, Run
from smcs.types import Attempt, total_usage

__all__ = ("Trace",)


class Trace:
    """Collects what happens in one run and tells whoever watches.

    Args:
        watch: Called with every event, in order, on the event loop; must not block.
        wants_text: Whether the watcher wants `TextArrived` too, for which LLMs are asked to stream.
        run_id: Id of the run, 32 hexadecimal digits; a new one where it is not known beforehand.
    """

    def __init__(
        self, watch: Callable[[Event], None] | None = None, *, wants_text: bool = False, run_id: str | None = None
    ) -> None:
        self._watch = watch
        self.wants_text = wants_text
        self._zero = time.perf_counter()
        self._created = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._run_id = run_id or uuid.uuid4().hex
        self._started: RunStarted | None = None
        self._prior: PriorFound | None = None
        self._subsets: tuple[tuple[str, ...], ...] = ()
        self._attempts: list[Attempt] = []
        self._degraded: list[str] = []
        self._notes: dict[str, Any] = {}
        self._replaced: list[tuple[str, str]] = []
        self._stage_seconds: dict[str, float] = {}

    @property
    def is_open(self) -> bool:
        """Whether the run has begun, so that there is a record of it."""
        return self._started is not None

    def clock(self) -> float:
        """Return the seconds since the run began."""
        return time.perf_counter() - self._zero

    def emit(self, event: Event) -> None:
        """Record an event and hand it to the watcher."""
        match event:
            case RunStarted():
                self._started = event
            case PriorFound():
                self._prior = event
            case SubsetsDrawn(subsets=subsets):
                self._subsets = subsets
            case AttemptFinished(attempt=attempt):
                self._attempts.append(attempt)
            case Replaced(lost=lost, by=by):
                self._replaced.append((lost, by))
                self._notes["replaced"] = [list(pair) for pair in self._replaced]
            case Noted(name=name, value=value):
                self._notes[name] = value
            case Degraded(reason=reason):
                self._degraded.append(reason)
            case _:
                pass
        if self._watch is not None:
            self._watch(event)

    def start(self, strategy: str, query: Query, settings: Mapping[str, Any]) -> None:
        """Open the run."""
        self.emit(RunStarted(self._run_id, strategy, query, settings))

    def degrade(self, reason: str) -> None:
        """Say, once, that the answer will be less than was asked for."""
        if reason not in self._degraded:
            self.emit(Degraded(reason, self.clock()))

    def note(self, name: str, value: Any) -> None:
        """Record a decision as JSON-ready values."""
        self.emit(Noted(name, value, self.clock()))

    def stage(self, name: str, seconds: float) -> None:
        """Record the wall time of a stage."""
        self._stage_seconds[name] = seconds

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Calls that have ended so far."""
        return tuple(self._attempts)

    def causes(self) -> tuple[str, ...]:
        """Return one line per failed call so far."""
        return tuple(
            f"{attempt.stage} by {attempt.llm}: {attempt.status}" + (f" ({attempt.error})" if attempt.error else "")
            for attempt in self._attempts
            if attempt.status != "ok"
        )

    def _stand_ins(self) -> dict[str, str]:
        """Return who was asked last in the place of each LLM that was replaced."""
        stands_in: dict[str, str] = {}
        for lost, by in reversed(self._replaced):
            stands_in[lost] = stands_in.get(by, by)
        return stands_in

    def finish(
        self, *, answer: str, answered_by: str, candidates: Sequence[Candidate] = (), chosen: int | None = None
    ) -> Run:
        """Close the run and return its record."""
        run = self.so_far(answer=answer, answered_by=answered_by, candidates=candidates, chosen=chosen)
        self.emit(RunFinished(run))
        return run

    def so_far(
        self,
        *,
        answer: str = "",
        answered_by: str = "",
        candidates: Sequence[Candidate] = (),
        chosen: int | None = None,
    ) -> Run:
        """Return the record as it stands: of a run that failed or was given up, it says what was tried and spent."""
        if self._started is None:
            raise RuntimeError("a record was asked for before Trace.start")
        sent = [attempt for attempt in self._attempts if attempt.status != "skipped"]
        costs = [attempt.cost_usd for attempt in sent]
        known = [cost for cost in costs if cost is not None]
        prior = self._prior
        stands_in = self._stand_ins()
        return Run(
            id=self._run_id,
            strategy=self._started.strategy,
            created=self._created,
            query=self._started.query,
            settings=self._started.settings,
            answer=answer,
            answered_by=answered_by,
            seconds=self.clock(),
            support_size=prior.support_size if prior else 0,
            support=prior.support if prior else (),
            support_sources=prior.sources if prior else {},
            priors=_with_places(prior.priors, stands_in) if prior else (),
            referencers=tuple(stands_in.get(name, name) for name in prior.referencers) if prior else (),
            subsets=tuple(tuple(stands_in.get(name, name) for name in subset) for subset in self._subsets),
            attempts=tuple(self._attempts),
            candidates=tuple(candidates),
            chosen=chosen,
            degraded=tuple(self._degraded),
            notes=dict(self._notes),
            stage_seconds=dict(self._stage_seconds),
            calls=len(sent),
            usage=total_usage([attempt.usage for attempt in sent]),
            known_usage=total_usage([attempt.usage for attempt in sent], known_only=True),
            cost_usd=sum(known) if len(known) == len(costs) else None,
            known_cost_usd=sum(known),
        )


def _with_places(priors: tuple[EstimatedPrior, ...], stands_in: Mapping[str, str]) -> tuple[EstimatedPrior, ...]:
    """Give the drop weight of each LLM that was replaced to the one that stands in for it."""
    if not stands_in:
        return priors
    weights = {estimate.llm: estimate.drop_weight for estimate in priors}
    taken = {by: weights[lost] for lost, by in stands_in.items() if weights.get(lost) is not None}
    moved = {**dict.fromkeys(stands_in), **taken}
    return tuple(
        replace(estimate, drop_weight=moved[estimate.llm]) if estimate.llm in moved else estimate for estimate in priors
    )
