"""What an LLM with few outcomes would have scored on the questions that it was not asked.

An LLM that is graded on a part of the searched questions has a poor prior: a support set holds few of its outcomes,
or none, and what was chosen to be asked is no fair sample. The well graded LLMs say how hard each question is and
what LLMs differ in (`smcs.prior.growth`); with them its few outcomes give a probability of success for every
question. These probabilities stand beside the outcomes of the index, never among them, and are derived: deleting them
loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.bank.index import MISSING, BankIndex, map_array, write_array
from smcs.prior.growth import LEAST_REFERENCES, Survey, flat_survey, infer, predict, survey

__all__ = ("WELL_GRADED", "Estimates", "index_scores", "load_estimates", "survey_of")

WELL_GRADED = 0.9
"""Share of the searched questions from which on an LLM's own outcomes are enough."""

_HALF_GRADED = 0.5
"""Share that has to do where too few LLMs are well graded."""


@dataclass(frozen=True)
class Estimates:
    """Probabilities of success of the T LLMs with few outcomes."""

    columns: NDArray[np.intp]
    """(T,) their columns in the index."""
    chances: NDArray[np.float32]
    """(N, T), from 0 to 1."""


def index_scores(index: BankIndex) -> NDArray[np.float32]:
    """Return the outcomes of an index as (N, R) float32 with NaN where missing."""
    if index.outcomes.dtype != np.uint8:
        return np.asarray(index.outcomes, dtype=np.float32)
    scores = index.outcomes.astype(np.float32)
    scores[index.outcomes == MISSING] = np.nan
    return scores


def survey_of(index: BankIndex, *, without: str | None = None) -> Survey:
    """Survey the well graded LLMs of an index; the same index gives the same survey.

    Args:
        index: The searched questions and their outcomes.
        without: An LLM that is left out, because it is the newcomer.

    Returns:
        A flat survey where fewer than `LEAST_REFERENCES` LLMs are well graded.
    """
    scores = index_scores(index)
    keep = np.array([name != without for name in index.llms], dtype=np.bool_)
    references = _references(_shares(scores), keep)
    if not references.any():
        return flat_survey(scores[:, keep])
    return survey(scores[:, references], index.embeddings, np.random.default_rng(0))


def load_estimates(index: BankIndex) -> Estimates | None:
    """Map the estimates of an index, after making them beside the index if they are not there.

    Returns:
        `None` where no LLM needs any.
    """
    chances, columns = (index.folder / f"{name}.npy" for name in ("estimates", "estimated_columns"))
    if not columns.is_file():
        few = _few(index)
        if len(few):
            write_array(chances, _chances(index, few))
        write_array(columns, few)
    estimated = np.load(columns)
    return Estimates(estimated, map_array(chances)) if len(estimated) else None


def _few(index: BankIndex) -> NDArray[np.intp]:
    """Return the columns of LLMs with an outcome, but too few."""
    if not index.llms:
        return np.empty(0, dtype=np.intp)
    shares = _shares(index_scores(index))
    references = _references(shares, np.ones(len(shares), dtype=np.bool_))
    return np.flatnonzero((shares > 0) & (shares < WELL_GRADED) & ~references)


def _references(shares: NDArray[np.float64], keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which of the kept LLMs a survey can rest on; none where they are too few."""
    for least in (WELL_GRADED, _HALF_GRADED):
        enough = keep & (shares >= least)
        if enough.sum() >= LEAST_REFERENCES:
            return enough
    return np.zeros_like(keep)


def _chances(index: BankIndex, columns: NDArray[np.intp]) -> NDArray[np.float32]:
    scores = index_scores(index)
    known = survey_of(index)
    chances = np.empty((len(scores), len(columns)), dtype=np.float32)
    for place, column in enumerate(columns):
        rows = np.flatnonzero(~np.isnan(scores[:, column]))
        chances[:, place] = predict(known, infer(known, rows, scores[rows, column]))
    return chances


def _shares(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = (~np.isnan(scores)).mean(axis=0)
    return shares
