"""A newcomer's weights on the features of questions, what they predict, and how sure that is.

The model is logistic: P(right on question i) = logistic(x_i . w), with a normal prior of w that the survey learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import real_array
from smcs.errors import InputError
from smcs.prior.growth.regression import Ability, logistic, posterior
from smcs.prior.growth.surveying import Survey

__all__ = ("AccuracyEstimate", "estimate_accuracy", "infer", "predict")

_NORMAL_975 = 1.959964


@dataclass(frozen=True)
class AccuracyEstimate:
    """An LLM's share of right answers over some questions, asked or not."""

    value: float
    """From 0 to 1: mean of observed scores where there are any, and of predicted probabilities elsewhere."""
    low: float
    """Lower end of the 95% interval."""
    high: float
    """Upper end."""
    observed: int
    """Questions with a score."""
    questions: int
    """Questions it is the mean over."""


def infer(known: Survey, rows: ArrayLike, scores: ArrayLike) -> Ability:
    """Find an LLM's weights from its outcomes.

    Args:
        known: The survey of the bank.
        rows: Questions it has answered, (n,) integers; n may be 0, which gives the prior.
        scores: Their scores in [0, 1], (n,), none missing.

    Raises:
        InputError: Lengths differ, a row is outside the bank, or a score is not from 0 to 1.
    """
    where = np.asarray(rows, dtype=np.intp)
    grades = np.asarray(scores, dtype=np.float64)
    if where.shape != grades.shape:
        raise InputError(f"`rows` and `scores` must have one length, got {where.shape} and {grades.shape}.")
    if len(where) and not (where.min() >= 0 and where.max() < len(known.features)):
        raise InputError(f"`rows` must be from 0 to {len(known.features) - 1}, got {where.min()} to {where.max()}.")
    if not ((grades >= 0) & (grades <= 1)).all():
        raise InputError(f"`scores` must be from 0 to 1 and none missing, got {grades.min()} to {grades.max()}.")
    return posterior(known.features[where].astype(np.float64), grades, known.mean, known.covariance)


def predict(known: Survey, ability: Ability) -> NDArray[np.float64]:
    """Return the probability of a right answer to each question, (N,)."""
    return logistic(known.features @ ability.mean.astype(np.float32))


def estimate_accuracy(
    known: Survey, ability: Ability, scores: ArrayLike, rows: ArrayLike | None = None
) -> AccuracyEstimate:
    """Estimate an LLM's accuracy over the bank or a part of it, as if all of it were asked.

    The interval holds what is unsure about the weights (to first order) and the chance in each answer that was not
    observed; it is computed on the log-odds, so it stays between 0 and 1.

    Args:
        known: The survey of the bank.
        ability: What `infer` found from the observed scores.
        scores: (N,) observed scores, NaN elsewhere.
        rows: The part, (m,) integers; the whole bank when `None`.

    Raises:
        InputError: There is no question, or `scores` has another length than the bank.
    """
    seen = real_array("scores", scores, ndim=1).astype(np.float64)
    if len(seen) != len(known.features):
        raise InputError(f"`scores` must have one entry per question ({len(known.features)}), got {len(seen)}.")
    part = np.arange(len(seen)) if rows is None else np.asarray(rows, dtype=np.intp)
    if not len(part):
        raise InputError("There is no question to estimate the accuracy over.")
    seen = seen[part]
    there = ~np.isnan(seen)
    features = known.features[part[~there]]
    chance = logistic(features @ ability.mean.astype(np.float32))
    value = float((np.where(there, seen, 0.0).sum() + chance.sum()) / len(part))
    noise = chance * (1 - chance)
    slope = (noise[:, None] * features).sum(axis=0) / len(part)
    variance = float(slope @ ability.covariance @ slope + noise.sum() / len(part) ** 2)
    inside = min(max(value, 1e-6), 1 - 1e-6)
    centre = math.log(inside / (1 - inside))
    reach = _NORMAL_975 * math.sqrt(variance) / (inside * (1 - inside))
    low, high = (1 / (1 + math.exp(-min(max(centre + side * reach, -700.0), 700.0))) for side in (-1, 1))
    return AccuracyEstimate(value, min(low, value), max(high, value), int(there.sum()), len(part))
