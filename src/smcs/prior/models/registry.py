"""The priors by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from smcs.errors import ConfigError, suggest
from smcs.prior.models.averages import ClusterMeans, GlobalMeans, GroupMeans
from smcs.prior.models.combined import Blend, Stacked
from smcs.prior.models.kernel import KernelRidge
from smcs.prior.models.neighbours import Graded, NearestNeighbours, Rps, ShrunkRps
from smcs.prior.models.protocol import PriorModel, PriorSpec
from smcs.prior.models.regressions import Factors, Logistic

__all__ = ("PRIORS", "find_prior")


def _spec(name: str, title: str, summary: str, model: Callable[[], PriorModel], *, features: bool = False) -> PriorSpec:
    return PriorSpec(name, title, summary, model, features)


_SPECS = (
    _spec("rps", "RPS", "similarity-weighted grades on the support set: the paper's Eq. 2-4", Rps),
    _spec("global", "Global accuracy", "mean grade on the whole bank, the same for every question", GlobalMeans),
    _spec("knn", "Nearest neighbours", "mean grade on the 400 most similar questions", NearestNeighbours),
    _spec("subject", "Per subject", "mean grade on the bank questions of the same task and subject", GroupMeans),
    _spec("clusters", "Clusters", "mean grade in the nearest of 16 clusters of questions", ClusterMeans),
    _spec("logistic", "Logistic regression", "a logistic regression per LLM on the embedding", Logistic),
    _spec("factors", "Matrix factorisation", "4 factors of the outcomes, each linear in the embedding", Factors),
    _spec("shrunk", "Shrunk RPS", "RPS drawn towards each LLM's mean grade", ShrunkRps),
    _spec("graded", "Graded weights", "mean with weights exp(8 cosine), more for the same task and subject", Graded),
    _spec(
        "kernel", "Kernel ridge", "kernel ridge on embedding, subject and question features", KernelRidge, features=True
    ),
    _spec("blend", "Blend", "mean of graded weights and kernel ridge", Blend, features=True),
    _spec("stacked", "Stacked", "sum of four priors, weighted by cross-validation on the bank", Stacked, features=True),
)

PRIORS: Final[dict[str, PriorSpec]] = {spec.name: spec for spec in _SPECS}
"""Every prior, the paper's first."""


def find_prior(name: str) -> PriorSpec:
    """Return a prior by name.

    Raises:
        ConfigError: There is none of that name.
    """
    try:
        return PRIORS[name]
    except KeyError:
        raise ConfigError(f"There is no prior {name!r}.{suggest(name, tuple(PRIORS))}") from None
