"""Features of bank questions, made from the outcomes of well graded LLMs and from question embeddings.

Per question: 1; its difficulty; its discrimination (how much more able LLMs gain on it, as in the two-parameter model
of item response theory); its difficulty squared (guesses that hit keep an LLM's curve from being logistic); the leading
direction in which the outcomes still differ; and the leading *topics*, directions in which they differ as a linear
function of the embedding. A newcomer is a vector of weights on these features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.prior.growth.regression import logistic

__all__ = ("FIXED", "LINKED", "OutcomeTable")

LINKED = 3
"""1, difficulty and discrimination: LLMs' weights on these go together."""

FIXED = 4
"""These and difficulty squared mean the same whoever was graded. Then comes the direction, then the topics."""

_TOPICS = 4
_DIMENSIONS = 512
"""Longer embeddings are projected at random to this length, which keeps inner products to about 4%."""

_PSEUDO_OUTCOMES = 4.0
"""Outcomes at the overall mean that every question has beside its own, so that none is impossible or certain."""

_SLOPE_PRECISION = 4.0
_TOPIC_RIDGE = 50.0
"""Prior precision of a slope, and of a topic's weight per embedding dimension: both in outcomes."""

_FILL_ROUNDS = 2
_LEAST_SPREAD = 1e-6

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class OutcomeTable:
    """Outcomes of R LLMs on N questions with gaps filled, and the products that every choice of LLMs shares."""

    filled: Matrix
    """(N, R): scores; a gap holds the probability of a one-parameter model."""
    means: NDArray[np.float64]
    """(R,) column means of `filled`."""
    gram: NDArray[np.float64]
    """(R, R): centred columns times each other."""
    embeddings: Matrix
    """(N, d), centred; long ones projected."""
    spread: NDArray[np.float64]
    """(d, d): embeddings times each other."""
    cross: NDArray[np.float64]
    """(d, R): embeddings times centred columns."""

    @classmethod
    def of(cls, outcomes: NDArray[np.floating], embeddings: Matrix, rng: np.random.Generator) -> OutcomeTable:
        """Fill gaps and multiply.

        Args:
            outcomes: (N, R) in [0, 1], NaN where missing; every LLM has an outcome.
            embeddings: (N, d) unit-norm rows.
            rng: For the projection of long embeddings.
        """
        filled = _fill(outcomes)
        means = filled.mean(axis=0, dtype=np.float64)
        centred = filled - means.astype(np.float32)
        vectors = _shorten(embeddings, rng)
        vectors = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        gram, spread, cross = (_wide(part) for part in (centred.T @ centred, vectors.T @ vectors, vectors.T @ centred))
        return cls(filled, means, gram, vectors, spread, cross)

    def features(self, columns: NDArray[np.intp]) -> Matrix:
        """Return the features (N, D) that some of the LLMs give, at least R - 1; D depends on R alone."""
        fixed = self._fixed(columns)
        square = _wide(fixed.T @ fixed)
        # What fixed features explain is taken out of columns and products, never out of an (N, R) copy.
        centred_cross = _wide(fixed.T @ self.filled[:, columns]) - np.outer(
            fixed.sum(axis=0, dtype=np.float64), self.means[columns]
        )
        explained = _wide(np.linalg.solve(square + 1e-6 * np.eye(FIXED), centred_cross))
        gram = self.gram[np.ix_(columns, columns)] - explained.T @ square @ explained
        values, vectors = _leading(gram, 1)
        direction = self._project(fixed, columns, explained, vectors)
        cross = self.cross[:, columns] - _wide(self.embeddings.T @ fixed) @ explained
        fields = np.linalg.solve(self.spread + _TOPIC_RIDGE * np.eye(len(self.spread)), cross)
        strengths, vectors = _leading(fields.T @ self.spread @ fields, min(_TOPICS, len(self.means) - 2))
        topics = self.embeddings @ (fields @ vectors).astype(np.float32)
        return np.concatenate([fixed, _scaled(direction, values), _scaled(topics, strengths)], axis=1)

    def _fixed(self, columns: NDArray[np.intp]) -> Matrix:
        """Return the fixed features, (N, FIXED): 1, and the others with mean 0 and spread 1."""
        scores = self.filled[:, columns]
        difficulty = _log_odds(scores.sum(axis=1), len(columns), float(self.means[columns].mean()))
        ability = _abilities(self.means[columns])
        size = float(ability.std()) or 1.0
        unit = (ability / size).astype(np.float32)
        # One step of Newton's method from the one-parameter model: how much steeper or flatter each question is.
        expected = logistic(difficulty[:, None] + ability[None, :].astype(np.float32)).astype(np.float32)
        surplus = scores @ unit - expected @ unit
        expected *= 1 - expected
        steeper = surplus / (expected @ (unit * unit) + np.float32(_SLOPE_PRECISION))
        level = _standard(difficulty)
        return np.stack([np.ones_like(level), level, _standard(steeper), _standard(level * level)], axis=1)

    def _project(
        self,
        fixed: Matrix,
        columns: NDArray[np.intp],
        explained: NDArray[np.float64],
        vectors: NDArray[np.float64],
    ) -> Matrix:
        """Return centred columns without what is explained, times vectors."""
        raw = self.filled[:, columns] @ vectors.astype(np.float32)
        offset = (self.means[columns] @ vectors).astype(np.float32)
        result: Matrix = raw - offset - fixed @ (explained @ vectors).astype(np.float32)
        return result


def _fill(outcomes: NDArray[np.floating]) -> Matrix:
    """Put the probability of a one-parameter (Rasch) model where an outcome is missing."""
    scores = outcomes.astype(np.float32)
    gaps = np.isnan(scores)
    if not gaps.any():
        return scores
    scores[gaps] = 0.0
    observed = (~gaps).sum(axis=1)
    ability = _abilities(scores.sum(axis=0, dtype=np.float64) / np.maximum((~gaps).sum(axis=0), 1))
    overall = float(scores.sum(dtype=np.float64) / max(1, (~gaps).sum()))
    difficulty = _log_odds(scores.sum(axis=1), observed, overall)
    for _ in range(_FILL_ROUNDS):
        expected = logistic(difficulty[:, None] + ability[None, :].astype(np.float32)).astype(np.float32)
        np.copyto(scores, expected, where=gaps)
        difficulty = _log_odds(scores.sum(axis=1), scores.shape[1], overall)
    return scores


def _shorten(embeddings: Matrix, rng: np.random.Generator) -> Matrix:
    dimensions = embeddings.shape[1]
    if dimensions <= _DIMENSIONS:
        return embeddings
    projection = rng.standard_normal((dimensions, _DIMENSIONS), dtype=np.float32) / np.float32(np.sqrt(_DIMENSIONS))
    shorter: Matrix = embeddings @ projection
    return shorter


def _log_odds(right: NDArray[np.floating], asked: int | NDArray[np.integer], overall: float) -> Matrix:
    """Return how easy questions are: log-odds of their share of right answers, drawn towards the overall share."""
    level = min(max(overall, 0.01), 0.99)
    wins = right.astype(np.float64) + _PSEUDO_OUTCOMES * level
    losses = asked - right.astype(np.float64) + _PSEUDO_OUTCOMES * (1 - level)
    odds: Matrix = np.log(wins / losses).astype(np.float32)
    return odds


def _abilities(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-odds of accuracies, with mean 0."""
    bounded = np.clip(means, 0.01, 0.99)
    odds = np.log(bounded / (1 - bounded))
    centred: NDArray[np.float64] = odds - odds.mean()
    return centred


def _leading(gram: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest eigenvalues, (count,), and their vectors, (R, count), each with its largest entry above 0."""
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    signs = np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None, :], axis=0))
    return values, vectors * np.where(signs == 0, 1.0, signs)


def _scaled(values: Matrix, squares: NDArray[np.float64]) -> Matrix:
    """Return columns at root mean square 1; those that hold nothing but rounding become 0."""
    size = np.sqrt(np.maximum(squares, 0.0) / len(values))
    factor = np.where(size > _LEAST_SPREAD, 1.0 / np.maximum(size, _LEAST_SPREAD), 0.0)
    scaled: Matrix = values * factor.astype(np.float32)
    return scaled


def _standard(values: NDArray[np.floating]) -> Matrix:
    centred: Matrix = (values - values.mean(dtype=np.float64)).astype(np.float32)
    size = float(centred.std(dtype=np.float64))
    return centred / np.float32(size) if size > _LEAST_SPREAD else np.zeros_like(centred)


def _wide(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(matrix, dtype=np.float64)
