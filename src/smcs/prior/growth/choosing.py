"""Which questions to ask a newcomer next: those whose answers make its priors surest soonest (A-optimal design)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs.errors import InputError
from smcs.prior.growth.ability import predict
from smcs.prior.growth.regression import Ability
from smcs.prior.growth.surveying import Survey

__all__ = ("choose_questions",)

_SHARE_AT_ONCE = 32
"""One question in so many chosen already is taken by each greedy step, at least one."""


def choose_questions(
    known: Survey, ability: Ability, asked: ArrayLike, count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Choose the questions that lower the mean variance of the newcomer's future priors most.

    A prior is a weighted mean of outcomes over a support set (Eq. 4); its derivative by the weights w is J_q for each
    question q that stands for future ones. The mean variance is trace(M C) with M = sum of J_q J_q' and C the
    covariance of w. An answer to question i adds p_i (1 - p_i) x_i x_i' to the inverse of C, whatever the answer is, so
    the loss of variance is known beforehand; the greedy choice takes the question where it is greatest, again and
    again.

    Args:
        known: The survey of the bank.
        ability: What is known about the newcomer so far.
        asked: (N,) booleans: questions that are not to be chosen.
        count: How many to choose, at least 1; fewer come back when fewer are left.
        rng: Breaks ties.

    Returns:
        Rows, best first, none twice. Those of a smaller `count` are the first of these.

    Raises:
        InputError: `asked` has another length than the bank, or `count` is below 1.
    """
    taken = np.asarray(asked, dtype=np.bool_)
    if taken.shape != (len(known.features),):
        raise InputError(f"`asked` must have one entry per question ({len(known.features)}), got shape {taken.shape}.")
    if count < 1:
        raise InputError(f"`count` must be at least 1, got {count}.")
    pool = rng.permutation(np.flatnonzero(~taken))
    count = min(count, len(pool))
    chance = predict(known, ability)
    target = _target(known, chance, taken)
    features = known.features[pool].astype(np.float64)
    information = (chance * (1 - chance))[pool]
    covariance = ability.covariance
    free = np.ones(len(pool), dtype=np.bool_)
    chosen: list[int] = []
    while len(chosen) < count:
        reach = features @ covariance
        spread = np.einsum("nd,nd->n", reach, features)
        gain = information * np.einsum("nd,nd->n", reach @ target, reach) / (1 + information * spread)
        gain[~free] = -1.0
        best = _largest(gain, min(max(1, len(chosen) // _SHARE_AT_ONCE), int(free.sum())))
        free[best] = False
        chosen += best
        added = (features[best] * information[best, None]).T @ features[best]
        covariance = np.linalg.inv(np.linalg.inv(covariance) + added)
    return pool[chosen[:count]]


def _largest(values: NDArray[np.float64], count: int) -> list[int]:
    """Return the positions of the largest values, largest first."""
    if count == 1:
        return [int(values.argmax())]
    best = np.argpartition(-values, count - 1)[:count]
    found: list[int] = best[np.argsort(-values[best], kind="stable")].tolist()
    return found


def _target(known: Survey, chance: NDArray[np.float64], asked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return M, (D, D): what an error in the weights does to the priors, on questions whose outcome is not known."""
    slopes = np.where(asked, 0.0, chance * (1 - chance))
    rows = [(weights * slopes[where]) @ known.features[where] for where, weights in known.queries]
    directions = np.stack(rows)
    matrix: NDArray[np.float64] = directions.T @ directions / len(rows)
    return matrix
