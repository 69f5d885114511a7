"""Answer-level agreement: how much of a weighted vote each answer has, and weights learned from graded answers.

Answers are given as numbers: equal numbers say the same, -1 says nothing. What makes two answers the same is the
task's grader's business, not this file's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import finite_array
from smcs.errors import InputError

__all__ = (
    "answer_shares",
    "ballot_array",
    "fit_vote_weights",
    "named_probabilities",
    "plurality",
    "vote_probabilities",
)

_MOST_STEPS = 50
_SETTLED = 1e-8


def answer_shares(answers: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return, for each voter, the share of the weight of all who answered that gave the same answer.

    Args:
        answers: Number of each voter's answer, -1 for none, shape (n,).
        weights: Weight of each vote, not negative, shape (n,); equal when `None`.

    Returns:
        Shares from 0 to 1, shape (n,); 0 for a voter without an answer.

    Raises:
        InputError: Shapes differ, a weight is negative or not finite, or an answer is no whole number from -1.
    """
    votes = ballot_array(answers, ndim=1)
    given = _weights(weights, votes.shape)
    spoken = votes >= 0
    totals = np.bincount(votes[spoken], weights=given[spoken], minlength=1)
    everything = float(totals.sum())
    shares = np.zeros(len(votes))
    if everything > 0:
        shares[spoken] = totals[votes[spoken]] / everything
    return shares


def plurality(ballots: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.intp]:
    """Count the votes of each of Q elections.

    Args:
        ballots: Number of the answer voted for, -1 for none, shape (Q, K).
        weights: Weight of each vote, not negative, shape (Q, K); equal when `None`.

    Returns:
        The answer with most weight, shape (Q,); -1 where nobody voted. Of tied answers, the one voted for first in the
        row.

    Raises:
        InputError: As `answer_shares`.
    """
    votes = ballot_array(ballots, ndim=2)
    given = _weights(weights, votes.shape)
    questions, voters = votes.shape
    rows = np.arange(questions)
    # One column more than there are answers: index -1, an abstention, falls there and is never read.
    totals = np.zeros((questions, int(votes.max(initial=-1)) + 2))
    first = np.full(totals.shape, voters)
    for voter in range(voters):
        answer = votes[:, voter]
        totals[rows, answer] += given[:, voter]
        first[rows, answer] = np.minimum(first[rows, answer], voter)
    totals, first = totals[:, :-1], first[:, :-1]
    if not totals.shape[1]:
        return np.full(questions, -1)
    leading = (totals == totals.max(axis=1, keepdims=True)) & (first < voters)
    winner = np.where(leading, first, voters).argmin(axis=1)
    return np.where(leading.any(axis=1), winner, -1)


def vote_probabilities(answers: ArrayLike, log_weights: ArrayLike) -> NDArray[np.float64]:
    """Return, for each voter, the probability that its answer is right under independent voters.

    The softmax over the distinct answers of the sum of the log-weights of those who gave it: a conditional logit.

    Args:
        answers: Number of each voter's answer, -1 for none, shape (n,), or (Q, n) for Q questions at once.
        log_weights: What a vote of each adds to the log-odds of its answer, of the same shape.

    Returns:
        Probabilities, of the same shape; 0 for a voter without an answer. Over distinct answers they sum to 1.

    Raises:
        InputError: Shapes differ, or a value is not finite.
    """
    votes = np.asarray(answers)
    votes = ballot_array(votes, ndim=2 if votes.ndim == 2 else 1)
    given = finite_array("log_weights", log_weights, ndim=votes.ndim)
    _same_shape(given.shape, votes.shape)
    return named_probabilities(np.atleast_2d(votes), np.atleast_2d(given)).reshape(votes.shape)


def fit_vote_weights(answers: ArrayLike, correct: ArrayLike, *, ridge: float = 1.0) -> NDArray[np.float64]:
    """Learn what each voter's vote is worth from questions whose right answer is known.

    Maximum likelihood of the conditional logit of `vote_probabilities` with a Gaussian prior around zero, by Newton's
    method. Voters that err together share their weight, which a product of separate odds would count twice.

    Args:
        answers: Number of the answer of each voter, -1 for none, shape (Q, R).
        correct: Number of the right answer, shape (Q,); questions on which no voter gave it say nothing.
        ridge: Precision of the prior, above zero.

    Returns:
        Log-weights, shape (R,).

    Raises:
        InputError: Shapes differ, or `ridge` is not above zero.
    """
    votes = ballot_array(answers, ndim=2)
    right = ballot_array(correct, ndim=1)
    _same_shape(right.shape, votes.shape[:1])
    if not (np.isfinite(ridge) and ridge > 0):
        raise InputError(f"`ridge` must be a finite number above 0, got {ridge!r}.")
    told = ((votes == right[:, None]) & (votes >= 0)).any(axis=1)
    votes, right = votes[told], right[told]
    weights = np.zeros(votes.shape[1])
    if not len(votes):
        return weights
    spoken = votes >= 0
    hit = (votes == right[:, None]) & spoken
    for _ in range(_MOST_STEPS):
        chances = named_probabilities(votes, np.broadcast_to(weights, votes.shape))
        gradient = (hit - chances).sum(axis=0) - ridge * weights
        curvature = _curvature(votes, spoken, chances) + ridge * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < _SETTLED:
            break
    return weights


def named_probabilities(votes: NDArray[np.intp], log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `vote_probabilities` of every row, (Q, R), for votes that were checked."""
    questions = len(votes)
    width = int(votes.max(initial=-1)) + 1
    spoken = votes >= 0
    if not width:
        return np.zeros(votes.shape)
    cells = np.where(spoken, np.arange(questions)[:, None] * width + votes, questions * width)
    scores = np.bincount(cells.ravel(), weights=log_weights.ravel(), minlength=questions * width + 1)[:-1]
    named = np.bincount(cells.ravel(), minlength=questions * width + 1)[:-1] > 0
    table = np.where(named, scores, -np.inf).reshape(questions, width)
    best = table.max(axis=1, keepdims=True)
    powers = np.exp(table - np.where(np.isfinite(best), best, 0.0))
    table = powers / np.maximum(powers.sum(axis=1, keepdims=True), 1e-300)
    return np.where(spoken, np.take_along_axis(table, np.where(spoken, votes, 0), axis=1), 0.0)


def _curvature(votes: NDArray[np.intp], spoken: NDArray[np.bool_], chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Hessian of the negative log-likelihood, (R, R): the summed covariance of the votes' indicators."""
    result = -(chances.T @ chances)
    for voter in range(votes.shape[1]):
        same = (votes == votes[:, voter : voter + 1]) & spoken & spoken[:, voter : voter + 1]
        result[voter] += (same * chances[:, voter : voter + 1]).sum(axis=0)
    return result


def ballot_array(values: ArrayLike, *, ndim: int) -> NDArray[np.intp]:
    """Return answers as whole numbers from -1.

    Raises:
        InputError: They are not, or have another number of dimensions.
    """
    array = np.asarray(values)
    if array.ndim != ndim or not np.issubdtype(array.dtype, np.integer) or (array.size and array.min() < -1):
        raise InputError(
            f"Answers must be whole numbers from -1 in {ndim} dimension(s), got {array.dtype} of shape {array.shape}."
        )
    return array.astype(np.intp)


def _weights(weights: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(shape)
    given = finite_array("weights", weights, ndim=len(shape))
    _same_shape(given.shape, shape)
    if given.size and given.min() < 0:
        raise InputError(f"`weights` must not be negative, got {float(given.min())}.")
    return given


def _same_shape(got: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if got != wanted:
        raise InputError(f"Weights or golds must have the shape {wanted} of the answers, got {got}.")
