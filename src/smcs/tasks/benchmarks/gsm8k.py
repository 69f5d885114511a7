"""GSM8K: word problems of primary school with integer answers."""

from __future__ import annotations

from collections.abc import Callable

from smcs.errors import InputError
from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.benchmarks._mathematics import integer_text
from smcs.tasks.prompts import PLACE
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)

_MARK = "####"


def build(record: Record) -> Question:
    """Return the question of a record."""
    return question_from(record, "gsm8k", "math", check={"integer": True}, gold=integer_text(record.answer))


def reader(split: str) -> Callable[[Row, int], Record]:
    """Return what reads the rows of a published split; the gold follows the last `####` of the solution."""

    def read(row: Row, index: int) -> Record:
        _, mark, answer = row["answer"].rpartition(_MARK)
        if not mark:
            raise InputError(f"the solution has no line {_MARK!r}")
        return Record(id=f"gsm8k/{split}/{index}", question=row["question"], subject="math", answer=answer)

    return read


TASK = Task(
    "gsm8k",
    "Word problems of primary school mathematics",
    "math",
    f"{PLACE}\n\nWork it out step by step, and finish with the number alone inside \\boxed{{}}: no unit, no currency"
    " sign.",
    (
        Split("validation", 1000, labels=("validation", "train"), note="the first 1,000 of 7,473 training problems"),
        Split("test", 1319),
    ),
    build,
    about="Not one of the paper's benchmarks.",
    source="Cobbe et al. 2021: openai/gsm8k",
    licence="MIT",
    hub={
        "validation": (Part("openai/gsm8k", reader("train"), config="main", split="train[:1000]"),),
        "test": (Part("openai/gsm8k", reader("test"), config="main", split="test"),),
    },
)
"""GSM8K."""
