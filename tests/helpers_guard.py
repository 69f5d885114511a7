"""A bank whose LLMs' answers to questions with options are recorded, for what learns from answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder
from smcs.types import GraderName, Outcome, Question

OPTIONS = ("red", "green", "blue", "grey")


def letters(gold: np.ndarray, accuracy: float, rng: np.random.Generator, *, wrong: int | None = None) -> np.ndarray:
    """Return answers that are right with a probability, and else `wrong` places after the right one, or anywhere."""
    step = rng.integers(1, 4, size=len(gold)) if wrong is None else wrong
    return np.where(rng.random(len(gold)) < accuracy, gold, (gold + step) % 4)


async def answered_bank(
    path: Path,
    answers: Mapping[str, np.ndarray],
    gold: np.ndarray,
    *,
    grader: GraderName = "choice",
    extracted: bool = True,
    tasks: tuple[str, ...] = ("sums",),
) -> QuestionBank:
    """Return a bank in which every LLM's answers (0 to 3) are recorded, or only whether they are right."""
    bank = QuestionBank.create(path)
    options = OPTIONS if grader == "choice" else ()
    questions = [
        Question(
            f"{i:04d}",
            f"which colour has {tasks[i % len(tasks)]} number {i}",
            task=tasks[i % len(tasks)],
            choices=options,
            gold="ABCD"[right],
            grader=grader,
        )
        for i, right in enumerate(gold)
    ]
    bank.add_questions(questions)
    for llm, given in answers.items():
        bank.add_llm(llm)
        bank.record(
            Outcome(
                question.id,
                llm,
                float(answer == right),
                response=f"Answer: {'ABCD'[answer]}" if extracted else "",
                extracted="ABCD"[answer] if extracted else None,
                grader=grader,
            )
            for question, answer, right in zip(questions, given, gold, strict=True)
        )
    await bank.embed(HashingEmbedder())
    return bank
