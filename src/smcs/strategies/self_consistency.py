"""Self-Consistency: several samples of the best LLM, and the most frequent answer among them (Wang et al. 2022)."""

from __future__ import annotations

from smcs.run import Candidate, CandidateArrived, Query, Run, Trace
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.opening import fit_samples, open_run
from smcs.strategies.sampling import take_samples
from smcs.strategies.settings import Settings
from smcs.strategies.specialist import specialists
from smcs.strategies.voting import elect

__all__ = ("self_consistency",)


async def self_consistency(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with what one LLM says most often, as the task's grader compares answers; the earliest wins a tie.

    Args:
        query: What is asked, and how answers to it are compared.
        resources: The pool and the bank.
        settings: `samples`, `llm`, `replace_failed`, sampling and caps.
        trace: Told of every step.

    Raises:
        ConfigError: Nothing says which LLM.
        NoUsableAnswerError: No sample came; it lists every cause.
    """
    settings = open_run("self_consistency", query, resources, trace, wanted=settings, fitted=fit_samples(settings))
    best_first = await specialists(query, resources, settings, trace)
    caller = Caller(trace, settings)
    llm, choices = await take_samples(best_first, settings.samples, query, resources, caller, trace, logprobs=False)
    samples = [Candidate(number, llm.name, (), choice.text) for number, choice in enumerate(choices)]
    for sample in samples:
        trace.emit(CandidateArrived(sample, trace.clock()))
    return await elect(samples, query, trace)
