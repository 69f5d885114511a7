"""Exploration: every subset of references is aggregated as soon as its own members are in.

The subsets are known before any reference arrives, so nothing waits for the slowest LLM but what needs it. With a
quorum, exploration ends early once enough candidates are in and one of them clearly leads.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smcs.posterior import draw_subsets
from smcs.run import Query, Trace
from smcs.strategies.aggregation import Aggregation
from smcs.strategies.calls import Caller
from smcs.strategies.references import References
from smcs.strategies.scoring import Posterior
from smcs.strategies.settings import Settings

__all__ = ("Exploration",)


class Exploration:
    """Turns references into candidates.

    Args:
        distribution: Eq. 6, shape (K,), from which a subset that lost its members is drawn anew.
        seed: Seed of those new draws.
        settings: n, subset size and quorum.
        caller: Told why calls are cancelled.
        trace: Told what degrades the run.
    """

    def __init__(
        self,
        distribution: NDArray[np.float64],
        *,
        seed: int,
        settings: Settings,
        caller: Caller,
        trace: Trace,
    ) -> None:
        self._caller = caller
        self._distribution = distribution
        self._seed = seed
        self._settings = settings
        self._trace = trace

    async def run(
        self,
        query: Query,
        subsets: Sequence[tuple[int, ...]],
        references: References,
        aggregation: Aggregation,
        posterior: Posterior,
    ) -> None:
        """Gather references and merge every subset; the candidates are then in `aggregation`."""
        begun = self._trace.clock()
        draws: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for draw, subset in enumerate(subsets):
            draws[subset].append(draw)
        async with asyncio.TaskGroup() as group:
            gathering = group.create_task(references.gather(query.messages))
            merging = {
                group.create_task(self._merge(subset, numbers, references, aggregation))
                for subset, numbers in draws.items()
            }
            await self._until_enough(merging, aggregation, posterior)
            self._caller.why_cancelled = "no longer needed"
            for task in (*merging, gathering):
                task.cancel()
        if not references.texts:
            self._trace.degrade("no reference arrived: the aggregator answers alone")
            await aggregation.answer_alone()
        self._trace.stage("exploration", self._trace.clock() - begun)

    async def _merge(
        self, subset: tuple[int, ...], draws: list[int], references: References, aggregation: Aggregation
    ) -> None:
        arrived = await references.among(subset)
        fewest = min(2, len(subset))
        if len(arrived) >= fewest:
            await self._aggregate(arrived, draws, references, aggregation)
            return
        survivors = await references.among(range(len(self._distribution)))
        if len(survivors) < fewest:
            return
        weights = self._distribution[list(survivors)]
        weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(survivors), 1 / len(survivors))
        again = draw_subsets(
            weights,
            size=min(len(subset), len(survivors)),
            n=1,
            rng=np.random.default_rng([self._seed, draws[0]]),
        )[0]
        await self._aggregate(tuple(survivors[i] for i in again), draws, references, aggregation)

    async def _aggregate(
        self, positions: tuple[int, ...], draws: list[int], references: References, aggregation: Aggregation
    ) -> None:
        members = [references.names[position] for position in positions]
        await aggregation.merge(members, [references.texts[position] for position in positions], draws)

    async def _until_enough(
        self, merging: set[asyncio.Task[None]], aggregation: Aggregation, posterior: Posterior
    ) -> None:
        """Wait for all merges, or until a quorum of candidates has a clear leader."""
        if self._settings.quorum is None:
            await asyncio.wait(merging)
            return
        needed = max(2, math.ceil(self._settings.quorum * self._settings.n))
        everything = asyncio.create_task(asyncio.wait(merging))
        try:
            while not everything.done():
                news = asyncio.create_task(aggregation.news.wait())
                await asyncio.wait({everything, news}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                aggregation.news.clear()
                if len(aggregation.candidates) >= needed:
                    scored = await posterior.score(aggregation.candidates)
                    if scored.lead >= self._settings.quorum_lead:
                        return
        finally:
            everything.cancel()
