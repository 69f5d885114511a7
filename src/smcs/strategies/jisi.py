"""JiSi: routing that looks at answers too, aggregators chosen by the support set, and merging only where it may help.

Follows the method's released code (formulas: `prior.mixed`). What the bank keeps decides how much of the second look is
possible: it compares the lengths of answers where texts were recorded, and their meaning where these were embedded. The
record says which. Reasoning never reaches an aggregator, so there is none to trim.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank, embedded_part
from smcs.bank.index import MISSING
from smcs.bank.search import Retrieved
from smcs.errors import EmbedderError, NoUsableAnswerError
from smcs.llms import Member
from smcs.prior import SupportSet, experts_to_merge, mixed_support, weighted_accuracy
from smcs.run import Query, Run, Trace
from smcs.strategies.aggregation import Aggregation
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.merging import merge_once
from smcs.strategies.opening import fit_referencers, open_run
from smcs.strategies.per_bank import PerBank
from smcs.strategies.plans import Merge, Plan
from smcs.strategies.ranking import rank_pool
from smcs.strategies.references import References
from smcs.strategies.settings import Settings

__all__ = ("jisi", "jisi_calls", "plan_jisi")

_NEEDLES = 3
"""LLMs that answer before the second look."""

_EXPERTS = 3
"""Most answers that are merged."""

_AGGREGATORS = 5
"""Best LLMs of the second ranking that may merge, each taking over when the one before fails."""

_CHARACTERS_PER_TOKEN = 4


def jisi_calls(settings: Settings, pool_size: int) -> int:
    """Return the most calls of a run: needles, experts that were no needles, and one aggregation."""
    needles = fit_referencers(replace(settings, k=_NEEDLES), pool_size, merges=1).k
    return needles + min(_EXPERTS, pool_size - needles) + 1


async def plan_jisi(query: Query, resources: Resources, settings: Settings) -> Plan:
    """Plan a run: needles that turn out to be the experts, and one aggregation; others of the pool may be asked too."""
    size = len(resources.pool)
    fitted = fit_referencers(replace(settings, k=_NEEDLES), size, merges=1)
    ranking = await rank_pool(query, resources, fitted, Trace())
    needles, others = ranking.members[: fitted.k], ranking.members[fitted.k :]
    shown = Merge(tuple(range(min(_EXPERTS, len(needles)))))
    return Plan(
        needles, merges=(shown,), aggregators=ranking.members, more=others, most_more=min(_EXPERTS, len(others))
    )


@dataclass(frozen=True, slots=True)
class _Looked:
    """A ranking of LLMs for one question."""

    scores: Mapping[str, float]
    """Weighted accuracy on the support questions, by LLM of the pool, best first."""
    basis: str


async def jisi(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer a question with the LLMs of a pool.

    Args:
        query: What is asked.
        resources: The pool, the embedder and the bank; the aggregator is the best LLM of the pool for the question.
        settings: N_sup_base, gamma, sampling, straggler cut and caps. K is 3, as in the method.
        trace: Told of every step.

    Returns:
        The record; `notes["jisi"]` says which answers were compared and whether an expert answered alone.

    Raises:
        NoUsableAnswerError: No LLM returned anything that could be an answer; it lists every cause.
    """
    wanted = replace(settings, k=min(_NEEDLES, len(resources.pool)))
    fitted = fit_referencers(wanted, len(resources.pool), merges=1)
    settings = open_run("jisi", query, resources, trace, wanted=wanted, fitted=fitted)
    caller = Caller(trace, settings)

    # First look: the needles are the LLMs that are best on questions like this one.
    ranking = await rank_pool(query, resources, settings, trace)
    found = await _search(ranking.vector, resources, settings)
    needles, others = ranking.members[: settings.k], ranking.members[settings.k :]
    answers = await _ask(needles, others, caller, query, resources, settings, trace)

    # Second look: among those questions, the ones the needles answered as they answered this one.
    looked = await _look_again(found, answers, resources, trace, [member.name for member in ranking.members])
    failed = {attempt.llm for attempt in trace.attempts if attempt.status != "ok"} if settings.replace_failed else set()
    ranked = [name for name in looked.scores if name not in failed]
    new = [resources.pool[name] for name in ranked[:_EXPERTS] if name not in answers]
    if new:
        reserves = [resources.pool[name] for name in ranked[_EXPERTS:] if name not in answers]
        answers |= await _ask(new, reserves, caller, query, resources, settings, trace)
    order = [name for name in looked.scores if name in answers]
    if not order:
        raise NoUsableAnswerError("No LLM returned an answer:", trace.causes())

    # The switch: merge the experts that are about as good as the best, or take the best one's answer as it is.
    scores = [max(looked.scores[name], 0.0) for name in order]
    sizes = [len(answers[name]) / _CHARACTERS_PER_TOKEN for name in order]
    count = experts_to_merge(scores, sizes, most=_EXPERTS)
    aggregators = tuple(looked.scores)[:_AGGREGATORS]
    trace.note(
        "jisi",
        {"routed_by": looked.basis, "scores": dict(looked.scores), "merged": count, "aggregators": list(aggregators)},
    )
    if count == 1:
        return trace.finish(answer=answers[order[0]], answered_by=order[0])
    aggregation = Aggregation(query, replace(resources, aggregators=aggregators), caller, trace)
    names = order[:count]
    return await merge_once(names, [answers[name] for name in names], aggregation, trace, wanted=count)


async def _ask(
    members: Sequence[Member],
    reserves: Sequence[Member],
    caller: Caller,
    query: Query,
    resources: Resources,
    settings: Settings,
    trace: Trace,
) -> dict[str, str]:
    references = References(
        members, caller, trace, settings, prompts=resources.prompts, reserves=reserves, keep_calls=1
    )
    await references.gather(query.messages)
    return {references.names[position]: text for position, text in sorted(references.texts.items())}


async def _search(vector: NDArray[np.floating] | None, resources: Resources, settings: Settings) -> Retrieved | None:
    if resources.bank is None or vector is None:
        return None
    search = partial(
        resources.bank.search,
        vector,
        embedder=resources.embedder.name,
        base=settings.support_base,
        tolerance=settings.tolerance,
    )
    return await asyncio.to_thread(search)


async def _look_again(
    found: Retrieved | None,
    answers: Mapping[str, str],
    resources: Resources,
    trace: Trace,
    names: Sequence[str],
) -> _Looked:
    """Rank the LLMs of the pool again by what the needles answered; `names` is the first ranking."""
    if found is None or resources.bank is None:
        trace.degrade("no support questions: LLMs are ranked by prior alone")
        return _Looked(dict.fromkeys(names, 0.0), "nothing")
    bank = resources.bank
    index = await asyncio.to_thread(bank.index, found.embedder)
    needles = [name for name in answers if name in found.llms]
    lengths = await asyncio.to_thread(_support_lengths, bank, needles, found.question_ids)
    support, basis = found.support, "question"
    if needles and not np.isnan(lengths).all():
        semantics = await _semantics(found, {name: answers[name] for name in needles}, bank, resources, trace)
        live = [float(len(answers[name])) for name in needles]
        support = mixed_support(support, lengths, live, semantics)
        basis = "question and length of answers" if semantics is None else "question, length and meaning of answers"
    else:
        trace.degrade("mixed routing fell back to the question: the bank keeps no texts of the needles' answers")
    return _Looked(_scores(index.outcomes, index.llms, support, names), basis)


async def _semantics(
    found: Retrieved, answers: Mapping[str, str], bank: QuestionBank, resources: Resources, trace: Trace
) -> NDArray[np.float64] | None:
    """Return how alike in meaning each needle's recorded answers and its new one are, (M, A), NaN where unknown.

    `None` where nothing can be compared; the record says why.
    """
    kept = [await asyncio.to_thread(bank.answer_vectors, name, found.embedder) for name in answers]
    ids = found.question_ids
    if not any(id_ in vectors.rows for vectors in kept for id_ in ids):
        trace.note(
            "jisi_semantics",
            "the bank keeps no embeddings of these answers: lengths are compared alone; `smcs bank embed --answers` "
            "makes them",
        )
        return None
    try:
        new = await resources.embedder.embed([embedded_part(text) for text in answers.values()])
        columns = [vectors.similarities(vector, ids) for vectors, vector in zip(kept, new, strict=True)]
    except EmbedderError as error:
        trace.degrade(f"answers were compared by length alone, their meaning could not be: {error}")
        return None
    semantics = np.stack(columns, axis=1)
    known = int((~np.isnan(semantics)).sum())
    trace.note("jisi_semantics", f"{known:,} of {semantics.size:,} recorded answers are compared by meaning")
    return semantics


def _scores(
    outcomes: NDArray[np.uint8] | NDArray[np.float32], llms: Sequence[str], support: SupportSet, names: Sequence[str]
) -> dict[str, float]:
    """Return the weighted accuracy of each LLM, best first; one without a grade has the mean of the others."""
    rows = np.asarray(outcomes[support.indices])
    grades = np.where(rows == MISSING, np.nan, rows) if rows.dtype == np.uint8 else rows
    accuracy = weighted_accuracy(grades, SupportSet(np.arange(len(support)), support.similarities))
    known = {llm: float(value) for llm, value in zip(llms, accuracy, strict=True) if not np.isnan(value)}
    pool = [known[name] for name in names if name in known]
    mean = sum(pool) / len(pool) if pool else 0.0
    return {name: known.get(name, mean) for name in sorted(names, key=lambda name: -known.get(name, mean))}


_LENGTHS: PerBank[dict[str, int]] = PerBank(most=32)


def _support_lengths(bank: QuestionBank, needles: Sequence[str], ids: Sequence[str]) -> NDArray[np.float64]:
    """Return the characters of each needle's recorded answer to each question, (M, A), NaN where it was not kept.

    Read once per LLM and state of the bank.
    """
    state = bank.content_hash

    def recorded(name: str) -> dict[str, int]:
        return {outcome.question_id: len(outcome.response) for outcome in bank.recorded(name) if outcome.response}

    columns = [_LENGTHS.get(bank, (state, name), partial(recorded, name)) for name in needles]
    return np.array([[column.get(id_, np.nan) for column in columns] for id_ in ids], dtype=np.float64)
