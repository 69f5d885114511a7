"""MBPP: short Python functions, verified by three asserts each."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from smcs.errors import InputError
from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.prompts import PROMPTS
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK", "entry_point_of")

_PUBLISHED = "google-research-datasets/mbpp"
_HELPERS = frozenset(dir(builtins)) | {"isclose"}


def build(record: Record) -> Question:
    """Return the question of a record; its first assert is shown, for the text seldom names the function."""
    tests: Mapping[str, Any] = record.tests or {}
    asserts = tests.get("test_list")
    if not isinstance(asserts, list) or not asserts or not all(isinstance(line, str) for line in asserts):
        raise InputError("`tests` must hold `test_list`, a list of asserts")
    text = f"{record.question.strip()}\n\nThe function must pass this test:\n{asserts[0].strip()}"
    check = {
        "entry_point": tests.get("entry_point") or entry_point_of(asserts),
        "tests": "\n".join(asserts),
        "setup": tests.get("setup_code") or "",
    }
    return question_from(record, "mbpp", "code", text=text, check=check)


def entry_point_of(asserts: Sequence[str]) -> str:
    """Return the function that asserts test: the one called by name in most of them, builtins last.

    Raises:
        InputError: No function is called in any of them, or one is no Python.
    """
    counts: dict[str, int] = {}
    for line in asserts:
        try:
            tree = ast.parse(line)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InputError("an assert of `test_list` is no Python") from error
        calls = [
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        for name in dict.fromkeys(calls):
            counts[name] = counts.get(name, 0) + 1
    if not counts:
        raise InputError("no assert of `test_list` calls a function")
    # Some problems ask for a function that bears a builtin's name, so those come last rather than never.
    return max(counts, key=lambda name: (name not in _HELPERS, counts[name]))


def read(row: Row, index: int) -> Record:
    """Read a published row."""
    return Record(
        id=f"mbpp/{row['task_id']}",
        question=row["text"],
        subject="python",
        tests={"test_list": list(row["test_list"]), "setup_code": row.get("test_setup_code") or ""},
        meta={"reference_solution": row.get("code")},
    )


TASK = Task(
    "mbpp",
    "Short Python functions",
    "code",
    PROMPTS["code"],
    (Split("validation", 474, note="the published train, validation and prompt splits"), Split("test", 500)),
    build,
    source=f"Austin et al. 2021: {_PUBLISHED}",
    licence="CC BY 4.0",
    hub={
        "test": (Part(_PUBLISHED, read, config="full", split="test"),),
        "validation": tuple(
            Part(_PUBLISHED, read, config="full", split=split) for split in ("prompt", "validation", "train")
        ),
    },
)
"""MBPP."""
