"""A question as files hold it: the ten-key record that every loader fills in, and what must be true of a question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from smcs.errors import InputError
from smcs.tasks._rows import Row
from smcs.types import GraderName, Question

__all__ = ("LETTERS", "Builder", "Record", "check_gradeable", "from_json", "parse_record", "question_from")

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Names of options, in order."""

_JSON_KEYS = ("choices", "tests", "instructions", "meta")


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question with its gold answer, as in `NAME.jsonl.gz` of a data folder."""

    id: str
    """Unique over all tasks."""
    question: str
    benchmark: str = ""
    """Name of the task, empty where a source does not say."""
    split: str = ""
    """Label of the split in the file, empty where a source does not say."""
    subject: str | None = None
    choices: tuple[str, ...] | None = None
    """Options without letters."""
    answer: str | None = None
    """The gold: a letter, a number, LaTeX, a short text."""
    tests: dict[str, Any] | None = None
    """What a program must pass."""
    instructions: dict[str, Any] | None = None
    """`instruction_id_list` and `kwargs` of instruction following."""
    meta: dict[str, Any] = {}
    """Whatever else the source says."""


Builder = Callable[[Record], Question]
"""Turns a record into a question; raises `InputError` with the reason when it cannot."""


def parse_record(row: Row, columns: Mapping[str, str] | None = None, **defaults: str) -> Record:
    """Read a row as a record.

    Args:
        row: Column name -> value; text in the columns of lists and mappings is read as JSON (CSV has nothing else).
        columns: Key of the record -> column of the row, for columns that are called otherwise. Columns that neither
            have a key's name nor are mapped are left out when a map is given, and refused when none is.
        defaults: Values of keys the row lacks.

    Raises:
        InputError: A key is missing, unknown, or of another type; the message names the key, not the text.
    """
    if columns is not None:
        for key, column in columns.items():
            if column not in row:
                raise InputError(f"there is no column {column!r} (for `{key}`); there are: {', '.join(map(str, row))}")
        taken = {key: row[key] for key in Record.__struct_fields__ if key in row}
        row = taken | {key: row[column] for key, column in columns.items()}
    filled: dict[str, Any] = {**defaults, **{key: value for key, value in row.items() if value is not None}}
    for key in _JSON_KEYS:
        if isinstance(filled.get(key), str):
            text = filled.pop(key)
            if text.strip():
                filled[key] = from_json(key, text)
    for key in ("id", "answer"):
        if isinstance(filled.get(key), int | float) and not isinstance(filled[key], bool):
            filled[key] = str(filled[key])
    try:
        return msgspec.convert(filled, Record)
    except msgspec.ValidationError as error:
        raise InputError(str(error).replace("Object", "the row")) from error


def question_from(
    record: Record,
    task: str,
    grader: GraderName,
    *,
    text: str | None = None,
    gold: str | None = None,
    check: Mapping[str, Any] | None = None,
) -> Question:
    """Return the question of a record.

    Args:
        record: What was read.
        task: Name of the task.
        grader: How an answer is checked.
        text: What is asked, where that is not simply the record's question.
        gold: The gold, where that is not simply the record's answer.
        check: What the grader needs beyond the gold.
    """
    return Question(
        record.id,
        record.question if text is None else text,
        task=task,
        subject=record.subject or "",
        choices=record.choices or (),
        gold=record.answer if gold is None else gold,
        grader=grader,
        check=check or {},
    )


def check_gradeable(question: Question) -> None:
    """Refuse a question that no answer could be graded for.

    Raises:
        InputError: The text is empty, or the gold or check that the question's grader needs is missing or impossible.
    """
    if not question.id.strip() or not question.text.strip():
        raise InputError("`id` and `question` must not be empty")
    check, gold = question.check, question.gold
    match question.grader:
        case "choice":
            letters = LETTERS[: len(question.choices)]
            if not 2 <= len(question.choices) <= len(LETTERS):
                raise InputError(f"`choices` must hold 2 to {len(LETTERS)} options, got {len(question.choices)}")
            if gold is None or len(gold) != 1 or gold not in letters:
                raise InputError(f"`answer` must be one of the letters A to {letters[-1]}, got {gold!r:.40}")
        case "number" | "math" | "exact":
            if gold is None or not gold.strip():
                raise InputError(f"`answer` must not be empty for the grader {question.grader!r}")
        case "ifeval":
            names, arguments = check.get("instruction_id_list"), check.get("kwargs")
            if not (isinstance(names, list) and names and isinstance(arguments, list) and len(names) == len(arguments)):
                raise InputError("`instructions` must hold `instruction_id_list` and as many `kwargs`, at least one")
        case "code":
            _check_program(check)
        case _:
            if not check:
                raise InputError(f"`check` must not be empty for the grader {question.grader!r}")


def _check_program(check: Mapping[str, Any]) -> None:
    if not check.get("tests") and not check.get("cases"):
        raise InputError("`tests` must hold what a program must pass")
    if not check.get("entry_point") and check.get("style") != "stdin":
        raise InputError("`tests` must name the `entry_point`, the function that is tested")


def from_json(name: str, text: str) -> Any:
    """Return what a text column holds as JSON.

    Raises:
        InputError: It is no JSON; the message names the column.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"`{name}` must be JSON: {error}") from error
