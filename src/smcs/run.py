"""One trace: the events of a run as they happen, and the frozen record they end in.

A strategy writes to a `Trace`; whoever watches gets every event at once, and `Trace.finish` closes the run. The
command line, the gateway, the studio, the ledger and the benchmarks all read the same `Run`; totals are computed
here and nowhere else.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from typing import Any

from smcs.types import Attempt, GraderName, Message, Question, Stage, Usage, total_usage

__all__ = (
    "AttemptFinished",
    "AttemptStarted",
    "Candidate",
    "CandidateArrived",
    "CandidatesScored",
    "Degraded",
    "EstimatedPrior",
    "Event",
    "Noted",
    "PriorFound",
    "Query",
    "Run",
    "RunFinished",
    "RunStarted",
    "SubsetsDrawn",
    "SupportQuestion",
    "TextArrived",
    "Trace",
    "event_to_dict",
)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a strategy."""

    text: str
    """The text that similar bank questions are retrieved for."""
    messages: tuple[Message, ...]
    """The conversation every LLM is shown, ending with a user turn."""
    _: KW_ONLY
    task: str = ""
    """Benchmark it belongs to, where that is known: the label bank questions carry."""
    subject: str = ""
    """Finer label inside the task, where known."""
    choices: tuple[str, ...] = ()
    """Answer options, where it has some."""
    grader: GraderName | None = None
    """How answers to it are compared (and, elsewhere, graded); `None` compares the short answers texts settle on."""

    @classmethod
    def of(cls, text: str) -> Query:
        """Return the query of a single user turn."""
        return cls(text, (Message("user", text),))

    @classmethod
    def about(cls, question: Question, messages: Sequence[Message]) -> Query:
        """Return the query of a benchmark question; its gold answer and its checks stay behind."""
        return cls(
            question.text,
            tuple(messages),
            task=question.task,
            subject=question.subject,
            choices=question.choices,
            grader=question.grader,
        )


@dataclass(frozen=True, slots=True)
class SupportQuestion:
    """A bank question that the priors rest on."""

    id: str
    similarity: float
    """Cosine similarity to the query, from -1 to 1."""
    text: str
    task: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class EstimatedPrior:
    """How well an LLM did on the support set."""

    llm: str
    prior: float | None
    """Similarity-weighted sum of its grades (Eq. 4); `None` when the bank has no outcome of it there."""
    accuracy: float | None
    """The prior divided by the support set's total similarity: the weighted share of right answers, 0 to 1."""
    drop_weight: float | None = None
    """For referencers: the probability of being drawn first (Eq. 6)."""
    predicted: bool = False
    """Whether it was graded on few questions, so that predictions stand in for its missing outcomes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer that may be chosen, and what it scored."""

    draw: int
    """Which of the n draws or samples it answers, from 0; unique among a run's candidates."""
    llm: str
    """LLM that wrote it: an aggregator, or a referencer where references may be chosen."""
    members: tuple[str, ...]
    """LLMs whose references the aggregator saw, best prior first; empty for a reference, which is no one else's."""
    text: str
    perplexity: float | None = None
    """exp(-mean token log-probability), at least 1; `None` when no trustworthy log-probabilities came."""
    similarity: float | None = None
    """Mean cosine similarity to all candidates, itself included; `None` until scored."""
    group: int | None = None
    """Number of its answer among the candidates' distinct answers; -1 when none was found in it, `None` when answers
    were not compared."""
    agreement: float | None = None
    """Share of the (weighted) votes for its answer, 0 to 1; `None` when answers were not compared."""
    score: float | None = None
    """What the strategy ranks candidates by (SMCS: the total of Eq. 7); `None` until scored."""


@dataclass(frozen=True, slots=True)
class Run:
    """The frozen record of one answered question."""

    id: str
    strategy: str
    created: str
    """ISO 8601, UTC."""
    query: Query
    settings: Mapping[str, Any]
    """Every parameter that was in force, the seed included."""
    answer: str
    answered_by: str
    """LLM that wrote the answer: an aggregator, or a referencer when the run was degraded."""
    seconds: float
    support_size: int = 0
    """Size of the support set; `support` holds only its nearest questions."""
    support: tuple[SupportQuestion, ...] = ()
    support_sources: Mapping[str, float] = field(default_factory=dict[str, float])
    """Share of the support set's total similarity by source, "task/subject" or "task"; the shares add up to 1."""
    priors: tuple[EstimatedPrior, ...] = ()
    """All LLMs of the pool, best first."""
    referencers: tuple[str, ...] = ()
    """Recruited LLMs, best prior first."""
    subsets: tuple[tuple[str, ...], ...] = ()
    """Referencers of each of the n draws."""
    attempts: tuple[Attempt, ...] = ()
    """Every call, in the order they ended."""
    candidates: tuple[Candidate, ...] = ()
    chosen: int | None = None
    """Index into `candidates`; `None` when the answer is a reference."""
    degraded: tuple[str, ...] = ()
    """Why this answer is less than was asked for; empty for a full run."""
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else a strategy decided, as JSON-ready values by name (a switch taken, skills found, weights used)."""
    stage_seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    """Wall time from the run's start of each stage to its end, by stage name; stages overlap."""
    calls: int = 0
    """LLM calls that were sent (a call and its retries count once)."""
    usage: Usage = Usage()
    """Tokens of all LLM calls; `None` where one of them did not report."""
    known_usage: Usage = Usage(0, 0, 0)
    """Tokens of the calls that reported them: a lower bound."""
    cost_usd: float | None = None
    """USD of all LLM calls; `None` as soon as the price of one is unknown."""
    known_cost_usd: float = 0.0
    """USD of the calls whose price is known: a lower bound."""

    @property
    def references(self) -> tuple[Attempt, ...]:
        """The referencers' attempts."""
        return tuple(attempt for attempt in self.attempts if attempt.stage == "reference")

    @property
    def failures(self) -> tuple[Attempt, ...]:
        """Attempts that gave nothing usable."""
        return tuple(attempt for attempt in self.attempts if attempt.status != "ok")

    def to_json(self) -> str:
        """Return the record as one JSON object."""
        import msgspec

        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Run:
        """Read a record back.

        Raises:
            InputError: The text is not a record of this version.
        """
        import msgspec

        from smcs.errors import InputError

        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"Not a run record of this version of smcs: {error}.") from error


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


@dataclass(frozen=True, slots=True)
class TextArrived:
    """A piece of text of a call that is still running; only sent to those who asked for it."""

    llm: str
    stage: Stage
    text: str
    reasoning: str
    at: float


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """A call ended, well or badly."""

    attempt: Attempt
    at: float


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


class Trace:
    """Collects what happens in one run and tells whoever watches.

    Args:
        watch: Called with every event, in order, on the event loop; must not block.
        wants_text: Whether the watcher wants `TextArrived` too, for which LLMs are asked to stream.
    """

    def __init__(self, watch: Callable[[Event], None] | None = None, *, wants_text: bool = False) -> None:
        self._watch = watch
        self.wants_text = wants_text
        self._zero = time.perf_counter()
        self._created = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._run_id = uuid.uuid4().hex
        self._started: RunStarted | None = None
        self._prior: PriorFound | None = None
        self._subsets: tuple[tuple[str, ...], ...] = ()
        self._attempts: list[Attempt] = []
        self._degraded: list[str] = []
        self._notes: dict[str, Any] = {}
        self._stage_seconds: dict[str, float] = {}

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

    def finish(
        self, *, answer: str, answered_by: str, candidates: Sequence[Candidate] = (), chosen: int | None = None
    ) -> Run:
        """Close the run and return its record."""
        if self._started is None:
            raise RuntimeError("Trace.finish was called before Trace.start")
        sent = [attempt for attempt in self._attempts if attempt.status != "skipped"]
        costs = [attempt.cost_usd for attempt in sent]
        known = [cost for cost in costs if cost is not None]
        prior = self._prior
        run = Run(
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
            priors=prior.priors if prior else (),
            referencers=prior.referencers if prior else (),
            subsets=self._subsets,
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
        self.emit(RunFinished(run))
        return run
