"""The one LLM of the methods that work with one: the LLM that was named, or the one the bank knows as the best.

A named LLM has no deputy: another LLM's answer is not what was asked for.
"""

from __future__ import annotations

from smcs.errors import ConfigError, suggest
from smcs.llms import Member
from smcs.run import Query, Trace
from smcs.strategies.calls import Resources
from smcs.strategies.knowledge import know, rank
from smcs.strategies.settings import Settings

__all__ = ("best_on_bank", "specialists")


async def specialists(
    query: Query, resources: Resources, settings: Settings, trace: Trace, *, by_task: bool = True
) -> tuple[Member, ...]:
    """Return the LLM that answers alone, note why it is this one, and name its deputies.

    Args:
        query: Names the task, where it is known.
        resources: The pool and the bank.
        settings: `llm` names the LLM; `replace_failed` says whether the best on the bank has deputies.
        trace: Is told the choice under "llm".
        by_task: Whether the best on the bank's questions of the query's task is wanted, as the paper's appendix A.3 has
            it for Self-Consistency and Self-MoA, and not the best on the whole bank.

    Returns:
        The LLM, then those that take its place where it fails, best first.

    Raises:
        ConfigError: The pool lacks the named LLM; or none is named, and no bank knows one.
    """
    if settings.llm is not None:
        if settings.llm not in resources.pool:
            raise ConfigError(f"The pool has no LLM {settings.llm!r}.{suggest(settings.llm, resources.pool)}")
        trace.note("llm", {"name": settings.llm, "why": "named"})
        return (resources.pool[settings.llm],)
    best_first = await best_on_bank(query.task if by_task else "", resources, trace)
    return best_first if settings.replace_failed else best_first[:1]


async def best_on_bank(task: str, resources: Resources, trace: Trace) -> tuple[Member, ...]:
    """Return the LLMs that the bank knows, best first, and note why the first one is it.

    Args:
        task: The task that counts; the whole bank does where this is empty or the bank has no graded outcome on it.
        resources: The pool and the bank. Of equal LLMs, the one that stands first in the pool is better.
        trace: Is told the choice under "llm".

    Returns:
        Those graded on the task, then the others by their accuracy on the whole bank; at least one.

    Raises:
        ConfigError: There is no bank, or it has no graded outcome of an LLM of the pool.
    """
    if resources.bank is None:
        raise ConfigError("Nothing says which LLM is the best: give a question bank, or name the LLM (`llm`).")
    known = await know(resources.bank)
    on_task = known.tasks.get(task, {}) if task else {}
    on_task_first = rank(on_task, resources.pool)
    others = rank(known.overall, (name for name in resources.pool if name not in on_task_first))
    order = (*on_task_first, *others)
    if not order and resources.absent:
        order = tuple(resources.pool)
        trace.degrade(f"the bank knows none of the LLMs that can be asked: {order[0]} is the first of the pool")
        trace.note("llm", {"name": order[0], "why": "first of the pool"})
        return tuple(resources.pool.values())
    if not order:
        raise ConfigError(
            f"{resources.bank.url} has no graded outcome of an LLM of the pool ({', '.join(resources.pool)}). "
            "Add them with `smcs bank add-llm`, or name the LLM (`llm`)."
        )
    best = order[0]
    if on_task_first:
        trace.note("llm", {"name": best, "why": "best on the task", "task": task, "accuracy": on_task[best]})
    else:
        trace.note("llm", {"name": best, "why": "best on the whole bank", "accuracy": known.overall[best]})
    return tuple(resources.pool[name] for name in order)
