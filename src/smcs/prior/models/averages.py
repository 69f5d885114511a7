"""Means of grades: over the whole bank, per group, and per cluster of similar questions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.prior.models.protocol import Asked, Evidence, Floats, Learner, Predictor

__all__ = ("ClusterMeans", "GlobalMeans", "GroupMeans", "kmeans")

_ROUNDS = 50


@dataclass(frozen=True)
class GlobalMeans(Learner):
    """Every LLM's mean grade on the whole bank, whatever is asked."""

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""
        means = bank.means()
        return lambda asked: np.tile(means, (len(asked.queries), 1))


@dataclass(frozen=True)
class GroupMeans(Learner):
    """The mean grade on the questions of the same label; a label that the bank lacks gets the mean of all."""

    shrink: float = 0.0
    """Outcomes at the LLM's mean of all that every group has beside its own."""

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""
        names, member_of = np.unique(bank.groups, return_inverse=True)
        table = _means_of(member_of, len(names), bank, self.shrink)
        overall = bank.means()

        def predict(asked: Asked) -> Floats:
            place = np.searchsorted(names, asked.groups).clip(max=len(names) - 1)
            known = (names[place] == asked.groups) & (asked.groups != "")
            return np.where(known[:, None], table[place], overall)

        return predict


@dataclass(frozen=True)
class ClusterMeans(Learner):
    """The mean grade on the questions of the nearest cluster (k-means of the embeddings on the sphere)."""

    clusters: int = 16
    shrink: float = 0.0
    """As in `GroupMeans`."""
    seed: int = 0

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""
        rng = np.random.default_rng(self.seed)
        centres = kmeans(bank.embeddings, min(self.clusters, len(bank.embeddings)), rng)
        member_of = (bank.embeddings @ centres.T).argmax(axis=1)
        table = _means_of(member_of, len(centres), bank, self.shrink)

        def predict(asked: Asked) -> Floats:
            found: Floats = table[(asked.queries @ centres.T).argmax(axis=1)]
            return found

        return predict


def kmeans(points: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the centres of `count` clusters of unit-norm points, at unit norm themselves (spherical k-means).

    Starts from points drawn far apart (k-means++), and stops when no point moves. A cluster that loses all its points
    starts anew at the point that is farthest from its centre.

    Args:
        points: Shape (N, d).
        count: From 1 to N.
        rng: Draws the start.

    Returns:
        Shape (count, d).
    """
    centres = points[_spread_out(points, count, rng)]
    member_of = np.full(len(points), -1)
    for _ in range(_ROUNDS):
        closeness = points @ centres.T
        now = closeness.argmax(axis=1)
        if np.array_equal(now, member_of):
            break
        member_of = now
        nearest = closeness.max(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, member_of, points)
        for lost in np.flatnonzero(np.bincount(member_of, minlength=count) == 0):
            far = int(nearest.argmin())
            sums[lost], nearest[far] = points[far], np.inf
        sizes = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(sizes > 0, sums / np.where(sizes > 0, sizes, 1), centres).astype(np.float32)
    return centres


def _spread_out(points: NDArray[np.float32], count: int, rng: np.random.Generator) -> list[int]:
    chosen = [int(rng.integers(len(points)))]
    distance = np.full(len(points), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, np.maximum(0.0, 1.0 - (points @ points[chosen[-1]]).astype(np.float64)))
        distance[chosen] = 0.0
        total = distance.sum()
        chances = distance / total if total > 0 else None
        chosen.append(int(rng.choice(len(points), p=chances)))
    return chosen


def _means_of(member_of: NDArray[np.intp], count: int, bank: Evidence, shrink: float) -> Floats:
    """Return the mean grades of each set of questions, (count, R); the mean of all where a set has no grade."""
    overall = bank.means()
    there = ~np.isnan(bank.outcomes)
    sums = np.zeros((count, bank.outcomes.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, member_of, np.where(there, bank.outcomes, 0.0))
    np.add.at(counts, member_of, there)
    weight = counts + shrink
    return np.where(weight > 0, (sums + shrink * overall) / np.where(weight > 0, weight, 1.0), overall)
