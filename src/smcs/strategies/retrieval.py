"""Retrieval-based prior selection for one query (section 3.3): who is asked, and how far each is trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank, Retrieved
from smcs.errors import EmbedderError
from smcs.llms import Member
from smcs.posterior import drop_distribution
from smcs.prior import SupportSet, prior_is_used, prior_vector, recruit
from smcs.run import EstimatedPrior, PriorFound, Query, SupportQuestion, Trace
from smcs.strategies.calls import Resources
from smcs.strategies.per_bank import PerBank
from smcs.strategies.priors import expected_grades
from smcs.strategies.settings import Settings
from smcs.strategies.sources import Sources
from smcs.types import Question

__all__ = ("Selection", "embed_query", "select_referencers")

_SHOWN = 20
"""Support questions kept in the record; the set itself has hundreds."""

_SHOWN_CHARACTERS = 400

_SOURCES: PerBank[Sources] = PerBank(most=4)


@dataclass(frozen=True, slots=True)
class Selection:
    """The referencers of one query."""

    referencers: tuple[Member, ...]
    """K LLMs, best prior first (Eq. 5)."""
    distribution: NDArray[np.float64]
    """Shape (K,): the probability of each to be drawn first (Eq. 6)."""
    estimates: tuple[EstimatedPrior, ...]
    """What is expected of all R LLMs, best first."""
    vector: NDArray[np.floating] | None
    """Embedding of the query, shape (d,); `None` where none was made."""
    reserves: tuple[Member, ...] = ()
    """The LLMs that were not recruited, in the order in which they would be."""


async def select_referencers(
    query: Query, resources: Resources, settings: Settings, trace: Trace, *, seed: int = 0
) -> Selection:
    """Retrieve the support set, estimate priors, and recruit the K best LLMs (Eq. 2-6).

    Priors are those of Eq. 4, or what `settings.prior` expects of each LLM; the support set is shown either way.
    `seed` is that of the recruiting by lot when `settings.without` names "rps".

    What is missing degrades the run instead of ending it: without a bank or without outcomes priors are equal, and
    when the query cannot be embedded each LLM's accuracy on the whole bank stands in for its prior.
    """
    begun = trace.clock()
    names = tuple(resources.pool)
    evidence = None if "rps" in settings.without else await _evidence(query, resources, settings, trace)
    prior = _align(evidence, names)
    if "rps" in settings.without:
        ranked = np.random.default_rng(seed).permutation(len(names))
    elif prior_is_used(settings.k, len(names), settings.compat):
        ranked = recruit(prior, len(names))
    else:
        ranked = np.arange(len(names))
        prior = np.zeros(len(names))
    order = ranked[: settings.k]
    chosen = prior[order]
    unknown = np.isnan(chosen)
    if unknown.any():
        who = ", ".join(names[i] for i in order[unknown])
        trace.degrade(f"no graded answer of {who} near this question: the mean prior is used for it")
        chosen = np.where(unknown, chosen[~unknown].mean() if (~unknown).any() else 0.0, chosen)
    even = "prior_drop" in settings.without
    distribution = drop_distribution(np.zeros_like(chosen) if even else chosen, compat=settings.compat)
    estimates = _estimates(names, prior, evidence, order, distribution)
    trace.emit(
        PriorFound(
            () if evidence is None else evidence.nearest,
            0 if evidence is None else evidence.size,
            estimates,
            tuple(names[i] for i in order),
            trace.clock(),
            {} if evidence is None else evidence.sources,
        )
    )
    trace.stage("retrieval", trace.clock() - begun)
    members = tuple(resources.pool[names[i]] for i in ranked)
    vector = None if evidence is None else evidence.vector
    return Selection(members[: settings.k], distribution, estimates, vector, members[settings.k :])


async def embed_query(query: Query, resources: Resources) -> NDArray[np.floating]:
    """Return a query's embedding, shape (d,), made as a bank's are: of the question with its options.

    Raises:
        EmbedderError: The embedder failed.
    """
    asked = Question("", query.text, choices=query.choices).prompt()
    return np.asarray((await resources.embedder.embed([resources.query_prefix + asked]))[0])


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the bank says about a query."""

    llms: tuple[str, ...] = ()
    prior: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Shape of `llms`."""
    size: int = 0
    """Questions in the support set."""
    weight: float = 0.0
    """Total similarity of the support set: the prior of an LLM that got everything right."""
    nearest: tuple[SupportQuestion, ...] = ()
    predicted: frozenset[str] = frozenset()
    """LLMs whose prior rests on predictions."""
    sources: Mapping[str, float] = field(default_factory=dict[str, float])
    """Share of the support set's similarity by source."""
    vector: NDArray[np.floating] | None = None
    """Embedding of the query."""


async def _evidence(query: Query, resources: Resources, settings: Settings, trace: Trace) -> _Evidence | None:
    bank, embedder = resources.bank, resources.embedder
    if bank is None:
        trace.degrade("no question bank: every LLM has the same prior")
        return None
    try:
        vector = await embed_query(query, resources)
    except EmbedderError as error:
        trace.degrade(f"the question could not be embedded, accuracy on the whole bank is used as prior: {error}")
        return await asyncio.to_thread(_whole_bank, bank)
    search = partial(
        bank.search,
        vector,
        embedder=embedder.name,
        base=settings.support_base,
        tolerance=settings.tolerance,
        compat=settings.compat,
        estimates=settings.compat == "paper",
    )
    # Threads fight over the interpreter when many questions start at once; what is quick stays on the event loop.
    found = search() if bank.is_quick(embedder.name) else await asyncio.to_thread(search)
    support, sources = await _described(bank, found)
    similarities = found.support.similarities
    nearest = tuple(
        SupportQuestion(q.id, float(similarity), q.text[:_SHOWN_CHARACTERS], q.task, q.subject)
        for q, similarity in zip(support, similarities[:_SHOWN], strict=True)
    )
    evidence = _Evidence(
        found.llms,
        found.prior,
        len(found.support),
        float(similarities.sum()),
        nearest,
        frozenset(compress(found.llms, found.estimated)),
        sources,
        vector,
    )
    if settings.prior == "rps":
        return evidence
    grades = await expected_grades(
        settings.prior, query, vector, bank=bank, embedder=embedder.name, pool=(*resources.pool, *resources.absent)
    )
    return replace(evidence, llms=grades.llms, prior=grades.values, weight=1.0, predicted=frozenset())


async def _described(bank: QuestionBank, found: Retrieved) -> tuple[tuple[Question, ...], dict[str, float]]:
    """Return the questions that are shown of a support set, and where the whole of it comes from."""
    rows = found.support.indices
    sources = _SOURCES.get(bank, found.state, Sources)
    if not sources.knows(rows):
        sources.learn(rows, await asyncio.to_thread(bank.nearest, found, len(rows)))
    count = min(_SHOWN, len(rows))
    show = partial(bank.nearest, found, count)
    return show() if bank.knows_nearest(found, count) else await asyncio.to_thread(show), sources.shares(found.support)


def _whole_bank(bank: QuestionBank) -> _Evidence:
    matrix = bank.outcomes()
    size = len(matrix.question_ids)
    everything = SupportSet(np.arange(size), np.ones(size))
    return _Evidence(matrix.llms, prior_vector(matrix.scores, everything), size, float(size))


def _align(evidence: _Evidence | None, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the prior of each LLM of the pool, shape (R,): NaN where the bank has no outcome, all 0 without a bank."""
    if evidence is None:
        return np.zeros(len(names))
    known = dict(zip(evidence.llms, evidence.prior.tolist(), strict=True))
    return np.array([known.get(name, np.nan) for name in names], dtype=np.float64)


def _estimates(
    names: tuple[str, ...],
    prior: NDArray[np.float64],
    evidence: _Evidence | None,
    order: NDArray[np.intp],
    distribution: NDArray[np.float64],
) -> tuple[EstimatedPrior, ...]:
    weight = 0.0 if evidence is None else evidence.weight
    unknown = np.isnan(prior) if evidence is not None else np.ones(len(names), dtype=np.bool_)
    weights = dict(zip(order.tolist(), distribution.tolist(), strict=True))
    return tuple(
        EstimatedPrior(
            names[i],
            None if unknown[i] else float(prior[i]),
            None if unknown[i] or weight <= 0 else min(max(float(prior[i]) / weight, 0.0), 1.0),
            weights.get(i),
            evidence is not None and names[i] in evidence.predicted,
        )
        for i in recruit(prior, len(names)).tolist()
    )
