"""The whole pool ranked for one question, for methods that ask the best LLMs, or weigh what they say."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.llms import Member
from smcs.posterior import drop_distribution
from smcs.run import Query, Trace
from smcs.strategies.calls import Resources
from smcs.strategies.retrieval import select_referencers
from smcs.strategies.settings import Settings

__all__ = ("Ranking", "rank_pool")


@dataclass(frozen=True, slots=True)
class Ranking:
    """The LLMs of a pool, best prior first."""

    members: tuple[Member, ...]
    """All R; the first K are the recruited ones."""
    weights: NDArray[np.float64]
    """(R,): softmax of the z-scores of the priors of the whole pool, adding up to 1 (Eq. 6 with K = R)."""
    vector: NDArray[np.floating] | None
    """Embedding of the query, (d,); `None` where none was made."""


async def rank_pool(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Ranking:
    """Recruit K LLMs as SMCS does, and rank those that were not.

    Args:
        query: What is asked.
        resources: The pool and the bank.
        settings: K, and how priors are estimated.
        trace: Told of the priors.
    """
    seed = secrets.randbits(32) if settings.seed is None else settings.seed
    selection = await select_referencers(query, resources, settings, trace, seed=seed)
    priors = {estimate.llm: estimate.prior for estimate in selection.estimates}
    recruited = [member.name for member in selection.referencers]
    order = [*recruited, *(name for name in priors if name not in recruited)]
    values = np.array([priors[name] for name in order], dtype=np.float64)
    unknown = np.isnan(values)
    values[unknown] = values[~unknown].mean() if not unknown.all() else 0.0
    weights = drop_distribution(values, compat=settings.compat)
    return Ranking(tuple(resources.pool[name] for name in order), weights, selection.vector)
