"""Priors that may stand in for RPS: each learns from a bank, and says before any answer which LLM will do well.

In: question embeddings, graded outcomes, labels, and where known further features of the questions. Out: an expected
grade of every LLM for each new question. Pure functions of arrays, seeded where something is drawn; a missing outcome
is NaN and never a zero. `PRIORS` names them; a new one needs a class with `learn` and a line in `registry`.
"""

from smcs.prior.models.averages import ClusterMeans, GlobalMeans, GroupMeans
from smcs.prior.models.combined import Blend, Stacked
from smcs.prior.models.features import FEATURES, question_features
from smcs.prior.models.kernel import KernelRidge
from smcs.prior.models.neighbours import Graded, NearestNeighbours, Rps, ShrunkRps
from smcs.prior.models.protocol import FittedPrior, PriorModel, PriorSpec
from smcs.prior.models.registry import PRIORS, find_prior
from smcs.prior.models.regressions import Factors, Logistic

__all__ = (
    "FEATURES",
    "PRIORS",
    "Blend",
    "ClusterMeans",
    "Factors",
    "FittedPrior",
    "GlobalMeans",
    "Graded",
    "GroupMeans",
    "KernelRidge",
    "Logistic",
    "NearestNeighbours",
    "PriorModel",
    "PriorSpec",
    "Rps",
    "ShrunkRps",
    "Stacked",
    "find_prior",
    "question_features",
)
