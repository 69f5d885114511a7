"""Finding tasks: those that ship, those that installed packages bring, and a user's own files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from smcs.errors import ConfigError, suggest
from smcs.tasks._rows import is_data_file
from smcs.tasks.benchmarks import (
    aime,
    finqa,
    gpqa,
    gsm8k,
    humaneval,
    ifeval,
    livecodebench,
    livecodebench_standin,
    livemathbench,
    math500,
    mbpp,
    medmcqa,
    mmlu_pro,
)
from smcs.tasks.prompts import PAPER_SAMPLING, PROMPTS, messages_of
from smcs.tasks.task import Task
from smcs.types import GraderName, Message, Question, Sampling

__all__ = ("GROUP", "ask", "find_task", "task_names")

GROUP = "smcs.tasks"
"""Entry point group: name of the task -> a `Task`, or a function without arguments that returns one."""

_SHIPPED: dict[str, Task] = {
    module.TASK.name: module.TASK
    for module in (
        math500,
        aime,
        mbpp,
        livecodebench,
        gpqa,
        mmlu_pro,
        ifeval,
        medmcqa,
        humaneval,
        finqa,
        livemathbench,
        gsm8k,
        livecodebench_standin,
    )
}
_YAML = (".yaml", ".yml")


def task_names() -> tuple[str, ...]:
    """Return the names of all tasks: those that ship, the paper's first, then those that other packages bring."""
    return (*_SHIPPED, *sorted(set(_installed()) - set(_SHIPPED)))


def find_task(
    name_or_path: str | Path, *, grader: GraderName | None = None, columns: Mapping[str, str] | None = None
) -> Task:
    """Return a task.

    Args:
        name_or_path: A name of `task_names()`, the YAML file of a task of your own, or a data file whose columns bear
            the keys of such a file.
        grader: How answers are checked, for a data file on its own.
        columns: Key (question, answer, choices, id, subject, ...) -> column, for a data file on its own.

    Raises:
        ConfigError: There is no such task or file, or the file or the package that brings the task is faulty.
    """
    name = str(name_or_path)
    if (name in _SHIPPED or name in _installed()) and (grader is not None or columns):
        raise ConfigError(f"The task {name!r} knows its grader and columns; they can be set for a data file only.")
    if name in _SHIPPED:
        return _SHIPPED[name]
    if name in _installed():
        return _from_package(name)
    path = Path(name_or_path).expanduser()
    if path.suffix.lower() in _YAML or is_data_file(path):
        from smcs.tasks.custom import read_task

        return read_task(path, grader=grader, columns=columns, taken=("seed", *task_names()))
    raise ConfigError(
        f"Unknown task {name!r}.{suggest(name, task_names())} A task of your own is named by the path of its file"
        " (.yaml, .jsonl, .jsonl.gz, .csv or .parquet)."
    )


def ask(question: Question, *tasks: Task) -> tuple[tuple[Message, ...], Sampling]:
    """Return how a question is asked: by the task whose label it bears, else by a prompt for its grader.

    Args:
        question: From any task, or from none.
        tasks: Looked at before the registered ones: a user's own, or ones with another prompt.

    Returns:
        Chat messages, and the sampling that goes with them.

    Raises:
        InputError: The question is a seed question with a grader that none has.
    """
    if question.task.startswith("seed/"):
        from smcs.tasks.seed import messages, sampling

        return messages(question), sampling(question)
    task = next((task for task in tasks if task.name == question.task), None)
    if task is None and question.task in _SHIPPED:
        task = _SHIPPED[question.task]
    if task is None and question.task in _installed():
        task = _from_package(question.task)
    if task is not None:
        return task.messages(question), task.sampling(question)
    template = PROMPTS[question.grader] if question.grader is not None else "{question}"
    return messages_of(template, question), PAPER_SAMPLING


@cache
def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def _from_package(name: str) -> Task:
    point = _installed()[name]
    try:
        task = point.load()
        if callable(task) and not isinstance(task, Task):
            task = task()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"The task {name!r} of the entry point {point.value!r} cannot be loaded: {error}.") from error
    if not isinstance(task, Task) or task.name != name:
        got = f"the task {task.name!r}" if isinstance(task, Task) else f"a {type(task).__name__}"
        raise ConfigError(f"The entry point {point.value!r} must give a smcs.tasks.Task named {name!r}, got {got}.")
    return task
