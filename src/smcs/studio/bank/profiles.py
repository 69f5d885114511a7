"""One LLM of a bank: where it is better or worse than the others, and what the bank has of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank
from smcs.bench.statistics import bootstrap_interval, holm
from smcs.studio.bank.catalogue import Label, Shelf
from smcs.studio.bank.questions import alone_right
from smcs.types import Question

__all__ = ("ENOUGH", "VERDICTS", "Alone", "Difference", "Profile", "Verdict", "differences_of", "profile_of")

ENOUGH = 10
"""Questions on which both sides are graded; of fewer nothing is said."""

_LEVEL = 0.05
_DRAWS = 2_000
_SHOWN = 20

Verdict = Literal["strength", "weakness", "even", "few"]
"""What the figures of a subject allow to say."""

VERDICTS: Final[dict[Verdict, str]] = {
    "strength": "strength",
    "weakness": "weakness",
    "even": "no clear difference",
    "few": "too few questions",
}

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """An LLM on one task and subject against the mean of the others, on the questions that it and they have."""

    label: Label
    questions: int
    """Questions where it and at least one other are graded."""
    own: float
    """Its mean score, from 0 to 1."""
    others: float
    """Mean over these questions of the others' mean score."""
    low: float | None
    """Lower end of the 95% interval of `own - others`; `None` for fewer than `ENOUGH` questions."""
    high: float | None
    verdict: Verdict

    @property
    def difference(self) -> float:
        """`own - others`, from -1 to 1."""
        return self.own - self.others


@dataclass(frozen=True, slots=True)
class Alone:
    """A question that one LLM alone has right."""

    question: Question
    wrong: int
    """Others who are wrong."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the others' outcomes say about an LLM."""

    llm: str
    differences: tuple[Difference, ...]
    """By task and subject, the greatest first."""
    alone: tuple[Alone, ...]
    """Questions it alone has right, those that most others have wrong first; the first 20."""
    alone_in_all: int


def profile_of(shelf: Shelf, llm: str, bank: QuestionBank) -> Profile:
    """Compare an LLM with the others, and find what only it has right.

    Args:
        shelf: Questions and scores.
        llm: One of its LLMs.
        bank: For the texts of questions.

    Raises:
        BankError: A question was removed meanwhile.
    """
    column = shelf.llms.index(llm)
    rows = np.flatnonzero(alone_right(shelf, column))
    wrong = shelf.wrong[rows].sum(axis=1)
    first = rows[np.argsort(-wrong, kind="stable")[:_SHOWN]]
    questions = bank.questions([shelf.catalogue.ids[row] for row in first.tolist()])
    counts = shelf.wrong[first].sum(axis=1).tolist()
    alone = tuple(Alone(question, count) for question, count in zip(questions, counts, strict=True))
    return Profile(llm, differences_of(shelf, llm), alone, len(rows))


def differences_of(shelf: Shelf, llm: str) -> tuple[Difference, ...]:
    """Compare an LLM with the mean of the others by task and subject, the greatest difference first.

    A difference is called a strength or weakness where its bootstrap interval excludes 0 and it remains unlikely by
    chance after allowing for every subject that was looked at (Holm): of many subjects some differ by chance. Where no
    subject has `ENOUGH` questions and tasks have, whole tasks are compared, as labels without a subject.

    Args:
        shelf: Questions and scores.
        llm: One of its LLMs.
    """
    column = shelf.llms.index(llm)
    own, others = shelf.scores[:, column].astype(np.float64), _mean_of_others(shelf, column)
    labels, place = shelf.catalogue.labels, shelf.catalogue.label_of
    found = _compared(own, others, labels, place)
    if any(one.verdict != "few" for one in found):
        return found
    tasks = tuple(dict.fromkeys(Label(label.task, "") for label in labels))
    task_of = np.array([tasks.index(Label(label.task, "")) for label in labels], dtype=np.intp)
    coarser = _compared(own, others, tasks, task_of[place]) if found else ()
    return coarser if any(one.verdict != "few" for one in coarser) else found


def _compared(
    own: _Floats, others: _Floats, labels: Sequence[Label], place: NDArray[np.intp]
) -> tuple[Difference, ...]:
    both = ~np.isnan(own) & ~np.isnan(others)
    rng = np.random.default_rng(0)
    sure: list[tuple[Difference, float]] = []
    found: list[Difference] = []
    for number, label in enumerate(labels):
        rows = np.flatnonzero(both & (place == number))
        if not len(rows):
            continue
        means = float(own[rows].mean()), float(others[rows].mean())
        if len(rows) < ENOUGH:
            found.append(Difference(label, len(rows), *means, None, None, "few"))
            continue
        apart = own[rows] - others[rows]
        interval = bootstrap_interval(apart, draws=_DRAWS, rng=rng)
        sure.append((Difference(label, len(rows), *means, interval.low, interval.high, "even"), _chance(apart)))
    adjusted = holm([p_value for _, p_value in sure])
    found += [_judged(one, p_value) for (one, _), p_value in zip(sure, adjusted, strict=True)]
    return tuple(sorted(found, key=lambda one: (-one.difference, one.label)))


def _judged(one: Difference, p_value: float) -> Difference:
    if one.low is None or one.high is None or p_value >= _LEVEL or one.low <= 0 <= one.high:
        return one
    verdict: Verdict = "strength" if one.low > 0 else "weakness"
    return Difference(one.label, one.questions, one.own, one.others, one.low, one.high, verdict)


def _chance(apart: _Floats) -> float:
    """Return how likely so large a mean is if each question's sign were tossed (normal approximation, two-sided).

    Many subjects need smaller probabilities than a few thousand tosses can show.
    """
    size = math.sqrt(float(apart @ apart))
    return math.erfc(abs(float(apart.sum())) / size / math.sqrt(2)) if size > 0 else 1.0


def _mean_of_others(shelf: Shelf, column: int) -> _Floats:
    """Return the mean score of all other graded LLMs per question, (N,); NaN where there is none."""
    others = np.arange(len(shelf.llms)) != column
    known = shelf.known[:, others]
    count = known.sum(axis=1)
    total = np.where(known, shelf.scores[:, others], 0.0).sum(axis=1, dtype=np.float64)
    mean: _Floats = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean
