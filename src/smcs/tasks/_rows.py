"""Rows of a local file: JSON lines (gzipped or not), Parquet or CSV. Files are untrusted; one is read row by row."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from smcs.errors import ConfigError, InputError, MissingExtraError

__all__ = ("SUFFIXES", "Row", "is_data_file", "read_rows")

SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet", ".csv")
"""How names of files that can be read end, in the order in which they are looked for."""

Row = Mapping[str, Any]
"""One row, column name -> value."""

_MAX_LINE = 256 * 2**20
_BATCH = 1024


def is_data_file(path: Path) -> bool:
    """Say whether a name ends like that of a file with rows."""
    return path.name.lower().endswith(SUFFIXES)


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a file, numbered from 1 (a CSV header is not a row; empty lines count but are left out).

    Raises:
        ConfigError: The file is missing, of an unknown kind, or no valid file of its kind.
        InputError: A row is not an object, not UTF-8, or longer than 256 MB.
        MissingExtraError: The file is Parquet and pyarrow is not installed.
    """
    if not is_data_file(path):
        raise ConfigError(f"{path}: unknown kind of data file. It must end in {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise ConfigError(f"There is no data file at {str(path)!r}.")
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            yield from _parquet(path)
        elif name.endswith(".csv"):
            yield from _csv(path)
        else:
            with gzip.GzipFile(path) if name.endswith(".gz") else path.open("rb") as stream:
                yield from _json_lines(path, stream)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error


def _json_lines(path: Path, stream: BinaryIO | gzip.GzipFile) -> Iterator[tuple[int, Row]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    number = 0
    while line := stream.readline(_MAX_LINE + 1):
        number += 1
        if len(line) > _MAX_LINE:
            raise InputError(f"{path}, row {number}: longer than {_MAX_LINE:,} bytes.")
        if not line.strip():
            continue
        try:
            yield number, decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{path}, row {number}: not a JSON object: {error}.") from error


def _csv(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open("rb") as raw:
        reader = csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8-sig", newline=""), strict=True)
        number = 0
        try:
            for number, row in enumerate(reader, 1):
                if None in row or None in row.values():
                    raise InputError(f"{path}, row {number}: has not as many cells as the header.")
                yield number, row
        except UnicodeDecodeError as error:
            raise InputError(f"{path}, row {number + 1} or later: not UTF-8: {error.reason}.") from error
        except csv.Error as error:
            raise InputError(f"{path}, row {number + 1}: {error}.") from error


def _parquet(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("Reading Parquet", "bench") from error
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())}.") from error
