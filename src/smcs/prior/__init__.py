"""Retrieval-based prior selection as pure functions of arrays (Eq. 2-5 and 8).

In: similarities of a question to the bank, and the bank's graded outcomes. Out: which LLMs to ask. No state, no I/O, no
randomness; a missing outcome is NaN and never a zero, and what cannot be used is an `InputError`. `models` holds other
priors, learned from the same arrays, that may take the place of RPS.
"""

from smcs.prior.estimate import prior_vector, weighted_prior
from smcs.prior.mixed import experts_to_merge, mixed_support, weighted_accuracy
from smcs.prior.models import PRIORS, FittedPrior, PriorModel, PriorSpec, find_prior, question_features
from smcs.prior.ranking import pairwise_ranking_score
from smcs.prior.recruiting import prior_is_used, recruit
from smcs.prior.support import SupportSet, support_set

__all__ = (
    "PRIORS",
    "FittedPrior",
    "PriorModel",
    "PriorSpec",
    "SupportSet",
    "experts_to_merge",
    "find_prior",
    "mixed_support",
    "pairwise_ranking_score",
    "prior_is_used",
    "prior_vector",
    "question_features",
    "recruit",
    "support_set",
    "weighted_accuracy",
    "weighted_prior",
)
