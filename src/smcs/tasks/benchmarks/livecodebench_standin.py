"""A stand-in for LiveCodeBench: LeetCode contests of the same window. Never report its figures as LiveCodeBench."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smcs.errors import InputError
from smcs.tasks._records import Record, question_from
from smcs.tasks.prompts import PROMPTS
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)


def build(record: Record) -> Question:
    """Return the question of a record; the class to fill in is part of what is asked."""
    tests: Mapping[str, Any] = record.tests or {}
    code, starter = tests.get("test_code"), record.meta.get("starter_code")
    if not isinstance(code, str) or not code.strip():
        raise InputError("`tests` must hold `test_code`")
    entry_point = tests.get("entry_point") or "Solution"
    if "def check" in code:
        code = f"{code.strip()}\n\ncheck({entry_point})\n"
    text = record.question.replace("\xa0", " ").strip()
    if isinstance(starter, str) and starter.strip():
        text = f"{text}\n\nFill in this class:\n{starter.rstrip()}"
    check = {"style": "class", "entry_point": entry_point, "tests": code, "setup": tests.get("prelude") or ""}
    if isinstance(starter, str) and starter.strip():
        check["prefix"] = starter
    return question_from(record, "livecodebench_standin", "code", text=text, check=check)


TASK = Task(
    "livecodebench_standin",
    "Programming contests (LeetCode); not LiveCodeBench, and never to be reported as it",
    "code",
    PROMPTS["code"],
    (Split("validation", 180, note="contests of 2023-07 to 2024-01"), Split("test", 228, note="contests from 2024-08")),
    build,
    about="Stands in where LiveCodeBench cannot be had: class style, one method per problem, tests that are not"
    " LiveCodeBench's. From a data folder only.",
    source="LeetCode contests, gathered for the data folder",
    licence="the statements are LeetCode's",
)
"""LeetCode contests."""
