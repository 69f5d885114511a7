"""RPS routing: the LLM with the best prior for this question answers (arXiv 2507.14200, section 3.3 with K = 1)."""

from __future__ import annotations

from dataclasses import replace

from smcs.run import Query, Run, Trace
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.opening import open_run
from smcs.strategies.ranking import rank_pool
from smcs.strategies.routing import answer_in_turn
from smcs.strategies.settings import Settings

__all__ = ("rps",)


async def rps(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with the LLM of the best prior, or of the next best where that one fails.

    Args:
        query: What is asked.
        resources: The pool and the bank.
        settings: How priors are estimated, sampling and caps.
        trace: Told of every step.

    Raises:
        NoUsableAnswerError: No LLM answered, or one broke off when its text was being handed out already.
    """
    settings = open_run("rps", query, resources, trace, wanted=replace(settings, k=1))
    ranking = await rank_pool(query, resources, settings, trace)
    return await answer_in_turn(ranking.members, query, resources, settings, Caller(trace, settings), trace)
