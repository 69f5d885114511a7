"""One fixed order of a task's questions, of which every prefix is a stratified sample."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from smcs.types import Question

__all__ = ("stratified",)


def stratified(questions: Sequence[Question], seed: int = 0) -> tuple[Question, ...]:
    """Order questions so that each prefix has every subject in proportion, within one question or two.

    The j-th of the n questions of a subject (j from 0, shuffled by a hash of seed and id) goes to the share
    (j + 1/2) / n of the way: systematic sampling. A prefix is therefore part of every longer one, and the order depends
    on ids, subjects and seed alone, not on the order of a file.
    """
    subjects: dict[str, list[tuple[bytes, Question]]] = defaultdict(list)
    for question in questions:
        mark = hashlib.sha256(f"{seed}/{question.id}".encode()).digest()
        subjects[question.subject].append((mark, question))
    placed: list[tuple[float, bytes, Question]] = []
    for group in subjects.values():
        group.sort(key=lambda item: item[0])
        placed += [((place + 0.5) / len(group), mark, question) for place, (mark, question) in enumerate(group)]
    placed.sort(key=lambda item: item[:2])
    return tuple(question for _, _, question in placed)
