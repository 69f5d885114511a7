"""MedMCQA: questions of Indian medical entrance examinations with four options."""

from __future__ import annotations

from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.benchmarks._choices import letter_of
from smcs.tasks.prompts import PROMPTS
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)

_PUBLISHED = "openlifescienceai/medmcqa"


def build(record: Record) -> Question:
    """Return the question of a record."""
    return question_from(record, "medmcqa", "choice")


def read(row: Row, index: int) -> Record | None:
    """Read a published row; the test split's answers are withheld (`cop` is -1) and its rows left out."""
    if int(row["cop"]) < 0:
        return None
    return Record(
        id=f"medmcqa/{row['id']}",
        question=row["question"],
        subject=row.get("subject_name") or "",
        choices=(row["opa"], row["opb"], row["opc"], row["opd"]),
        answer=letter_of(int(row["cop"])),
    )


TASK = Task(
    "medmcqa",
    "Medical entrance examinations with four options",
    "choice",
    PROMPTS["choice"],
    (
        Split("validation", 1000, note="drawn from the published validation split"),
        Split("test", 1200, note="drawn from the published validation split"),
        Split("train", note="further labelled questions, from neither of the two"),
    ),
    build,
    about="Which questions the paper drew is not published. A data folder holds one such draw, the hub gives another"
    " (ours, stratified by subject).",
    source=f"Pal et al. 2022: {_PUBLISHED}",
    licence="MIT as our source states it, Apache-2.0 on the hub",
    hub={
        "test": (Part(_PUBLISHED, read, split="validation", take=1200),),
        "validation": (Part(_PUBLISHED, read, split="validation", skip=1200, take=1000),),
        "train": (Part(_PUBLISHED, read, split="train"),),
    },
)
"""MedMCQA."""
