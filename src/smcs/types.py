"""Frozen records that every room shares: questions, messages, completions, attempts and grades."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any, Literal

__all__ = (
    "Ablation",
    "Attempt",
    "AttemptStatus",
    "Capabilities",
    "Choice",
    "Compat",
    "Completion",
    "Delta",
    "FinishReason",
    "Grade",
    "GraderName",
    "Message",
    "Outcome",
    "Price",
    "Question",
    "Request",
    "Role",
    "Sampling",
    "Stage",
    "Usage",
    "total_usage",
)

Role = Literal["system", "user", "assistant"]
"""Who speaks in a chat message."""

FinishReason = Literal["stop", "length", "other"]
"""Why a text ended: the LLM was done, the token limit cut it, or anything else the server reported."""

AttemptStatus = Literal["ok", "error", "timeout", "empty", "cancelled", "skipped"]
"""How one call ended. `cancelled` was begun and given up (a straggler, a quorum); `skipped` was never sent (a cap, an
LLM known to be out)."""

Stage = Literal["reference", "aggregation", "embedding", "probe", "grading"]
"""What a call was for."""

GraderName = Literal["choice", "number", "math", "exact", "instructions", "ifeval", "code"]
"""How an answer to a question is checked."""

Ablation = Literal["rps", "similarity", "perplexity", "prior_drop"]
"""A part of the method that can be left out to measure what it is worth (Table 10)."""

Compat = Literal["paper", "official"]
"""Whose arithmetic to use where the two differ: the paper's equations, or the code its authors released."""


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters; `None` leaves the choice to the server."""

    _: KW_ONLY
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    """Upper bound on generated tokens, reasoning included."""
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    response_format: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)
    """Shape the answer must have, as plain JSON in OpenAI's form, such as `{"type": "json_object"}`."""

    def over(self, base: Sampling) -> Sampling:
        """Return `base` with every value that is set here laid over it."""
        changes = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) not in (None, ())}
        return replace(base, **changes)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to an LLM."""

    messages: tuple[Message, ...]
    _: KW_ONLY
    sampling: Sampling = Sampling()
    n: int = 1
    """Independent choices wanted from one call; above 1 only where `Capabilities.max_n` allows it."""
    logprobs: bool = False
    """Whether the log-probability of each generated token is wanted."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, or of many added up; `None` where a server did not say."""

    prompt_tokens: int | None = None
    """Tokens read, cached ones included."""
    completion_tokens: int | None = None
    """Tokens written over *all* choices, reasoning included."""
    cached_tokens: int | None = None
    """Part of `prompt_tokens` that a prefix cache served."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float

    def cost(self, usage: Usage) -> float | None:
        """Return the USD a call cost, or `None` when its tokens are unknown and not free."""
        if self.input == 0 and self.output == 0:
            return 0.0
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        return (usage.prompt_tokens * self.input + usage.completion_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Choice:
    """One generated text."""

    text: str
    """The answer alone: reasoning is kept apart and never reaches another LLM."""
    _: KW_ONLY
    reasoning: str = ""
    """`reasoning_content` or what stood inside `<think>` blocks."""
    finish_reason: FinishReason = "stop"
    logprobs: tuple[float, ...] | None = None
    """Natural log-probability of each generated token (T values, all finite), or `None` if there are none to trust."""
    completion_tokens: int | None = None
    """Tokens of this choice, where known."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What an LLM returned: one choice per text asked for, at least one."""

    choices: tuple[Choice, ...]
    usage: Usage = Usage()
    recorded_seconds: float | None = None
    """For an answer out of a store: the wall seconds it took when it was recorded."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a text that is still being generated."""

    text: str = ""
    reasoning: str = ""
    choice: int = 0
    """Index of the choice it belongs to."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint really does, found by probing it (or declared); `None` means not known yet."""

    _: KW_ONLY
    logprobs: bool | None = None
    max_n: int | None = None
    """Most choices one call may ask for; 1 means `n` is refused or ignored."""
    seed: bool | None = None
    """Whether the same seed gave the same text twice."""
    prefix_cache: bool | None = None
    """Whether a repeated prefix is served from a cache when calls come one after another."""
    concurrent_prefix: bool | None = None
    """Whether concurrent calls share a prefix too; if not, calls over one prefix are sent in sequence."""
    tools: bool | None = None
    """Whether it calls tools; declared, never probed."""
    vision: bool | None = None
    """Whether it sees images; declared, never probed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one LLM: the record every front end, ledger and benchmark reads."""

    llm: str
    stage: Stage
    status: AttemptStatus
    _: KW_ONLY
    choices: tuple[Choice, ...] = ()
    """Empty unless `status` is "ok"."""
    error: str | None = None
    """Why it failed, in one line; `None` when it did not."""
    http_status: int | None = None
    started: float = 0.0
    """Seconds after the run began."""
    seconds: float = 0.0
    """Wall time of the call, retries included; of an answer out of a store, the time it took when it was recorded."""
    tries: int = 1
    """Requests sent, retries included."""
    usage: Usage = Usage()
    cost_usd: float | None = None
    """USD of this call; `None` means unknown, never free."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and how an answer to it is checked."""

    id: str
    """Unique inside a bank or benchmark."""
    text: str
    """What is asked, without choices and without a prompt around it."""
    _: KW_ONLY
    task: str = ""
    """Benchmark or family group it comes from, e.g. "mmlu_pro" or "seed/mathematics"."""
    subject: str = ""
    """Finer label inside the task, used for reports only."""
    choices: tuple[str, ...] = ()
    """Answer options; the gold is then the letter A, B, ..."""
    gold: str | None = None
    """The verified answer: a letter, a number, LaTeX; `None` where `check` decides alone."""
    grader: GraderName | None = None
    check: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON the grader needs beyond `gold`: tests of a program, instructions, tolerances."""

    def prompt(self) -> str:
        """Return the text with its lettered choices, as an LLM is shown it."""
        if not self.choices:
            return self.text
        options = (f"{chr(ord('A') + i)}. {choice}" for i, choice in enumerate(self.choices))
        return "\n".join([self.text, *options])

    def content_hash(self) -> str:
        """Return the SHA-256 (hex) of what is asked, the id and labels left out."""
        return hashlib.sha256(self.prompt().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one answer."""

    score: float | None
    """From 0 (wrong) to 1 (right); `None` means it could not be graded, which is never wrong."""
    extracted: str | None = None
    """The answer found inside the text."""
    reason: str = ""
    """Why this score, in one line."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One LLM's graded answer to one bank question."""

    question_id: str
    llm: str
    score: float | None
    """From 0 to 1; `None` is ungraded and counts as missing."""
    _: KW_ONLY
    response: str = ""
    extracted: str | None = None
    reason: str = ""
    grader: str = ""
    usage: Usage = Usage()
    cost_usd: float | None = None
    seconds: float | None = None
    samples: int = 1
    """How many answers `score` is the mean of; tokens, cost and seconds are of all of them, `response` is the first."""


def total_usage(usages: Sequence[Usage], *, known_only: bool = False) -> Usage:
    """Add tokens up.

    Args:
        usages: Tokens of each call.
        known_only: Leave out what was not reported, which gives lower bounds; otherwise a field is `None` as soon as
            one of the calls did not report it.
    """

    def total(name: str) -> int | None:
        values: list[int | None] = [getattr(usage, name) for usage in usages]
        known = [value for value in values if value is not None]
        return sum(known) if known_only or len(known) == len(values) else None

    return Usage(total("prompt_tokens"), total("completion_tokens"), total("cached_tokens"))
