"""Whom a strategy would ask for one question, and what would be merged, found without asking anyone.

A planner takes the steps that a run takes before its first call (it may embed the question and search the bank) and
stops there. What happens if nothing fails is planned; deputies are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from smcs.llms import Member
from smcs.posterior import draw_subsets
from smcs.run import Query, Trace
from smcs.strategies.calls import Resources
from smcs.strategies.opening import ask_everyone, fit_layers, fit_referencers, fit_samples
from smcs.strategies.ranking import rank_pool
from smcs.strategies.retrieval import select_referencers
from smcs.strategies.settings import Settings
from smcs.strategies.specialist import best_on_bank, specialists

__all__ = (
    "Merge",
    "Plan",
    "Planner",
    "first_aggregator",
    "merge_all",
    "plan_everyone",
    "plan_layers",
    "plan_prior_vote",
    "plan_rps",
    "plan_samples",
    "plan_single",
    "plan_subsets",
    "plan_task_router",
)


@dataclass(frozen=True, slots=True)
class Merge:
    """References that an aggregator would be shown together."""

    positions: tuple[int, ...]
    """Which of the plan's references; one of several samples is named as often as there are samples."""
    candidates: int = 1
    """Answers wanted over this one prompt."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls of a run in which nothing fails."""

    references: tuple[Member, ...]
    """Who would be asked, best first."""
    samples: int = 1
    """Answers wanted of each."""
    layers: int = 1
    """Rounds of references; from the second on, each sees all of the round before."""
    merges: tuple[Merge, ...] = ()
    aggregators: tuple[Member, ...] = ()
    """Who would merge: the first as far as is known now, or else one of the others."""
    more: tuple[Member, ...] = ()
    """LLMs of which some may be asked for a reference too, which their answers decide."""
    most_more: int = 0
    """How many of them at most."""


Planner = Callable[[Query, Resources, Settings], Awaitable[Plan]]
"""Plans a run; raises what the run would raise before its first call."""


async def plan_single(query: Query, resources: Resources, settings: Settings) -> Plan:
    """Plan for the named LLM, or the best on the whole bank."""
    return Plan((await specialists(query, resources, settings, Trace(), by_task=False))[:1])


async def plan_task_router(query: Query, resources: Resources, settings: Settings) -> Plan:
    """Plan for the best LLM on the query's task."""
    return Plan((await best_on_bank(query.task, resources, Trace()))[:1])


async def plan_rps(query: Query, resources: Resources, settings: Settings) -> Plan:
    """Plan for the LLM of the best prior."""
    return Plan((await rank_pool(query, resources, replace(settings, k=1), Trace())).members[:1])


async def plan_everyone(query: Query, resources: Resources, settings: Settings) -> Plan:
    """Plan for the whole pool, or the best priors where `max_calls` leaves out some."""
    size = len(resources.pool)
    fitted = fit_referencers(ask_everyone(settings, size), size)
    if fitted.k == size:
        return Plan(tuple(resources.pool.values()))
    return await plan_prior_vote(query, resources, fitted)


async def plan_prior_vote(query: Query, resources: Resources, settings: Settings) -> Plan:
    """Plan for the K LLMs of the best prior."""
    fitted = fit_referencers(settings, len(resources.pool))
    return Plan((await rank_pool(query, resources, fitted, Trace())).members[: fitted.k])


async def plan_samples(query: Query, resources: Resources, settings: Settings, *, merges: int = 0) -> Plan:
    """Plan for several samples of one LLM, and whether they are merged."""
    fitted = fit_samples(settings, merges=merges)
    best = (await specialists(query, resources, fitted, Trace()))[:1]
    if not merges:
        return Plan(best, samples=fitted.samples)
    return replace(merge_all(best, resources, shown=(0,) * fitted.samples), samples=fitted.samples)


async def plan_layers(query: Query, resources: Resources, settings: Settings) -> Plan:
    """Plan for layers of the whole pool and one aggregation."""
    fitted = fit_layers(settings, len(resources.pool))
    return replace(merge_all(tuple(resources.pool.values())[: fitted.k], resources), layers=fitted.layers)


async def plan_subsets(
    query: Query,
    resources: Resources,
    settings: Settings,
    *,
    fit: Callable[[Settings, int], Settings] = Settings.fitted,
) -> Plan:
    """Plan for the K best priors and n subsets; the draws are those of the seed, where there is one.

    Args:
        query: What is asked.
        resources: The pool and the bank.
        settings: K, n and the others.
        fit: Fits the settings to the pool and to `max_calls`.
    """
    fitted = fit(settings, len(resources.pool))
    seed = settings.seed or 0
    selection = await select_referencers(query, resources, fitted, Trace(), seed=seed)
    rng = np.random.default_rng(seed)
    drawn = draw_subsets(selection.distribution, size=fitted.k - fitted.drop, n=fitted.n, rng=rng)
    merges = tuple(Merge(subset, count) for subset, count in Counter(drawn).items())
    return Plan(selection.referencers, merges=merges, aggregators=first_aggregator(resources))


def merge_all(references: Sequence[Member], resources: Resources, *, shown: tuple[int, ...] | None = None) -> Plan:
    """Return the plan of one aggregation over all references.

    Args:
        references: Who is asked.
        resources: Whose first aggregator merges.
        shown: Positions that the aggregator is shown, where they are not one of each.
    """
    positions = tuple(range(len(references))) if shown is None else shown
    return Plan(tuple(references), merges=(Merge(positions),), aggregators=first_aggregator(resources))


def first_aggregator(resources: Resources) -> tuple[Member, ...]:
    """Return the aggregator that merges as long as it does not fail."""
    return (resources.member(resources.aggregators[0]),)
