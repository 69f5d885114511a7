"""MMLU-Pro: questions of 14 college subjects with up to ten options."""

from __future__ import annotations

from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.prompts import PROMPTS
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)

_PUBLISHED = "TIGER-Lab/MMLU-Pro"


def build(record: Record) -> Question:
    """Return the question of a record."""
    return question_from(record, "mmlu_pro", "choice")


def read(row: Row, index: int) -> Record:
    """Read a published row; a few are padded with the option "N/A", which is none."""
    return Record(
        id=f"mmlu_pro/{row['question_id']}",
        question=row["question"],
        subject=row["category"],
        choices=tuple(option for option in row["options"] if option != "N/A"),
        answer=row["answer"],
        meta={"src": row.get("src")},
    )


TASK = Task(
    "mmlu_pro",
    "College questions of 14 subjects with up to ten options",
    "choice",
    PROMPTS["choice"],
    (Split("validation", 5512), Split("test", 1196, note="stratified by subject")),
    build,
    about="The paper splits 6,708 of the 12,032 published test questions. A data folder holds that split; from the hub"
    " the same numbers are drawn by us, stratified by subject, so figures are not comparable question by question.",
    source=f"Wang et al. 2024: {_PUBLISHED}",
    licence="Apache-2.0",
    hub={
        "test": (Part(_PUBLISHED, read, split="test", take=1196),),
        "validation": (Part(_PUBLISHED, read, split="test", skip=1196, take=5512),),
    },
)
"""MMLU-Pro."""
