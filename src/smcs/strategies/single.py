"""Single LLM: one LLM answers, the named one or the one that is best on the whole bank."""

from __future__ import annotations

from smcs.run import Query, Run, Trace
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.opening import open_run
from smcs.strategies.routing import answer_in_turn
from smcs.strategies.settings import Settings
from smcs.strategies.specialist import specialists

__all__ = ("single",)


async def single(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with one LLM; with `replace_failed` and no LLM named, with the next best where that one fails.

    Args:
        query: What is asked.
        resources: The pool and the bank.
        settings: `llm`, `replace_failed`, sampling and caps.
        trace: Told of every step; of pieces of text too, where it wants them.

    Raises:
        ConfigError: Nothing says which LLM.
        NoUsableAnswerError: It did not answer, or broke off when its text was being handed out already.
    """
    open_run("single", query, resources, trace, wanted=settings)
    best_first = await specialists(query, resources, settings, trace, by_task=False)
    return await answer_in_turn(best_first, query, resources, settings, Caller(trace, settings), trace)
