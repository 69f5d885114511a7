"""One run's way to call an LLM: caps before it, events around it, a record after it, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from smcs.bank import QuestionBank
from smcs.embedders import Embedder
from smcs.errors import BudgetExceededError, ConfigError, NoUsableAnswerError
from smcs.llms import Member, attempt
from smcs.run import AnswerBegins, AttemptFinished, AttemptStarted, Query, Run, TextArrived, Trace
from smcs.strategies.budget import Budget
from smcs.strategies.prompts import Prompts
from smcs.strategies.settings import Settings
from smcs.types import Attempt, Delta, Message, Request, Stage, Usage

__all__ = ("Caller", "Prepared", "Resources", "Strategy")

_BYTES_PER_TOKEN = 32
"""More text than this per token that may be written is no answer but a broken server; English has about 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a strategy works with; shared by all runs and owned by whoever made it."""

    pool: Mapping[str, Member]
    """LLMs that may be asked as referencers, by name."""
    aggregators: tuple[str, ...]
    """LLMs of the pool or of `mergers` that merge references: the first does, the next takes over when it fails."""
    mergers: Mapping[str, Member] = field(default_factory=dict[str, Member])
    """LLMs that merge but are never asked for a reference, by name; none is in the pool."""
    embedder: Embedder
    bank: QuestionBank | None = None
    """`None`: nothing is known about the LLMs, every prior is equal and the run says so."""
    prompts: Prompts = field(default_factory=Prompts)
    query_prefix: str = ""
    """Instruction put before a query when it is embedded; bank questions are embedded without one."""
    out: Mapping[str, str] = field(default_factory=dict[str, str])
    """LLMs known to be out, each with why ("circuit open since 12:03"): asked only where nobody else is left."""
    absent: Mapping[str, Member] = field(default_factory=dict[str, Member])
    """What `in_reach` took out of the pool, by name; never given by hand."""

    def __post_init__(self) -> None:
        if not self.pool:
            raise ConfigError("The pool is empty. Add at least one LLM.")
        if not self.aggregators:
            raise ConfigError("No aggregator is named. Name at least one LLM of the pool.")
        if both := self.pool.keys() & self.mergers.keys():
            raise ConfigError(f"{min(both)!r} is in the pool and among those that only merge. Name it once.")
        for name in self.aggregators:
            if name not in self.pool and name not in self.mergers:
                known = ", ".join((*self.pool, *self.mergers))
                raise ConfigError(f"Aggregator {name!r} is not in the pool. The pool has: {known}.")

    def member(self, name: str) -> Member:
        """Return an LLM of the pool, or one that only merges."""
        return self.pool[name] if name in self.pool else self.mergers[name]

    def in_reach(self, *, named: str | None = None) -> Resources:
        """Return the resources without the LLMs that are out.

        Where every LLM of the pool is out, all stay in it, and so do the aggregators. An aggregator of the pool that is
        out and has no deputy goes on to merge, but is not asked for a reference.

        Args:
            named: An LLM that was asked for by name: it stays whether it is out or not.
        """
        if not self.out or self.absent:
            return self
        here = {name: member for name, member in self.pool.items() if name not in self.out or name == named}
        pool = here or self.pool
        absent = {name: member for name, member in self.pool.items() if name not in pool}
        aggregators = tuple(name for name in self.aggregators if name not in self.out) or self.aggregators
        mergers = {**self.mergers, **{name: absent[name] for name in aggregators if name in absent}}
        return replace(self, pool=pool, aggregators=aggregators, mergers=mergers, absent=absent)


class Strategy(Protocol):
    """A way to answer a question with the LLMs of a pool."""

    async def __call__(self, query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
        """Answer a question; every step is told to `trace`, and the record it closes is returned.

        Raises:
            NoUsableAnswerError: Nothing that could be an answer came back; it lists every cause.
        """
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that is paid for and may be sent."""

    member: Member
    request: Request
    stage: Stage
    members: tuple[str, ...]
    held: float
    """USD set aside for it."""


class Caller:
    """Calls LLMs on behalf of one run.

    Args:
        trace: Where every call is recorded.
        settings: Sampling, seed and caps.
    """

    def __init__(self, trace: Trace, settings: Settings) -> None:
        self._trace = trace
        self._settings = settings
        self._sent = 0
        self.why_cancelled = "the run was cancelled"
        """Recorded for calls that are cancelled from now on; set by whoever cancels."""
        self.budget = Budget(
            trace.clock,
            max_calls=settings.max_calls,
            max_seconds=settings.max_seconds,
            max_usd=settings.max_usd,
        )

    def max_tokens(self, member: Member) -> int | None:
        """Return the most tokens an LLM may write per choice in this run."""
        own = member.sampling.max_tokens
        return self._settings.sampling.max_tokens if own is None else own

    async def call(
        self,
        member: Member,
        messages: tuple[Message, ...],
        *,
        stage: Stage,
        n: int = 1,
        logprobs: bool = False,
        seed_offset: int = 0,
        members: tuple[str, ...] = (),
        answers: bool = False,
    ) -> Attempt:
        """Make one call and record it.

        Args:
            member: The LLM.
            messages: What it is shown.
            stage: What the call is for.
            n: Choices wanted.
            logprobs: Whether token log-probabilities are wanted.
            seed_offset: Added to the run's seed, so that equal requests of one run do not give equal texts.
            members: For an aggregation, the LLMs whose references it sees.
            answers: Whether its one text is the run's answer; see `AnswerBegins`.

        Returns:
            The attempt; anything but status "ok" has no choices. A cancelled call is recorded before it ends.

        Raises:
            NoUsableAnswerError: The call failed when the beginning of its text had been handed out as the answer.
        """
        try:
            prepared = self.prepare(
                member, messages, stage=stage, n=n, logprobs=logprobs, seed_offset=seed_offset, members=members
            )
        except BudgetExceededError as error:
            now = self._trace.clock()
            return self._record(
                Attempt(member.name, stage, "skipped", error=str(error), started=now, tries=0, cost_usd=0.0)
            )
        return await self.send(prepared, answers=answers)

    def prepare(
        self,
        member: Member,
        messages: tuple[Message, ...],
        *,
        stage: Stage,
        n: int = 1,
        logprobs: bool = False,
        seed_offset: int = 0,
        members: tuple[str, ...] = (),
        keep_calls: int = 0,
        share: float = 1.0,
    ) -> Prepared:
        """Pay for a call that is to be sent later; arguments as for `call`.

        Args:
            member: The LLM.
            messages: What it is shown.
            stage: What the call is for.
            n: Choices wanted.
            logprobs: Whether token log-probabilities are wanted.
            seed_offset: Added to the run's seed.
            members: For an aggregation, the LLMs whose references it sees.
            keep_calls: Calls that must be left after it.
            share: Part of the run's seconds and money that may be used up by it.

        Raises:
            BudgetExceededError: The call would pass a cap; nothing was set aside.
        """
        sampling = self._settings.sampling
        if self._settings.seed is not None:
            sampling = replace(sampling, seed=self._settings.seed + seed_offset)
        request = Request(messages, sampling=sampling, n=n, logprobs=logprobs)
        held = self.budget.reserve(member, request, keep_calls=keep_calls, share=share)
        return Prepared(member, request, stage, members, held)

    async def send(self, prepared: Prepared, *, answers: bool = False) -> Attempt:
        """Send a call that was paid for, and record it; see `call`."""
        member, request, stage = prepared.member, prepared.request, prepared.stage
        started = self._trace.clock()
        call, self._sent = self._sent, self._sent + 1
        self._trace.emit(AttemptStarted(member.name, stage, prepared.members, started, call))
        relay = _Relay(self._trace, member.name, stage, call, answers=answers)
        try:
            done = await attempt(
                member,
                request,
                stage=stage,
                clock=self._trace.clock,
                on_delta=relay if self._trace.wants_text else None,
                deadline=self.budget.deadline,
            )
        except asyncio.CancelledError:
            self._record(
                Attempt(
                    member.name,
                    stage,
                    "cancelled",
                    error=self.why_cancelled,
                    started=started,
                    seconds=self._trace.clock() - started,
                    cost_usd=None if member.price is None else member.price.cost(Usage()),
                ),
                call,
            )
            raise
        self.budget.settle(prepared.held, done)
        done = self._record(_believed(done, request.n, self.max_tokens(member)), call)
        if relay.begun and done.status != "ok":
            raise NoUsableAnswerError("The answer broke off after its beginning was handed out:", self._trace.causes())
        if relay.begun and relay.text.strip() != done.choices[0].text.strip():
            self._trace.degrade(
                f"what was handed out while {member.name} wrote held reasoning too: its answer is shorter"
            )
        return done

    def _record(self, done: Attempt, call: int | None = None) -> Attempt:
        self._trace.emit(AttemptFinished(done, self._trace.clock(), call))
        return done


class _Relay:
    """Tells a trace of the pieces of a text, and when they begin to be the run's answer."""

    def __init__(self, trace: Trace, llm: str, stage: Stage, call: int, *, answers: bool) -> None:
        self._trace = trace
        self._llm = llm
        self._stage = stage
        self._call = call
        self._may_begin = answers
        self._handed: list[str] = []
        self.begun = False

    @property
    def text(self) -> str:
        """What was handed out as the answer."""
        return "".join(self._handed)

    def __call__(self, delta: Delta) -> None:
        if self._may_begin and delta.text.strip():
            # A merger's tag is taken off when its text is complete, so a text that may begin with one is not live.
            self.begun = self._stage == "reference" or not delta.text.lstrip().startswith("<")
            self._may_begin = False
            if self.begun:
                self._trace.emit(AnswerBegins(self._llm, self._stage, self._trace.clock()))
        if self.begun:
            self._handed.append(delta.text)
        at = self._trace.clock()
        self._trace.emit(TextArrived(self._llm, self._stage, delta.text, delta.reasoning, at, self._call, delta.choice))


def _believed(done: Attempt, wanted: int, max_tokens: int | None) -> Attempt:
    """Return an attempt without what cannot be an answer: choices nobody asked for, texts longer than `max_tokens`."""
    if done.status != "ok":
        return done
    bound = None if max_tokens is None else _BYTES_PER_TOKEN * max_tokens
    choices = tuple(choice for choice in done.choices if bound is None or len(choice.text.encode()) <= bound)[:wanted]
    if len(choices) == len(done.choices):
        return done
    if choices:
        return replace(done, choices=choices)
    longest = max(len(choice.text.encode()) for choice in done.choices)
    why = f"the answer has {longest:,} bytes, more than max_tokens={max_tokens} can be"
    return replace(done, status="error", choices=(), error=why)
