"""From subsets of references to candidates: what is sent to which aggregator, and how.

Equal subsets are one request where the aggregator's endpoint supports `n`. An endpoint whose concurrent calls do not
share a prefix gets its calls one after another, so that each finds the prefix in the cache. When an aggregator fails,
the next one of the list takes over, for this subset and for all that have not been sent yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext

from smcs.llms import Member
from smcs.run import Candidate, CandidateArrived, Query, Trace
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.prompts import unwrap
from smcs.strategies.scoring import choice_perplexity
from smcs.types import Attempt, Message

__all__ = ("Aggregation",)

_SEED_OFFSET = 1000
"""Keeps the seeds of aggregations apart from those of references."""

_FAILED_FOR_GOOD = 3
"""Failures in a row after which an aggregator is not asked again in this run, even if there is no other."""

_BYTES_PER_TOKEN = 3
"""How much text a token is taken to hold when references are fitted into a context window."""

_PROMPT_BYTES = 2000
"""Room kept for the aggregation prompt and the delimiters around references."""


class Aggregation:
    """The aggregators of one run, and the candidates they have written.

    Args:
        query: What was asked.
        resources: The pool, the list of aggregators and the prompts.
        caller: Makes the calls.
        trace: Told of every candidate and of every change of aggregator.
    """

    def __init__(self, query: Query, resources: Resources, caller: Caller, trace: Trace) -> None:
        self._query = query
        self._resources = resources
        self._caller = caller
        self._trace = trace
        self._failures = Counter[str]()
        self._turns = {
            name: asyncio.Lock()
            for name in resources.aggregators
            if resources.member(name).capabilities.concurrent_prefix is False
        }
        self.candidates: list[Candidate] = []
        """Candidates in the order they arrived."""
        self.news = asyncio.Event()
        """Set whenever a candidate arrives; cleared by whoever watches."""

    async def merge(
        self, members: Sequence[str], texts: Sequence[str], draws: Sequence[int], *, answers: bool = False
    ) -> None:
        """Have one subset of references merged, once per draw.

        Args:
            members: Names of the referencers in the subset, best prior first.
            texts: Their references, in the same order.
            draws: The draws that gave this subset; each becomes a candidate unless every aggregator fails.
            answers: Whether the one candidate is the run's answer, whatever it says; see `AnswerBegins`.

        Raises:
            NoUsableAnswerError: The answer broke off when its beginning was handed out already.
        """
        left = list(draws)
        for name in self._chain():
            asked = len(left) + 1
            while left and len(left) < asked:
                asked = len(left)
                left = await self._merge_by(self._resources.member(name), tuple(members), texts, left, answers=answers)

    def prompt(self, merger: Member, texts: Sequence[str]) -> tuple[Message, ...]:
        """Return what an LLM that merges references is shown; a run whose references did not fit says so."""
        fitted, cut = fit(texts, merger, self._query, self._caller.max_tokens(merger))
        if cut:
            self._trace.degrade(f"references shortened to fit the context window of {merger.name}")
        return self._resources.prompts.for_aggregation(self._query.messages, fitted)

    async def answer_alone(self, *, answers: bool = False) -> None:
        """Have an aggregator answer the question without references; one candidate, or none if all fail.

        Args:
            answers: See `merge`.

        Raises:
            NoUsableAnswerError: See `merge`.
        """
        for name in self._chain():
            aggregator = self._resources.member(name)
            conversation = self._resources.prompts.for_reference(self._query.messages)
            done = await self._caller.call(
                aggregator, conversation, stage="aggregation", seed_offset=_SEED_OFFSET, answers=answers
            )
            if not self._accept(done, (), [0]):
                return

    def _chain(self) -> list[str]:
        """Return the aggregators to try: those without a failure, or else those that have not failed for good."""
        names = self._resources.aggregators
        return [name for name in names if not self._failures[name]] or [
            name for name in names if self._failures[name] < _FAILED_FOR_GOOD
        ]

    async def _merge_by(
        self,
        aggregator: Member,
        members: tuple[str, ...],
        texts: Sequence[str],
        draws: list[int],
        *,
        answers: bool,
    ) -> list[int]:
        """Have one aggregator answer draws; return those it did not answer."""
        conversation = self.prompt(aggregator, texts)

        async def ask(part: list[int]) -> list[int]:
            done = await self._caller.call(
                aggregator,
                conversation,
                stage="aggregation",
                n=len(part),
                logprobs=aggregator.capabilities.logprobs is not False,
                seed_offset=_SEED_OFFSET + part[0],
                members=members,
                answers=answers,
            )
            return self._accept(done, members, part)

        at_once = aggregator.capabilities.max_n or 1
        parts = [draws[i : i + at_once] for i in range(0, len(draws), at_once)]
        turn = self._turns.get(aggregator.name)
        if turn is None and not answers and len(parts) > 1:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(part)) for part in parts]
            return [draw for task in tasks for draw in task.result()]
        left: list[int] = []
        for part in parts:
            async with turn or nullcontext():
                left += await ask(part)
        return left

    def _accept(self, done: Attempt, members: tuple[str, ...], draws: Sequence[int]) -> list[int]:
        """Turn an attempt's choices into candidates; return the draws that got none."""
        if done.status != "ok":
            if done.status != "skipped":
                self._failures[done.llm] += 1
            self._trace.degrade(f"aggregation lost: {done.llm} ({done.status}: {done.error})")
            return list(draws)
        self._failures[done.llm] = 0
        for draw, choice in zip(draws, done.choices, strict=False):
            candidate = Candidate(
                draw=draw,
                llm=done.llm,
                members=members,
                text=unwrap(choice.text),
                perplexity=choice_perplexity(choice),
            )
            self.candidates.append(candidate)
            self._trace.emit(CandidateArrived(candidate, self._trace.clock()))
            self.news.set()
        return list(draws[len(done.choices) :])


def fit(texts: Sequence[str], aggregator: Member, query: Query, max_tokens: int | None) -> tuple[list[str], bool]:
    """Shorten references so that an aggregator's context window holds them, its answer and the question.

    Short references stay whole; long ones share what is left evenly and lose their middle, since a reference's first
    lines say what it does and its last lines what it concludes.

    Returns:
        The texts, and whether any was shortened.
    """
    window = aggregator.context_window
    if window is None:
        return list(texts), False
    answer = min(max_tokens or window // 4, window // 2)
    asked = sum(len(message.content.encode()) for message in query.messages)
    room = max(0, (window - answer) * _BYTES_PER_TOKEN - asked - _PROMPT_BYTES)
    sizes = [len(text.encode()) for text in texts]
    if sum(sizes) <= room:
        return list(texts), False
    left, share = room, 0
    for count, size in zip(range(len(sizes), 0, -1), sorted(sizes), strict=True):
        share = left // count
        left -= min(size, share)
    return [
        text if size <= share else _without_middle(text, share) for text, size in zip(texts, sizes, strict=True)
    ], True


def _without_middle(text: str, size: int) -> str:
    raw = text.encode()
    head, tail = size // 3, size - size // 3
    return raw[:head].decode(errors="ignore") + "\n[...]\n" + raw[len(raw) - tail :].decode(errors="ignore")
