"""Several answers of one LLM to one question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from smcs.errors import NoUsableAnswerError
from smcs.llms import Member
from smcs.run import Query, Replaced, Trace
from smcs.strategies.calls import Caller, Resources
from smcs.types import Attempt, Choice

__all__ = ("take_samples",)


async def take_samples(
    members: Sequence[Member],
    wanted: int,
    query: Query,
    resources: Resources,
    caller: Caller,
    trace: Trace,
    *,
    logprobs: bool,
) -> tuple[Member, tuple[Choice, ...]]:
    """Ask one LLM the same thing several times; where not one sample comes, its deputy.

    Samples are one request where the endpoint gives that many choices at once, and follow each other where concurrent
    calls would not share the prompt in its cache.

    Args:
        members: Who is asked, and its deputies in order.
        wanted: How many samples.
        query: What is asked.
        resources: Whose prompt it is shown.
        caller: Makes the calls.
        trace: Told of samples that are lost.
        logprobs: Whether token log-probabilities are wanted; not asked of an endpoint known to give none.

    Returns:
        The LLM that answered, and the samples that came, at least one, in the order of their requests.

    Raises:
        NoUsableAnswerError: None came; it lists every cause.
    """
    begun = trace.clock()
    for position, member in enumerate(members):
        choices = await _ask(member, wanted, query, resources, caller, trace, logprobs=logprobs)
        if choices:
            if len(choices) < wanted:
                trace.degrade(f"{len(choices)} of {wanted} samples of {member.name} arrived")
            trace.stage("references", trace.clock() - begun)
            return member, choices
        if position + 1 < len(members):
            deputy = members[position + 1].name
            trace.degrade(f"{member.name} gave no sample, {deputy} is asked")
            trace.emit(Replaced(member.name, deputy, trace.clock()))
    names = ", ".join(member.name for member in members)
    raise NoUsableAnswerError(f"{names} returned no answer:", trace.causes())


async def _ask(
    member: Member, wanted: int, query: Query, resources: Resources, caller: Caller, trace: Trace, *, logprobs: bool
) -> tuple[Choice, ...]:
    conversation = resources.prompts.for_reference(query.messages)

    async def ask(first: int, count: int) -> Attempt:
        return await caller.call(
            member,
            conversation,
            stage="reference",
            n=count,
            logprobs=logprobs and member.capabilities.logprobs is not False,
            seed_offset=first,
        )

    at_once = member.capabilities.max_n or 1
    parts = [(first, min(at_once, wanted - first)) for first in range(0, wanted, at_once)]
    if member.capabilities.concurrent_prefix is False:
        attempts = [await ask(*part) for part in parts]
    else:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(*part)) for part in parts]
        attempts = [task.result() for task in tasks]
    for done in attempts:
        if done.status != "ok":
            trace.degrade(f"sample lost: {done.llm} ({done.status}: {done.error})")
    return tuple(choice for done in attempts for choice in done.choices)
