"""LLMs whose outcomes follow a known model, for the tests of growing a bank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class World:
    """N questions and R LLMs, with what is true of them."""

    outcomes: NDArray[np.float64]
    """(N, R) of 0 and 1."""
    chances: NDArray[np.float64]
    """(N, R) true probabilities."""
    embeddings: NDArray[np.float32]
    """(N, d) unit-norm rows; the first two coordinates say which topic a question is of."""


def world(count: int = 1500, llms: int = 12, *, dimensions: int = 8, seed: int = 0) -> World:
    """Draw questions of two topics and many difficulties, and LLMs that differ in level and in topic."""
    rng = np.random.default_rng(seed)
    topic = np.where(rng.random(count) < 0.5, 1.0, -1.0)
    embeddings = 0.3 * rng.standard_normal((count, dimensions))
    embeddings[:, 0] += topic
    embeddings[:, 1] -= topic
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    difficulty, slope = 1.5 * rng.standard_normal(count), np.exp(0.4 * rng.standard_normal(count))
    level, bent = np.linspace(-1.5, 1.5, llms), 0.8 * rng.standard_normal(llms)
    odds = slope[:, None] * (level[None, :] - difficulty[:, None]) + topic[:, None] * bent[None, :]
    chances = 1 / (1 + np.exp(-odds))
    outcomes = (rng.random(chances.shape) < chances).astype(np.float64)
    return World(outcomes, chances, embeddings.astype(np.float32))
