"""Priors other than RPS for a live question: fitted once per state of a bank, then asked about each question."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.bank import BankIndex, QuestionBank, index_scores
from smcs.prior import FittedPrior, PriorSpec, find_prior, question_features
from smcs.run import Query
from smcs.strategies.per_bank import PerBank
from smcs.strategies.sources import source_of

__all__ = ("ExpectedGrades", "expected_grades")

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class ExpectedGrades:
    """What a fitted prior says about a question."""

    llms: tuple[str, ...]
    values: NDArray[np.float64]
    """Shape of `llms`; NaN for one without a grade in the bank."""


_FITTED: PerBank[FittedPrior | None] = PerBank(most=4)


async def expected_grades(
    prior: str, query: Query, vector: NDArray[np.floating], *, bank: QuestionBank, embedder: str, pool: Iterable[str]
) -> ExpectedGrades:
    """Return what a prior expects of the LLMs that are both in the pool and in the bank.

    The first question after a change of the bank waits for the fit, in a thread, and so do those that come meanwhile.

    Args:
        prior: A name of `smcs.prior.PRIORS`.
        query: The question, with its labels and options where known.
        vector: Its embedding, shape (d,).
        bank: What is learned from.
        embedder: Name of the embedder that made `vector`.
        pool: Names of the LLMs.

    Raises:
        ConfigError: There is no such prior.
        BankError: The bank has no embeddings of that embedder.
        InputError: The embedding does not fit the bank's.
    """
    spec = find_prior(prior)
    return await asyncio.to_thread(_ask, spec, query, vector, bank, embedder, tuple(pool))


def _ask(
    spec: PriorSpec,
    query: Query,
    vector: NDArray[np.floating],
    bank: QuestionBank,
    embedder: str,
    pool: tuple[str, ...],
) -> ExpectedGrades:
    index = bank.index(embedder)
    llms = tuple(name for name in index.llms if name in pool)
    # The index's folder is named by what the bank holds.
    fitted = _FITTED.get(bank, (spec.name, index.folder, llms), lambda: _fit(spec, bank, index, llms))
    if fitted is None:
        return ExpectedGrades(llms, np.full(len(llms), np.nan))
    unit = np.asarray(vector, dtype=np.float64)
    unit = unit / np.linalg.norm(unit)
    features = question_features(query.text, query.choices)[None, :] if spec.uses_features else None
    return ExpectedGrades(llms, fitted.predict(unit[None, :], [source_of(query.task, query.subject)], features)[0])


def _fit(spec: PriorSpec, bank: QuestionBank, index: BankIndex, llms: tuple[str, ...]) -> FittedPrior | None:
    """Fit a prior to the outcomes of some LLMs; `None` where they have none."""
    scores = index_scores(index)[:, [index.llms.index(name) for name in llms]]
    if np.isnan(scores).all():
        return None
    labels: list[str] = []
    features: list[NDArray[np.float64]] = []
    ids = index.ids.take(np.arange(len(index.ids)))
    for start in range(0, len(ids), _BATCH):
        for question in bank.questions(ids[start : start + _BATCH]):
            labels.append(source_of(question.task, question.subject))
            if spec.uses_features:
                features.append(question_features(question.text, question.choices))
    return spec.model().fit(index.embeddings, scores, labels, np.stack(features) if features else None)
