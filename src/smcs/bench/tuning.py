"""Parameters chosen by cross-validation on a question bank: nothing is called, and no test question is looked at.

The bank is cut into folds; each fold's questions are routed and voted on with the rest of the bank as the bank. A
parameter is only recommended to change where the gain over its present value has an interval above zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank
from smcs.bank.index import MISSING
from smcs.bench.results import ResultFile
from smcs.bench.tuning_arms import aggregator_accuracy, candidates_of_arms
from smcs.bench.tuning_choice import Choice, choose, nothing
from smcs.errors import BankError, InputError
from smcs.posterior import Shrinkage, VoteWorth, fit_vote_worth, vote_probabilities
from smcs.strategies import Settings
from smcs.strategies.guard import Ballots, read_ballots

__all__ = ("Tuner", "Tuning", "tune")

BASES = (25, 50, 100, 200, 400, 800, 1600)
TOLERANCES = (0.9, 0.95, 0.98, 1.0)
REFERENCERS = (1, 3, 5, 7, 9, 11, 13, 15, 17, 20, 25)
SHRINKAGES = (
    Shrinkage(),
    Shrinkage(regions=0),
    Shrinkage(regions=4),
    Shrinkage(regions=16),
    Shrinkage(region=4.0),
    Shrinkage(region=40.0),
    Shrinkage(length=50.0),
    Shrinkage(voter=10.0, region=80.0, length=50.0),
)
"""What is tried; the present values are always tried too."""

_FEWEST = 50
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a bank says about the parameters."""

    bank: str
    """Content hash."""
    questions: int
    llms: tuple[str, ...]
    folds: int
    seed: int
    choices: tuple[Choice, ...]

    def changes(self) -> dict[str, Any]:
        """Return the recommended values by parameter, only those that differ."""
        return {
            name: value
            for choice in self.choices
            if choice.change
            for name, value, before in zip(choice.parameters, choice.best, choice.present, strict=True)
            if value != before
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        choices = [{**asdict(choice), "change": choice.change} for choice in self.choices]
        return {**asdict(self), "choices": choices, "changes": self.changes()}


def tune(
    bank: QuestionBank,
    settings: Settings,
    *,
    names: Sequence[str] | None = None,
    embedder: str | None = None,
    folds: int = 5,
    seed: int = 0,
    results: ResultFile | None = None,
    replayed: ResultFile | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Tuning:
    """Choose gamma, N_sup_base, K and the guard's parameters on a bank, and what else a result file allows.

    Args:
        bank: Graded questions with embeddings; where answers are recorded too, votes are tuned.
        settings: The present parameters.
        names: LLMs of the pool; those of the bank when `None`.
        embedder: Whose vectors; the bank's default when `None`.
        folds: Parts the bank is cut into, at least 2.
        seed: Of the cut and of the bootstrap.
        results: Recorded runs *on questions that nothing will be tested on*, for n, lambda and the worth of merging.
        replayed: The same runs with many n and lambda (`replay_candidates`), to choose these from instead.
        on_progress: Told what is being measured.

    Raises:
        BankError: The bank has no embeddings, no LLM of the pool, or fewer than 50 questions.
        InputError: `folds` is below 2.
    """
    tuner = Tuner(bank, settings, names=names, embedder=embedder, folds=folds, seed=seed)
    choices = []
    for label, step in tuner.steps(results, replayed):
        if on_progress is not None:
            on_progress(label)
        choices.append(step())
    return Tuning(bank.content_hash, tuner.questions, tuner.llms, folds, seed, tuple(choices))


class Tuner:
    """The measurements behind `tune`; arguments as there."""

    def __init__(
        self,
        bank: QuestionBank,
        settings: Settings,
        *,
        names: Sequence[str] | None = None,
        embedder: str | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        if folds < 2:
            raise InputError(f"`folds` must be at least 2, got {folds}.")
        index = bank.index(embedder)
        wanted = index.llms if names is None else tuple(names)
        columns = [column for column, llm in enumerate(index.llms) if llm in wanted]
        if not columns:
            raise BankError(f"The bank knows no LLM of the pool. It knows: {', '.join(index.llms) or 'none'}.")
        raw = np.asarray(index.outcomes)[:, columns]
        if len(raw) < _FEWEST:
            raise BankError(f"{len(raw)} embedded questions are too few to tune on; {_FEWEST} are needed.")
        self.llms = tuple(index.llms[column] for column in columns)
        self.questions = len(raw)
        self._settings = settings
        self._seed = seed
        self._vectors = np.asarray(index.embeddings)
        grades = np.where(raw == MISSING, np.nan, raw) if raw.dtype == np.uint8 else raw
        self._grades: _Floats = grades.astype(np.float64)
        self._ids = index.ids.take(np.arange(len(index.ids)))
        rng = np.random.default_rng(seed)
        self._fold = rng.permutation(len(raw)) % folds
        self._folds = folds
        self._ballots = self._aligned(read_ballots(bank, index.embedder, self.llms))
        self._found: dict[tuple[int, float], _Floats] = {}
        self._learned: dict[tuple[int, Shrinkage], VoteWorth] = {}

    def steps(
        self, results: ResultFile | None, replayed: ResultFile | None = None
    ) -> list[tuple[str, Callable[[], Choice]]]:
        """Return what is measured, by name, in order."""
        steps: list[tuple[str, Callable[[], Choice]]] = [
            ("support set", self.support),
            ("referencers", self.referencers),
            ("worth of votes", self.shrinkage),
        ]
        if results is None:
            return [*steps, ("candidates", lambda: nothing(("n", "balance"), "no result file was given"))]
        return [
            *steps,
            ("candidates", lambda: candidates_of_arms(replayed or results, self._settings, self._seed)),
            ("aggregator", lambda: aggregator_accuracy(results, self._settings)),
        ]

    def support(self) -> Choice:
        """Choose N_sup_base and gamma by how well priors order right and wrong LLMs (Eq. 8, question by question)."""
        present = (self._settings.support_base, self._settings.tolerance)
        bases = [base for base in BASES if base <= self.questions // 2]
        grid = dict.fromkeys([present, *((base, tolerance) for base in bases for tolerance in TOLERANCES)])
        scores = {values: _ordered_pairs(self._priors(*values), self._grades) for values in grid}
        return choose(("support_base", "tolerance"), "pairs in the right order", present, scores, self._seed)

    def referencers(self) -> Choice:
        """Choose K by how often the vote of the K best priors is right, without any aggregation."""
        size = len(self.llms)
        present = (min(self._settings.k, size),)
        if self._ballots is None:
            return nothing(("k",), "the bank holds no recorded answers of the pool to vote with", present)
        grid = dict.fromkeys([present, *((k,) for k in REFERENCERS if k <= size), (size,)])
        scores = {values: self._votes(values[0], self._settings.guard.shrinkage)[0] for values in grid}
        return choose(("k",), "right by vote of K", present, scores, self._seed)

    def shrinkage(self) -> Choice:
        """Choose how much a vote's worth may differ by region and length: by probability given to the right answer."""
        fields = tuple(Shrinkage.__dataclass_fields__)
        names = tuple(f"guard.shrinkage.{name}" for name in fields)
        now = self._settings.guard.shrinkage
        present = tuple(getattr(now, name) for name in fields)
        if self._ballots is None:
            return nothing(names, "the bank holds no recorded answers of the pool to learn from", present)
        k = min(self._settings.k, len(self.llms))
        grid = {tuple(getattr(tried, name) for name in fields): tried for tried in (now, *SHRINKAGES)}
        scores = {values: self._votes(k, tried)[1] for values, tried in grid.items()}
        return choose(names, "probability of the right answer", present, scores, self._seed)

    def _priors(self, base: int, tolerance: float) -> _Floats:
        """Return the accuracy of each LLM on each question's support set outside its fold, (N, R)."""
        if (base, tolerance) in self._found:
            return self._found[base, tolerance]
        known = ~np.isnan(self._grades)
        right = np.where(known, self._grades, 0.0).astype(np.float32)
        priors = np.full(self._grades.shape, np.nan)
        for fold in range(self._folds):
            asked, rest = self._fold == fold, self._fold != fold
            near = self._vectors[asked] @ self._vectors[rest].T
            count = min(base, near.shape[1])
            nearest = np.partition(near, -count, axis=1)[:, -count][:, None]
            weights = np.where(near >= np.minimum(tolerance * nearest, nearest), np.maximum(near, 0.0), 0.0)
            total = weights @ known[rest].astype(np.float32)
            priors[asked] = np.where(total > 0, (weights @ right[rest]) / np.where(total > 0, total, 1.0), np.nan)
        self._found[base, tolerance] = priors
        return priors

    def _votes(self, k: int, shrinkage: Shrinkage) -> tuple[_Floats, _Floats]:
        """Return whether the vote of the K best priors is right, and the probability of the right answer, (N,)."""
        assert self._ballots is not None  # noqa: S101 - callers have checked
        answers, lengths = self._ballots.answers, self._ballots.lengths
        priors = self._priors(self._settings.support_base, self._settings.tolerance)
        order = np.argsort(-np.nan_to_num(priors, nan=-1.0), axis=1, kind="stable")
        asked = np.zeros(answers.shape, dtype=np.bool_)
        np.put_along_axis(asked, order[:, :k], values=True, axis=1)
        votes, measured = np.where(asked, answers, -1), np.where(asked, lengths, np.nan)
        right, chance = np.full(len(votes), np.nan), np.full(len(votes), np.nan)
        for fold in range(self._folds):
            held = np.flatnonzero(self._fold == fold)
            worth = self._worth(fold, shrinkage)
            probabilities = vote_probabilities(votes[held], worth.log_weights(self._vectors[held], measured[held]))
            winner = votes[held, probabilities.argmax(axis=1)]
            right[held] = winner == 0
            chance[held] = np.where(votes[held] == 0, probabilities, 0.0).max(axis=1)
        voted = (answers >= 0).any(axis=1)
        return np.where(voted, right, np.nan), np.where(voted, chance, np.nan)

    def _worth(self, fold: int, shrinkage: Shrinkage) -> VoteWorth:
        """Return what votes are worth, learned outside a fold."""
        assert self._ballots is not None  # noqa: S101 - callers have checked
        if (fold, shrinkage) not in self._learned:
            rest = self._fold != fold
            right = np.zeros(int(rest.sum()), dtype=np.intp)
            answers, lengths = self._ballots.answers[rest], self._ballots.lengths[rest]
            self._learned[fold, shrinkage] = fit_vote_worth(
                answers, right, self._vectors[rest], lengths, shrinkage=shrinkage
            )
        return self._learned[fold, shrinkage]

    def _aligned(self, ballots: Ballots) -> Ballots | None:
        """Return ballots with a row per question of the index and a column per LLM of the pool, or `None`."""
        if len(ballots.answers) < _FEWEST:
            return None
        rows = {question_id: row for row, question_id in enumerate(self._ids)}
        answers = np.full(self._grades.shape, -1, dtype=np.intp)
        lengths = np.full(self._grades.shape, np.nan)
        where = np.ix_([rows[id_] for id_ in ballots.question_ids], [self.llms.index(llm) for llm in ballots.llms])
        answers[where], lengths[where] = ballots.answers, ballots.lengths
        return replace(ballots, llms=self.llms, answers=answers, lengths=lengths, vectors=self._vectors)


def _ordered_pairs(priors: _Floats, grades: _Floats) -> _Floats:
    """Return the share of (right LLM, wrong LLM) pairs whose priors are in the right order, (N,); ties count half."""
    values = np.nan_to_num(priors, nan=-1.0)
    right, wrong = grades > 0.5, grades <= 0.5
    pairs = right.sum(axis=1) * wrong.sum(axis=1)
    ordered = np.zeros(len(values))
    for llm in range(values.shape[1]):
        mine = values[:, llm : llm + 1]
        won = (wrong & (mine > values)).sum(axis=1) + 0.5 * (wrong & (mine == values)).sum(axis=1)
        ordered += np.where(right[:, llm], won, 0.0)
    return np.where(pairs > 0, ordered / np.maximum(pairs, 1), np.nan)
