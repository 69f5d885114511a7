"""What a bank says about LLMs apart from any one question: their accuracy overall, per task and per label.

Averaged with SQL once per state of a bank and kept as long as its content hash stays the same, so that a run reads one
row of the database and adds nothing up.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from smcs.bank import BankInfo, QuestionBank
from smcs.strategies.per_bank import PerBank

__all__ = ("Knowledge", "Label", "know", "rank")

Label = tuple[str, str]
"""A task and a subject in it, as bank questions carry them; either may be empty."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Accuracies, from 0 to 1, by name of the LLM; one without a graded outcome is absent."""

    overall: Mapping[str, float]
    """On the whole bank: the mean of an LLM's known grades."""
    tasks: Mapping[str, Mapping[str, float]]
    """On each task."""
    labels: Mapping[Label, Mapping[str, float]]
    """On each task and subject."""


_KNOWLEDGE: PerBank[Knowledge] = PerBank()


async def know(bank: QuestionBank) -> Knowledge:
    """Return what a bank says about its LLMs; whoever asks while it is being averaged waits for the same figures."""
    return await asyncio.to_thread(_know, bank)


def rank(accuracy: Mapping[str, float], names: Iterable[str]) -> tuple[str, ...]:
    """Return the LLMs that have an accuracy, best first; equal ones keep their order."""
    return tuple(sorted((name for name in names if name in accuracy), key=lambda name: -accuracy[name]))


def _know(bank: QuestionBank) -> Knowledge:
    return _KNOWLEDGE.get(bank, bank.content_hash, lambda: _learn(bank.info()))


def _learn(info: BankInfo) -> Knowledge:
    totals: dict[str, dict[str, tuple[float, int]]] = defaultdict(dict)
    labels: dict[Label, dict[str, float]] = defaultdict(dict)
    for part in info.subjects:
        if part.accuracy is None:
            continue
        task = part.task or ""
        labels[task, part.subject or ""][part.llm] = part.accuracy
        right, graded = totals[task].get(part.llm, (0.0, 0))
        totals[task][part.llm] = (right + part.accuracy * part.graded, graded + part.graded)
    tasks = {task: {llm: right / graded for llm, (right, graded) in by_llm.items()} for task, by_llm in totals.items()}
    overall = {part.llm: part.accuracy for part in info.llms if part.accuracy is not None}
    return Knowledge(overall, tasks, dict(labels))
