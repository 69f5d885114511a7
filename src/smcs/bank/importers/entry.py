"""What an importer makes of a foreign file: entries, where each of them stands, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smcs.errors import BankError, InputError
from smcs.types import Outcome, Question

__all__ = ("Entry", "ImportFormat", "ImportOptions", "OwnFormat", "Place", "fault", "number", "score", "text", "whole")

ImportFormat = Literal["smcs", "parquet", "released", "llmrouterbench", "routerbench", "routerdc", "mmlu_pro_recorded"]
"""What a file or folder is: the first two are our own exports."""

OwnFormat = Literal["smcs", "parquet"]
"""Formats that `smcs bank export` writes."""

_FINITE = float("inf")
_SHOWN = 80
"""Characters of a wrong value that a message repeats."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, for messages."""

    file: Path
    where: str = ""
    """Row, line or entry inside the file; empty for all of it."""

    def __str__(self) -> str:
        return f"{self.file}: {self.where}" if self.where else str(self.file)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row or entry: a question, and what LLMs did on it. A question may come in several entries."""

    place: Place
    question: Question
    outcomes: tuple[Outcome, ...] = ()
    vector: NDArray[np.float32] | None = None
    """Embedding of `question.prompt()`, shape (d,), if the file has one."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What to take from a file of another project, and under which names.

    Raises:
        InputError: `limit` is below 1, or two LLMs would get one name.
    """

    _: KW_ONLY
    embedder: str | None = None
    """Name to store the file's embeddings under; `None` takes the format's own (see `DEFAULT_EMBEDDERS`)."""
    llms: tuple[str, ...] = ()
    """LLMs to take, by their names in the file; empty takes all."""
    rename: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Name in the file -> name in the bank."""
    task: str | None = None
    """Task label of every question, instead of the file's."""
    split: str | None = None
    """Split to take, in formats that have splits; "all" takes all of them, `None` the format's default."""
    limit: int | None = None
    """Most questions to take, the first ones of the file."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(f"`limit` must be at least 1, got {self.limit}.")
        new = list(self.rename.values())
        twice = sorted({name for name in new if new.count(name) > 1})
        if twice:
            raise InputError(f"`rename` gives two LLMs the name {twice[0]!r}.")

    def given(self) -> tuple[str, ...]:
        """Return the names of the options that are set."""
        return tuple(name for name in ("embedder", "llms", "rename", "task", "split", "limit") if getattr(self, name))


def fault(place: Place | Path, what: str) -> BankError:
    """Return the error, of one line, that everything wrong in a file is raised as."""
    return BankError(f"{place}: {what} Nothing was imported.")


def text(place: Place, name: str, value: Any, *, empty: bool = False) -> str:
    """Return a value that must be text.

    Raises:
        BankError: It is not text, or is blank though `empty` is off.
    """
    if not isinstance(value, str):
        raise fault(place, f"{name} must be text, got {_shown(value)}.")
    if not empty and not value.strip():
        raise fault(place, f"{name} is empty.")
    return value


def score(place: Place, name: str, value: Any) -> float | None:
    """Return a score: true or false, or a number from 0 to 1; `None` for null, NaN and an empty cell.

    Raises:
        BankError: It is anything else.
    """
    got = _WORDS.get(value.strip().lower(), value) if isinstance(value, str) else value
    found = number(place, name, got)
    if found is not None and not 0.0 <= found <= 1.0:
        raise fault(place, f"{name} must be from 0 to 1, or true or false, got {_shown(value)}.")
    return found


def number(place: Place, name: str, value: Any) -> float | None:
    """Return a finite number, also one written as text; `None` for null, NaN and an empty cell.

    Raises:
        BankError: It is anything else.
    """
    if type(value) is float and -_FINITE < value < _FINITE:
        return value
    if value is None or value == "":
        return None
    try:
        # Numbers of JSON may be longer than a float can say; text may be anything.
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise fault(place, f"{name} must be a number, got {_shown(value)}.") from error
    if np.isnan(found):
        return None
    if np.isinf(found):
        raise fault(place, f"{name} must be finite, got {_shown(value)}.")
    return found


def whole(place: Place, name: str, value: Any) -> int | None:
    """Return a whole number from 0 up, or `None` where there is none.

    Raises:
        BankError: It is anything else.
    """
    found = number(place, name, value)
    if found is None:
        return None
    if found < 0 or found != int(found):
        raise fault(place, f"{name} must be a whole number from 0 up, got {_shown(value)}.")
    return int(found)


_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0, "nan": None, "none": None, "null": None}
"""How tables and research code spell a verdict."""


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
