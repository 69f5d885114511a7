"""SMCS guarded: references may be chosen too, and candidates are judged by what they say before how they say it.

A weak aggregator turns right references into wrong candidates that agree with each other. Here every answer is a vote:
each referencer's is worth what the bank's recorded answers showed it to be worth, and the aggregator's what its own
accuracy is worth. Where the merged answers could not change which answer wins, nothing is merged.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from smcs.errors import BankError
from smcs.posterior import draw_subsets
from smcs.run import Candidate, CandidateArrived, Query, Run, SubsetsDrawn, Trace
from smcs.strategies.aggregation import Aggregation
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.election import Election
from smcs.strategies.electorate import assemble
from smcs.strategies.guard import LearnedVotes, learn_votes
from smcs.strategies.knowledge import know
from smcs.strategies.opening import fit_referencers, open_run
from smcs.strategies.plans import Plan, plan_subsets
from smcs.strategies.references import References
from smcs.strategies.retrieval import Selection, select_referencers
from smcs.strategies.scoring import Posterior
from smcs.strategies.settings import Settings

__all__ = ("guarded_calls", "plan_guarded", "smcs_guarded")


def guarded_calls(settings: Settings, pool_size: int) -> int:
    """Return the most calls of a run."""
    fitted = _fitted(settings, pool_size)
    return fitted.k + (0 if settings.guard.aggregate == "never" else fitted.n)


async def plan_guarded(query: Query, resources: Resources, settings: Settings) -> Plan:
    """Plan a run; where merging depends on what the references say, it is planned."""
    plan = await plan_subsets(query, resources, settings, fit=_fitted)
    return replace(plan, merges=()) if settings.guard.aggregate == "never" else plan


def _fitted(settings: Settings, pool_size: int) -> Settings:
    """Return the settings fitted to the pool and to `max_calls`; without merging all calls are references."""
    if settings.guard.aggregate != "never":
        return settings.fitted(pool_size)
    fitted = fit_referencers(settings, pool_size)
    return replace(fitted, drop=min(fitted.drop, fitted.k - 1))


async def smcs_guarded(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer a question with the LLMs of a pool.

    Args:
        query: What is asked; its `grader` and `choices` say how answers are compared.
        resources: The pool, the aggregators, the embedder and the question bank.
        settings: As for SMCS; `guard` says when references are merged.
        trace: Told of every step as it happens.

    Returns:
        The record. Candidates are the references and the merged answers; `notes["guard"]` says what each vote was
        worth, where that comes from, and why references were merged or not.

    Raises:
        NoUsableAnswerError: No LLM returned anything that could be an answer; it lists every cause.
    """
    fitted = _fitted(settings, len(resources.pool))
    seed = secrets.randbits(32) if settings.seed is None else settings.seed
    open_run("smcs_guarded", query, resources, trace, wanted=settings, fitted=fitted, subset_seed=seed)
    caller = Caller(trace, fitted)
    selection = await select_referencers(query, resources, fitted, trace, seed=seed)
    accuracy = {prior.llm: prior.accuracy for prior in selection.estimates if prior.accuracy is not None}

    # What votes are worth is learned while the references are being written.
    references = References(
        selection.referencers,
        caller,
        trace,
        fitted,
        prompts=resources.prompts,
        reserves=selection.reserves,
        keep_calls=0 if fitted.guard.aggregate == "never" else fitted.n,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(references.gather(query.messages))
        learning = group.create_task(_learn(resources, fitted, trace))
    names = references.names
    votes = [Candidate(at, names[at], (), references.texts[at]) for at in sorted(references.texts)]
    for vote in votes:
        trace.emit(CandidateArrived(vote, trace.clock()))
    learned = _log_weights(learning.result(), (*names, *resources.aggregators), votes, selection.vector)
    accuracy |= await _aggregators_accuracy(selection.vector, resources, fitted)
    electorate = assemble(
        names,
        resources.aggregators,
        learned,
        accuracy,
        options=len(query.choices),
        aggregator_accuracy=fitted.guard.aggregator_accuracy,
    )
    election = Election(query, fitted, trace, electorate, accuracy)
    await election.hold(votes)
    aggregation = Aggregation(query, resources, caller, trace)
    if election.wants_merging(resources.aggregators):
        await _merge(names, selection, references, aggregation, fitted, seed, trace)
    posterior = Posterior(resources.embedder, balance=fitted.balance, without=fitted.without)
    return await election.close(votes, aggregation.candidates, posterior)


async def _learn(resources: Resources, settings: Settings, trace: Trace) -> LearnedVotes | None:
    if resources.bank is None or "rps" in settings.without:
        return None
    try:
        everyone = {*resources.pool, *resources.absent, *resources.mergers}
        return await learn_votes(resources.bank, resources.embedder.name, tuple(everyone), settings.guard)
    except BankError as error:
        trace.degrade(f"nothing could be learned about votes: {error}")
        return None


def _log_weights(
    learned: LearnedVotes | None,
    names: Sequence[str],
    votes: Sequence[Candidate],
    vector: NDArray[np.floating] | None,
) -> dict[str, float]:
    if learned is None:
        return {}
    return learned.log_weights(names, vector, {vote.llm: len(vote.text) for vote in votes})


async def _aggregators_accuracy(
    vector: NDArray[np.floating] | None, resources: Resources, settings: Settings
) -> dict[str, float]:
    """Return how often aggregators outside the pool are right alone: near the question, or else on the whole bank."""
    bank = resources.bank
    apart = [name for name in resources.aggregators if name in resources.mergers]
    if bank is None or not set(apart) & set(bank.searched_llms):
        return {}
    overall = (await know(bank)).overall
    near: dict[str, float] = {}
    if vector is not None:
        search = partial(bank.search, vector, embedder=resources.embedder.name, base=settings.support_base)
        try:
            found = await asyncio.to_thread(search)
        except BankError:
            return {name: overall[name] for name in apart if name in overall}
        total = float(found.support.similarities.sum())
        near = {llm: float(prior) / total for llm, prior in zip(found.llms, found.prior, strict=True) if total > 0}
    known = {name: near.get(name, overall.get(name, math.nan)) for name in apart}
    return {name: value for name, value in known.items() if not math.isnan(value)}


async def _merge(
    names: Sequence[str],
    selection: Selection,
    references: References,
    aggregation: Aggregation,
    settings: Settings,
    seed: int,
    trace: Trace,
) -> None:
    """Have subsets of the references that arrived merged, drawn and merged as SMCS does it (section 3.4)."""
    begun = trace.clock()
    rng = np.random.default_rng(seed)
    drawn = draw_subsets(selection.distribution, size=settings.k - settings.drop, n=settings.n, rng=rng)
    trace.emit(SubsetsDrawn(tuple(tuple(names[i] for i in subset) for subset in drawn), trace.clock()))
    draws: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for draw, subset in enumerate(drawn):
        arrived = await references.among(subset)
        draws[arrived or tuple(sorted(references.texts))].append(len(names) + draw)
    if not references.texts:
        trace.degrade("no reference arrived: the aggregator answers alone")
        await aggregation.answer_alone()
    else:
        async with asyncio.TaskGroup() as group:
            for subset, numbers in draws.items():
                texts = [references.texts[i] for i in subset]
                group.create_task(aggregation.merge([names[i] for i in subset], texts, numbers))
    trace.stage("exploration", trace.clock() - begun)
