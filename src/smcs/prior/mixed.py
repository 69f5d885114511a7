"""JiSi's routing as pure functions: a second look at the support set once a few answers are in, and when to merge.

How an LLM answers says what its question looks like to it, and how long it needs says how hard it is, neither of which
the question's own embedding shows. So support questions are weighed again by how much the recorded answers of a few
LLMs (the needles) look like their answers to the new question. Formulas as in the method's released code.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import finite_array
from smcs.errors import InputError
from smcs.prior.support import SupportSet

__all__ = ("experts_to_merge", "mixed_support", "weighted_accuracy")


def mixed_support(
    support: SupportSet,
    lengths: ArrayLike,
    live_lengths: ArrayLike,
    semantics: ArrayLike | None = None,
    *,
    difficulty_share: float = 0.4,
    query_share: float = 0.0,
    keep: float = 0.5,
) -> SupportSet:
    """Weigh a support set again by the needles' answers, and keep its best part.

    Args:
        support: M questions found by the query.
        lengths: Length of each needle's recorded answer to each, in tokens or any other unit, not negative, shape
            (M, A); NaN where it is unknown.
        live_lengths: Length of each needle's answer to the new question, in the same unit, shape (A,).
        semantics: Cosine similarity of each recorded answer to the needle's new one, shape (M, A), NaN where unknown;
            `None` leaves the semantic term out, and the difficulty term then counts alone.
        difficulty_share: beta, share of the difficulty term in an answer's likeness, 0 to 1.
        query_share: gamma, share of the query's similarity in the new weight, 0 to 1.
        keep: p, share of the questions that are kept, above 0 and at most 1; at least one is.

    Returns:
        The kept questions, heaviest first (equal ones in their order), with their new weights as similarities; the
        support set as it was where no question has a weight above 0.

    Raises:
        InputError: Shapes do not fit, or a share is out of range.
    """
    for name, share in {"difficulty_share": difficulty_share, "query_share": query_share, "keep": keep}.items():
        if not 0 <= share <= 1 or (name == "keep" and share == 0):
            raise InputError(f"`{name}` must be from 0 to 1, got {share}.")
    known = finite_array("lengths", lengths, ndim=2, allow_nan=True)
    live = finite_array("live_lengths", live_lengths, ndim=1)
    if known.shape != (len(support), len(live)):
        raise InputError(f"`lengths` must have the shape {(len(support), len(live))}, got {known.shape}.")
    likeness = _mean_known(_difficulty(known, live))
    if semantics is not None:
        meaning = finite_array("semantics", semantics, ndim=2, allow_nan=True)
        if meaning.shape != known.shape:
            raise InputError(f"`semantics` must have the shape {known.shape}, got {meaning.shape}.")
        likeness = (1 - difficulty_share) * _mean_known(meaning) + difficulty_share * likeness
    weights = (1 - query_share) * likeness + query_share * support.similarities
    if weights.max() <= 0:
        return support
    best = np.argsort(-weights, kind="stable")[: max(1, math.floor(keep * len(support)))]
    return SupportSet(support.indices[best], weights[best])


def _difficulty(lengths: NDArray[np.float64], live: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 - |l^2 - l_live^2| over its largest, per needle, (M, A)."""
    distance = np.abs(lengths**2 - live**2)
    largest = np.nanmax(np.where(np.isnan(distance), 0.0, distance), axis=0)
    return 1 - distance / np.where(largest > 0, largest, 1.0)


def _mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row's mean over what is known, (M,); 0 for a row of which nothing is."""
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(axis=1)
    mean: NDArray[np.float64] = sums / np.maximum(known.sum(axis=1), 1)
    return mean


def weighted_accuracy(outcomes: ArrayLike, support: SupportSet) -> NDArray[np.float64]:
    """Return each LLM's accuracy on a support set, weighted by similarity: Eq. 4 normalised to [0, 1].

    Args:
        outcomes: Grades on all N questions, NaN where missing, shape (N, R).
        support: The questions that count; negative weights count as 0.

    Returns:
        Accuracies, shape (R,); NaN for an LLM without a grade there.
    """
    grades = np.asarray(outcomes, dtype=np.float64)[support.indices]
    weights = np.maximum(support.similarities, 0.0)[:, None]
    known = ~np.isnan(grades)
    total = (weights * known).sum(axis=0)
    right = (weights * np.where(known, grades, 0.0)).sum(axis=0)
    return np.where(total > 0, right / np.where(total > 0, total, 1.0), np.nan)


def experts_to_merge(
    scores: ArrayLike, lengths: ArrayLike, *, ratio: float = 0.8, most: int = 3, long: int = 13_000
) -> int:
    """Say how many experts' answers are merged; 1 means that the best expert's answer is taken as it is.

    Args:
        scores: Of the experts that answered, best first, shape (K,).
        lengths: Tokens of their answers, shape (K,).
        ratio: Share of the best score from which an expert counts.
        most: Most experts that are merged.
        long: Tokens in all above which one expert fewer is merged, where more than two would be.

    Raises:
        InputError: There is no expert, or shapes differ.
    """
    values = finite_array("scores", scores, ndim=1)
    sizes = finite_array("lengths", lengths, ndim=1)
    if values.shape != sizes.shape:
        raise InputError(f"`lengths` must have one value per expert ({len(values)}), got {len(sizes)}.")
    if values[0] <= 0:
        return 1
    count = min(int((values[:most] / values[0] >= ratio).sum()), most, len(values))
    if count > 2 and sizes[:count].sum() > long:
        return count - 1
    return max(1, count)
