r"""MATH-500: competition mathematics with LaTeX answers."""

from __future__ import annotations

from smcs.errors import InputError
from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.benchmarks._mathematics import last_boxed
from smcs.tasks.prompts import PROMPTS
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)


def build(record: Record) -> Question:
    """Return the question of a record."""
    return question_from(record, "math500", "math")


def read_test(row: Row, index: int) -> Record:
    """Read a row of MATH-500."""
    return Record(
        id=f"math500/{row['unique_id'].removesuffix('.json')}",
        question=row["problem"],
        subject=row["subject"],
        answer=row["answer"],
        meta={"level": row["level"]},
    )


def read_train(row: Row, index: int) -> Record | None:
    r"""Read a training row of MATH; one whose solution boxes no answer cannot be graded and is left out."""
    try:
        answer = last_boxed(row["solution"])
    except InputError:
        return None
    return Record(
        id=f"math_train/{row['type'].lower().replace(' & ', '_and_').replace(' ', '_')}/{index}",
        question=row["problem"],
        subject=row["type"],
        answer=answer,
        meta={"level": row["level"]},
    )


TASK = Task(
    "math500",
    "Competition mathematics, from prealgebra to precalculus",
    "math",
    PROMPTS["math"],
    (
        Split("validation", 1000, labels=("validation", "train"), note="drawn from the 7,500 training problems"),
        Split("test", 500),
    ),
    build,
    about="From the hub, our own stratified draw of 1,000 training problems is the validation split; which ones the"
    " paper drew is not published.",
    source="Hendrycks et al. 2021 (MATH), Lightman et al. 2023 (the 500): HuggingFaceH4/MATH-500,"
    " DigitalLearningGmbH/MATH-lighteval",
    licence="MIT",
    hub={
        "test": (Part("HuggingFaceH4/MATH-500", read_test, split="test"),),
        "validation": (
            Part("DigitalLearningGmbH/MATH-lighteval", read_train, config="default", split="train", take=1000),
        ),
    },
)
"""MATH-500."""
