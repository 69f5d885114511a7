"""Questions that ask the same: in the same words, in nearly the same words, in the bank or in a test set."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.bank.audit.report import Finding
from smcs.types import Question

__all__ = (
    "Fingerprint",
    "Pair",
    "contamination",
    "duplicates",
    "fingerprint",
    "near_duplicates",
    "near_pairs",
    "ungradable",
)

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_BLOCK_FLOATS = 16_000_000
"""Similarities held in memory at a time (64 MB)."""

Pair = tuple[int, int, float]
"""Two rows and their cosine similarity."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a question asks, without what does not change it."""

    words: str
    """Words and digits in lower case, without punctuation and white space; symbols count where words are few."""
    choices: tuple[str, ...]
    """The same of each option, sorted: the order of options changes no question."""
    gold: str
    """The same of the gold; of the option, where the gold is a letter."""
    numbers: tuple[str, ...]
    """Numbers in the text and options, sorted: another number is another question."""

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """What is equal for two questions that ask the same."""
        return self.words, self.choices


def fingerprint(question: Question) -> Fingerprint:
    """Return what a question asks, up to case, punctuation, spacing and the order of its options."""
    gold = question.gold or ""
    if question.choices and len(gold) == 1 and 0 <= ord(gold) - ord("A") < len(question.choices):
        gold = question.choices[ord(gold) - ord("A")]
    numbers = _NUMBER.findall(question.prompt())
    return Fingerprint(
        _normal(question.text), tuple(sorted(map(_normal, question.choices))), _normal(gold), tuple(sorted(numbers))
    )


def ungradable(questions: Iterable[Question]) -> Iterator[Finding]:
    """Find questions that no answer can be graded against."""
    for question in questions:
        problem = _ungradable(question)
        if problem:
            yield Finding("ungradable", "error", f"{question.id}: {problem}", (question.id,), task=question.task)


def duplicates(questions: Sequence[Question], prints: Sequence[Fingerprint]) -> Iterator[Finding]:
    """Find groups of questions that ask the same in the same words, and whether their golds agree."""
    groups: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for row, known in enumerate(prints):
        groups[known.key].append(row)
    for rows in groups.values():
        if len(rows) < 2:
            continue
        ids = tuple(questions[row].id for row in rows)
        golds = {prints[row].gold for row in rows if questions[row].gold is not None}
        task = questions[rows[0]].task
        if len(golds) > 1:
            message = f"{', '.join(ids)} ask the same and have {len(golds)} different golds: remove the wrong ones"
            yield Finding("contradictory_gold", "error", message, ids, task=task)
        else:
            message = f"{', '.join(ids)} ask the same: merge them (smcs bank merge)"
            yield Finding("duplicate", "warning", message, ids, task=task)


def near_duplicates(
    questions: Sequence[Question], prints: Sequence[Fingerprint], pairs: Iterable[Pair]
) -> Iterator[Finding]:
    """Turn pairs of near rows into findings; a pair that differs in a number asks something else."""
    for left, right, cosine in pairs:
        first, second = prints[left], prints[right]
        if first.key == second.key or first.numbers != second.numbers:
            continue
        ids = (questions[left].id, questions[right].id)
        differ = bool(first.gold and second.gold) and first.gold != second.gold
        known = "their golds differ: check both" if differ else "merge them if they ask the same (smcs bank merge)"
        message = f"{ids[0]} and {ids[1]} are nearly the same (cosine {cosine:.3f}); {known}"
        yield Finding("near_duplicate", "warning", message, ids, task=questions[left].task, value=cosine)


def contamination(
    questions: Sequence[Question],
    prints: Sequence[Fingerprint],
    tested: Sequence[Question],
    pairs: Iterable[Pair],
) -> Iterator[Finding]:
    """Find bank questions that are in a test set, in the same words or, by `pairs` (bank row, test row), nearly."""
    rows: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for row, known in enumerate(prints):
        rows[known.key].append(row)
    test_prints = [fingerprint(question) for question in tested]
    for question, known in zip(tested, test_prints, strict=True):
        for row in rows.get(known.key, ()):
            ids = (questions[row].id, question.id)
            message = f"{ids[0]} is test question {ids[1]}: remove it from the bank (smcs bank remove)"
            yield Finding("contamination", "error", message, ids, task=question.task, value=1.0)
    for row, other, cosine in pairs:
        if prints[row].key != test_prints[other].key and prints[row].numbers == test_prints[other].numbers:
            ids = (questions[row].id, tested[other].id)
            message = f"{ids[0]} is nearly test question {ids[1]} (cosine {cosine:.3f})"
            yield Finding("contamination", "warning", message, ids, task=tested[other].task, value=cosine)


def near_pairs(left: NDArray[np.float32], right: NDArray[np.float32] | None, *, at_least: float) -> Iterator[Pair]:
    """Yield the pairs of rows whose cosine similarity is at least some value, in the order of their rows.

    Args:
        left: (N, d), unit-norm rows.
        right: (M, d), unit-norm rows; `None` compares each row of `left` with the later ones.
        at_least: From -1 to 1.
    """
    other = left if right is None else right
    step = max(1, _BLOCK_FLOATS // max(len(other), 1))
    for start in range(0, len(left), step):
        first = start + 1 if right is None else 0
        block = left[start : start + step] @ other[first:].T
        for row, column in np.argwhere(block >= at_least).tolist():
            if right is not None or first + column > start + row:
                yield start + row, first + column, float(block[row, column])


def _ungradable(question: Question) -> str:
    if question.grader is None:
        return "has no grader: name one"
    if question.grader == "choice":
        letters = [chr(ord("A") + i) for i in range(len(question.choices))]
        return "" if question.gold in letters else f"its gold {question.gold!r} is none of its {len(letters)} options"
    if question.grader in ("instructions", "ifeval", "code"):
        return "" if question.check else f"its {question.grader} grader needs a check, and it has none"
    return "" if (question.gold or "").strip() else "has no gold: give one"


def _normal(text: str) -> str:
    words = _WORD.findall(text.casefold())
    # Formulas and code are made of signs; without words they would all be equal.
    return " ".join(words) if len("".join(words)) * 2 > len(text) else "".join(text.casefold().split())
