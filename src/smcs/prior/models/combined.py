"""Several priors in one: their mean, or a weighted sum whose weights cross-validation on the bank chooses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smcs.prior.models.averages import GroupMeans
from smcs.prior.models.kernel import KernelRidge
from smcs.prior.models.neighbours import Graded
from smcs.prior.models.protocol import Asked, Evidence, Floats, Learner, Predictor
from smcs.prior.models.regressions import Logistic

__all__ = ("Blend", "Stacked")

_PULL = 0.01
_SWEEPS = 500


@dataclass(frozen=True)
class Blend(Learner):
    """The mean of a few models' expected grades."""

    parts: tuple[Learner, ...] = (Graded(), KernelRidge())

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""
        predictors = [part.learn(bank) for part in self.parts]
        return lambda asked: np.mean([predict(asked) for predict in predictors], axis=0)


@dataclass(frozen=True)
class Stacked(Learner):
    """A weighted sum of models, its weights learned from predictions for questions that a model had not seen.

    What counts is which LLM is better on the same question. So the weights are a least-squares fit of outcomes minus
    their mean over LLMs by predictions minus their mean over LLMs; no weight is below zero, and they are drawn a little
    towards equal ones (Breiman 1996, with differences instead of levels).
    """

    parts: tuple[Learner, ...] = (
        GroupMeans(shrink=20.0),
        Logistic(),
        Graded(),
        KernelRidge(),
    )
    folds: int = 3
    seed: int = 0

    def learn(self, bank: Evidence) -> Predictor:
        """See `Learner.learn`."""
        weights = self.weigh(bank)
        predictors = [part.learn(bank) for part in self.parts]

        def predict(asked: Asked) -> Floats:
            return sum((w * part(asked) for w, part in zip(weights, predictors, strict=True)), np.zeros(()))

        return predict

    def weigh(self, bank: Evidence) -> Floats:
        """Return the weight of each part, 0 or more; equal weights where the bank is too small to tell."""
        equal = np.full(len(self.parts), 1 / len(self.parts))
        count = len(bank.embeddings)
        place = np.random.default_rng(self.seed).permutation(count) % self.folds
        square, cross = np.zeros((len(equal), len(equal))), np.zeros(len(equal))
        for fold in range(self.folds):
            inside, outside = np.flatnonzero(place != fold), np.flatnonzero(place == fold)
            learned = bank.part(inside)
            if not len(outside) or not len(inside) or np.isnan(learned.outcomes).all(axis=0).any():
                return equal
            asked = bank.asked(outside)
            guesses = np.stack([part.learn(learned)(asked) for part in self.parts])
            left = _within_questions(bank.outcomes[outside], bank.outcomes[outside])
            moved = np.stack([_within_questions(guess, bank.outcomes[outside]).ravel() for guess in guesses])
            square += moved @ moved.T
            cross += moved @ left.ravel()
        pull = _PULL * max(float(np.trace(square)) / len(equal), 1e-12)
        return _least_squares(square + pull * np.eye(len(equal)), cross + pull * equal)


def _least_squares(square: Floats, cross: Floats) -> Floats:
    """Return the weights of 0 or more that minimise w'Aw - 2 b'w, by turns; A is positive definite."""
    weights = np.zeros(len(cross))
    for _ in range(_SWEEPS):
        for place in range(len(cross)):
            rest = cross[place] - square[place] @ weights + square[place, place] * weights[place]
            weights[place] = max(0.0, rest / square[place, place])
    return weights


def _within_questions(values: Floats, outcomes: Floats) -> Floats:
    """Return values minus their mean over the LLMs with an outcome on the question; 0 where there is none."""
    there = ~np.isnan(outcomes)
    known = np.where(there, values, 0.0)
    mean = known.sum(axis=1, keepdims=True) / np.maximum(1, there.sum(axis=1, keepdims=True))
    return np.where(there, known - mean, 0.0)
