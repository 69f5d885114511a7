"""SMCS: many LLMs answer, an aggregator merges random subsets of their answers, and the best merged answer wins.

Reads like section 3 of arXiv 2507.14200, whose section and equation numbers stand in the comments.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np

from smcs.errors import NoUsableAnswerError
from smcs.posterior import draw_subsets
from smcs.run import Candidate, CandidatesScored, Query, Run, SubsetsDrawn, Trace
from smcs.strategies.aggregation import Aggregation
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.exploration import Exploration
from smcs.strategies.opening import open_run
from smcs.strategies.references import References
from smcs.strategies.retrieval import select_referencers
from smcs.strategies.scoring import Posterior
from smcs.strategies.settings import Settings

__all__ = ("smcs",)


async def smcs(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer a question with the LLMs of a pool.

    Args:
        query: What is asked.
        resources: The pool, the aggregators, the embedder and the question bank.
        settings: K, n, gamma and the others; clamped to the pool and shrunk to `max_calls`.
        trace: Told of every step as it happens.

    Returns:
        The record of the run. Its `degraded` says whatever made the answer less than was asked for.

    Raises:
        NoUsableAnswerError: No LLM returned anything that could be an answer; it lists every cause.
    """
    seed = secrets.randbits(32) if settings.seed is None else settings.seed
    fitted = settings.fitted(len(resources.pool))
    settings = open_run("smcs", query, resources, trace, wanted=settings, fitted=fitted, subset_seed=seed)
    caller = Caller(trace, settings)

    # 3.3 Retrieval-based prior selection. Similar questions of the bank say which LLMs are good at this one
    # (Eq. 2-5), and how likely each of the K referencers is to stay in a subset (Eq. 6).
    selection = await select_referencers(query, resources, settings, trace, seed=seed)
    names = tuple(member.name for member in selection.referencers)

    # 3.4 Exploration. Subsets depend on priors alone, so they are drawn before any reference has arrived; each is
    # merged by the aggregator as soon as its own references are in.
    rng = np.random.default_rng(seed)
    subsets = draw_subsets(selection.distribution, size=settings.k - settings.drop, n=settings.n, rng=rng)
    trace.emit(SubsetsDrawn(tuple(tuple(names[i] for i in subset) for subset in subsets), trace.clock()))
    references = References(
        selection.referencers,
        caller,
        trace,
        settings,
        prompts=resources.prompts,
        reserves=selection.reserves,
        keep_calls=settings.n,
    )
    aggregation = Aggregation(query, resources, caller, trace)
    posterior = Posterior(resources.embedder, balance=settings.balance, without=settings.without)
    exploration = Exploration(selection.distribution, seed=seed, settings=settings, caller=caller, trace=trace)
    await exploration.run(query, subsets, references, aggregation, posterior)

    # 3.4 Exploitation. The candidate that agrees most with the others, and that was written most surely, wins (Eq. 7).
    if aggregation.candidates:
        return await _best_candidate(aggregation.candidates, posterior, settings, trace)
    return _best_reference(references, trace)


async def _best_candidate(
    candidates: Sequence[Candidate], posterior: Posterior, settings: Settings, trace: Trace
) -> Run:
    begun = trace.clock()
    scored = await posterior.score(candidates)
    for reason in scored.left_out:
        trace.degrade(reason)
    if len(candidates) < settings.n:
        trace.degrade(f"{len(candidates)} of {settings.n} candidates were scored")
    trace.emit(CandidatesScored(scored.candidates, scored.chosen, trace.clock()))
    trace.stage("scoring", trace.clock() - begun)
    best = scored.candidates[scored.chosen]
    return trace.finish(answer=best.text, answered_by=best.llm, candidates=scored.candidates, chosen=scored.chosen)


def _best_reference(references: References, trace: Trace) -> Run:
    """Answer with the reference of the best prior when nothing could be merged."""
    if not references.texts:
        raise NoUsableAnswerError("No LLM returned an answer:", trace.causes())
    best = min(references.texts)
    name = references.names[best]
    trace.degrade(f"no candidate: the answer is the reference of {name}, the best prior that arrived")
    return trace.finish(answer=references.texts[best], answered_by=name)
