"""Best of n: several samples of the best LLM, and the one that the posterior score of SMCS ranks first (Eq. 7)."""

from __future__ import annotations

from smcs.run import Candidate, CandidateArrived, CandidatesScored, Query, Run, Trace
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.opening import fit_samples, open_run
from smcs.strategies.sampling import take_samples
from smcs.strategies.scoring import Posterior, choice_perplexity
from smcs.strategies.settings import Settings
from smcs.strategies.specialist import specialists

__all__ = ("best_of_n",)


async def best_of_n(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with the sample of one LLM that agrees most with the others and was written most surely.

    Without log-probabilities, agreement alone ranks the samples, and the run says so.

    Args:
        query: What is asked.
        resources: The pool, the bank and the embedder.
        settings: `samples`, `llm`, `replace_failed`, lambda of Eq. 7, sampling and caps.
        trace: Told of every step.

    Raises:
        ConfigError: Nothing says which LLM.
        NoUsableAnswerError: No sample came; it lists every cause.
    """
    settings = open_run("best_of_n", query, resources, trace, wanted=settings, fitted=fit_samples(settings))
    best_first = await specialists(query, resources, settings, trace)
    caller = Caller(trace, settings)
    llm, choices = await take_samples(best_first, settings.samples, query, resources, caller, trace, logprobs=True)
    samples = [
        Candidate(number, llm.name, (), choice.text, perplexity=choice_perplexity(choice))
        for number, choice in enumerate(choices)
    ]
    for sample in samples:
        trace.emit(CandidateArrived(sample, trace.clock()))
    begun = trace.clock()
    posterior = Posterior(resources.embedder, balance=settings.balance, without=settings.without)
    scored = await posterior.score(samples)
    for reason in scored.left_out:
        trace.degrade(reason)
    trace.emit(CandidatesScored(scored.candidates, scored.chosen, trace.clock()))
    trace.stage("scoring", trace.clock() - begun)
    best = scored.candidates[scored.chosen]
    return trace.finish(answer=best.text, answered_by=best.llm, candidates=scored.candidates, chosen=scored.chosen)
