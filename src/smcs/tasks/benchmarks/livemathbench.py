"""LiveMathBench: recent contest problems, some of whose answers are words."""

from __future__ import annotations

from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.benchmarks._mathematics import is_prose
from smcs.tasks.prompts import PLACE
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)


def build(record: Record) -> Question:
    """Return the question of a record; a gold of words alone is compared as text, every other as mathematics."""
    return question_from(record, "livemathbench", "exact" if is_prose(record.answer or "") else "math")


def read(row: Row, index: int) -> Record:
    """Read a row of release 202505."""
    return Record(
        id=f"livemathbench/v202505/{index}",
        question=row["question"],
        subject=row.get("question_type") or "",
        answer=row["answer"],
    )


TASK = Task(
    "livemathbench",
    "Recent contest mathematics (out of distribution in the paper)",
    "math",
    f"{PLACE}\n\nReason step by step. Finish with the result alone inside \\boxed{{}}. If it is not a number or formula"
    " but yes, no or a name, box those words alone.",
    (Split("validation", 100, note="release 202505, all contests, English"),),
    build,
    about="About 5% of the golds are sentences that no checker matches: expect a ceiling near 95%.",
    source="Liu et al. 2025: opencompass/LiveMathBench",
    licence="see its page on the hub",
    hub={"validation": (Part("opencompass/LiveMathBench", read, config="v202505_all_en", split="test"),)},
)
"""LiveMathBench."""
