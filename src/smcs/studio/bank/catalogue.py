"""All questions of a bank in memory in a compact form: ids, labels, and text to search in; and who got which right."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.bank import BankIndex, QuestionBank
from smcs.studio.bank.intervals import RIGHT

__all__ = ("Catalogue", "Label", "Shelf", "load_catalogue", "load_shelf", "rows_of_index")

_BATCH = 2_000


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """Where a question belongs."""

    task: str
    subject: str

    @property
    def name(self) -> str:
        """Task and subject in one line."""
        return " / ".join(part for part in (self.task, self.subject) if part) or "no task"


@dataclass(frozen=True, eq=False)
class Catalogue:
    """N questions without their answers."""

    ids: tuple[str, ...]
    """Sorted."""
    labels: tuple[Label, ...]
    """Those that occur, sorted."""
    label_of: NDArray[np.intp]
    """(N,) positions in `labels`."""
    text: bytes
    """Ids, texts and options in folded case, UTF-8, each question ended by NUL, which no question holds."""
    ends: tuple[int, ...]
    """Where each question's text ends."""

    def containing(self, words: Sequence[str]) -> NDArray[np.bool_]:
        """Say which questions hold every one of some words, or parts of words, in whatever case; (N,)."""
        found = np.ones(len(self.ids), dtype=np.bool_)
        for word in words:
            found &= self._holding(word.casefold().encode(errors="surrogatepass"))
        return found

    def _holding(self, needle: bytes) -> NDArray[np.bool_]:
        found = np.zeros(len(self.ids), dtype=np.bool_)
        position = -1 if b"\0" in needle else self.text.find(needle)
        while position >= 0:
            row = bisect_right(self.ends, position)
            found[row] = True
            position = self.text.find(needle, self.ends[row])
        return found


@dataclass(frozen=True, eq=False)
class Shelf:
    """N questions and what R LLMs scored on them."""

    catalogue: Catalogue
    llms: tuple[str, ...]
    """Sorted."""
    scores: NDArray[np.float32]
    """(N, R), from 0 to 1; NaN where there is no graded outcome."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N, R): whether there is a graded outcome."""
        return ~np.isnan(self.scores)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N, R): whether it is right; not so where nothing is known."""
        return self.scores >= RIGHT

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """(N, R): whether it is wrong; not so where nothing is known."""
        return self.scores < RIGHT


def load_catalogue(bank: QuestionBank) -> Catalogue:
    """Read all questions once; takes about 2 s for 100,000."""
    ids: list[str] = []
    placed: list[Label] = []
    texts: list[bytes] = []
    for question in bank.iter_questions(batch=_BATCH):
        ids.append(question.id)
        placed.append(Label(question.task, question.subject))
        texts.append(f"{question.id}\n{question.prompt()}\0".casefold().encode())
    labels = tuple(sorted(set(placed)))
    place = {label: number for number, label in enumerate(labels)}
    return Catalogue(
        tuple(ids),
        labels,
        np.array([place[label] for label in placed], dtype=np.intp),
        b"".join(texts),
        tuple(itertools.accumulate(map(len, texts))),
    )


def load_shelf(bank: QuestionBank, catalogue: Catalogue) -> Shelf:
    """Read all scores once and lay them beside the questions; takes a few seconds for 1,500,000."""
    matrix = bank.outcomes()
    if matrix.question_ids == catalogue.ids:
        return Shelf(catalogue, matrix.llms, matrix.scores)
    row_of = {question_id: row for row, question_id in enumerate(matrix.question_ids)}
    scores = np.full((len(catalogue.ids), len(matrix.llms)), np.nan, dtype=np.float32)
    there = [(row, row_of[question_id]) for row, question_id in enumerate(catalogue.ids) if question_id in row_of]
    if there:
        to, of = np.array(there, dtype=np.intp).T
        scores[to] = matrix.scores[of]
    return Shelf(catalogue, matrix.llms, scores)


def rows_of_index(catalogue: Catalogue, index: BankIndex) -> NDArray[np.intp]:
    """Return the row in the catalogue of each searched question, (n,); -1 for one that is no longer in the bank."""
    ids = index.ids.take(np.arange(len(index.ids)))
    if ids == catalogue.ids:
        return np.arange(len(ids))
    row_of = {question_id: row for row, question_id in enumerate(catalogue.ids)}
    return np.array([row_of.get(question_id, -1) for question_id in ids], dtype=np.intp)
