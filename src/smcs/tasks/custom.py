"""A user's own task: a data file with questions and answers, and a short YAML file beside it. No code needed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from smcs.errors import ConfigError, InputError, suggest
from smcs.grading import find_number
from smcs.tasks._records import LETTERS, Record, check_gradeable, from_json, question_from
from smcs.tasks._rows import Row, is_data_file, read_rows
from smcs.tasks.prompts import PAPER_SAMPLING, PLACE, PROMPTS, read_template
from smcs.tasks.task import Split, Task
from smcs.types import GraderName, Question, Sampling

__all__ = ("AnswerForm", "TaskFile", "read_task")

AnswerForm = Literal["letter", "index", "text"]
"""How an answer column names the right option: its letter, its place from 0, or its very text."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(_Strict):
    """Which column holds what; a column of the key's own name is found without being listed."""

    question: str = "question"
    answer: str = "answer"
    choices: str | tuple[str, ...] = "choices"
    """A column with a list of options (JSON in a CSV), or one column per option."""
    id: str = "id"
    subject: str = "subject"
    split: str | None = None
    """A column that says which split a row belongs to."""
    grader: str = "grader"
    check: str = "check"
    """A column with JSON for the grader, laid over the file's `check`."""
    accepted: str = "accepted"
    """A column with a list of further right answers (JSON in a CSV), or one such answer."""
    tests: str = "tests"
    """Assert lines a program must pass."""
    entry_point: str = "entry_point"
    """The function those call."""
    setup: str = "setup"
    """Code that runs before them."""


class OwnSampling(_Strict):
    """Sampling parameters that differ from the paper's."""

    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)


class TaskFile(_Strict):
    """What the YAML file of a task may hold."""

    name: str = ""
    """Label of its questions; the name of the file when absent."""
    title: str = ""
    grader: GraderName | None = None
    """How answers are checked; questions with options are graded by letter when absent."""
    data: Path | None = None
    """The data file, relative to the YAML file."""
    splits: dict[str, str] = Field(default_factory=dict[str, str])
    """Split -> its label in the split column of `data`; without `data`, split -> its file."""
    columns: Columns = Columns()
    answer_is: AnswerForm = "letter"
    prompt: str | None = None
    """A template that holds `{question}`, or the file of one, relative to the YAML file."""
    sampling: OwnSampling = OwnSampling()
    check: dict[str, Any] = Field(default_factory=dict[str, Any])
    """What the grader needs for every question, such as tolerances."""
    about: str = ""
    source: str = ""
    licence: str = ""
    private: bool = False
    """Never show, log or quote an item."""

    @model_validator(mode="after")
    def _consistent(self) -> TaskFile:
        if self.name and not _NAME.fullmatch(self.name):
            raise ValueError(
                "`name` must be letters, digits, `_`, `-` and `.`, at most 64, beginning with the former two"
            )
        if self.data is None and not self.splits:
            raise ValueError("give `data` (one file) or `splits` (a file per split)")
        if self.data is not None and self.splits and self.columns.split is None:
            raise ValueError("`splits` beside `data` are labels in a column: name it with `columns: {split: ...}`")
        return self


def read_task(
    path: Path,
    *,
    grader: GraderName | None = None,
    columns: Mapping[str, str] | None = None,
    taken: Collection[str] = (),
) -> Task:
    """Return the task that a YAML file or a data file describes; the rows are read when it is loaded.

    Args:
        path: A YAML file as `TaskFile`, or a data file on its own.
        grader: For a data file on its own whose rows neither have options nor name their graders.
        columns: Key of `Columns` -> column, for a data file on its own.
        taken: Names that the task must not have.

    Raises:
        ConfigError: A file is missing or unreadable, or holds what it may not.
    """
    where = str(path)
    if is_data_file(path):
        described: Any = {"data": path.name, "grader": grader, "columns": dict(columns or {})}
    elif grader is not None or columns:
        raise ConfigError(f"{where}: grader and columns of a task file are set in the file itself.")
    else:
        described = _yaml(path)
    file = _validated(described, where)
    name = file.name or path.name.split(".")[0]
    if not _NAME.fullmatch(name) or name in taken:
        raise ConfigError(f"{where}: {name!r} cannot be the name of a task. Set another with `name:` in a YAML file.")
    prompt = _prompt(file, path.parent)
    sources = _sources(file, path.parent)
    for source, _ in sources.values():
        if not source.is_file():
            raise ConfigError(f"{where}: there is no data file at {str(source)!r}.")
    return Task(
        name,
        file.title or f"Your own task, {path.name}",
        file.grader or "choice",
        prompt,
        tuple(Split(split, labels=(label,) if label else ()) for split, (_, label) in sources.items()),
        partial(question_from, task=name, grader=file.grader or "choice"),
        about=file.about,
        source=file.source or where,
        licence=file.licence,
        private=file.private,
        defaults=Sampling(**file.sampling.model_dump(exclude_none=True)).over(PAPER_SAMPLING),
        own=lambda split: _load(file, name, *sources[split]),
    )


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no task file at {str(path)!r}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The task file {str(path)!r} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error


def _validated(data: Any, where: str) -> TaskFile:
    if not isinstance(data, dict):
        raise ConfigError(f"{where} must hold a mapping of keys such as `grader` and `data`, got {data!r:.80}.")
    try:
        return TaskFile.model_validate(data)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False):
            place = ".".join(str(step) for step in problem["loc"] if step not in ("str", "tuple[str, ...]"))
            if problem["type"] == "extra_forbidden":
                known = (Columns if "." in place and place.startswith("columns") else TaskFile).model_fields
                lines.append(f"unknown key `{place}`.{suggest(place.rpartition('.')[2], known)}")
            else:
                message = problem["msg"].removeprefix("Value error, ")
                lines.append(f"`{place}`: {message}, got {problem['input']!r:.80}." if place else f"{message}.")
        raise ConfigError("\n".join(f"{where}: {line}" for line in lines)) from error


def _prompt(file: TaskFile, folder: Path) -> str:
    if file.prompt is None:
        return PROMPTS[file.grader or "choice"]
    return read_template(file.prompt if PLACE in file.prompt else folder / file.prompt)


def _sources(file: TaskFile, folder: Path) -> dict[str, tuple[Path, str | None]]:
    """Return split -> (file, label in the split column, if the file has rows of several splits)."""
    if file.data is None:
        return {split: (folder / Path(name).expanduser(), None) for split, name in file.splits.items()}
    source = folder / file.data.expanduser()
    if file.columns.split is None:
        return {"validation": (source, None)}
    labels = file.splits or {"validation": "validation", "test": "test"}
    return {split: (source, label) for split, label in labels.items()}


def _load(file: TaskFile, name: str, path: Path, label: str | None) -> tuple[Question, ...]:
    questions: dict[str, Question] = {}
    seen: set[str] = set()
    for number, row in read_rows(path):
        try:
            if label is not None and file.columns.split is not None:
                found = str(_cell(row, file.columns.split, required=True))
                seen.add(found)
                if found != label:
                    continue
            question = _question(file, name, row)
            if question.id in questions:
                raise InputError(
                    f"the id {question.id!r:.80} occurs twice; without an id column no question may repeat"
                )
        except InputError as error:
            reason = str(error).rstrip(".")
            raise InputError(
                f"{path}, row {number}: {reason.split(', got')[0] if file.private else reason}."
            ) from error
        questions[question.id] = question
    if not questions:
        known = f" of {label!r} in the column {file.columns.split!r}, it has: {', '.join(sorted(seen))}" if seen else ""
        raise InputError(f"{path} has no rows{known}.")
    return tuple(questions.values())


def _question(file: TaskFile, name: str, row: Row) -> Question:
    columns = file.columns
    text = _text(row, columns.question, required=True)
    choices = _choices(row, columns.choices)
    grader = _grader(file, row, has_choices=bool(choices))
    given = _text(row, columns.id)
    key = given or hashlib.sha256("\n".join((text, *choices)).encode()).hexdigest()[:16]
    answer = _text(row, columns.answer, required=grader in ("choice", "number", "math", "exact")) or None
    if grader == "choice" and answer is not None:
        answer = _letter(file.answer_is, answer, choices, columns.answer)
    if grader == "number" and (answer is None or find_number(answer) is None):
        raise InputError(f"column {columns.answer!r} must hold a number for the grader 'number', got {answer!r:.60}")
    record = Record(
        id=key if key.startswith(f"{name}/") else f"{name}/{key}",
        question=text,
        subject=_text(row, columns.subject),
        choices=choices or None,
        answer=answer,
    )
    question = question_from(record, name, grader, check=_check(file, row))
    check_gradeable(question)
    return question


def _grader(file: TaskFile, row: Row, *, has_choices: bool) -> GraderName:
    wanted = _text(row, file.columns.grader) or file.grader or ("choice" if has_choices else None)
    names: tuple[GraderName, ...] = get_args(GraderName)
    if wanted is None:
        raise InputError(
            "no grader: add `grader:` to the task file (or --grader for a data file), one of: " + ", ".join(names)
        )
    for name in names:
        if name == wanted:
            return name
    raise InputError(f"column {file.columns.grader!r}: unknown grader {wanted!r:.60}.{suggest(wanted, names)}")


def _check(file: TaskFile, row: Row) -> dict[str, Any]:
    columns = file.columns
    check = dict(file.check)
    cell = _cell(row, columns.check)
    own = from_json(columns.check, cell) if isinstance(cell, str) and cell.strip() else cell or {}
    if not isinstance(own, dict):
        raise InputError(f"column {columns.check!r} must hold a JSON object, got {cell!r:.60}")
    check |= own
    accepted = _cell(row, columns.accepted)
    if isinstance(accepted, str) and accepted.lstrip().startswith("["):
        accepted = from_json(columns.accepted, accepted)
    if accepted not in (None, ""):
        check["accepted"] = [str(item) for item in accepted] if isinstance(accepted, list) else [str(accepted)]
    for key in ("tests", "entry_point", "setup"):
        value = _cell(row, getattr(columns, key))
        if isinstance(value, list):
            value = "\n".join(map(str, value))
        if value not in (None, ""):
            check[key] = str(value)
    return check


def _choices(row: Row, columns: str | tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(columns, tuple):
        cells = [_text(row, column, required=place < 2) for place, column in enumerate(columns)]
        return tuple(cell for cell in cells if cell)
    value = _cell(row, columns)
    if isinstance(value, str) and value.strip():
        value = from_json(columns, value)
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(option, str | int | float) for option in value):
        raise InputError(f"column {columns!r} must hold a list of options, got {value!r:.60}")
    return tuple(str(option) for option in value)


def _letter(form: AnswerForm, answer: str, choices: tuple[str, ...], column: str) -> str:
    """Return the letter of the right option."""
    letters = LETTERS[: len(choices)]
    if form == "text":
        if choices.count(answer) != 1:
            raise InputError(f"column {column!r} must hold the text of exactly one option, got {answer!r:.60}")
        return letters[choices.index(answer)]
    if form == "index":
        if not (answer.isascii() and answer.isdigit() and int(answer) < len(choices)):
            raise InputError(f"column {column!r} must be an index from 0 to {len(choices) - 1}, got {answer!r:.60}")
        return letters[int(answer)]
    if answer.upper() not in tuple(letters):
        hint = " (set `answer_is: index` or `answer_is: text` if that is what it holds)"
        raise InputError(f"column {column!r} must hold a letter from A to {letters[-1:]}, got {answer!r:.60}{hint}")
    return answer.upper()


def _text(row: Row, column: str, *, required: bool = False) -> str:
    value = _cell(row, column, required=required)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if not isinstance(value, str | int | float | None):
        raise InputError(f"column {column!r} must hold text or a number, got {value!r:.60}")
    text = "" if value is None else str(value).strip()
    if required and not text:
        raise InputError(f"column {column!r} is empty")
    return text


def _cell(row: Row, column: str, *, required: bool = False) -> Any:
    if required and column not in row:
        raise InputError(f"there is no column {column!r}.{suggest(column, map(str, row))}")
    return row.get(column)
