"""HumanEval: Python functions to complete from a signature and a docstring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smcs.errors import InputError
from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.prompts import PLACE
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)


def build(record: Record) -> Question:
    """Return the question of a record; an answer may be the whole function or continue the given beginning."""
    tests: Mapping[str, Any] = record.tests or {}
    code, entry_point = tests.get("test_code"), tests.get("entry_point")
    if not isinstance(code, str) or "def check" not in code or not isinstance(entry_point, str) or not entry_point:
        raise InputError("`tests` must hold `test_code` that defines `check`, and `entry_point`")
    check = {
        "style": "asserts",
        "entry_point": entry_point,
        "tests": f"{code.strip()}\n\ncheck({entry_point})\n",
        "prefix": record.question,
    }
    return question_from(record, "humaneval", "code", text=record.question.strip("\n"), check=check)


def read(row: Row, index: int) -> Record:
    """Read a published row."""
    return Record(
        id=f"humaneval/{row['task_id'].rpartition('/')[2]}",
        question=row["prompt"],
        subject="python",
        tests={"test_code": row["test"], "entry_point": row["entry_point"]},
        meta={"reference_solution": row.get("canonical_solution")},
    )


TASK = Task(
    "humaneval",
    "Python functions from a signature and a docstring (out of distribution in the paper)",
    "code",
    f"Complete this Python program:\n\n```python\n{PLACE}\n```\n\nThink first if that helps. End with one ```python"
    " block that holds the whole function again, signature and imports included, and no tests.",
    (Split("test", 164),),
    build,
    source="Chen et al. 2021: openai/openai_humaneval",
    licence="MIT",
    hub={"test": (Part("openai/openai_humaneval", read, split="test"),)},
)
"""HumanEval."""
