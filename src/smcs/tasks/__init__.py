"""Where questions come from: one file per benchmark, each with its splits, prompt and grader, and a user's own files.

`find_task("mmlu_pro").load("validation", data=...)` gives questions that can all be graded, `ask(question)` says how
one is put to an LLM. `smcs.tasks.seed` writes our own questions. Nothing is graded here, and no LLM is called.
"""

from smcs.tasks._hub import Part
from smcs.tasks._order import stratified
from smcs.tasks._records import Record, question_from
from smcs.tasks.prompts import PAPER_SAMPLING, PROMPTS
from smcs.tasks.registry import ask, find_task, task_names
from smcs.tasks.task import DATA_ENV, Split, Task

__all__ = (
    "DATA_ENV",
    "PAPER_SAMPLING",
    "PROMPTS",
    "Part",
    "Record",
    "Split",
    "Task",
    "ask",
    "find_task",
    "question_from",
    "stratified",
    "task_names",
)
