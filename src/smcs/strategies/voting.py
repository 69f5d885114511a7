"""Votes over answers: which candidates say the same as the task's grader sees it, and which of them wins."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from smcs.errors import MissingExtraError, NoUsableAnswerError
from smcs.grading import same_answers
from smcs.llms import Member
from smcs.posterior import answer_shares, plurality
from smcs.run import Candidate, CandidateArrived, CandidatesScored, Query, Run, Trace
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.references import References
from smcs.strategies.settings import Settings

__all__ = ("ballots", "compare", "elect")


async def ballots(
    voters: Sequence[Member],
    query: Query,
    resources: Resources,
    settings: Settings,
    trace: Trace,
    *,
    reserves: Sequence[Member] = (),
) -> list[Candidate]:
    """Have LLMs answer at once, and return what arrived as candidates; `draw` is the voter's position.

    Args:
        voters: Who is asked.
        query: What is asked.
        resources: Whose prompt they are shown.
        settings: Straggler cut, caps, and whether failed calls are made up for.
        trace: Told of every step.
        reserves: Who takes the place of a voter that fails, the first one first.

    Raises:
        NoUsableAnswerError: No LLM answered; it lists every cause.
    """
    references = References(
        voters,
        Caller(trace, settings),
        trace,
        settings,
        prompts=resources.prompts,
        deadline_share=1.0,
        reserves=reserves,
    )
    await references.gather(query.messages)
    if not references.texts:
        raise NoUsableAnswerError("No LLM returned an answer:", trace.causes())
    candidates = [Candidate(at, references.names[at], (), references.texts[at]) for at in sorted(references.texts)]
    for candidate in candidates:
        trace.emit(CandidateArrived(candidate, trace.clock()))
    return candidates


async def compare(texts: Sequence[str], query: Query, trace: Trace) -> tuple[int, ...]:
    """Number the distinct answers among texts as `same_answers` does; formulas as plain text where algebra is missing.

    It runs in a thread: some answers are compared by programs that take seconds.
    """
    numbered = partial(same_answers, texts, choices=query.choices, question=query.text)
    try:
        return await asyncio.to_thread(numbered, grader=query.grader)
    except MissingExtraError as error:
        trace.degrade(f"answers were compared as plain text: {error}")
        return await asyncio.to_thread(numbered)


async def elect(
    candidates: Sequence[Candidate], query: Query, trace: Trace, *, weights: Sequence[float] | None = None
) -> Run:
    """Close a run with the answer that has most of the votes.

    Args:
        candidates: At least one. Of answers with equally many votes, that of the earliest candidate wins, and it is the
            earliest candidate of the winning answer whose text is returned.
        query: How answers are compared.
        trace: The run.
        weights: What each candidate's vote counts, not negative; equal when `None`.

    Returns:
        The record; every candidate has its group, and the share of the votes for its answer as agreement and score.
    """
    begun = trace.clock()
    groups = await compare([candidate.text for candidate in candidates], query, trace)
    shares = answer_shares(groups, weights)
    winner = int(plurality([groups], None if weights is None else [list(weights)])[0])
    if winner < 0:
        trace.degrade(f"no answer was found in any text: that of {candidates[0].llm} is returned")
    chosen = groups.index(winner)
    scored = tuple(
        replace(candidate, group=group, agreement=float(share), score=float(share))
        for candidate, group, share in zip(candidates, groups, shares, strict=True)
    )
    trace.emit(CandidatesScored(scored, chosen, trace.clock()))
    trace.stage("scoring", trace.clock() - begun)
    best = scored[chosen]
    return trace.finish(answer=best.text, answered_by=best.llm, candidates=scored, chosen=chosen)
