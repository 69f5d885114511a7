"""Prior-weighted voting: the K LLMs of the best prior answer, and a vote counts the more, the better that prior."""

from __future__ import annotations

from smcs.run import Query, Run, Trace
from smcs.strategies.calls import Resources
from smcs.strategies.opening import fit_referencers, open_run
from smcs.strategies.ranking import rank_pool
from smcs.strategies.settings import Settings
from smcs.strategies.voting import ballots, elect

__all__ = ("prior_vote",)


async def prior_vote(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with what the K recruited LLMs say by weighted majority, as the task's grader compares answers.

    A vote counts the softmax of the z-score of its LLM's prior among the priors of the whole pool: Eq. 6 with K = R, so
    that a weight does not depend on how many are recruited.

    Args:
        query: What is asked, and how answers to it are compared.
        resources: The pool and the bank.
        settings: K, how priors are estimated, sampling, straggler cut and caps.
        trace: Told of every step, and of the weights under "vote_weights".

    Raises:
        NoUsableAnswerError: No LLM answered; it lists every cause.
    """
    fitted = fit_referencers(settings, len(resources.pool))
    settings = open_run("prior_vote", query, resources, trace, wanted=settings, fitted=fitted)
    ranking = await rank_pool(query, resources, settings, trace)
    voters, reserves = ranking.members[: settings.k], ranking.members[settings.k :]
    weights = {member.name: weight for member, weight in zip(ranking.members, ranking.weights.tolist(), strict=True)}
    names = [voter.name for voter in voters]
    trace.note("vote_weights", {name: weights[name] for name in names})
    given = await ballots(voters, query, resources, settings, trace, reserves=reserves)
    stand_ins = [candidate.llm for candidate in given if candidate.llm not in names]
    if stand_ins:
        trace.note("vote_weights", {name: weights[name] for name in (*names, *stand_ins)})
    return await elect(given, query, trace, weights=[weights[candidate.llm] for candidate in given])
