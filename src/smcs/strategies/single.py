"""Single LLM: one LLM answers, the named one or the one that is best on the whole bank."""

from __future__ import annotations

from smcs.run import Query, Run, Trace
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.opening import open_run
from smcs.strategies.routing import answer_in_turn
from smcs.strategies.settings import Settings
from smcs.strategies.specialist import specialist

__all__ = ("single",)


async def single(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with one LLM, and with no other if that one fails.

    Args:
        query: What is asked.
        resources: The pool and the bank.
        settings: `llm`, sampling and caps.
        trace: Told of every step; of pieces of text too, where it wants them.

    Raises:
        ConfigError: Nothing says which LLM.
        NoUsableAnswerError: It did not answer.
    """
    open_run("single", query, resources, trace, wanted=settings)
    llm = await specialist(query, resources, settings, trace, by_task=False)
    return await answer_in_turn([llm], query, resources, Caller(trace, settings), trace)
