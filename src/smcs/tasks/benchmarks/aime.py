"""AIME: integer answers from 0 to 999; 2024 is the test, the years before are the bank."""

from __future__ import annotations

from typing import Any

from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.benchmarks._mathematics import integer_text
from smcs.tasks.prompts import PLACE
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)


def build(record: Record) -> Question:
    """Return the question of a record; `meta.accepted_answers` lists what the organisers also accepted."""
    gold = integer_text(record.answer)
    check: dict[str, Any] = {"integer": True}
    accepted = [integer_text(str(answer)) for answer in record.meta.get("accepted_answers") or ()]
    if others := [answer for answer in accepted if answer != gold]:
        check["accepted"] = others
    return question_from(record, "aime", "math", check=check, gold=gold)


def read_2024(row: Row, index: int) -> Record:
    """Read a row of the 2024 contests."""
    return Record(id=f"aime/{row['ID']}", question=row["Problem"], subject="math", answer=str(row["Answer"]))


def read_earlier(row: Row, index: int) -> Record | None:
    """Read a row of 1983 to 2024, the last year left out."""
    if int(row["Year"]) >= 2024:
        return None
    return Record(id=f"aime/{row['ID']}", question=row["Question"], subject="math", answer=str(row["Answer"]))


TASK = Task(
    "aime",
    "American Invitational Mathematics Examination",
    "math",
    f"{PLACE}\n\nThe answer is an integer from 0 to 999. Reason step by step, and finish with it inside \\boxed{{}},"
    " digits only.",
    (Split("validation", 919, note="1983 to 2023"), Split("test", 30, note="2024, I and II")),
    build,
    source="Mathematical Association of America: Maxwell-Jia/AIME_2024, di-zhang-fdu/AIME_1983_2024",
    licence="the problems are the MAA's",
    hub={
        "test": (Part("Maxwell-Jia/AIME_2024", read_2024, split="train"),),
        "validation": (Part("di-zhang-fdu/AIME_1983_2024", read_earlier, split="train"),),
    },
)
"""AIME."""
