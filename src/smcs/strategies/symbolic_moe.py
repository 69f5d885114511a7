"""Symbolic-MoE: skills are inferred for the question, experts recruited by their profiles over skills, answers merged.

After Chen et al. 2025 (arXiv 2503.05641), with the bank's own labels in the place of keywords that an LLM writes:
`docs/strategies.md` says what that changes and why.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from smcs.bank import QuestionBank
from smcs.errors import ConfigError, EmbedderError
from smcs.llms import Member
from smcs.run import EstimatedPrior, PriorFound, Query, Run, SupportQuestion, Trace
from smcs.strategies.aggregation import Aggregation
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.knowledge import Knowledge, Label, know, rank
from smcs.strategies.merging import merge_once
from smcs.strategies.opening import fit_referencers, open_run
from smcs.strategies.plans import Plan, merge_all
from smcs.strategies.references import References
from smcs.strategies.retrieval import embed_query
from smcs.strategies.settings import Settings

__all__ = ("plan_skills", "suitabilities", "symbolic_moe")

_NEAREST = 50
"""Bank questions whose labels are the skills: an LLM would name a handful of keywords, not those of hundreds."""

_SHOWN = 20
_SHOWN_CHARACTERS = 400


async def symbolic_moe(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with the aggregator's merger of what the K experts for the question's skills say.

    Where the question cannot be embedded, no skill is known and accuracy on the whole bank recruits the experts.

    Args:
        query: What is asked.
        resources: The pool, the aggregators, the embedder and the bank.
        settings: K, gamma, sampling, straggler cut and caps.
        trace: Told of every step, and of the skills under "skills".

    Raises:
        ConfigError: There is no bank, or it has no graded outcome of an LLM of the pool.
        NoUsableAnswerError: Nothing that could be an answer came back; it lists every cause.
    """
    fitted = fit_referencers(settings, len(resources.pool), merges=1)
    settings = open_run("symbolic_moe", query, resources, trace, wanted=settings, fitted=fitted)
    ranked = await _rank_experts(query, resources, settings, trace)

    # 3.4 Each expert answers, and one aggregator makes one answer of theirs.
    caller = Caller(trace, settings)
    experts, reserves = ranked[: settings.k], ranked[settings.k :]
    references = References(
        experts, caller, trace, settings, prompts=resources.prompts, reserves=reserves, keep_calls=1
    )
    await references.gather(query.messages)
    arrived = sorted(references.texts)
    return await merge_once(
        [references.names[at] for at in arrived],
        [references.texts[at] for at in arrived],
        Aggregation(query, resources, caller, trace),
        trace,
        wanted=len(experts),
    )


async def plan_skills(query: Query, resources: Resources, settings: Settings) -> Plan:
    """Plan for the K experts and one aggregation."""
    fitted = fit_referencers(settings, len(resources.pool), merges=1)
    return merge_all((await _rank_experts(query, resources, fitted, Trace()))[: fitted.k], resources)


async def _rank_experts(query: Query, resources: Resources, settings: Settings, trace: Trace) -> tuple[Member, ...]:
    """Return the whole pool, the best experts for the question first."""
    begun = trace.clock()
    if resources.bank is None:
        raise ConfigError("Strategy 'symbolic_moe' needs a question bank: it says which LLM has which skill.")

    # 3.1 Model profiles: how well each LLM does on each skill, from its graded answers in the bank.
    profiles = await know(resources.bank)

    # 3.2 Skills of this question: labels of the nearest bank questions, each as relevant as its questions are near.
    nearest = await _nearest(query, resources.bank, resources, settings, trace)
    skills = _skills(nearest)
    trace.note("skills", [{"task": t, "subject": s, "relevance": share} for (t, s), share in skills.items()])

    # 3.3 Recruiting: the K LLMs whose profile suits these skills best.
    suitability = suitabilities(profiles, skills, tuple(resources.pool))
    names = rank(suitability, resources.pool)
    if not names and not resources.absent:
        raise ConfigError(
            f"{resources.bank.url} has no graded outcome of an LLM of the pool ({', '.join(resources.pool)}). "
            "Add them with `smcs bank add-llm`."
        )
    if not names:
        trace.degrade("the bank knows none of the LLMs that can be asked: the first of the pool are the experts")
    ranked = (*names, *(name for name in resources.pool if name not in suitability))
    _tell(nearest, skills, suitability, ranked[: settings.k], resources, trace)
    trace.stage("retrieval", trace.clock() - begun)
    return tuple(resources.pool[name] for name in ranked)


def suitabilities(profiles: Knowledge, skills: Mapping[Label, float], names: Sequence[str]) -> dict[str, float]:
    """Return how well each LLM suits some skills: the mean of its accuracies on them, weighted by their relevance.

    Args:
        profiles: Accuracies by LLM; on a skill in which it was never graded, its accuracy on the whole bank counts.
        skills: Relevance of each skill, adding up to 1; none gives the accuracy on the whole bank.
        names: The LLMs.

    Returns:
        From 0 to 1, by name; an LLM without any graded outcome is absent.
    """
    suited: dict[str, float] = {}
    for name in names:
        overall = profiles.overall.get(name)
        if overall is not None:
            on = {label: profiles.labels.get(label, {}).get(name, overall) for label in skills}
            suited[name] = sum(share * on[label] for label, share in skills.items()) if skills else overall
    return suited


async def _nearest(
    query: Query, bank: QuestionBank, resources: Resources, settings: Settings, trace: Trace
) -> tuple[SupportQuestion, ...]:
    """Return the nearest bank questions, most similar first; none if the query cannot be embedded."""
    try:
        vector = await embed_query(query, resources)
    except EmbedderError as error:
        trace.degrade(f"the question could not be embedded, accuracy on the whole bank recruits the experts: {error}")
        return ()
    search = partial(bank.search, vector, embedder=resources.embedder.name, base=_NEAREST, tolerance=settings.tolerance)
    found = await asyncio.to_thread(search)
    questions = await asyncio.to_thread(bank.nearest, found, _NEAREST)
    return tuple(
        SupportQuestion(q.id, float(similarity), q.text[:_SHOWN_CHARACTERS], q.task, q.subject)
        for q, similarity in zip(questions, found.support.similarities, strict=False)
    )


def _skills(nearest: Sequence[SupportQuestion]) -> dict[Label, float]:
    """Return the share of each label in the similarity of the nearest questions, most relevant first."""
    weights: dict[Label, float] = defaultdict(float)
    for question in nearest:
        weights[question.task, question.subject] += max(question.similarity, 0.0)
    total = sum(weights.values())
    shares = {label: weight / total for label, weight in weights.items() if weight > 0}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _tell(
    nearest: tuple[SupportQuestion, ...],
    skills: Mapping[Label, float],
    suitability: Mapping[str, float],
    experts: tuple[str, ...],
    resources: Resources,
    trace: Trace,
) -> None:
    """Record who was recruited, with suitability in the place of the prior."""
    order = (*rank(suitability, resources.pool), *(name for name in resources.pool if name not in suitability))
    estimates = tuple(EstimatedPrior(name, suitability.get(name), suitability.get(name)) for name in order)
    sources = {"/".join(filter(None, label)): share for label, share in skills.items()}
    trace.emit(PriorFound(nearest[:_SHOWN], len(nearest), estimates, experts, trace.clock(), sources))
