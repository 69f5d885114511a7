"""Finding questions of a bank: by words, by meaning, by where they belong and by who is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank
from smcs.studio.bank.catalogue import Catalogue, Shelf, rows_of_index
from smcs.types import Outcome, Question

__all__ = (
    "PAGE_SIZE",
    "WAS",
    "Found",
    "FoundPage",
    "OneQuestion",
    "Ordered",
    "Wanted",
    "Was",
    "alone_right",
    "by_meaning",
    "by_words",
    "find",
    "look_up",
    "matches",
)

PAGE_SIZE = 25

Was = Literal["any", "all_right", "all_wrong", "split", "right", "wrong", "alone", "unknown"]
"""Who is right: of all LLMs ("all_right", "all_wrong", "split"), or of one that is named."""

WAS: dict[Was, tuple[str, bool]] = {
    "any": ("Whoever is right", False),
    "all_right": ("All who were graded are right", False),
    "all_wrong": ("All who were graded are wrong", False),
    "split": ("Some are right, some wrong", False),
    "right": ("This LLM is right", True),
    "wrong": ("This LLM is wrong", True),
    "alone": ("This LLM is right, all others wrong", True),
    "unknown": ("No graded answer of this LLM", True),
}
"""Each choice in words, and whether it is about one LLM."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for."""

    text: str = ""
    """Words that must occur, or what is meant; everything if empty."""
    meaning: bool = False
    """Whether the text is compared by meaning: closest first, none left out."""
    task: str | None = None
    """`None` means all tasks."""
    subject: str | None = None
    """`None` means all subjects."""
    llm: str | None = None
    was: Was = "any"
    page: int = 1
    """Counts from 1."""


@dataclass(frozen=True, slots=True)
class Found:
    """A question, and how the LLMs did on it."""

    question: Question
    right: int
    """LLMs with a score of at least 0.5."""
    wrong: int
    unknown: int
    """LLMs without a graded answer, which are neither."""
    similarity: float | None = None
    """Cosine similarity to what is meant; `None` for a search by words."""


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page of what was found."""

    rows: tuple[Found, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class OneQuestion:
    """A question with every LLM's outcome."""

    question: Question
    outcomes: tuple[Outcome, ...]
    """Those recorded, sorted by LLM."""
    missing: tuple[str, ...]
    """LLMs that were not asked it."""


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """Rows of the catalogue in the order in which they are shown."""

    rows: NDArray[np.intp]
    similarities: NDArray[np.float64] | None = None
    """(n,) of each row; `None` for a search by words."""


def by_words(catalogue: Catalogue, text: str) -> Ordered:
    """Return the questions that hold every word, by id."""
    return Ordered(np.flatnonzero(catalogue.containing(text.split())))


def by_meaning(bank: QuestionBank, catalogue: Catalogue, embedder: str, vector: NDArray[np.floating]) -> Ordered:
    """Return all embedded questions, the closest first.

    Args:
        bank: Searched as it is for an answer.
        catalogue: Its questions.
        embedder: Name of what made the vector.
        vector: (d,) embedding of what is meant.

    Raises:
        BankError: The bank has no vectors of that embedder.
        InputError: The vector does not fit them.
    """
    index = bank.index(embedder)
    found = bank.search(vector, embedder=embedder, base=len(index.ids), tolerance=1.0)
    rows = rows_of_index(catalogue, index)[found.support.indices]
    there = rows >= 0
    return Ordered(rows[there], found.support.similarities[there])


def matches(shelf: Shelf, wanted: Wanted) -> NDArray[np.bool_]:
    """Say which questions belong where wanted and have the wanted outcomes, (N,). What is missing is never wrong."""
    labels = shelf.catalogue.labels
    fitting = [wanted.task in (None, label.task) and wanted.subject in (None, label.subject) for label in labels]
    there = np.array(fitting, dtype=np.bool_)[shelf.catalogue.label_of]
    if wanted.was == "any":
        return there
    return there & (_of_one(shelf, wanted) if WAS[wanted.was][1] else _of_all(shelf, wanted.was))


def find(shelf: Shelf, ordered: Ordered, wanted: Wanted, bank: QuestionBank) -> FoundPage:
    """Return one page of the questions that fit; a page past the end is the last one.

    Raises:
        BankError: A question was removed meanwhile.
    """
    kept = np.flatnonzero(matches(shelf, wanted)[ordered.rows])
    pages = max(1, -(-len(kept) // PAGE_SIZE))
    page = min(max(1, wanted.page), pages)
    shown = kept[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    rows = ordered.rows[shown]
    questions = bank.questions([shelf.catalogue.ids[row] for row in rows.tolist()])
    right, wrong = (part.sum(axis=1).tolist() for part in (shelf.right[rows], shelf.wrong[rows]))
    close: Sequence[float | None] = [None] * len(rows)
    if ordered.similarities is not None:
        close = ordered.similarities[shown].tolist()
    found = [
        Found(question, yes, no, len(shelf.llms) - yes - no, similarity)
        for question, yes, no, similarity in zip(questions, right, wrong, close, strict=True)
    ]
    return FoundPage(tuple(found), len(kept), page, pages)


def look_up(bank: QuestionBank, question_id: str) -> OneQuestion:
    """Return a question with all its outcomes.

    Raises:
        BankError: It is not in the bank.
    """
    (question,) = bank.questions([question_id])
    outcomes = bank.outcomes_on(question_id)
    asked = {outcome.llm for outcome in outcomes}
    return OneQuestion(question, outcomes, tuple(name for name in bank.llms if name not in asked))


def _of_all(shelf: Shelf, was: Was) -> NDArray[np.bool_]:
    right, wrong = (np.asarray(part.any(axis=1), dtype=np.bool_) for part in (shelf.right, shelf.wrong))
    return {"all_right": right & ~wrong, "all_wrong": wrong & ~right}.get(was, right & wrong)


def _of_one(shelf: Shelf, wanted: Wanted) -> NDArray[np.bool_]:
    if wanted.llm not in shelf.llms:
        return np.zeros(len(shelf.catalogue.ids), dtype=np.bool_)
    column = shelf.llms.index(wanted.llm)
    if wanted.was == "unknown":
        unknown: NDArray[np.bool_] = ~shelf.known[:, column]
        return unknown
    if wanted.was == "wrong":
        return shelf.wrong[:, column]
    return alone_right(shelf, column) if wanted.was == "alone" else shelf.right[:, column]


def alone_right(shelf: Shelf, column: int) -> NDArray[np.bool_]:
    """Say on which questions an LLM is right and at least one other is wrong and none right, (N,)."""
    others = np.arange(len(shelf.llms)) != column
    none_right = ~shelf.right[:, others].any(axis=1)
    alone: NDArray[np.bool_] = shelf.right[:, column] & none_right & shelf.wrong[:, others].any(axis=1)
    return alone
