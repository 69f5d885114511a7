"""How well priors rank the LLMs: the pairwise ranking score (Eq. 8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from smcs._checks import finite_array
from smcs.errors import InputError

__all__ = ("pairwise_ranking_score",)


def pairwise_ranking_score(priors: ArrayLike, correct: ArrayLike, *, tie_credit: float = 0.0) -> float:
    """Return the share of (correct LLM, wrong LLM) pairs in which the correct one has the larger prior (Eq. 8).

    Pairs are formed inside each question and pooled over all questions.

    Args:
        priors: Prior of each LLM for each test question, shape (Q, R); NaN leaves that LLM out of the question.
        correct: 1 where the LLM's answer was correct, 0 where wrong, NaN (left out) where unknown, shape (Q, R).
        tie_credit: What a pair with equal priors counts, from 0 (the equation as printed, strictly larger) to 1; with
            0.5 uninformative priors score 0.5, and the score is the area under the ROC curve.

    Returns:
        From 0 to 1.

    Raises:
        InputError: Shapes differ, `correct` holds anything but 0, 1 and NaN, or no question has both a correct and a
            wrong LLM.
    """
    expected = finite_array("priors", priors, ndim=2, allow_nan=True)
    actual = finite_array("correct", correct, ndim=2, allow_nan=True)
    if expected.shape != actual.shape:
        raise InputError(f"`priors` and `correct` must have one shape, got {expected.shape} and {actual.shape}.")
    if not 0 <= tie_credit <= 1:
        raise InputError(f"`tie_credit` must be from 0 to 1, got {tie_credit}.")
    known = ~np.isnan(expected) & ~np.isnan(actual)
    right, wrong = known & (actual == 1), known & (actual == 0)
    if not np.array_equal(right | wrong, known):
        raise InputError("`correct` must be 0, 1 or NaN. Turn partial grades into verdicts first: grade >= 0.5.")

    pairs = ordered = tied = 0
    for llm in range(expected.shape[1]):
        rows = right[:, llm]
        rivals, prior = expected[rows], expected[rows, llm, None]
        pairs += int(np.count_nonzero(wrong[rows]))
        ordered += int(np.count_nonzero(wrong[rows] & (rivals < prior)))
        tied += int(np.count_nonzero(wrong[rows] & (rivals == prior)))
    if not pairs:
        raise InputError("No question has both a correct and a wrong LLM, so there is no pair to rank. Add questions.")
    return (ordered + tie_credit * tied) / pairs
