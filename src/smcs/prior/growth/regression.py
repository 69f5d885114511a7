"""Bayesian logistic regression: a normal prior of the weights, and a normal posterior at its mode (Laplace)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ("Ability", "logistic", "posterior")

_STEPS = 50
_HALVINGS = 30
_CONVERGED = 1e-8


@dataclass(frozen=True, eq=False)
class Ability:
    """What is known about an LLM's weights."""

    mean: NDArray[np.float64]
    """(D,)"""
    covariance: NDArray[np.float64]
    """(D, D)"""


def logistic(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) in float64, without overflow."""
    result: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * values.astype(np.float64)))
    return result


def posterior(
    features: NDArray[np.float64],
    scores: NDArray[np.float64],
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> Ability:
    """Return the Laplace approximation for n outcomes with features (n, D) under a normal prior."""
    precision = np.linalg.inv(covariance)

    def loss(weights: NDArray[np.float64]) -> float:
        odds, away = features @ weights, weights - mean
        return float(np.logaddexp(0.0, odds).sum() - scores @ odds + 0.5 * away @ precision @ away)

    def curvature(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        chance = logistic(features @ weights)
        found: NDArray[np.float64] = (features * (chance * (1 - chance))[:, None]).T @ features + precision
        return found

    weights, best = mean.copy(), loss(mean)
    for _ in range(_STEPS):
        slope = features.T @ (scores - logistic(features @ weights)) - precision @ (weights - mean)
        step = np.linalg.solve(curvature(weights), slope)
        # Newton's step may overshoot; the loss is convex, so a short enough one never does.
        for _ in range(_HALVINGS):
            now = loss(weights + step)
            if now <= best:
                break
            step = step / 2
        else:
            break
        weights, best = weights + step, now
        if float(np.abs(step).max()) < _CONVERGED:
            break
    spread: NDArray[np.float64] = np.linalg.inv(curvature(weights)).astype(np.float64, copy=False)
    return Ability(weights, spread)
