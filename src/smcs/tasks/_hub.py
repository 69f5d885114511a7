"""Questions from the Hugging Face hub, through the `datasets` library (extra `hub`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from smcs.errors import ConfigError, InputError, MissingExtraError, RunError
from smcs.tasks._order import stratified
from smcs.tasks._records import Builder, Record, check_gradeable
from smcs.tasks._rows import Row
from smcs.types import Question

__all__ = ("Part", "RowReader", "hub_questions")

RowReader = Callable[[Row, int], Record | None]
"""Turns (row as published, its index from 0) into a record; `None` leaves the row out (another year, ungradeable)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one split of one dataset on the hub."""

    repo: str
    """"owner/name", or a folder on this machine that is laid out like one."""
    read: RowReader
    _: KW_ONLY
    split: str
    """Name of the published split."""
    config: str | None = None
    files: tuple[str, ...] = ()
    """Read these files of the repository, and run no loader of its own."""
    revision: str | None = None
    """Commit, branch or tag that the columns were mapped for; `None` is the repository's newest state."""
    gated: bool = False
    """Whether its owner must grant access first."""
    skip: int = 0
    """Leave out the first so many questions in stratified order (seed 0): how a published split is divided."""
    take: int | None = None
    """Then use so many; all that remain when `None`."""
    without: Part | None = None
    """Leave out the questions of this part."""


def hub_questions(part: Part, build: Builder, *, revision: str | None = None) -> tuple[Question, ...]:
    """Download (or take from the library's cache) and return the questions of a part.

    Args:
        part: What to load.
        build: The task's own way from a record to a question.
        revision: Another commit, branch or tag than the part's.

    Raises:
        MissingExtraError: `datasets` is not installed.
        ConfigError: The hub cannot be reached, has no such data, or refuses access.
        InputError: A row is not as its dataset's page documents it.
    """
    excluded = set() if part.without is None else {q.id for q in hub_questions(part.without, build, revision=revision)}
    questions = []
    where = f"{part.repo} ({'/'.join(filter(None, (part.config, part.split)))})"
    for index, row in enumerate(_rows(part, revision or part.revision)):
        try:
            record = part.read(row, index)
            if record is None:
                continue
            question = build(record)
            check_gradeable(question)
        except KeyError as error:
            raise InputError(f"{where}, row {index + 1}: there is no column {error.args[0]!r}.") from error
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f"{where}, row {index + 1}: {error}.") from error
        if question.id not in excluded:
            questions.append(question)
    if not part.skip and part.take is None:
        return tuple(questions)
    chosen = {question.id for question in stratified(questions)[part.skip :][: part.take]}
    return tuple(question for question in questions if question.id in chosen)


def _rows(part: Part, revision: str | None) -> Iterator[dict[str, Any]]:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("Loading a benchmark from the hub", "hub") from error
    try:
        if part.files:
            base = part.repo if Path(part.repo).is_dir() else f"hf://datasets/{part.repo}@{revision or 'main'}"
            files = {part.split: [f"{base}/{file}" for file in part.files]}
            table = datasets.load_dataset("json", data_files=files, split=part.split)
        else:
            table = datasets.load_dataset(part.repo, part.config, split=part.split, revision=revision)
    # The library raises what its back ends raise: connection, permission, HTTP, format and value errors alike.
    except (OSError, ValueError, RuntimeError, KeyError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        access = " It is gated: ask for access on its page and log in to the hub." if part.gated else ""
        raise ConfigError(
            f"{part.repo} could not be loaded from the hub: {reason}.{access} A local copy works too: give a data"
            " folder (`data=`, `--data` or SMCS_DATA)."
        ) from error
    try:
        yield from table
    except (OSError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise RunError(f"{part.repo} gave way while it was read: {error}.") from error
