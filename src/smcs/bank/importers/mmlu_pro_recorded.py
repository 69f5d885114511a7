"""A folder of recorded MMLU-Pro outputs: `questions.parquet`, `outcomes.parquet`, and any `responses*.parquet`.

`questions`: id, question, choices, answer (a letter), split, and where present subject. `outcomes`: id, llm, correct,
and where present predicted. `responses*`: id, llm, response. The split taken is `validation` unless another is asked
for: test questions do not belong into a bank that is tested on them. Who has no row has no outcome, which is not a
wrong answer; a row whose `correct` is null is ungraded; a response without an outcome is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from smcs.bank.importers.entry import Entry, ImportOptions, Place, fault, score, text
from smcs.bank.importers.tables import Row, columns, rows
from smcs.types import Outcome, Question

__all__ = ("entries", "fits")

_SPLIT = "validation"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def fits(path: Path) -> bool:
    """Say whether a folder holds recorded outcomes."""
    return (path / "questions.parquet").is_file() and (path / "outcomes.parquet").is_file()


def entries(path: Path, options: ImportOptions) -> Iterator[Entry]:
    """Yield the questions, then their outcomes, those with a response first.

    Raises:
        BankError: A file or column is missing, or a row is malformed; names file and row.
        MissingExtraError: pyarrow is not installed.
    """
    for name in ("questions", "outcomes"):
        if not (path / f"{name}.parquet").is_file():
            raise fault(path, f"it lacks {name}.parquet.")
    split = options.split or _SPLIT
    questions: dict[str, Question] = {}
    others: set[str] = set()
    for place, row in rows(path / "questions.parquet", needed=("id", "question", "choices", "answer", "split")):
        question = _question(place, row)
        if question.id in questions or question.id in others:
            raise fault(place, f"question {question.id!r} is a duplicate: the file has it already.")
        if split not in ("all", row["split"]):
            others.add(question.id)
            continue
        questions[question.id] = question
        yield Entry(place, question)
        if len(questions) == options.limit:
            others = set()
            break
    outcomes = _outcomes(path / "outcomes.parquet", questions, others if options.limit is None else None)
    for file in sorted(path.glob("responses*.parquet")):
        for place, row in rows(file, needed=("id", "llm", "response")):
            found = outcomes.pop((row["id"], row["llm"]), None)
            if found is not None:
                response = text(place, "response", row["response"], empty=True)
                yield Entry(place, questions[row["id"]], (replace(found[1], response=response),))
    for place, outcome in outcomes.values():
        yield Entry(place, questions[outcome.question_id], (outcome,))


def _question(place: Place, row: Row) -> Question:
    choices = row["choices"]
    if not isinstance(choices, list) or not 2 <= len(choices) <= len(_LETTERS):
        raise fault(place, f"choices must be a list of 2 to {len(_LETTERS)} texts.")
    gold = text(place, "answer", row["answer"])
    if len(gold) != 1 or gold not in _LETTERS[: len(choices)]:
        raise fault(place, f"answer must be a letter from A to {_LETTERS[len(choices) - 1]}, got {gold!r}.")
    subject = row.get("subject")
    return Question(
        text(place, "id", row["id"]),
        text(place, "question", row["question"]),
        task="mmlu_pro",
        subject="" if subject is None else text(place, "subject", subject, empty=True),
        choices=tuple(text(place, "a choice", choice, empty=True) for choice in choices),
        gold=gold,
        grader="choice",
    )


def _outcomes(
    path: Path, questions: dict[str, Question], others: set[str] | None
) -> dict[tuple[str, str], tuple[Place, Outcome]]:
    """Return the outcomes on some questions by question and LLM.

    Args:
        path: The file.
        questions: Those that are wanted.
        others: Ids that exist but are not wanted; `None` if only part of the ids is known.
    """
    found: dict[tuple[str, str], tuple[Place, Outcome]] = {}
    has_predicted = "predicted" in columns(path)
    for place, row in rows(path, needed=("id", "llm", "correct")):
        question_id, llm = text(place, "id", row["id"]), text(place, "llm", row["llm"])
        if question_id not in questions:
            if others is not None and question_id not in others:
                raise fault(place, f"question {question_id!r} is not in questions.parquet.")
            continue
        if (question_id, llm) in found:
            raise fault(place, f"the outcome of {llm!r} on question {question_id!r} is a duplicate: it came before.")
        predicted = row["predicted"] if has_predicted else None
        extracted = None if predicted is None else text(place, "predicted", predicted, empty=True)
        verdict = score(place, "correct", row["correct"])
        found[question_id, llm] = (place, Outcome(question_id, llm, verdict, extracted=extracted, grader="choice"))
    return found
