"""What guards an answer against a weak aggregator: how much each LLM's vote is worth, learned from the bank.

A bank that holds the answers of its LLMs, not only their grades, says more than who is good: how often two LLMs err
together, on which questions whose vote counts, and what a short or a long answer gives away (`posterior.worth`).
Learned once per state of a bank, in a thread, and kept beside the bank's index.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank
from smcs.errors import InputError
from smcs.grading import find_number
from smcs.posterior import Shrinkage, VoteWorth, fit_vote_worth
from smcs.strategies.per_bank import PerBank
from smcs.strategies.votes_file import load_votes, save_votes, votes_path
from smcs.types import GraderName

__all__ = ("UNVOTABLE", "Ballots", "Guard", "independent_worth", "learn_votes", "read_ballots")

Aggregate = Literal["never", "auto", "always"]
"""Whether references are merged: "auto" merges where the merged answers could change which answer wins."""

UNVOTABLE: Final[frozenset[GraderName]] = frozenset({"code", "instructions", "ifeval"})
"""Graders of answers that can be right in many wordings: that two differ says nothing, so they cannot be voted on."""

_FEWEST_ANSWERS = 30
"""Recorded answers of an LLM, and questions in all, below which nothing is learned about its vote."""

_RIGHT = 0.5
_LEAST_ACCURACY = 0.01


@dataclass(frozen=True, slots=True)
class Guard:
    """Parameters of the guarded posterior; the defaults were chosen by cross-validation on a bank (`docs/guard.md`)."""

    _: KW_ONLY
    aggregate: Aggregate = "auto"
    certain: float = 0.98
    """Probability of the references' answer, above 0.5, from which "auto" makes no aggregation call."""
    dominance: float = 0.8
    """Where answers cannot be voted on: an aggregator less accurate than this share of the best referencer's accuracy
    merges nothing, and the referencer answers. From 0 (it always merges) to 1."""
    aggregator_accuracy: float | None = None
    """How often a merged answer is right, in [0, 1], where that was measured (`smcs tune`); `None` takes what the bank
    says about the aggregator's own answers."""
    texts: float = 1.0
    """Weight of Eq. 7 beside the log-odds of an answer, 0 or more: which of the merged texts is the best one."""
    shrinkage: Shrinkage = field(default_factory=Shrinkage)
    """How much data it takes before a vote's worth differs by voter, region and length."""

    def __post_init__(self) -> None:
        if self.aggregate not in get_args(Aggregate):
            allowed = ", ".join(get_args(Aggregate))
            raise InputError(f"`guard.aggregate` must be one of {allowed}, got {self.aggregate!r}.")
        if not 0.5 < self.certain <= 1:
            raise InputError(f"`guard.certain` must be above 0.5 and at most 1, got {self.certain}.")
        if not 0 <= self.dominance <= 1:
            raise InputError(f"`guard.dominance` must be from 0 to 1, got {self.dominance}.")
        if self.aggregator_accuracy is not None and not 0 <= self.aggregator_accuracy <= 1:
            raise InputError(f"`guard.aggregator_accuracy` must be from 0 to 1, got {self.aggregator_accuracy}.")
        if not (math.isfinite(self.texts) and self.texts >= 0):
            raise InputError(f"`guard.texts` must be a finite number of 0 or more, got {self.texts}.")


@dataclass(frozen=True, slots=True, eq=False)
class Ballots:
    """The recorded answers of a bank, as votes: Q questions, R LLMs."""

    llms: tuple[str, ...]
    answers: NDArray[np.intp]
    """(Q, R): 0 is the right answer, other numbers are wrong ones, -1 is none."""
    lengths: NDArray[np.float64]
    """(Q, R): characters of each text, NaN where it was not kept."""
    vectors: NDArray[np.float32]
    """(Q, d) embeddings of the questions."""
    question_ids: tuple[str, ...] = ()

    @property
    def correct(self) -> NDArray[np.intp]:
        """The right answer of each question, (Q,): always number 0."""
        return np.zeros(len(self.answers), dtype=np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedVotes:
    """What was learned from a bank."""

    llms: tuple[str, ...]
    """Those whose vote's worth is known; empty where the bank holds too few answers."""
    worth: VoteWorth | None
    questions: int
    """Questions it was learned from."""

    def log_weights(
        self, names: Sequence[str], vector: NDArray[np.floating] | None, lengths: Mapping[str, int]
    ) -> dict[str, float]:
        """Return what the votes of some LLMs are worth on one question; LLMs that nothing was learned about are absent.

        Args:
            names: Who votes.
            vector: Unit embedding of the question, `None` if it could not be embedded.
            lengths: Characters of each one's text.
        """
        known = {name: self.llms.index(name) for name in names if name in self.llms}
        if self.worth is None or not known:
            return {}
        asked = np.zeros((1, self.worth.centres.shape[1])) if vector is None else np.asarray(vector)[None, :]
        measured = np.full((1, len(self.llms)), np.nan)
        for name, column in known.items():
            measured[0, column] = lengths.get(name, np.nan)
        weights = self.worth.log_weights(asked, measured)[0]
        return {name: float(weights[column]) for name, column in known.items()}


_LEARNED: PerBank[LearnedVotes] = PerBank()


async def learn_votes(bank: QuestionBank, embedder: str, names: Sequence[str], guard: Guard) -> LearnedVotes:
    """Return what the votes of some LLMs are worth; learned at the first call for a state of a bank, in a thread."""
    return await asyncio.to_thread(_learn_once, bank, embedder, tuple(sorted(names)), guard.shrinkage)


def _learn_once(bank: QuestionBank, embedder: str, names: tuple[str, ...], shrinkage: Shrinkage) -> LearnedVotes:
    def learned() -> LearnedVotes:
        path = votes_path(bank.index(embedder).folder, names, shrinkage)
        found = load_votes(path)
        if found is not None:
            return LearnedVotes(*found)
        votes = _learn(read_ballots(bank, embedder, names), shrinkage)
        save_votes(path, votes.llms, votes.worth, votes.questions)
        return votes

    return _LEARNED.get(bank, (bank.content_hash, embedder, names, shrinkage), learned)


def _learn(ballots: Ballots, shrinkage: Shrinkage) -> LearnedVotes:
    if not ballots.llms or len(ballots.answers) < _FEWEST_ANSWERS:
        return LearnedVotes((), None, 0)
    worth = fit_vote_worth(ballots.answers, ballots.correct, ballots.vectors, ballots.lengths, shrinkage=shrinkage)
    return LearnedVotes(ballots.llms, worth, len(ballots.answers))


def read_ballots(bank: QuestionBank, embedder: str, names: Sequence[str]) -> Ballots:
    """Return the recorded answers of a bank to questions that can be voted on and have an embedding.

    LLMs with fewer than 30 such answers are left out. Right answers are one answer whatever their spelling; wrong ones
    are told apart by what the grader extracted, numbers by their value.

    Args:
        bank: The bank.
        embedder: Whose vectors.
        names: LLMs wanted; those the bank does not know are left out.

    Raises:
        BankError: The bank has no embeddings of that embedder.
    """
    index = bank.index(embedder)
    ids = index.ids.take(np.arange(len(index.ids)))
    graders = bank.graders()
    rows = {each: row for row, each in enumerate(ids) if each in graders and graders[each] not in UNVOTABLE}
    spelled = cache(_spelled)
    columns: dict[str, tuple[dict[int, Hashable], dict[int, int]]] = {}
    for name in sorted(set(names) & set(bank.llms)):
        answers, lengths = _column(bank.extracted_answers(name), rows, spelled)
        if len(answers) >= _FEWEST_ANSWERS:
            columns[name] = (answers, lengths)
    votes = np.full((len(ids), len(columns)), -1, dtype=np.intp)
    measured = np.full(votes.shape, np.nan)
    numbers: dict[int, dict[Hashable, int]] = {}
    for column, (answers, lengths) in enumerate(columns.values()):
        for row, answer in answers.items():
            of_question = numbers.setdefault(row, {None: 0})
            votes[row, column] = of_question.setdefault(answer, len(of_question))
        for row, length in lengths.items():
            measured[row, column] = length
    used = np.flatnonzero((votes >= 0).any(axis=1))
    vectors = np.asarray(index.embeddings)[used]
    return Ballots(tuple(columns), votes[used], measured[used], vectors, tuple(ids[row] for row in used))


def _column(
    recorded: Sequence[tuple[str, float, str, int]], rows: Mapping[str, int], spelled: Callable[[str], Hashable]
) -> tuple[dict[int, Hashable], dict[int, int]]:
    """Return one LLM's answer (`None` is the right one) and the length of its text, by row."""
    answers: dict[int, Hashable] = {}
    lengths: dict[int, int] = {}
    for question_id, score, extracted, length in recorded:
        row = rows.get(question_id)
        if row is None:
            continue
        answers[row] = None if score > _RIGHT else spelled(extracted)
        if length:
            lengths[row] = length
    return answers, lengths


def _spelled(extracted: str) -> Hashable:
    number = find_number(extracted)
    if number is not None and number.text == extracted.strip():
        return number.value
    return " ".join(extracted.casefold().split())


def independent_worth(accuracy: float, options: int) -> float:
    """Return the log-weight of a voter who errs independently of all others, evenly over the wrong answers.

    Args:
        accuracy: How often it is right, 0 to 1.
        options: Answers that can be given, at least 2.

    Returns:
        log(p (m - 1) / (1 - p)), not below 0: who is worse than chance is not believed the opposite.
    """
    p = min(max(accuracy, _LEAST_ACCURACY), 1 - _LEAST_ACCURACY)
    return max(0.0, math.log(p * (options - 1) / (1 - p)))
