"""Simple Router: the LLM that is best on the question's benchmark in the bank answers (arXiv 2507.14200, A.3)."""

from __future__ import annotations

from smcs.run import Query, Run, Trace
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.opening import open_run
from smcs.strategies.routing import answer_in_turn
from smcs.strategies.settings import Settings
from smcs.strategies.specialist import best_on_bank

__all__ = ("simple_router",)


async def simple_router(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with the best LLM of the query's task, or the next best where that one fails.

    A query without a task, or of one that the bank has no graded outcome on, goes to the best LLM on the whole bank;
    the run's note "llm" says which of the two it was.

    Args:
        query: What is asked, and its task.
        resources: The pool and the bank.
        settings: Sampling and caps.
        trace: Told of every step.

    Raises:
        ConfigError: There is no bank, or it knows no LLM of the pool.
        NoUsableAnswerError: No LLM answered, or one broke off when its text was being handed out already.
    """
    open_run("simple_router", query, resources, trace, wanted=settings)
    best_first = await best_on_bank(query.task, resources, trace)
    return await answer_in_turn(best_first, query, resources, settings, Caller(trace, settings), trace)
