"""What an LLM adds to a bank: questions only it solves, how often it would be asked, and what routing gains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.bank import BankIndex, index_scores
from smcs.bank.estimates import load_estimates
from smcs.prior import SupportSet, recruit, support_set, weighted_prior
from smcs.studio.bank.catalogue import Shelf

__all__ = ("Oracle", "Recruiting", "Routing", "oracle_of", "routing_of")

_SAMPLE = 300
_LEAST = 50
_SIMILARITIES = 30_000_000
"""About so many are computed at most: a second or two of one core."""

_ROWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Recruiting:
    """How referencers are chosen."""

    k: int
    """Referencers."""
    base: int
    """Least size of a support set."""
    tolerance: float


@dataclass(frozen=True, slots=True)
class Oracle:
    """How much somebody of the LLMs solves, with and without one of them.

    Only questions count on which that LLM and another are graded. What is missing of the others is not counted as wrong
    but cannot help either, so both shares are lower bounds.
    """

    questions: int
    without: float
    """Share on which another is right, from 0 to 1."""
    with_it: float
    """Share on which it or another is right."""


@dataclass(frozen=True, slots=True)
class Routing:
    """What the bank would recommend for a sample of its own questions, each left out when it is asked."""

    questions: int
    """Sampled."""
    first: float
    """Share for which this LLM has the best prior, from 0 to 1."""
    recruited: float
    """Share for which it is among the first `k`."""
    k: int
    """Referencers, no more than there are LLMs."""
    llms: int
    judged: int
    """Questions on which both recommendations below are graded."""
    without: float | None
    """Mean score of the LLM recommended first without this one; `None` if nothing is graded."""
    with_it: float | None
    """The same with this one among them."""


def oracle_of(shelf: Shelf, llm: str) -> Oracle | None:
    """Return what is solved with and without an LLM; `None` where no question has it and another graded.

    Args:
        shelf: Questions and scores.
        llm: One of its LLMs.
    """
    column = shelf.llms.index(llm)
    others = np.arange(len(shelf.llms)) != column
    rows = shelf.known[:, column] & shelf.known[:, others].any(axis=1)
    if not rows.any():
        return None
    solved = shelf.right[rows][:, others].any(axis=1)
    with_it = solved | shelf.right[rows, column]
    return Oracle(int(rows.sum()), float(solved.mean()), float(with_it.mean()))


def routing_of(index: BankIndex, llm: str, recruiting: Recruiting) -> Routing | None:
    """Ask the bank who should answer a sample of its questions, with an LLM among the candidates and without.

    Args:
        index: The searched questions.
        llm: One of its LLMs.
        recruiting: How referencers are chosen.

    Returns:
        `None` where there is no other LLM or no other question.
    """
    if len(index.llms) < 2 or len(index.ids) < 2:
        return None
    column = index.llms.index(llm)
    k = min(recruiting.k, len(index.llms))
    scores = index_scores(index)
    filled = _with_estimates(index, scores)
    first = among = sampled = 0
    judged: list[tuple[float, float]] = []
    for row, support in _supports(index, recruiting):
        prior = weighted_prior(filled.take(support.indices, axis=0), support.similarities)
        order = recruit(prior, len(prior)).tolist()
        sampled += 1
        first += order[0] == column
        among += column in order[:k]
        best_without = next(place for place in order if place != column)
        pair = float(scores[row, best_without]), float(scores[row, order[0]])
        if not any(np.isnan(pair)):
            judged.append(pair)
    without, with_it = np.mean(judged, axis=0).tolist() if judged else (None, None)
    return Routing(sampled, first / sampled, among / sampled, k, len(index.llms), len(judged), without, with_it)


def _supports(index: BankIndex, recruiting: Recruiting) -> Iterator[tuple[int, SupportSet]]:
    """Yield sampled rows with their support sets, from which each is left out itself."""
    total = len(index.ids)
    wanted = min(total, max(_LEAST, min(_SAMPLE, _SIMILARITIES // total)))
    rows = np.sort(np.random.default_rng(0).choice(total, wanted, replace=False))
    for start in range(0, wanted, _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        for row, similarities in zip(block.tolist(), index.embeddings[block] @ index.embeddings.T, strict=True):
            others = np.delete(similarities, row)
            support = support_set(others, base=recruiting.base, tolerance=recruiting.tolerance)
            places = support.indices + (support.indices >= row)
            yield row, SupportSet(places, support.similarities)


def _with_estimates(index: BankIndex, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores with what is expected of LLMs that have few, as searches for answers use them."""
    estimates = load_estimates(index)
    if estimates is None:
        return scores
    filled = scores.copy()
    part = filled[:, estimates.columns]
    filled[:, estimates.columns] = np.where(np.isnan(part), estimates.chances, part)
    return filled
