"""Columns of Parquet files, with one clear line for whatever is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smcs.errors import ConfigError, MissingExtraError

__all__ = ("read_columns",)


def read_columns(path: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    """Read columns of a Parquet file as Python values, in the order of `names`.

    Raises:
        ConfigError: The file is missing, unreadable, or lacks a column.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise MissingExtraError("Reading recorded answers", "bench") from error
    if not path.is_file():
        raise ConfigError(f"{path} does not exist. Point to the folder that holds the recorded answers.")
    try:
        present = parquet.read_schema(path).names
        missing = [name for name in names if name not in present]
        if missing:
            raise ConfigError(f"{path} lacks the column(s) {', '.join(map(repr, missing))}.")
        table = parquet.read_table(path, columns=list(names))
    except ArrowInvalid as error:
        raise ConfigError(f"{path} cannot be read as parquet: {error}") from error
    return {name: table[name].to_pylist() for name in names}
