"""What each vote is worth on one question: referencers' by what was learned, aggregators' by how often they are right.

An aggregator sees the references, so its answer is no independent vote. One that is no better than the referencers only
repeats them, and its vote is discounted as much as theirs are; one that is far better than all of them judges for
itself, and its vote is worth what an independent voter's is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from smcs.posterior import vote_probabilities
from smcs.strategies.guard import independent_worth

__all__ = ("Basis", "Electorate", "Standing", "assemble", "stand")

Basis = Literal["learned", "accuracy", "equal"]
"""Where the worth of votes comes from: recorded answers, accuracies near the question, or nowhere."""

_OPEN_OPTIONS = 10
"""Answers that an open question is taken to have when the worth of a vote is computed from an accuracy."""

_SAME_ODDS = 0.25
"""Least difference of log-odds between an average and a best referencer."""

_FAR_BETTER = 3.0
"""An aggregator is far better where it is ahead of the average referencer by this many times the lead of the best one;
chosen on folds of a bank (`benchmarks/guarded_vote.py`)."""


@dataclass(frozen=True, slots=True)
class Electorate:
    """The worth of votes on one question, in log-odds."""

    referencers: Mapping[str, float]
    aggregators: Mapping[str, float]
    """Worth of all candidates of an aggregator together, should they agree; not below 0."""
    basis: Basis
    strangers: frozenset[str] = frozenset()
    """Aggregators that nothing is known about while referencers are known: they have no say."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an election stands."""

    group: int
    """The leading answer; -1 where nobody gave one."""
    probability: float
    """That it is right, if one of the answers given is."""
    margin: float
    """Log-odds that a voter must add to another answer, one that was given or not, to make it win."""


def assemble(
    names: Sequence[str],
    aggregators: Sequence[str],
    learned: Mapping[str, float],
    accuracy: Mapping[str, float],
    *,
    options: int = 0,
    aggregator_accuracy: float | None = None,
) -> Electorate:
    """Give every vote its worth.

    Args:
        names: Referencers.
        aggregators: Aggregators, which may be among them.
        learned: Log-weights of referencers and aggregators, where they were learned.
        accuracy: Share of right answers near the question, where it is known, by LLM.
        options: Number of options, 0 where the question is open.
        aggregator_accuracy: How often a merged answer is right, where that was measured.

    Returns:
        The electorate. A referencer without a learned weight gets what its accuracy is worth, on the scale of those
        that have one; without either, it counts as an average referencer. An aggregator that nothing is known about is
        believed nothing where referencers are known: the guard cannot tell a strong one from one that guesses.
    """
    many = options if options >= 2 else _OPEN_OPTIONS
    alone = {name: independent_worth(p, many) for name, p in accuracy.items()}
    scale = _discount([name for name in names if name in learned], learned, alone)
    worth = {
        name: learned[name] if name in learned else scale * alone[name]
        for name in names
        if name in learned or name in alone
    }
    basis: Basis = "learned" if any(name in learned for name in names) else "accuracy" if worth else "equal"
    average = float(np.mean(list(worth.values()))) if worth else 1.0
    referencers = {name: worth.get(name, average) for name in names}
    odds = [alone[name] for name in names if name in alone]
    says: dict[str, float] = {}
    strangers: set[str] = set()
    for name in aggregators:
        measured = aggregator_accuracy is not None
        own = independent_worth(aggregator_accuracy, many) if aggregator_accuracy is not None else alone.get(name)
        repeated = None if own is None else scale * own
        if name in learned and not measured:
            repeated = learned[name]
        if repeated is not None:
            says[name] = max(0.0, _say(repeated, own, odds))
        elif basis == "equal":
            says[name] = average
        else:
            says[name] = 0.0
            strangers.add(name)
    return Electorate(referencers, says, basis, frozenset(strangers))


def _discount(names: Sequence[str], learned: Mapping[str, float], alone: Mapping[str, float]) -> float:
    """Return what a learned vote is worth as a share of what an independent one of that accuracy would be."""
    independent = sum(alone[name] for name in names if name in alone)
    if independent <= 0:
        return 1.0
    return min(1.0, max(0.0, sum(learned[name] for name in names if name in alone) / independent))


def _say(repeated: float, own: float | None, odds: Sequence[float]) -> float:
    """Return what lies between the worth of one who repeats others and that of one who judges for itself."""
    if own is None:
        return repeated
    if not odds:
        return own
    mean, best = float(np.mean(odds)), max(odds)
    trust = min(1.0, max(0.0, (own - mean) / (_FAR_BETTER * max(best - mean, _SAME_ODDS))))
    return repeated + (own - repeated) * trust


def stand(groups: Sequence[int], weights: Sequence[float]) -> Standing:
    """Count votes.

    Args:
        groups: Number of the answer of each voter, -1 for none.
        weights: Worth of each vote.
    """
    totals: dict[int, float] = {}
    for group, weight in zip(groups, weights, strict=True):
        if group >= 0:
            totals[group] = totals.get(group, 0.0) + weight
    if not totals:
        return Standing(-1, 0.0, 0.0)
    best = max(totals, key=lambda group: totals[group])
    # An answer that nobody gave yet stands at 0.
    second = max([0.0, *(total for group, total in totals.items() if group != best)])
    chances = vote_probabilities(list(groups), list(weights))
    return Standing(best, float(chances[list(groups).index(best)]), totals[best] - second)
