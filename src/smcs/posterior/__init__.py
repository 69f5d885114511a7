"""Exploration-exploitation-driven posterior enhancement as pure functions of arrays (Eq. 6-7), and answer-level votes.

Exploration: from priors to the subsets of references that are aggregated; randomness comes only from the generator
passed in. Exploitation: from the candidates' embeddings and log-probabilities to the scores that pick one. Agreement:
from who gave which answer to shares, winners and probabilities, with weights learned from graded answers. No state, no
I/O; what cannot be used is an `InputError`.
"""

from smcs.posterior.agreement import answer_shares, fit_vote_weights, plurality, vote_probabilities
from smcs.posterior.exploitation import hybrid_score, mean_pairwise_similarity, perplexity
from smcs.posterior.exploration import draw_subsets, drop_distribution
from smcs.posterior.worth import Shrinkage, VoteWorth, fit_vote_worth, fit_votes

__all__ = (
    "Shrinkage",
    "VoteWorth",
    "answer_shares",
    "draw_subsets",
    "drop_distribution",
    "fit_vote_weights",
    "fit_vote_worth",
    "fit_votes",
    "hybrid_score",
    "mean_pairwise_similarity",
    "perplexity",
    "plurality",
    "vote_probabilities",
)
