"""Majority Voting: every LLM of the pool answers and the most frequent answer wins (arXiv 2507.14200, A.3)."""

from __future__ import annotations

from smcs.run import Query, Run, Trace
from smcs.strategies.calls import Resources
from smcs.strategies.opening import ask_everyone, fit_referencers, open_run
from smcs.strategies.ranking import rank_pool
from smcs.strategies.settings import Settings
from smcs.strategies.voting import ballots, elect

__all__ = ("majority_vote",)


async def majority_vote(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with what most LLMs say, as the task's grader compares answers.

    Of answers with equally many votes, the one that the LLM of the best prior gave wins; priors are not used otherwise,
    but where `max_calls` leaves only the best of them a vote. The text is that of the best prior in the winning group.

    Args:
        query: What is asked, and how answers to it are compared.
        resources: The pool and the bank.
        settings: How priors are estimated, sampling, straggler cut and caps.
        trace: Told of every step.

    Raises:
        NoUsableAnswerError: No LLM answered; it lists every cause.
    """
    everyone = ask_everyone(settings, len(resources.pool))
    fitted = fit_referencers(everyone, len(resources.pool))
    settings = open_run("majority_vote", query, resources, trace, wanted=everyone, fitted=fitted)
    voters = (await rank_pool(query, resources, settings, trace)).members[: settings.k]
    return await elect(await ballots(voters, query, resources, settings, trace), query, trace)
