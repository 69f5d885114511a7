"""The events of a run, in the order in which they happen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smcs.run.record import Candidate, EstimatedPrior, Query, Run, SupportQuestion
from smcs.types import Attempt, Stage

__all__ = (
    "AnswerBegins",
    "AttemptFinished",
    "AttemptStarted",
    "CandidateArrived",
    "CandidatesScored",
    "Degraded",
    "Event",
    "Noted",
    "PriorFound",
    "Replaced",
    "RunFinished",
    "RunStarted",
    "SubsetsDrawn",
    "TextArrived",
    "event_to_dict",
)


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run has begun."""

    run_id: str
    strategy: str
    query: Query
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PriorFound:
    """Support questions were retrieved and referencers recruited."""

    support: tuple[SupportQuestion, ...]
    support_size: int
    priors: tuple[EstimatedPrior, ...]
    referencers: tuple[str, ...]
    at: float
    sources: Mapping[str, float] = field(default_factory=dict[str, float])
    """See `Run.support_sources`."""


@dataclass(frozen=True, slots=True)
class SubsetsDrawn:
    """The subsets to aggregate were drawn; no reference has arrived yet."""

    subsets: tuple[tuple[str, ...], ...]
    at: float


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A call was sent."""

    llm: str
    stage: Stage
    members: tuple[str, ...]
    """For an aggregation: the LLMs whose references it sees."""
    at: float
    call: int = 0
    """Number of the call among those that its run sent, from 0."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A referencer's call failed and another LLM is asked in its place, which it keeps in subsets."""

    lost: str
    by: str
    at: float


@dataclass(frozen=True, slots=True)
class AnswerBegins:
    """From now on the text of one call is the answer: no other LLM can win any more.

    Only sent to those who asked for text, at most once in a run, and right before the first `TextArrived` it is about.
    The `text` of the `TextArrived` events with this `llm` and `stage` that follow, joined, is `Run.answer` but for
    white space around it. If that call fails, the run fails with `NoUsableAnswerError`, since what was handed out
    cannot be taken back; before this event, others take over without a trace in the text.

    Routers (single, simple_router, rps) send it with the first piece of text, and so do methods that end in one
    aggregation (moa, self_moa, symbolic_moe, and jisi where it merges). Methods that choose among candidates never do.
    A merged text that opens with "<" is not sent live either: it may be a tag that is taken off. In the rare case that
    a server's text turns out to have held reasoning (a `</think>` that was never opened), the run is degraded and
    `Run.answer` is the answer without it.
    """

    llm: str
    stage: Stage
    at: float


@dataclass(frozen=True, slots=True)
class TextArrived:
    """A piece of text of a call that is still running; only sent to those who asked for it."""

    llm: str
    stage: Stage
    text: str
    reasoning: str
    at: float
    call: int = 0
    """Which call writes it; see `AttemptStarted.call`."""
    choice: int = 0
    """Index of the choice it belongs to: a call may write several at once."""


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """A call ended, well or badly."""

    attempt: Attempt
    at: float
    call: int | None = None
    """Which call it was, see `AttemptStarted.call`; `None` for one that was never sent."""


@dataclass(frozen=True, slots=True)
class CandidateArrived:
    """An aggregated answer came in; it is not scored yet."""

    candidate: Candidate
    at: float


@dataclass(frozen=True, slots=True)
class CandidatesScored:
    """The candidates were scored and one was chosen."""

    candidates: tuple[Candidate, ...]
    chosen: int
    at: float


@dataclass(frozen=True, slots=True)
class Noted:
    """A strategy decided something that has no event of its own."""

    name: str
    value: Any
    """JSON-ready."""
    at: float


@dataclass(frozen=True, slots=True)
class Degraded:
    """The answer will be less than was asked for, and why."""

    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event: the record."""

    run: Run


Event = (
    RunStarted
    | PriorFound
    | SubsetsDrawn
    | AttemptStarted
    | Replaced
    | AnswerBegins
    | TextArrived
    | AttemptFinished
    | CandidateArrived
    | CandidatesScored
    | Noted
    | Degraded
    | RunFinished
)
"""Anything a run can say; the last one is `RunFinished` unless the run raised."""


def event_to_dict(event: Event) -> dict[str, Any]:
    """Return an event as JSON-ready values, with its type's name under `event`."""
    import msgspec

    return {"event": type(event).__name__, **msgspec.to_builtins(event)}
