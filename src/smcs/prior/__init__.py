"""Retrieval-based prior selection as pure functions of arrays (Eq. 2-5 and 8).

In: similarities of a question to the bank, and the bank's graded outcomes. Out: which LLMs to ask. No state, no I/O, no
randomness; a missing outcome is NaN and never a zero, and what cannot be used is an `InputError`.
"""

from smcs.prior.estimate import prior_vector, weighted_prior
from smcs.prior.ranking import pairwise_ranking_score
from smcs.prior.recruiting import prior_is_used, recruit
from smcs.prior.support import SupportSet, support_set

__all__ = (
    "SupportSet",
    "pairwise_ranking_score",
    "prior_is_used",
    "prior_vector",
    "recruit",
    "support_set",
    "weighted_prior",
)
