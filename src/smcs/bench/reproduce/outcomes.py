"""Outcomes of single LLMs with embeddings: all that the figures of prior selection and of votes need; no LLM is called.

A table comes from a bank (every question is routed by the others, fold by fold), from recorded answers (the test split
is routed by the rest) or from the authors' released data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank
from smcs.bench.recorded import RecordedBank
from smcs.embedders import CachedEmbedder, Embedder, HashingEmbedder, MiniLMEmbedder, Vectors
from smcs.errors import InputError
from smcs.grading import same_answers
from smcs.llms import find_model
from smcs.posterior import drop_distribution, plurality
from smcs.prior import recruit, support_set, weighted_prior
from smcs.prior.models import question_features
from smcs.types import Outcome, Question

__all__ = ("OutcomeTable", "Routing", "bank_table", "default_embedder", "recorded_table", "support_base")

_PAPER_BASE: Final = 400
_FULL_BANK: Final = 4_000
_SHARE: Final = 12
_ROWS: Final = 256
"""Questions whose similarities are held at once."""


@dataclass(frozen=True)
class Routing:
    """What prior selection says about the questions that are asked."""

    rows: NDArray[np.intp]
    """(Q,) rows of the table."""
    priors: NDArray[np.float64]
    """(Q, R), NaN where nothing is known."""
    sources: NDArray[np.float64]
    """(Q, G) share of the support set's similarity by group; a row adds up to 1."""


@dataclass(frozen=True)
class OutcomeTable:
    """N questions, R LLMs."""

    name: str
    """What it is, for humans."""
    ids: tuple[str, ...]
    tasks: NDArray[np.str_]
    """(N,)"""
    subjects: NDArray[np.str_]
    """(N,)"""
    llms: tuple[str, ...]
    scores: NDArray[np.float64]
    """(N, R) from 0 to 1, NaN where missing or not graded."""
    vectors: Vectors
    """(N, d) at unit norm."""
    folds: NDArray[np.int64]
    """(N,) the fold a question is asked in, routed by all that are not in it; -1 for those that are bank only."""
    _: KW_ONLY
    embedder: str
    base: int
    """N_sup_base."""
    tolerance: float = 0.95
    find_answers: Callable[[], NDArray[np.intp]] | None = None
    """Numbers the distinct answers to each question, (N, R), -1 for none; `None` where no answer was recorded."""
    features: NDArray[np.float64] | None = None
    """(N, f) further numbers known of each question before it is answered, for priors that use them."""
    output_tokens: int | None = None
    """Longest answer allowed, where it is known."""
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """How it is named beside its figures."""
        return f"{self.name} ({self.embedder}, N_sup_base = {self.base})"

    @cached_property
    def groups(self) -> NDArray[np.str_]:
        """(N,) the task of each question, or its subject where there is but one task."""
        if len(set(self.tasks)) > 1:
            return self.tasks
        return self.subjects if len(set(self.subjects)) > 1 else self.tasks

    @cached_property
    def group_names(self) -> tuple[str, ...]:
        """The G groups, sorted."""
        return tuple(sorted(set(self.groups.tolist())))

    @cached_property
    def labels(self) -> NDArray[np.str_]:
        """(N,) "task/subject", or the task alone."""
        pairs = zip(self.tasks.tolist(), self.subjects.tolist(), strict=True)
        return np.array([f"{task}/{subject}" if subject else task for task, subject in pairs])

    @cached_property
    def answers(self) -> NDArray[np.intp] | None:
        """(N, R) number of each LLM's answer, -1 for none; `None` where no answer was recorded."""
        return None if self.find_answers is None else self.find_answers()

    @cached_property
    def asked(self) -> NDArray[np.intp]:
        """(Q,) rows that are asked."""
        return np.flatnonzero(self.folds >= 0)

    @cached_property
    def correct(self) -> NDArray[np.float64]:
        """(N, R) verdicts: 1 from a grade of 0.5 on, else 0, NaN where missing."""
        return np.where(np.isnan(self.scores), np.nan, (self.scores >= 0.5).astype(np.float64))

    @cached_property
    def routing(self) -> Routing:
        """Every asked question routed by the whole bank."""
        return self._route(lambda fold: [(self.folds == fold, self.folds != fold)])

    @cached_property
    def routing_elsewhere(self) -> Routing:
        """Every asked question routed by the bank without the question's own group."""

        def parts(fold: int) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
            inside, bank = self.folds == fold, self.folds != fold
            return [(inside & (self.groups == name), bank & (self.groups != name)) for name in self.group_names]

        return self._route(parts)

    def vote(
        self,
        rows: NDArray[np.intp],
        priors: NDArray[np.float64] | None,
        *,
        k: int = 7,
        llms: Sequence[int] | None = None,
    ) -> NDArray[np.float64]:
        """Return the grade of the answer that some LLMs vote for.

        Args:
            rows: Questions, (Q,).
            priors: (Q, R): the K best vote, weighted by the softmax of the z-scores of the pool's priors. `None` lets
                everyone vote with equal weight, ties to the LLM that stands first.
            k: K.
            llms: Columns of the pool; all of them when `None`.

        Returns:
            (Q,), NaN where the answer was not graded.

        Raises:
            InputError: The table holds no answers.
        """
        if self.answers is None:
            raise InputError(f"{self.name} holds no answers to vote with.")
        pool = np.arange(len(self.llms)) if llms is None else np.asarray(llms)
        if priors is None:
            voters, weights = np.broadcast_to(pool, (len(rows), len(pool))), None
        else:
            known = np.nan_to_num(priors[:, pool], nan=-np.inf)
            best = np.stack([recruit(row, min(k, len(pool))) for row in known])
            finite = np.where(np.isinf(known), np.nanmin(priors, axis=1, keepdims=True), known)
            weights = np.stack([drop_distribution(row)[chosen] for row, chosen in zip(finite, best, strict=True)])
            voters = pool[best]
        ballots = np.take_along_axis(self.answers[rows], voters, axis=1)
        grades = np.take_along_axis(self.scores[rows], voters, axis=1)
        winners = plurality(ballots, weights)
        # Where nobody's answer could be read, the first voter's text is returned, and has a grade of its own.
        said_so = (ballots == winners[:, None]) & ~np.isnan(grades)
        first = said_so.argmax(axis=1)
        return np.where(said_so.any(axis=1), grades[np.arange(len(rows)), first], np.nan)

    def top(self, priors: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the grade of the LLM with the largest prior, (Q,); NaN where it has none."""
        best = np.nan_to_num(priors, nan=-np.inf).argmax(axis=1)
        grades: NDArray[np.float64] = self.scores[rows, best]
        return grades

    def _route(self, parts: Callable[[int], list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]]) -> Routing:
        rows, priors, sources = [], [], []
        number = {name: index for index, name in enumerate(self.group_names)}
        labels = np.array([number[name] for name in self.groups], dtype=np.intp)
        for fold in np.unique(self.folds[self.asked]):
            for asked, bank in parts(int(fold)):
                inside, outside = np.flatnonzero(asked), np.flatnonzero(bank)
                if not len(inside) or not len(outside):
                    continue
                scores, vectors = self.scores[outside], self.vectors[outside]
                for start in range(0, len(inside), _ROWS):
                    some = inside[start : start + _ROWS]
                    for similarities in self.vectors[some] @ vectors.T:
                        support = support_set(similarities, base=self.base, tolerance=self.tolerance)
                        weights = np.maximum(support.similarities, 0.0)
                        priors.append(weighted_prior(scores[support.indices], support.similarities))
                        shares = np.bincount(labels[outside[support.indices]], weights, minlength=len(number))
                        sources.append(shares / max(weights.sum(), np.finfo(float).tiny))
                rows.append(inside)
        if not rows:
            raise InputError(f"{self.name} holds no question that can be routed by others.")
        order = np.concatenate(rows)
        back = np.argsort(order)
        return Routing(order[back], np.stack(priors)[back], np.stack(sources)[back])


def support_base(bank_questions: int) -> int:
    """Return N_sup_base for a bank: the paper's 400 from 4,000 questions on, a twelfth of a smaller one."""
    return _PAPER_BASE if bank_questions >= _FULL_BANK else max(1, bank_questions // _SHARE)


def recorded_table(
    bank: RecordedBank, vectors: Vectors, embedder: str, *, choices: Sequence[Sequence[str]] | None = None
) -> OutcomeTable:
    """Return the recorded answers to MMLU-Pro as a table: the test split is asked, the rest is the bank.

    Args:
        bank: The recorded answers.
        vectors: Unit-norm embedding of each question, (Q, d).
        embedder: Who made them.
        choices: Options of each question, for priors that look at them.
    """
    options = choices if choices is not None else [()] * len(bank.ids)
    return OutcomeTable(
        f"recorded MMLU-Pro answers of {len(bank.llms)} LLMs",
        bank.ids,
        np.full(len(bank.ids), "mmlu_pro"),
        bank.subjects,
        bank.llms,
        bank.correct,
        vectors,
        np.where(bank.is_test, 0, -1),
        embedder=embedder,
        base=support_base(int((~bank.is_test).sum())),
        find_answers=lambda: bank.predicted.astype(np.intp),
        features=_features(bank.questions, options),
    )


async def bank_table(
    bank: QuestionBank, *, name: str, embedder: Embedder, folds: int = 5, seed: int = 0
) -> OutcomeTable:
    """Return a bank as a table: each of `folds` random parts is asked with the others as its bank.

    Vectors that the bank holds for all its questions are used; otherwise they are made, and not stored in it.

    Raises:
        InputError: The bank has too few questions, or no LLM.
        EmbedderError: The embedder failed.
    """
    questions, matrix = bank.questions(), bank.outcomes()
    if len(questions) < 2 * folds or not matrix.llms:
        raise InputError(f"{name} has {len(questions)} questions and {len(matrix.llms)} LLMs: too few to route.")
    vectors, made_by = await _bank_vectors(bank, questions, embedder)
    kept = np.random.default_rng(seed).permutation(len(questions)) % folds
    outcomes = {llm: {outcome.question_id: outcome for outcome in bank.recorded(llm)} for llm in matrix.llms}
    told = any(outcome.response or outcome.extracted for each in outcomes.values() for outcome in each.values())
    return OutcomeTable(
        name,
        matrix.question_ids,
        np.array([question.task or "bank" for question in questions]),
        np.array([question.subject for question in questions]),
        matrix.llms,
        matrix.scores.astype(np.float64),
        vectors,
        kept.astype(np.int64),
        embedder=made_by,
        base=support_base(len(questions) - len(questions) // folds),
        find_answers=(lambda: _answers(questions, matrix.llms, outcomes)) if told else None,
        features=_features([question.text for question in questions], [question.choices for question in questions]),
        notes=(
            f"{name}: {len(questions)} questions in {folds} random parts (seed {seed}), each routed by the others.",
        ),
    )


def default_embedder() -> Embedder:
    """Return MiniLM where its files are on this machine, else hashed words, which need no file."""
    from smcs._paths import cache_dir

    entry = find_model("all-minilm-l6-v2")
    if not entry.downloaded:
        return HashingEmbedder()
    minilm = MiniLMEmbedder(entry.require(), long_texts="truncate")
    return CachedEmbedder(minilm, cache_dir() / "embeddings.sqlite")


async def _bank_vectors(bank: QuestionBank, questions: Sequence[Question], embedder: Embedder) -> tuple[Vectors, str]:
    stored = next((known.name for known in bank.info().embedders if known.default), None)
    if stored is not None and not bank.missing_embeddings(stored):
        index = bank.index(stored)
        position = {question: row for row, question in enumerate(index.ids.take(np.arange(len(index.ids))))}
        return index.embeddings[[position[question.id] for question in questions]], stored
    return await embedder.embed([question.prompt() for question in questions]), embedder.name


def _features(texts: Sequence[str], choices: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    return np.stack([question_features(text, options) for text, options in zip(texts, choices, strict=True)])


def _answers(
    questions: Sequence[Question], llms: Sequence[str], outcomes: dict[str, dict[str, Outcome]]
) -> NDArray[np.intp]:
    """Number the answers to each question; an LLM without a response has none."""
    numbers = np.full((len(questions), len(llms)), -1, dtype=np.intp)
    for row, question in enumerate(questions):
        found = [outcomes[llm].get(question.id) for llm in llms]
        texts = ["" if one is None else one.response or one.extracted or "" for one in found]
        numbers[row] = same_answers(texts, grader=question.grader, choices=question.choices, question=question.text)
    return numbers
