"""What is shown of one run, as frozen records: made by `progress`, drawn by `run_view`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from smcs.run import Candidate, SupportQuestion
from smcs.types import AttemptStatus, Stage, Usage

__all__ = (
    "Answer",
    "Call",
    "CallStatus",
    "LLMUse",
    "Phase",
    "PoolRow",
    "Progress",
    "ScoreRow",
    "ScoreTable",
    "Span",
    "Support",
    "Term",
    "Totals",
)

Phase = Literal["choosing", "asking", "merging", "deciding", "done", "failed", "stopped"]
"""Where a run is; the last three are ends."""

CallStatus = Literal["waiting", "running"] | AttemptStatus
"""How a call stands: recruited and not asked yet, being answered, or how it ended."""

Term = Literal["similarity", "sureness", "agreement"]
"""A part of a score: likeness to the other candidates, 1 - perplexity, share of the votes for the answer."""


@dataclass(frozen=True, slots=True)
class Support:
    """The bank questions that say who is good at this one."""

    size: int
    nearest: tuple[SupportQuestion, ...]
    """Those that were kept for show, most similar first."""
    sources: tuple[tuple[str, float], ...]
    """Share of the set's similarity by source, largest first."""


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One LLM of the pool."""

    llm: str
    accuracy: float | None = None
    """Estimated share of right answers on questions like this one, 0 to 1."""
    prior: float | None = None
    weight: float | None = None
    """Probability of being drawn first into a subset, for those who are asked."""
    predicted: bool = False
    """Whether it was graded on few questions, so that predictions stand in for the rest."""
    recruited: bool = False
    replaced_by: str = ""
    """Who was asked in its place when it failed."""
    replaces: str = ""
    """Whose place it took."""
    out: str = ""
    """Why it could not be asked at all."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call to one LLM."""

    key: str
    """Unique in the run; the same live and from the record."""
    llm: str
    stage: Stage
    status: CallStatus
    started: float | None = None
    """Seconds after the run began; `None` while it waits."""
    seconds: float | None = None
    """Wall time; `None` until it has ended."""
    texts: tuple[str, ...] = ()
    """What it said, one per choice."""
    why: str = ""
    """Why it failed or was given up."""
    members: tuple[str, ...] = ()
    """For a merge: whose answers it saw, where that is known."""
    live: tuple[str, ...] = ()
    """Its texts so far while they are written, one per choice that has begun or stands before one that has."""
    written: int = 0
    """Characters so far, while they are written."""
    usage: Usage = Usage()
    cost_usd: float | None = None
    tries: int = 1

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status not in ("waiting", "running")

    @property
    def failed(self) -> bool:
        """Whether it was sent and gave nothing, for a reason that is not ours."""
        return self.status in ("error", "timeout", "empty")


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """What one candidate scored."""

    number: int
    """From 1, in the order of the candidates."""
    llm: str
    members: tuple[str, ...]
    terms: tuple[float | None, ...]
    """In the order of `ScoreTable.terms`."""
    total: float | None
    group: int | None
    """Number of its answer among the distinct ones; -1 where none was found in it, `None` where none were compared."""
    chosen: bool


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """How the candidates compare."""

    terms: tuple[Term, ...]
    """Those that any candidate has."""
    rows: tuple[ScoreRow, ...]
    """Best total first."""
    formula: str
    """How the total is made of the terms, in one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer, or as much of it as is there."""

    text: str
    llm: str
    """Who wrote it."""
    live: bool = False
    """Whether it is still being written."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stage of the run on the clock."""

    name: str
    start: float
    """Seconds after the run began."""
    end: float | None
    """`None` while it goes on."""


@dataclass(frozen=True, slots=True)
class LLMUse:
    """What one LLM took."""

    llm: str
    calls: int
    prompt_tokens: int | None
    """`None` where a call did not report them."""
    completion_tokens: int | None
    cost_usd: float | None
    """`None` as soon as one is unknown."""
    known_cost_usd: float
    seconds: float
    """Wall seconds of its calls added up."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What the calls that have ended took."""

    calls: int = 0
    usage: Usage = Usage(0, 0, 0)
    known_usage: Usage = Usage(0, 0, 0)
    cost_usd: float | None = 0.0
    """`None` as soon as one is unknown."""
    known_cost_usd: float = 0.0
    by_llm: tuple[LLMUse, ...] = ()
    """Dearest first."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One run as far as it is known. What does not apply to its strategy is `None`, not empty."""

    run_id: str = ""
    strategy: str = ""
    question: str = ""
    phase: Phase = "choosing"
    seconds: float = 0.0
    """Wall time so far, or of the whole run."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    support: Support | None = None
    pool: tuple[PoolRow, ...] | None = None
    """All that could be asked, best first, then those that were out."""
    answers: tuple[Call, ...] = ()
    """Calls for an answer of an LLM's own, best prior first; those that wait, too."""
    subsets: tuple[tuple[str, ...], ...] | None = None
    merges: tuple[Call, ...] | None = None
    """Calls that make one answer of several, in the order in which they began."""
    candidates: tuple[Candidate, ...] | None = None
    chosen: int | None = None
    """Index into `candidates`."""
    scores: ScoreTable | None = None
    answer: Answer | None = None
    degradations: tuple[str, ...] = ()
    """Why the answer is less than was asked for, in plain words."""
    remarks: tuple[str, ...] = ()
    """What the strategy decided on the way, in plain words."""
    error: str = ""
    """Why there is no answer."""
    spans: tuple[Span, ...] = ()
    totals: Totals = Totals()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes."""
        return self.phase in ("done", "failed", "stopped")

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call that was sent, in the order in which they began."""
        sent = [call for call in (*self.answers, *(self.merges or ())) if call.started is not None]
        return tuple(sorted(sent, key=lambda call: (call.started or 0.0, call.stage != "reference", call.key)))

    @property
    def texts_are_kept(self) -> bool:
        """Whether the record holds texts; a ledger may be told to keep figures only."""
        return self.phase != "done" or self.answer is None or bool(self.answer.text)
