"""Self-MoA: several samples of the best LLM, merged once by the aggregator (Li et al. 2025)."""

from __future__ import annotations

from smcs.run import Query, Run, Trace
from smcs.strategies.aggregation import Aggregation
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.merging import merge_once
from smcs.strategies.opening import fit_samples, open_run
from smcs.strategies.sampling import take_samples
from smcs.strategies.settings import Settings
from smcs.strategies.specialist import specialists

__all__ = ("self_moa",)


async def self_moa(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with the aggregator's merger of several samples of one LLM.

    Args:
        query: What is asked.
        resources: The pool, the aggregators and the bank.
        settings: `samples`, `llm`, `replace_failed`, sampling and caps.
        trace: Told of every step.

    Raises:
        ConfigError: Nothing says which LLM.
        NoUsableAnswerError: No sample came; it lists every cause.
    """
    fitted = fit_samples(settings, merges=1)
    settings = open_run("self_moa", query, resources, trace, wanted=settings, fitted=fitted)
    best_first = await specialists(query, resources, settings, trace)
    caller = Caller(trace, settings)
    llm, choices = await take_samples(best_first, settings.samples, query, resources, caller, trace, logprobs=False)
    texts = [choice.text for choice in choices]
    aggregation = Aggregation(query, resources, caller, trace)
    return await merge_once([llm.name] * len(texts), texts, aggregation, trace, wanted=settings.samples)
