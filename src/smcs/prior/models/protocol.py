"""What a prior model is, and the arrays it learns from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import finite_array
from smcs.errors import InputError

__all__ = ("Asked", "Evidence", "FittedPrior", "Learner", "Predictor", "PriorModel", "PriorSpec")

Floats = NDArray[np.float64]

_UNIT = 1e-3


class FittedPrior(Protocol):
    """A model that has seen a bank."""

    def predict(self, queries: ArrayLike, groups: ArrayLike, features: ArrayLike | None = None) -> Floats:
        """Return how well each LLM is expected to do on each of Q new questions, before any of them is answered.

        Args:
            queries: Unit-norm embeddings, shape (Q, d).
            groups: Label of each question ("task/subject"), shape (Q,); one that the bank lacks is no label.
            features: Further numbers known of each question, shape (Q, f); given if and only if `fit` got some.

        Returns:
            Shape (Q, R): larger is better; NaN for an LLM without a known outcome. "rps" gives the sums of Eq. 4, the
            others expected grades, which may lie a little outside [0, 1].

        Raises:
            InputError: Shapes do not fit each other or the bank, or a value is not finite.
        """
        ...


class PriorModel(Protocol):
    """A way to learn from a bank which LLM is good at what."""

    def fit(
        self, embeddings: ArrayLike, outcomes: ArrayLike, groups: ArrayLike, features: ArrayLike | None = None
    ) -> FittedPrior:
        """Learn from a bank of N questions and R LLMs.

        Args:
            embeddings: Unit-norm rows, shape (N, d).
            outcomes: Grades in [0, 1], NaN where missing, shape (N, R).
            groups: Label of each question, shape (N,); "" for none.
            features: Further numbers known of each question before it is answered (`question_features`), shape (N, f);
                models that have no use for them leave them alone.

        Raises:
            InputError: Shapes do not fit, a grade is outside [0, 1], or a value is not finite.
        """
        ...


@dataclass(frozen=True, slots=True)
class PriorSpec:
    """A prior by name."""

    name: str
    title: str
    summary: str
    """What it does, in one line."""
    model: Callable[[], PriorModel]
    """Makes it with its standard parameters."""
    uses_features: bool = False
    """Whether features of the questions change what it predicts."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Q new questions."""

    queries: NDArray[np.float32]
    """(Q, d)"""
    groups: NDArray[np.str_]
    """(Q,)"""
    features: Floats
    """(Q, f); f is 0 where none are known."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A checked bank; every LLM in it has an outcome."""

    embeddings: NDArray[np.float32]
    """(N, d)"""
    outcomes: Floats
    """(N, R), NaN where missing."""
    groups: NDArray[np.str_]
    """(N,)"""
    features: Floats
    """(N, f)"""

    def part(self, rows: NDArray[np.intp]) -> Evidence:
        """Return some of the questions."""
        return Evidence(self.embeddings[rows], self.outcomes[rows], self.groups[rows], self.features[rows])

    def asked(self, rows: NDArray[np.intp]) -> Asked:
        """Return some of the questions as if they were new."""
        return Asked(self.embeddings[rows], self.groups[rows], self.features[rows])

    def means(self) -> Floats:
        """Return each LLM's mean grade, (R,)."""
        means: Floats = np.nanmean(self.outcomes, axis=0)
        return means

    def filled(self, expected: Floats | None = None) -> Floats:
        """Return the outcomes with each gap filled, (N, R).

        A gap holds what is expected of the LLM (`expected`, (N, R); its mean unless given) plus how much better than
        expected the other LLMs did on that question: who was not asked the hard questions is not taken for able.
        """
        gaps = np.isnan(self.outcomes)
        if not gaps.any():
            return self.outcomes
        level = np.broadcast_to(self.means() if expected is None else expected, self.outcomes.shape)
        surplus = np.where(gaps, 0.0, self.outcomes - level).sum(axis=1) / np.maximum(1, (~gaps).sum(axis=1))
        return np.where(gaps, np.clip(level + surplus[:, None], 0.0, 1.0), self.outcomes)


Predictor = Callable[[Asked], Floats]
"""Predicts (Q, R) for new questions."""


class Learner(ABC):
    """Base of the models: checks arrays, and keeps LLMs without any outcome out of what is learned."""

    def fit(
        self, embeddings: ArrayLike, outcomes: ArrayLike, groups: ArrayLike, features: ArrayLike | None = None
    ) -> FittedPrior:
        """See `PriorModel.fit`."""
        vectors, labels, numbers = _checked(embeddings, groups, features)
        grades = finite_array("outcomes", outcomes, ndim=2, allow_nan=True)
        if len(grades) != len(vectors):
            raise InputError(f"`outcomes` must have one row per embedding ({len(vectors)}), got shape {grades.shape}.")
        if np.fmin.reduce(grades, axis=None) < 0 or np.fmax.reduce(grades, axis=None) > 1:
            raise InputError("`outcomes` must be from 0 to 1, or NaN where missing. Divide percentages by 100.")
        known = np.asarray(~np.isnan(grades).all(axis=0), dtype=np.bool_)
        if not known.any():
            raise InputError("`outcomes` holds no known grade. Grade the bank first.")
        predictor = self.learn(Evidence(vectors, grades[:, known], labels, numbers))
        return _Fitted(predictor, known, vectors.shape[1], numbers.shape[1])

    @abstractmethod
    def learn(self, bank: Evidence) -> Predictor:
        """Learn from a checked bank."""


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    predictor: Predictor
    known: NDArray[np.bool_]
    dimensions: int
    features: int

    def predict(self, queries: ArrayLike, groups: ArrayLike, features: ArrayLike | None = None) -> Floats:
        vectors, labels, numbers = _checked(queries, groups, features)
        if vectors.shape[1] != self.dimensions or numbers.shape[1] != self.features:
            raise InputError(
                f"The bank has {self.dimensions} dimensions and {self.features} features per question, got "
                f"{vectors.shape[1]} and {numbers.shape[1]}. Describe new questions as those of the bank."
            )
        result = np.full((len(vectors), len(self.known)), np.nan)
        result[:, self.known] = self.predictor(Asked(vectors, labels, numbers))
        return result


def _checked(
    embeddings: ArrayLike, groups: ArrayLike, features: ArrayLike | None
) -> tuple[NDArray[np.float32], NDArray[np.str_], Floats]:
    vectors = finite_array("embeddings", embeddings, ndim=2)
    if (np.abs(np.einsum("nd,nd->n", vectors, vectors) - 1) > _UNIT).any():
        raise InputError("`embeddings` must have rows of length 1. Divide each by its norm.")
    labels = np.asarray(groups, dtype=np.str_)
    if labels.shape != (len(vectors),):
        raise InputError(f"`groups` must have one label per question ({len(vectors)}), got shape {labels.shape}.")
    numbers = np.empty((len(vectors), 0)) if features is None else finite_array("features", features, ndim=2)
    if len(numbers) != len(vectors):
        raise InputError(f"`features` must have one row per question ({len(vectors)}), got shape {numbers.shape}.")
    return vectors.astype(np.float32), labels, numbers
