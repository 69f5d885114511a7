"""The frozen record of one answered question, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from smcs.types import Attempt, GraderName, Message, Question, Usage

__all__ = ("Candidate", "EstimatedPrior", "Query", "Run", "SupportQuestion")


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
    """All LLMs of the pool that could be asked, best first."""
    referencers: tuple[str, ...] = ()
    """Recruited LLMs, best prior first. An LLM that took the place of one that failed stands in that place, here, in
    `subsets` and in the members of candidates, and has the place's drop weight; `notes["replaced"]` lists who was
    replaced by whom, as pairs in the order it happened."""
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
