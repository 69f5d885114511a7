"""FinQA: numbers to compute from a page of a financial report, text and table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from smcs.errors import InputError
from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.prompts import PLACE
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK",)

_PUBLISHED = "rootsautomation/FinQA"
_NUMBER = re.compile(r"[-+]?(?:[0-9]*\.)?[0-9]+(?:e[-+]?[0-9]{1,3})?", re.IGNORECASE)
_QUESTION = re.compile(r"\n+Question:[^\n]*\s*\Z")


def build(record: Record) -> Question:
    """Return the question of a record: the question first, then the page with its table set out.

    Numbers count as right where one is the other rounded to the digits it is written with. Shares count in percent
    too. Yes and no are compared as text.
    """
    answer = (record.answer or "").strip().lower()
    text = _text(record)
    if answer in ("yes", "no"):
        return question_from(record, "finqa", "exact", text=text, gold=answer)
    if not _NUMBER.fullmatch(answer):
        raise InputError(f"`answer` must be a number, yes or no, got {record.answer!r:.40}")
    value = float(answer)
    check: dict[str, Any] = {"rounded": True}
    if record.meta.get("answer_percent"):
        check["percent"] = True
    official = str(record.meta.get("official_answer") or "").replace("\\n", "").replace(",", "").strip("\\ $")
    if _rounds(official, value):
        check["accepted"] = [official]
    return question_from(record, "finqa", "number", text=text, gold=answer, check=check)


def _rounds(official: str, value: float) -> bool:
    """Say whether an annotator's answer is the computed one, rounded to the digits it is written with, and no more."""
    written, percent = official.removesuffix("%").strip(), official.endswith("%")
    if not _NUMBER.fullmatch(written) or "e" in written.lower():
        return False
    half = 0.5 * 10.0 ** -len(written.partition(".")[2])
    exact = 100 * value if percent else value
    return abs(float(written) - exact) <= half * 1.001 and float(written) != exact


def _text(record: Record) -> str:
    bare = record.meta.get("bare_question")
    if not isinstance(bare, str) or not bare.strip():
        return record.question.strip()
    page = _QUESTION.sub("", record.question).strip()
    table = record.meta.get("table")
    if isinstance(table, list) and table and all(isinstance(row, list) for row in table):
        page = page.replace(_plain(table), _markdown(table))
    asked = bare.replace("\\n", " ").strip("\\ \n")
    return f"{asked}\n\nFrom the financial report:\n\n{page}"


def _markdown(table: Sequence[Sequence[Any]]) -> str:
    """Return a table in Markdown; its first row is the heading."""
    width = max(len(row) for row in table)
    rows = [[str(cell).replace("|", "/").strip() for cell in row] + [""] * (width - len(row)) for row in table]
    rows.insert(1, ["---"] * width)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def reader(split: str) -> Callable[[Row, int], Record | None]:
    """Return what reads the rows of a published split; a row without a computed answer is left out."""

    def read(row: Row, index: int) -> Record | None:
        computed, table = str(row["exe_ans"] or "").strip(), [list(line) for line in row["table"]]
        if not computed:
            return None
        parts = [" ".join(row["pre_text"]), _plain(table), " ".join(row["post_text"])]
        last = str(row.get("program") or "").rpartition("),")[2].strip()
        official = str(row["answer"] or "")
        meta: dict[str, Any] = {"bare_question": row["question"], "table": table, "official_answer": official}
        if official.strip().endswith("%") or last.startswith("divide"):
            meta["answer_percent"] = True
        return Record(
            id=f"finqa/{split}/{index}",
            question="\n\n".join(filter(None, parts)),
            subject="finance",
            answer=computed,
            meta=meta,
        )

    return read


def _plain(table: Sequence[Sequence[Any]]) -> str:
    return "\n".join(" | ".join(map(str, row)) for row in table)


TASK = Task(
    "finqa",
    "Calculations from a page of a financial report (out of distribution in the paper)",
    "number",
    f"{PLACE}\n\nWork it out step by step from the text and the table above. Give the number in the unit the report"
    " uses, without rounding (at least three significant digits); write a percentage with the sign %. If the question"
    " asks for yes or no, answer with that word. End with one line that holds nothing else:\n"
    "Answer: <number, yes or no>",
    (
        Split("validation", 883),
        Split("test", 1147),
    ),
    build,
    about="Golds are what the annotated program computes; the annotators' own answers disagree with it now and then.",
    source=f"Chen et al. 2021: {_PUBLISHED}",
    licence="MIT",
    hub={split: (Part(_PUBLISHED, reader(split), split=split),) for split in ("validation", "test")},
)
"""FinQA."""
