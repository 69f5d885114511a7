"""What the ledger takes in and gives out, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime
from typing import Final, Literal, TypeVar

from smcs.errors import InputError
from smcs.gateway.database import iso
from smcs.run import Run
from smcs.types import Attempt, AttemptStatus, Stage, total_usage

__all__ = (
    "MAX_NAME",
    "AttemptSummary",
    "Entry",
    "Feedback",
    "KeyUse",
    "RunFilter",
    "RunRow",
    "RunStatus",
    "SpendBy",
    "SpendRow",
    "StoredRun",
    "Totals",
    "Verdict",
    "asked_last",
    "bounded",
    "utc",
)

RunStatus = Literal["ok", "degraded", "failed", "cancelled", "lost"]
"""How a request ended; `lost` is one whose server died before it ended."""

SpendBy = Literal["key", "model", "strategy", "day", "llm"]
"""What spending can be added up by."""

Verdict = Literal["good", "bad"]
"""What a user thinks of an answer."""

MAX_NAME: Final = 300
"""Characters kept of a name that a client chose."""

_MAX_ERROR: Final = 2_000
_MAX_QUESTION: Final = 300

_Text = TypeVar("_Text", str, str | None)


def asked_last(run: Run) -> str:
    """Return what the user said last; the text that similar questions were found for may hold turns before it."""
    said = (each.content for each in reversed(run.query.messages) if each.role == "user")
    return next(said, "") or run.query.text


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """One call to one LLM, without its texts."""

    llm: str
    stage: Stage
    status: AttemptStatus
    _: KW_ONLY
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    """`None` is unknown, never free."""
    seconds: float = 0.0
    tries: int = 1
    error: str | None = None

    @classmethod
    def of(cls, attempt: Attempt) -> AttemptSummary:
        """Return the summary of an attempt."""
        return cls(
            attempt.llm,
            attempt.stage,
            attempt.status,
            prompt_tokens=attempt.usage.prompt_tokens,
            completion_tokens=attempt.usage.completion_tokens,
            cost_usd=attempt.cost_usd,
            seconds=attempt.seconds,
            tries=attempt.tries,
            error=bounded(attempt.error, _MAX_ERROR),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One request as it is written to the ledger."""

    id: str
    """Of the run: 32 hexadecimal digits."""
    created: str
    """ISO 8601, UTC."""
    _: KW_ONLY
    endpoint: str
    """Path of the API, such as "/v1/chat/completions"."""
    model: str
    """As the client asked for it."""
    strategy: str = ""
    """Empty where an LLM was passed through."""
    key_id: str = ""
    """Empty where the request came without a key."""
    status: RunStatus = "ok"
    http_status: int = 200
    streamed: bool = False
    cached: bool = False
    """Whether the answer came out of the cache, or of another request's run: nothing was spent then."""
    degraded: tuple[str, ...] = ()
    calls: int = 0
    prompt_tokens: int | None = None
    """Of all calls; `None` where one of them did not report."""
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    """`None` as soon as the cost of one call is unknown."""
    known_cost_usd: float = 0.0
    """A lower bound."""
    seconds: float = 0.0
    """Wall time of the request."""
    stage_seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    attempts: tuple[AttemptSummary, ...] = ()
    error: str | None = None
    """Why there is no answer, in one line."""
    user: str | None = None
    """`user` of the request."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    question: str | None = None
    """Beginning of what was asked, by which runs are found; left out where texts are not kept."""
    record: Run | None = None

    def __post_init__(self) -> None:
        if len(self.id) != 32 or not set(self.id) <= set("0123456789abcdef"):
            raise InputError(f"A run's id is 32 hexadecimal digits, got {self.id!r:.80}.")

    @classmethod
    def of_run(
        cls,
        run: Run,
        *,
        endpoint: str,
        model: str,
        key_id: str = "",
        http_status: int = 200,
        streamed: bool = False,
        cached: bool = False,
        user: str | None = None,
        metadata: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Entry:
        """Return the entry of an answered request.

        Args:
            run: Its record, which gives everything that is not said here.
            endpoint: Path of the API.
            model: As the client asked for it.
            key_id: The key's id.
            http_status: Status of the response.
            streamed: Whether it was streamed.
            cached: Whether the run was made for an earlier or simultaneous request: it then cost nothing.
            user: `user` of the request.
            metadata: `metadata` of the request.
            seconds: Wall time of the request, where it is not the run's.
        """
        taken = not cached
        return cls(
            run.id,
            run.created,
            endpoint=endpoint,
            model=model,
            strategy=run.strategy,
            key_id=key_id,
            status="degraded" if run.degraded else "ok",
            http_status=http_status,
            streamed=streamed,
            cached=cached,
            degraded=run.degraded,
            calls=run.calls if taken else 0,
            prompt_tokens=run.usage.prompt_tokens if taken else 0,
            completion_tokens=run.usage.completion_tokens if taken else 0,
            cached_tokens=run.usage.cached_tokens if taken else 0,
            cost_usd=run.cost_usd if taken else 0.0,
            known_cost_usd=run.known_cost_usd if taken else 0.0,
            seconds=run.seconds if seconds is None else seconds,
            stage_seconds=run.stage_seconds,
            attempts=tuple(map(AttemptSummary.of, run.attempts)) if taken else (),
            user=user,
            metadata=metadata or {},
            question=asked_last(run),
            record=run,
        )

    @classmethod
    def of_attempts(
        cls,
        run_id: str,
        created: str,
        attempts: Sequence[Attempt],
        *,
        endpoint: str,
        model: str,
        strategy: str = "",
        key_id: str = "",
        status: RunStatus = "failed",
        http_status: int = 502,
        streamed: bool = False,
        seconds: float = 0.0,
        error: str | None = None,
        user: str | None = None,
        metadata: Mapping[str, str] | None = None,
        question: str | None = None,
    ) -> Entry:
        """Return the entry of a request that has no `Run`: it failed, was given up, or passed one LLM through.

        Tokens and money are those of `attempts`, every call that was sent; the other arguments are the entry's.
        """
        sent = [attempt for attempt in attempts if attempt.status != "skipped"]
        usage = total_usage([attempt.usage for attempt in sent])
        known = [attempt.cost_usd for attempt in sent if attempt.cost_usd is not None]
        return cls(
            run_id,
            created,
            endpoint=endpoint,
            model=model,
            strategy=strategy,
            key_id=key_id,
            status=status,
            http_status=http_status,
            streamed=streamed,
            calls=len(sent),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            cost_usd=sum(known) if len(known) == len(sent) else None,
            known_cost_usd=sum(known),
            seconds=seconds,
            attempts=tuple(map(AttemptSummary.of, attempts)),
            error=error,
            user=user,
            metadata=metadata or {},
            question=question,
        )

    def cleaned(self) -> Entry:
        """Return the entry with every text in bounds and in characters that any database takes."""
        return replace(
            self,
            created=utc(self.created),
            endpoint=bounded(self.endpoint, MAX_NAME),
            model=bounded(self.model, MAX_NAME),
            strategy=bounded(self.strategy, MAX_NAME),
            degraded=tuple(bounded(each, _MAX_ERROR) for each in self.degraded),
            error=bounded(self.error, _MAX_ERROR),
            user=bounded(self.user, MAX_NAME),
            metadata={bounded(k, MAX_NAME): bounded(v, _MAX_ERROR) for k, v in self.metadata.items()},
            question=bounded(self.question, _MAX_QUESTION),
        )


@dataclass(frozen=True, slots=True)
class RunRow:
    """One line of the ledger."""

    id: str
    created: str
    """ISO 8601, UTC, milliseconds."""
    _: KW_ONLY
    endpoint: str
    model: str
    strategy: str
    key_id: str
    status: RunStatus
    http_status: int
    streamed: bool
    cached: bool
    degraded: tuple[str, ...]
    calls: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cost_usd: float | None
    """`None` is unknown."""
    known_cost_usd: float
    charged_usd: float
    """What it took out of the key's budget: what was held, where the cost is unknown."""
    seconds: float
    question: str | None
    error: str | None
    user: str | None

    @property
    def cursor(self) -> tuple[str, str]:
        """Where a list that ended with this row goes on: `before` of `Ledger.runs`."""
        return self.created, self.id


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user said about an answer."""

    run_id: str
    key_id: str
    created: str
    verdict: Verdict | None
    answer: str | None
    """The correct answer."""
    comment: str | None


@dataclass(frozen=True, slots=True)
class StoredRun:
    """Everything the ledger has about one request."""

    row: RunRow
    attempts: tuple[AttemptSummary, ...]
    stage_seconds: Mapping[str, float]
    metadata: Mapping[str, str]
    feedback: tuple[Feedback, ...]
    record: Run | None
    """`None` where none was kept, was made (a failed request), or can be read by this version."""
    no_record: str | None
    """Why there is no record, where there is none."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are wanted; `None` does not choose."""

    _: KW_ONLY
    key_id: str | None = None
    model: str | None = None
    strategy: str | None = None
    status: RunStatus | None = None
    since: str | datetime | None = None
    """From this moment on; ISO 8601, UTC where it names no zone."""
    until: str | datetime | None = None
    """Before this moment."""
    text: str | None = None
    """Part of the question or of the error, in any case."""


@dataclass(frozen=True, slots=True)
class SpendRow:
    """What a key, model, strategy, day or LLM took."""

    name: str
    """Id of the key, name of the model, ..., or the day."""
    label: str
    """The key's name; else as `name`."""
    runs: int
    """Requests; by LLM: requests that called it."""
    failed: int
    """Requests without an answer; by LLM: calls without one."""
    degraded: int
    calls: int
    prompt_tokens: int
    """Of calls that reported them."""
    completion_tokens: int
    cost_usd: float | None
    """`None` where `unknown` is not 0."""
    known_cost_usd: float
    unknown: int
    """Requests (by LLM: calls) whose cost is unknown."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The whole ledger in figures, rows that were pruned included."""

    runs: int
    failed: int
    degraded: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    known_cost_usd: float
    unknown: int
    running: int
    """Requests of keys with limits that run now, on any server."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What a key with limits has used of its present windows."""

    requests_this_minute: int
    tokens_this_minute: int
    usd_today: float
    usd_this_month: float
    usd_held: float
    """Worst case of the requests that run now."""
    running: int


def bounded(text: _Text, most: int) -> _Text:
    """Return a text of at most `most` characters that any database takes: no NUL, no lone surrogates."""
    if text is None:
        return text
    return text[:most].replace("\x00", "").encode("utf-8", "replace").decode()


def utc(moment: str | datetime) -> str:
    """Return a moment as the ledger keeps and sorts it.

    Raises:
        InputError: The text is not ISO 8601.
    """
    if isinstance(moment, datetime):
        return iso(moment)
    try:
        return iso(datetime.fromisoformat(moment))
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"A moment is written as 2026-01-31 or 2026-01-31T12:00:00+00:00, got {moment!r:.80}."
        ) from error
