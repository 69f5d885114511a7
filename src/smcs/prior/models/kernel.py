"""Kernel ridge regression of all LLMs' outcomes on all that is known of a question before it is answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.prior.models.protocol import Asked, Evidence, Floats, Learner, Predictor

__all__ = ("KernelRidge",)

_RIDGES = np.geomspace(0.5, 500.0, 16)
_ROUNDS = 2
_JITTER = 1e-6
"""Added to the kernel of a landmark with itself, so that two alike do no harm."""


@dataclass(frozen=True)
class KernelRidge(Learner):
    """Gaussian kernel on embedding, group and features; how much to smooth is chosen per direction over LLMs.

    LLMs' outcomes go together: the leading direction says how hard a question is, the next ones what sets able LLMs or
    mathematicians apart, most of the others are noise. So outcomes are turned to their principal directions, each gets
    the ridge that generalised cross-validation on the bank likes best (Golub, Heath and Wahba 1979), and they are
    turned back. The kernel is approximated from a sample of landmark questions (Nystroem): linear cost in the bank.
    """

    width: float = 1.0
    """The kernel is exp(-width * squared distance); that of unit-norm embeddings is 2 (1 - cosine)."""
    group_scale: float = 0.5
    """Two groups differ by this in two coordinates: they are 1.4 times as far apart."""
    feature_scale: float = 0.15
    """Distance of two questions whose feature differs by a standard deviation."""
    landmarks: int = 1000
    most: int = 20_000
    """Questions learned from at most; a larger bank is sampled."""
    seed: int = 0

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""
        rng = np.random.default_rng(self.seed)
        if len(bank.embeddings) > self.most:
            sampled = bank.part(rng.choice(len(bank.embeddings), self.most, replace=False))
            bank = sampled if not np.isnan(sampled.outcomes).all(axis=0).any() else bank
        space = _Space.of(bank, self)
        points = space.place(Asked(bank.embeddings, bank.groups, bank.features))
        spots = points[rng.permutation(len(points))[: self.landmarks]]
        # Any root of the inverse serves; this one is ten times as fast as the symmetric one.
        among = _gaussian(spots, spots, self.width) + _JITTER * np.eye(len(spots))
        root = np.linalg.inv(np.linalg.cholesky(among)).T
        kernel = _gaussian(points, spots, self.width)
        centre = kernel.mean(axis=0)
        kernel -= centre
        weights, means = _ridge(kernel, root, bank)

        def predict(asked: Asked) -> Floats:
            found: Floats = (_gaussian(space.place(asked), spots, self.width) - centre) @ weights + means
            return found

        return predict


@dataclass(frozen=True, slots=True, eq=False)
class _Space:
    """Where a question lies: its embedding, a coordinate per group, and standardised features."""

    names: NDArray[np.str_]
    group_size: float
    centre: Floats
    scale: Floats

    @classmethod
    def of(cls, bank: Evidence, model: KernelRidge) -> _Space:
        names = np.unique(bank.groups)
        spread = bank.features.std(axis=0)
        scale = np.divide(model.feature_scale, spread, out=np.zeros_like(spread), where=spread > 0)
        return cls(names[names != ""], model.group_scale, bank.features.mean(axis=0), scale)

    def place(self, asked: Asked) -> Floats:
        groups = self.group_size * (asked.groups[:, None] == self.names)
        return np.concatenate([asked.queries, groups, (asked.features - self.centre) * self.scale], axis=1)


def _gaussian(points: Floats, spots: Floats, width: float) -> Floats:
    squared = (points**2).sum(axis=1)[:, None] + (spots**2).sum(axis=1) - 2 * (points @ spots.T)
    kernel: Floats = np.exp(-width * np.maximum(squared, 0.0))
    return kernel


def _ridge(kernel: Floats, root: Floats, bank: Evidence) -> tuple[Floats, Floats]:
    """Regress the outcomes on the traits `kernel` @ `root`; return weights of the centred kernel (m, R) and means (R,).

    Gaps are filled from a first regression for the second. The traits (N, m) themselves are never formed.
    """
    strengths, basis = np.linalg.eigh(root.T @ (kernel.T @ kernel) @ root)
    strengths, turn = np.maximum(strengths, 0.0), root @ basis
    grades = bank.filled()
    weights, means = np.zeros((kernel.shape[1], grades.shape[1])), grades.mean(axis=0)
    for _ in range(_ROUNDS if np.isnan(bank.outcomes).any() else 1):
        means = grades.mean(axis=0)
        centred = grades - means
        _, directions = np.linalg.eigh(centred.T @ centred)
        goals = centred @ directions
        cross = turn.T @ (kernel.T @ goals)
        ridges = _RIDGES[_gcv(strengths, cross, (goals**2).sum(axis=0), len(grades)).argmin(axis=0)]
        weights = turn @ (cross / (strengths[:, None] + ridges)) @ directions.T
        grades = bank.filled(kernel @ weights + means)
    return weights, means


def _gcv(strengths: Floats, cross: Floats, squares: Floats, count: int) -> Floats:
    """Return the criterion of generalised cross-validation of each ridge and direction, (ridges, R)."""
    criteria = []
    for ridge in _RIDGES:
        shares = 1 / (strengths + ridge)
        left = squares - (cross**2 * (2 * shares - strengths * shares**2)[:, None]).sum(axis=0)
        freedom = 1 - float(strengths @ shares) / count
        criteria.append(left / max(freedom, 1e-6) ** 2)
    return np.array(criteria)
