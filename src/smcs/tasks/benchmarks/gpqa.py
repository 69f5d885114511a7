"""GPQA: graduate questions in biology, physics and chemistry.

Its authors ask that items never appear in plain text in public: nothing of smcs shows, logs or quotes one.
"""

from __future__ import annotations

import hashlib
from random import Random

from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.benchmarks._choices import letter_of
from smcs.tasks.prompts import PROMPTS
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)

_PUBLISHED = "Idavidrein/gpqa"
_COLUMNS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def build(record: Record) -> Question:
    """Return the question of a record."""
    return question_from(record, "gpqa", "choice")


def read(row: Row, index: int) -> Record:
    """Read a published row; options are put in an order that depends on the record's id alone."""
    options = [str(row[column]).strip() for column in _COLUMNS]
    order = list(range(len(options)))
    Random(hashlib.sha256(str(row["Record ID"]).encode()).digest()).shuffle(order)  # noqa: S311 - an order, no secret
    return Record(
        id=f"gpqa/{row['Record ID']}",
        question=str(row["Question"]).strip(),
        subject=row.get("High-level domain") or "",
        choices=tuple(options[place] for place in order),
        answer=letter_of(order.index(0)),
    )


_DIAMOND = Part(_PUBLISHED, read, config="gpqa_diamond", split="train", gated=True)

TASK = Task(
    "gpqa",
    "Graduate questions in biology, physics and chemistry with four options",
    "choice",
    PROMPTS["choice"],
    (
        Split("validation", 249, note="the main set without the diamond subset"),
        Split("test", 198, note="the diamond subset"),
    ),
    build,
    about="Its authors ask that items never appear in plain text in public, so that they stay out of training data.",
    source=f"Rein et al. 2023: {_PUBLISHED} (gated)",
    licence="CC BY 4.0",
    private=True,
    hub={
        "test": (_DIAMOND,),
        "validation": (Part(_PUBLISHED, read, config="gpqa_main", split="train", gated=True, without=_DIAMOND),),
    },
)
"""GPQA."""
