"""What an experiment asks: questions of tasks, and answers that others recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from smcs.bench.tables import read_columns
from smcs.errors import ConfigError, InputError
from smcs.llms import AnswerStore
from smcs.tasks import Task, ask, find_task
from smcs.tasks.seed import generate
from smcs.types import Message, Question

__all__ = ("SEED_TEST", "import_answers", "load_questions", "seed_test_questions")

SEED_TEST = 1
"""Seed of the seed task's test questions; the bank that ships with smcs holds those of seed 0."""

_BATCH = 2_000


def load_questions(
    names: Sequence[str],
    *,
    split: str = "test",
    data: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[tuple[Question, ...], tuple[Task, ...]]:
    """Return the questions of tasks, the tasks taking turns, so that every prefix of them is mixed.

    Args:
        names: Tasks: registered ones, files of a user's own, or "seed", our own questions.
        split: Part of each.
        data: Folder of local data.
        limit: Most questions per task, drawn stratified by subject.
        seed: Of that draw.

    Raises:
        ConfigError: A task is unknown, or its questions cannot be had.
        InputError: There is no such split, or two tasks bear one label.
    """
    tasks: list[Task] = []
    lists: list[tuple[Question, ...]] = []
    for name in names:
        if name == "seed":
            lists.append(seed_test_questions(limit))
            continue
        task = find_task(name)
        if any(task.name == other.name for other in tasks):
            raise InputError(f"Two tasks are called {task.name!r}. Name each task once.")
        tasks.append(task)
        lists.append(task.load(split, data=data, limit=limit, seed=seed))
    if not any(lists):
        raise InputError("There is no question to ask. Name at least one task.")
    longest = max(map(len, lists))
    mixed = [questions[i] for i in range(longest) for questions in lists if i < len(questions)]
    return tuple(mixed), tuple(tasks)


def seed_test_questions(limit: int | None = None) -> tuple[Question, ...]:
    """Return seed questions that the bank of smcs does not hold, families in turn."""
    known = {question.text for question in generate()}
    new = [question for question in generate(SEED_TEST) if question.text not in known]
    return tuple(replace(question, id=f"test-{question.id}") for question in new[:limit])


def import_answers(path: Path, questions: Sequence[Question], tasks: Sequence[Task], store: AnswerStore) -> int:
    """Keep answers that others recorded as answers to our prompts, so that they can serve as references.

    Args:
        path: A Parquet file with the columns id (of the question, with or without the task's name before it), llm and
            response.
        questions: Whose answers are wanted; the others are left out, as are empty ones.
        tasks: How the questions are asked.
        store: Where they are kept, usable with any sampling.

    Returns:
        How many were new.

    Raises:
        ConfigError: The file cannot be read, or holds no answer to any of the questions.
    """
    by_id = {key: question for question in questions for key in (question.id, question.id.rpartition("/")[2])}
    wanted = found = 0
    batch: list[tuple[str, tuple[Message, ...], str]] = []
    for id_, llm, response in _answers(path):
        question = by_id.get(id_)
        if question is None or not response.strip():
            continue
        wanted += 1
        batch.append((llm, ask(question, *tasks)[0], response))
        if len(batch) >= _BATCH:
            found += store.add_imported(batch)
            batch.clear()
    if not wanted:
        raise ConfigError(f"{path} holds no answer to any of the {len(questions)} questions. Is it of another task?")
    return found + store.add_imported(batch)


def _answers(path: Path) -> Iterator[tuple[str, str, str]]:
    table = read_columns(path, ("id", "llm", "response"))
    for id_, llm, response in zip(*table.values(), strict=True):
        if isinstance(llm, str) and isinstance(response, str):
            yield str(id_), llm, response
