"""What a vote is worth on one question: log-weights that depend on who votes, on what is asked, and on how.

A conditional logit over the answers given (McFadden 1974): the log-odds of an answer are the summed worth of its votes.
A voter's worth is linear in features of the question and of its text, with a Gaussian prior around the same worth
everywhere, so that little data gives one weight per voter, and much data gives weights by neighbourhood. Learned
together, so that voters who err together share their weight, which a product of separate odds would count twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import finite_array
from smcs.errors import InputError
from smcs.posterior.agreement import ballot_array, named_probabilities

__all__ = ("Shrinkage", "VoteWorth", "fit_vote_worth", "fit_votes")

_NEWTON_STEPS = 30
_CG_STEPS = 60
_SETTLED = 1e-5
_LLOYD_STEPS = 25
_QUESTIONS_PER_REGION = 40
_LONGEST = 3.0
"""Deviations of a length beyond this many standard deviations say no more."""


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """Precisions of the priors, all above zero: the larger, the more data it takes to move away from zero."""

    voter: float = 1.0
    """Of a voter's worth everywhere."""
    region: float = 10.0
    """Of how much more it is worth in one region of questions."""
    length: float = 5.0
    """Of how its worth changes with the length of its text, and of everybody's."""
    regions: int = 8
    """Regions that the questions are divided into, where there are enough; 0 leaves them out."""

    def __post_init__(self) -> None:
        for name in ("voter", "region", "length"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"`{name}` must be a finite number above 0, got {value!r}.")
        if self.regions < 0:
            raise InputError(f"`regions` must be 0 or more, got {self.regions}.")


@dataclass(frozen=True, slots=True, eq=False)
class VoteWorth:
    """A fitted model of R voters."""

    coefficients: NDArray[np.float64]
    """(R, 1 + C + 2): everywhere, by region, own and mean length."""
    centres: NDArray[np.float64]
    """(C, d), unit rows: the regions."""
    region_mean: NDArray[np.float64]
    """(C,): mean similarity of the questions to each centre."""
    region_spread: float
    length_mean: NDArray[np.float64]
    """(R,): mean logarithm of the length of a voter's texts."""
    length_spread: NDArray[np.float64]

    def log_weights(self, vectors: ArrayLike, lengths: ArrayLike) -> NDArray[np.float64]:
        """Return what the vote of each voter adds to the log-odds of its answer.

        Args:
            vectors: Unit embedding of each question, shape (Q, d); a row of zeros says nothing about the question.
            lengths: Characters of each voter's text, shape (Q, R); NaN where it is unknown or there is none.

        Returns:
            Log-weights, shape (Q, R).
        """
        weights: NDArray[np.float64] = np.einsum("qrd,rd->qr", self._features(vectors, lengths), self.coefficients)
        return weights

    def _features(self, vectors: ArrayLike, lengths: ArrayLike) -> NDArray[np.float64]:
        """Return (Q, R, D)."""
        asked = finite_array("vectors", vectors, ndim=2)
        deviation = self._deviations(np.asarray(lengths, dtype=np.float64))
        shape = deviation.shape
        mean = np.zeros(len(deviation))
        known = ~np.isnan(deviation)
        some = known.any(axis=1)
        mean[some] = np.nansum(deviation[some], axis=1) / known[some].sum(axis=1)
        own = np.where(known, deviation - mean[:, None], 0.0)
        parts = [
            np.ones((*shape, 1)),
            np.broadcast_to(self._regions(asked)[:, None, :], (*shape, len(self.centres))),
            own[:, :, None],
            np.broadcast_to(mean[:, None, None], (*shape, 1)),
        ]
        return np.concatenate(parts, axis=2)

    def _deviations(self, lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = np.log(np.maximum(lengths, 1.0))
        return np.clip((logs - self.length_mean) / self.length_spread, -_LONGEST, _LONGEST)

    def _regions(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far each question belongs to each region, (Q, C), rows adding up to 1."""
        if not len(self.centres):
            return np.zeros((len(vectors), 0))
        known = vectors.any(axis=1, keepdims=True)
        near = (vectors @ self.centres.T - self.region_mean) / self.region_spread
        powers = np.exp(near - near.max(axis=1, keepdims=True))
        return np.where(known, powers / powers.sum(axis=1, keepdims=True), 1 / len(self.centres))


def fit_vote_worth(
    answers: ArrayLike,
    correct: ArrayLike,
    vectors: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    shrinkage: Shrinkage | None = None,
) -> VoteWorth:
    """Learn what the votes of R voters are worth from Q questions whose right answer is known.

    Args:
        answers: Number of the answer of each voter, -1 for none, shape (Q, R).
        correct: Number of the right answer, shape (Q,).
        vectors: Unit embedding of each question, shape (Q, d).
        lengths: Characters of each voter's text, shape (Q, R), NaN where unknown; `None` if all are.
        shrinkage: Precisions and number of regions; fewer regions are used where there are not 40 questions for each.

    Raises:
        InputError: Shapes differ, or there is no question.
    """
    votes = ballot_array(answers, ndim=2)
    asked = finite_array("vectors", vectors, ndim=2)
    measured = np.full(votes.shape, np.nan) if lengths is None else np.asarray(lengths, dtype=np.float64)
    if len(asked) != len(votes) or measured.shape != votes.shape:
        raise InputError(
            f"`answers` {votes.shape}, `vectors` {asked.shape} and `lengths` {measured.shape} must have one row per "
            "question and one column per voter."
        )
    shrinkage = shrinkage or Shrinkage()
    centres = _centres(asked, min(shrinkage.regions, len(asked) // _QUESTIONS_PER_REGION))
    near = asked @ centres.T
    logs = np.log(np.maximum(measured, 1.0))
    mean, spread = _column_moments(logs)
    regions = len(centres)
    empty = VoteWorth(
        np.zeros((votes.shape[1], regions + 3)),
        centres,
        near.mean(axis=0),
        max(float(near.std()), 1e-9) if regions else 1.0,
        mean,
        spread,
    )
    ridge = np.array([shrinkage.voter, *[shrinkage.region] * regions, shrinkage.length, shrinkage.length])
    coefficients = fit_votes(votes, correct, empty._features(asked, measured), ridge)  # noqa: SLF001 - same class
    return VoteWorth(coefficients, centres, empty.region_mean, empty.region_spread, mean, spread)


def fit_votes(answers: ArrayLike, correct: ArrayLike, features: ArrayLike, ridge: ArrayLike) -> NDArray[np.float64]:
    """Fit the worth of votes that is linear in features, by Newton's method with conjugate gradients.

    Args:
        answers: As `fit_vote_worth`.
        correct: As `fit_vote_worth`; questions on which no voter gave it say nothing.
        features: Of each vote, shape (Q, R, D).
        ridge: Precision of the prior on each feature's coefficient, above zero, shape (D,).

    Returns:
        Coefficients, shape (R, D).

    Raises:
        InputError: Shapes differ, or a precision is not above zero.
    """
    votes = ballot_array(answers, ndim=2)
    right = ballot_array(correct, ndim=1)
    given = finite_array("features", features, ndim=3)
    precision = finite_array("ridge", ridge, ndim=1)
    if given.shape[:2] != votes.shape or right.shape != votes.shape[:1] or precision.shape != given.shape[2:]:
        raise InputError(
            f"`answers` {votes.shape}, `correct` {right.shape}, `features` {given.shape} and `ridge` {precision.shape} "
            "do not fit each other."
        )
    if precision.min() <= 0:
        raise InputError(f"`ridge` must be above 0, got {float(precision.min())}.")
    told = ((votes == right[:, None]) & (votes >= 0)).any(axis=1)
    coefficients = np.zeros(given.shape[1:])
    if not told.any():
        return coefficients
    problem = _Likelihood(votes[told], right[told], given[told], precision)
    for _ in range(_NEWTON_STEPS):
        step = problem.newton_step(coefficients)
        coefficients = problem.advance(coefficients, step)
        if np.abs(step).max() < _SETTLED:
            break
    return coefficients


class _Likelihood:
    """The penalised log-likelihood of a conditional logit and its derivatives; concave, so Newton's method finds it."""

    def __init__(
        self,
        votes: NDArray[np.intp],
        right: NDArray[np.intp],
        features: NDArray[np.float64],
        ridge: NDArray[np.float64],
    ) -> None:
        self._features = features
        self._ridge = ridge
        self._votes = votes
        self._spoken = votes >= 0
        self._hit = (votes == right[:, None]) & self._spoken
        self._width = int(votes.max()) + 1
        rows = np.arange(len(votes))[:, None] * self._width
        self._cells = np.where(self._spoken, rows + votes, len(votes) * self._width)

    def newton_step(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the direction to the maximum of the quadratic model at some coefficients."""
        chances = self._chances(coefficients)
        gradient = self._back(self._hit - chances) - self._ridge * coefficients
        step, residual = np.zeros_like(gradient), gradient.copy()
        direction, size = residual.copy(), float((residual**2).sum())
        target = size * 1e-10
        for _ in range(_CG_STEPS):
            if size <= target:
                break
            curved = self._curvature(direction, chances)
            length = size / float((direction * curved).sum())
            step += length * direction
            residual -= length * curved
            before, size = size, float((residual**2).sum())
            direction = residual + (size / before) * direction
        return step

    def advance(self, coefficients: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return coefficients that are better by a step, or by the part of it that makes them better."""
        start = self._objective(coefficients)
        for _ in range(20):
            if self._objective(coefficients + step) >= start:
                return coefficients + step
            step = step / 2
        return coefficients

    def _objective(self, coefficients: NDArray[np.float64]) -> float:
        chances = self._chances(coefficients)
        likely = np.where(self._hit, chances, 0.0).max(axis=1)
        return float(np.log(np.maximum(likely, 1e-300)).sum() - (self._ridge * coefficients**2).sum() / 2)

    def _chances(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        return named_probabilities(self._votes, np.einsum("qrd,rd->qr", self._features, coefficients))

    def _curvature(self, direction: NDArray[np.float64], chances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the product of the negative Hessian and a direction."""
        moved = np.einsum("qrd,rd->qr", self._features, direction)
        totals = np.bincount(self._cells.ravel(), np.where(self._spoken, moved, 0.0).ravel(), self._size)[:-1]
        table = totals.reshape(len(moved), self._width)
        own = np.take_along_axis(table, np.where(self._spoken, self._votes, 0), axis=1)
        # Each answer's probability, counted once however many voted for it.
        share = chances / np.maximum(self._voters(), 1)
        mean = (share * own).sum(axis=1, keepdims=True)
        return self._back(chances * (own - mean)) + self._ridge * direction

    @property
    def _size(self) -> int:
        return len(self._votes) * self._width + 1

    def _voters(self) -> NDArray[np.intp]:
        """Return how many gave the answer of each voter, (Q, R)."""
        counts = np.bincount(self._cells.ravel(), minlength=self._size)
        counts[-1] = 1
        return counts[self._cells]

    def _back(self, per_vote: NDArray[np.float64]) -> NDArray[np.float64]:
        summed: NDArray[np.float64] = np.einsum("qr,qrd->rd", per_vote, self._features)
        return summed


def _column_moments(logs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each column's known values; 0 and 1 where there are too few."""
    known = ~np.isnan(logs)
    count = np.maximum(known.sum(axis=0), 1)
    values = np.where(known, logs, 0.0)
    mean = values.sum(axis=0) / count
    spread = np.sqrt(np.where(known, (logs - mean) ** 2, 0.0).sum(axis=0) / count)
    return mean, np.where(spread > 1e-6, spread, 1.0)


def _centres(vectors: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Divide unit vectors into regions by spherical k-means; the same vectors give the same centres."""
    if count < 2:
        return np.zeros((0, vectors.shape[1]))
    rng = np.random.default_rng(0)
    chosen = [int(rng.integers(len(vectors)))]
    for _ in range(count - 1):
        distance = np.maximum(1 - (vectors @ vectors[chosen].T).max(axis=1), 0.0)
        if not distance.any():
            break
        chosen.append(int(rng.choice(len(vectors), p=distance / distance.sum())))
    centres = vectors[chosen]
    for _ in range(_LLOYD_STEPS):
        nearest = (vectors @ centres.T).argmax(axis=1)
        sums = np.stack([vectors[nearest == region].sum(axis=0) for region in range(len(centres))])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres)
    return np.asarray(centres, dtype=np.float64)
