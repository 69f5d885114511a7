"""IFEval: prompts with instructions that code can verify."""

from __future__ import annotations

from typing import Any

from smcs.errors import InputError
from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.prompts import PROMPTS
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)

_PUBLISHED = "google/IFEval"


def build(record: Record) -> Question:
    """Return the question of a record; instructions are checked strictly."""
    instructions: dict[str, Any] = record.instructions or {}
    names, arguments = instructions.get("instruction_id_list"), instructions.get("kwargs")
    if not isinstance(names, list) or not isinstance(arguments, list):
        raise InputError("`instructions` must hold the lists `instruction_id_list` and `kwargs`")
    # The hub fills every argument that any instruction has into every row, as null.
    kwargs = [{key: value for key, value in (given or {}).items() if value is not None} for given in arguments]
    check = {"instruction_id_list": names, "kwargs": kwargs, "mode": "strict"}
    return question_from(record, "ifeval", "ifeval", check=check)


def read(row: Row, index: int) -> Record:
    """Read a published row."""
    return Record(
        id=f"ifeval/{row['key']}",
        question=row["prompt"],
        instructions={"instruction_id_list": list(row["instruction_id_list"]), "kwargs": list(row["kwargs"])},
    )


TASK = Task(
    "ifeval",
    "Instruction following, verified by code",
    "ifeval",
    PROMPTS["ifeval"],
    (
        Split("validation", 241, note="what remains of the 541 published prompts"),
        Split("test", 300, note="drawn from the 541 published prompts"),
    ),
    build,
    about="Which prompts the paper drew is not published. The prompt is bare: anything added to it could break an"
    " instruction.",
    source=f"Zhou et al. 2023: {_PUBLISHED}",
    licence="Apache-2.0",
    hub={
        "test": (Part(_PUBLISHED, read, split="train", take=300),),
        "validation": (Part(_PUBLISHED, read, split="train", skip=300),),
    },
)
"""IFEval."""
