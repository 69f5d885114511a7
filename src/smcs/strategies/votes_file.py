"""What was learned about votes, kept beside the bank's index: reading a bank's answers takes longer than using them.

The folder belongs to one state of the bank and one embedder; deleting it loses nothing. Arrays only: nothing in
the file is executed when it is read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from smcs.posterior import Shrinkage, VoteWorth

__all__ = ("load_votes", "save_votes", "votes_path")

_log = logging.getLogger(__name__)

_VERSION = 1
"""Raised when the same answers would be fitted to another model."""


def votes_path(folder: Path, names: Sequence[str], shrinkage: Shrinkage) -> Path:
    """Return the file for some LLMs and precisions."""
    key = json.dumps([_VERSION, sorted(names), asdict(shrinkage)]).encode()
    return folder / f"votes-{hashlib.sha256(key).hexdigest()[:16]}.npz"


def load_votes(path: Path) -> tuple[tuple[str, ...], VoteWorth | None, int] | None:
    """Return the LLMs, what their votes are worth and the number of questions; `None` if there is no whole file."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            values: dict[str, Any] = {name: found[name] for name in found.files}
        llms = tuple(values["llms"].tolist())
        questions = int(values["questions"])
        if not llms:
            return (), None, questions
        parts = {field.name: values[field.name] for field in fields(VoteWorth)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        _log.warning("what was learned about votes is learned again: %s cannot be read (%s)", path, error)
        return None
    return llms, VoteWorth(**{**parts, "region_spread": float(parts["region_spread"])}), questions


def save_votes(path: Path, llms: Sequence[str], worth: VoteWorth | None, questions: int) -> None:
    """Write the file, whole or not at all; a folder that cannot be written to is told, and nothing else happens."""
    arrays: dict[str, Any] = {"llms": np.array(llms, dtype=np.str_), "questions": np.array(questions)}
    if worth is not None:
        arrays |= {field.name: np.asarray(getattr(worth, field.name)) for field in fields(worth)}
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        _log.warning("what was learned about votes is not kept: %s cannot be written (%s)", path, error)
