"""Exploration-exploitation-driven posterior enhancement as pure functions of arrays (Eq. 6-7).

Exploration: from priors to the subsets of references that are aggregated; randomness comes only from the generator
passed in. Exploitation: from the candidates' embeddings and log-probabilities to the scores that pick one. No state, no
I/O; what cannot be used is an `InputError`.
"""

from smcs.posterior.exploitation import hybrid_score, mean_pairwise_similarity, perplexity
from smcs.posterior.exploration import draw_subsets, drop_distribution

__all__ = (
    "draw_subsets",
    "drop_distribution",
    "hybrid_score",
    "mean_pairwise_similarity",
    "perplexity",
)
