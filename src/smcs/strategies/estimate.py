"""What a run will take, before it begins: calls, tokens and money, as expected and at most, without calling an LLM."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from smcs.bank import QuestionBank
from smcs.llms import Member
from smcs.run import Query
from smcs.strategies.budget import BYTES_PER_TOKEN
from smcs.strategies.calls import Resources
from smcs.strategies.per_bank import PerBank
from smcs.strategies.plans import Plan
from smcs.strategies.registry import StrategySpec
from smcs.strategies.settings import Settings
from smcs.strategies.tokens import (
    ASSUMED_COMPLETION,
    CHARACTERS_PER_TOKEN,
    TEMPLATE_TOKENS,
    prompt_tokens,
    token_limit,
)
from smcs.types import Message, Usage

__all__ = ("CallEstimate", "LLMCalls", "estimate")


@dataclass(frozen=True, slots=True)
class LLMCalls:
    """What one LLM is expected to take."""

    llm: str
    calls: int
    prompt_tokens: int
    """Read, estimated from the length of the prompts."""
    completion_tokens: int
    """Written: as its answers in the bank are, on the query's task if it has some there, else assumed."""
    cost_usd: float | None
    """Expected USD; `None` where the price is unknown."""
    from_bank: bool
    """Whether the length of its answers is measured, not assumed."""


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """What a run is expected to take if nothing fails.

    Expected figures are those of the likely course; the others are bounds of any course without failures. A call that
    makes up for a failed one comes on top; `max_calls` and `max_usd` bound such calls too.
    """

    strategy: str
    calls: int
    most_calls: int
    prompt_tokens: int
    most_prompt_tokens: int
    """Read if a token holds two bytes and every reference that is merged is as long as it may be."""
    completion_tokens: int
    most_completion_tokens: int
    """Written if every answer is as long as it may be."""
    cost_usd: float | None
    """Expected USD; `None` as soon as one price is unknown."""
    known_cost_usd: float
    """Expected USD of the LLMs whose price is known."""
    most_usd: float | None
    """USD at most, never above `max_usd`; `None` where the price of one that may be called is unknown and nothing caps
    the run."""
    referencers: tuple[str, ...]
    """Who would be asked for an answer: best first, or in the order of the pool where all are asked."""
    aggregator: str | None
    """Who would merge, if anything is merged."""
    by_llm: tuple[LLMCalls, ...]
    """Every LLM that would be called, referencers first."""


async def estimate(spec: StrategySpec, query: Query, resources: Resources, settings: Settings) -> CallEstimate:
    """Estimate a run without calling an LLM; the question may be embedded and looked up in the bank.

    Prompt tokens come from the length of the texts, those of an aggregation from the expected length of the references.
    Answers are as long as those of the same LLM in the bank on the query's task, else on the whole bank, else as
    `ASSUMED_COMPLETION` says, and never longer than `max_tokens`, else the context window, else `ASSUMED_LIMIT`. That
    references are merged is counted wherever it may happen.

    Args:
        spec: The strategy.
        query: What would be asked.
        resources: What it would work with.
        settings: Its parameters and caps.

    Raises:
        ConfigError: The strategy cannot be used with these resources; see `check_strategy`.
        BankError: The bank cannot be searched.
    """
    reachable = spec.reachable(resources, settings)
    plan = _affordable(await spec.plan(query, reachable, settings), settings)
    lengths = await _lengths(reachable.bank, query.task)
    count = _Count(query, reachable, settings, lengths)
    count.references(plan)
    count.merges(plan)
    count.what_may_come(plan)
    return _total(spec.name, plan, settings, count)


def _affordable(plan: Plan, settings: Settings) -> Plan:
    """Return a plan without the aggregations if `max_calls` is used up before them."""
    asked = len(plan.references) * plan.layers * plan.samples
    return plan if settings.max_calls is None or asked < settings.max_calls else replace(plan, merges=())


@dataclass(slots=True)
class _Load:
    """Calls of one LLM, and the tokens in them."""

    member: Member
    calls: int = 0
    read: float = 0.0
    written: float = 0.0

    def add(self, calls: int, read: float, written: float) -> None:
        self.calls += calls
        self.read += read
        self.written += written

    @property
    def usd(self) -> float | None:
        price = self.member.price
        return None if price is None else price.cost(Usage(math.ceil(self.read), math.ceil(self.written)))


@dataclass(frozen=True, slots=True)
class _Prompt:
    """Tokens of a prompt without the references in it."""

    likely: float
    most: float


@dataclass(slots=True)
class _Count:
    """Adds up the calls of a plan."""

    query: Query
    resources: Resources
    settings: Settings
    lengths: Mapping[str, float]
    """Mean tokens of an answer by LLM, where known."""
    expected: dict[str, _Load] = field(default_factory=dict[str, _Load])
    bounds: list[_Load] = field(default_factory=list[_Load])

    def references(self, plan: Plan) -> None:
        """Count the references of all layers."""
        likely = sum(self._written(member) for member in plan.references)
        most = sum(self._limit(member) for member in plan.references)
        for member in plan.references:
            first, later = self._reference_prompt(member), self._merge_prompt(member)
            calls = math.ceil(plan.samples / (member.capabilities.max_n or 1))
            written, limit = plan.samples * self._written(member), plan.samples * self._limit(member)
            self._expect(member, calls, calls * first.likely, written)
            self.bounds.append(_Load(member, calls, calls * first.most, limit))
            more = plan.layers - 1
            if more:
                self._expect(member, more, more * _within(later.likely + likely, member), more * written)
                self.bounds.append(_Load(member, more, more * _within(later.most + most, member), more * limit))

    def merges(self, plan: Plan) -> None:
        """Count the aggregations; the bound is that of the dearest of those that may merge."""
        if not plan.merges:
            return
        merger = plan.aggregators[0]
        prompt = self._merge_prompt(merger)
        for merge in plan.merges:
            calls = math.ceil(merge.candidates / (merger.capabilities.max_n or 1))
            shown = sum(self._written(plan.references[position]) for position in merge.positions)
            read = calls * _within(prompt.likely + shown, merger)
            self._expect(merger, calls, read, merge.candidates * self._written(merger))
        self.bounds.append(max((self._merge_bound(plan, member) for member in plan.aggregators), key=_dearness))

    def _merge_bound(self, plan: Plan, merger: Member) -> _Load:
        # Each candidate may take a call of its own: how often a subset is drawn is a matter of luck.
        calls = sum(merge.candidates for merge in plan.merges)
        shown = max(len(merge.positions) for merge in plan.merges)
        limits = sorted((self._limit(member) for member in (*plan.references, *plan.more)), reverse=True)
        references = shown * limits[0] if plan.samples > 1 else sum(limits[:shown])
        read = _within(self._merge_prompt(merger).most + references, merger)
        return _Load(merger, calls, calls * read, calls * self._limit(merger))

    def what_may_come(self, plan: Plan) -> None:
        """Count, as bounds, the dearest of the references that may be asked for later."""
        loads = [_Load(member, 1, self._reference_prompt(member).most, self._limit(member)) for member in plan.more]
        self.bounds += sorted(loads, key=_dearness, reverse=True)[: plan.most_more]

    def _expect(self, member: Member, calls: int, read: float, written: float) -> None:
        self.expected.setdefault(member.name, _Load(member)).add(calls, read, written)

    def _limit(self, member: Member) -> int:
        return token_limit(member, self.settings.sampling)

    def _written(self, member: Member) -> float:
        return min(self.lengths.get(member.name, ASSUMED_COMPLETION), self._limit(member))

    def _reference_prompt(self, member: Member) -> _Prompt:
        return _prompt(self.resources.prompts.for_reference(self.query.messages), member)

    def _merge_prompt(self, member: Member) -> _Prompt:
        return _prompt(self.resources.prompts.for_aggregation(self.query.messages, ()), member)


def _prompt(messages: Sequence[Message], member: Member) -> _Prompt:
    system = member.system_prompt or ""
    likely = prompt_tokens(messages) + len(system) / CHARACTERS_PER_TOKEN
    read = sum(len(message.content.encode()) for message in messages) + len(system.encode())
    return _Prompt(likely, read / BYTES_PER_TOKEN + TEMPLATE_TOKENS * (len(messages) + bool(system)))


def _within(tokens: float, member: Member) -> float:
    """Return the tokens of a prompt that may have to be shortened to the LLM's context window."""
    return tokens if member.context_window is None else min(tokens, member.context_window)


def _dearness(load: _Load) -> tuple[bool, float, float]:
    """Order loads by money, an unknown price above all, then by tokens."""
    return load.usd is None, load.usd or 0.0, load.read + load.written


def _total(strategy: str, plan: Plan, settings: Settings, count: _Count) -> CallEstimate:
    rows = tuple(
        LLMCalls(name, load.calls, round(load.read), round(load.written), load.usd, name in count.lengths)
        for name, load in count.expected.items()
    )
    most_calls = sum(load.calls for load in count.bounds)
    most_usd = _sum(load.usd for load in count.bounds)
    if settings.max_usd is not None:
        most_usd = settings.max_usd if most_usd is None else min(most_usd, settings.max_usd)
    return CallEstimate(
        strategy,
        calls=sum(row.calls for row in rows),
        most_calls=most_calls if settings.max_calls is None else min(most_calls, settings.max_calls),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        most_prompt_tokens=math.ceil(sum(load.read for load in count.bounds)),
        completion_tokens=sum(row.completion_tokens for row in rows),
        most_completion_tokens=math.ceil(sum(load.written for load in count.bounds)),
        cost_usd=_sum(row.cost_usd for row in rows),
        known_cost_usd=sum(row.cost_usd or 0.0 for row in rows),
        most_usd=most_usd,
        referencers=tuple(member.name for member in plan.references),
        aggregator=plan.aggregators[0].name if plan.merges else None,
        by_llm=rows,
    )


def _sum(amounts: Iterable[float | None]) -> float | None:
    listed = list(amounts)
    known = [amount for amount in listed if amount is not None]
    return sum(known) if len(known) == len(listed) else None


_Answers = Mapping[str, tuple[int, int]]
"""Answers and the tokens written in them, by LLM."""

_MEASURED: PerBank[Mapping[str | None, _Answers]] = PerBank()


async def _lengths(bank: QuestionBank | None, task: str) -> dict[str, float]:
    """Return the mean tokens of an answer of each LLM: on the task where it has answers there, else on all."""
    if bank is None:
        return {}
    measured = await asyncio.to_thread(_MEASURED.get, bank, bank.content_hash, lambda: _measure(bank))
    answers = {**measured.get(None, {}), **(measured.get(task, {}) if task else {})}
    return {llm: written / count for llm, (count, written) in answers.items()}


def _measure(bank: QuestionBank) -> dict[str | None, dict[str, tuple[int, int]]]:
    """Add up the answers of a bank by task, and of all tasks under `None`."""
    totals: dict[str | None, dict[str, tuple[int, int]]] = defaultdict(dict)
    for row in bank.usage():
        if not row.answers:
            continue
        for place in (row.task, None):
            count, written = totals[place].get(row.llm, (0, 0))
            totals[place][row.llm] = (count + row.answers, written + row.completion_tokens)
    return dict(totals)
