"""Linear models on the embedding: a logistic regression per LLM, and low-rank factors that LLMs share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.prior.models.protocol import Asked, Evidence, Floats, Learner, Predictor

__all__ = ("Factors", "Logistic", "fit_logistic")

_STEPS = 500
_SETTLED = 1e-5


@dataclass(frozen=True)
class Logistic(Learner):
    """A logistic regression per LLM on the embedding, with a Gaussian prior of its weights; the intercept is free."""

    ridge: float = 20.0
    """Precision of the weights, in outcomes."""

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""
        centre = bank.embeddings.mean(axis=0, dtype=np.float64)
        weights, intercepts = fit_logistic(bank.embeddings - centre, bank.outcomes, ridge=self.ridge)

        def predict(asked: Asked) -> Floats:
            odds = (asked.queries - centre) @ weights + intercepts
            chance: Floats = 0.5 + 0.5 * np.tanh(0.5 * odds)
            return chance

        return predict


@dataclass(frozen=True)
class Factors(Learner):
    """Low-rank factors: outcomes are means plus `rank` directions, whose strength is linear in the embedding.

    Matrix factorisation with side information, in closed form (reduced-rank ridge regression): a ridge regression of
    all outcomes, and of what it fits the `rank` leading directions over LLMs.
    """

    rank: int = 4
    ridge: float = 40.0
    """Precision of the weights, in outcomes."""

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""
        centre = bank.embeddings.mean(axis=0, dtype=np.float64)
        vectors = bank.embeddings - centre
        grades = bank.filled()
        means = grades.mean(axis=0)
        square = vectors.T @ vectors
        square[np.diag_indices_from(square)] += self.ridge
        weights = np.linalg.solve(square, vectors.T @ (grades - means))
        fitted = vectors @ weights
        _, directions = np.linalg.eigh(fitted.T @ fitted)
        leading = directions[:, -min(self.rank, len(means)) :]
        factors = weights @ leading

        def predict(asked: Asked) -> Floats:
            found: Floats = (asked.queries - centre) @ factors @ leading.T + means
            return found

        return predict


def fit_logistic(vectors: NDArray[np.floating], outcomes: Floats, *, ridge: float) -> tuple[Floats, Floats]:
    """Fit R logistic regressions at once; graded outcomes count as shares of a success.

    Each step solves with a bound on the curvature, X'X/4 + ridge, that holds whatever the weights are (Boehning and
    Lindsay 1988): one factorisation serves all steps and LLMs, and no step raises the loss.

    Args:
        vectors: Shape (N, d).
        outcomes: Shape (N, R) in [0, 1]; NaN counts for nothing.
        ridge: Precision of the weights, above 0; the intercept has next to none.

    Returns:
        Weights, shape (d, R), and intercepts, shape (R,).
    """
    there = ~np.isnan(outcomes)
    design = np.concatenate([np.ones((len(vectors), 1)), vectors], axis=1).astype(np.float64)
    precision = np.full(design.shape[1], ridge)
    precision[0] = 1e-6
    bound = design.T @ design / 4
    bound[np.diag_indices_from(bound)] += precision
    solve = np.linalg.inv(bound)
    grades = np.where(there, outcomes, 0.0)
    weights = np.zeros((design.shape[1], outcomes.shape[1]))
    for _ in range(_STEPS):
        chance = 0.5 + 0.5 * np.tanh(0.5 * (design @ weights))
        slope = design.T @ np.where(there, grades - chance, 0.0) - precision[:, None] * weights
        step = solve @ slope
        weights += step
        if np.abs(step).max() < _SETTLED:
            break
    return weights[1:], weights[0]
