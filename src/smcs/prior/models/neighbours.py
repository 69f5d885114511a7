"""Means over similar bank questions, weighted by how similar they are: RPS itself, and its relatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.prior.models.protocol import Asked, Evidence, Floats, Learner, Predictor

__all__ = ("Graded", "NearestNeighbours", "Rps", "ShrunkRps", "rps_weights", "weighted_sums")

_BATCH_CELLS = 2**22


def rps_weights(similarities: NDArray[np.float32], *, base: int, tolerance: float) -> Floats:
    """Return the weight of every bank question in the prior (Eq. 3): its similarity inside the support set, else 0.

    Row by row what `smcs.prior.support_set` selects.

    Args:
        similarities: Shape (Q, N).
        base: N_sup_base.
        tolerance: gamma.
    """
    count = min(base, similarities.shape[1])
    nearest = np.partition(similarities, -count, axis=1)[:, -count, None].astype(np.float64)
    # A negative similarity is its own threshold: its multiple would exceed it.
    threshold = np.minimum(nearest, tolerance * nearest)
    exact = similarities.astype(np.float64)
    exact[exact < threshold] = 0.0
    return exact


def weighted_sums(weights: Floats, grades: Floats) -> Floats:
    """Return Eq. 4 for many questions at once, (Q, R): what `smcs.prior.weighted_prior` gives for each.

    LLMs with equal grades get equal priors to the last bit: equal columns are computed once.

    Args:
        weights: Shape (Q, N); 0 outside the support set.
        grades: Shape (N, R), NaN where missing.
    """
    first: dict[bytes, int] = {}
    place = [first.setdefault(grades[:, llm].tobytes(), len(first)) for llm in range(grades.shape[1])]
    columns = grades[:, [place.index(number) for number in range(len(first))]]
    there = ~np.isnan(columns)
    total: Floats = weights @ np.where(there, columns, 0.0)
    gaps = np.flatnonzero(~there.all(axis=0))
    if len(gaps):
        known = there[:, gaps].astype(np.float64)
        observed, whole = weights @ known, weights.sum(axis=1, keepdims=True)
        size, value = observed, total[:, gaps]
        if weights.min() < 0:
            absolute = np.abs(weights)
            size, value = absolute @ known, absolute @ np.where(there, columns, 0.0)[:, gaps]
        mean = np.divide(value, size, out=np.full_like(size, np.nan), where=size > 0)
        total[:, gaps] += mean * (whole - observed)
    found: Floats = total[:, place]
    return found


@dataclass(frozen=True)
class Rps(Learner):
    """Retrieval-based prior selection as in the paper (Eq. 2-4)."""

    base: int = 400
    """N_sup_base."""
    tolerance: float = 0.95
    """gamma."""

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""

        def weigh(asked: Asked) -> Floats:
            closeness = asked.queries @ bank.embeddings.T
            return weighted_sums(rps_weights(closeness, base=self.base, tolerance=self.tolerance), bank.outcomes)

        return _in_batches(weigh, len(bank.embeddings))


@dataclass(frozen=True)
class NearestNeighbours(Learner):
    """The mean grade on the k most similar questions, all alike; without a grade there, the LLM's mean of all."""

    k: int = 400

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""
        count = min(self.k, len(bank.embeddings))

        def mean(asked: Asked) -> Floats:
            closeness = asked.queries @ bank.embeddings.T
            nearest = np.argpartition(closeness, -count, axis=1)[:, -count:]
            weights = np.zeros(closeness.shape)
            np.put_along_axis(weights, nearest, 1.0, axis=1)
            return _shrunk_means(weights, bank, 0.0)

        return _in_batches(mean, len(bank.embeddings))


@dataclass(frozen=True)
class ShrunkRps(Learner):
    """RPS as a mean, drawn towards each LLM's mean of all as if the bank held further questions at that mean."""

    base: int = 400
    tolerance: float = 0.95
    shrink: float = 50.0
    """Similarity of those further questions, in the unit of the support set's total similarity."""

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""

        def weigh(asked: Asked) -> Floats:
            closeness = asked.queries @ bank.embeddings.T
            weights = rps_weights(closeness, base=self.base, tolerance=self.tolerance)
            return _shrunk_means(np.maximum(weights, 0.0), bank, self.shrink)

        return _in_batches(weigh, len(bank.embeddings))


@dataclass(frozen=True)
class Graded(Learner):
    """Means over the whole bank with weights exp(sharpness * cosine), times exp(bonus) inside the same group.

    The cut of Eq. 3 gives way to weights that fall off smoothly: a kernel regression (Nadaraya-Watson).
    """

    sharpness: float = 8.0
    bonus: float = 2.0
    shrink: float = 0.0
    """Weight, as a share of the total, of the LLM's mean of all."""

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""

        def weigh(asked: Asked) -> Floats:
            closeness = (asked.queries @ bank.embeddings.T).astype(np.float64)
            powers = self.sharpness * closeness
            if self.bonus:
                labelled = asked.groups[:, None] != ""
                powers += self.bonus * ((asked.groups[:, None] == bank.groups) & labelled)
            weights = np.exp(powers - powers.max(axis=1, keepdims=True))
            return _shrunk_means(weights, bank, self.shrink * weights.sum(axis=1, keepdims=True))

        return _in_batches(weigh, len(bank.embeddings))


def _shrunk_means(weights: Floats, bank: Evidence, shrink: float | Floats) -> Floats:
    there = ~np.isnan(bank.outcomes)
    total = weights @ np.where(there, bank.outcomes, 0.0)
    size = weights.sum(axis=1, keepdims=True) if there.all() else weights @ there.astype(np.float64)
    overall = bank.means()
    whole = size + shrink
    return np.where(whole > 0, (total + shrink * overall) / np.where(whole > 0, whole, 1.0), overall)


def _in_batches(predict: Predictor, cells: int) -> Predictor:
    """Return a predictor that takes few enough questions at once for its (Q, `cells`) arrays to fit in memory."""
    batch = max(1, _BATCH_CELLS // max(1, cells))

    def predict_all(asked: Asked) -> Floats:
        parts = [
            predict(Asked(asked.queries[rows], asked.groups[rows], asked.features[rows]))
            for rows in (slice(start, start + batch) for start in range(0, len(asked.queries), batch))
        ]
        return np.concatenate(parts)

    return predict_all
