"""CSV and Parquet files as rows, a few at a time, each with its place."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from smcs.bank.importers.entry import Place, fault
from smcs.bank.importers.files import PARQUET, check_pickle, head, opened
from smcs.errors import MissingExtraError

__all__ = ("Row", "columns", "is_parquet", "rows")

Row = dict[str, Any]

_BATCH = 512
_LONGEST_LINE = 2**26
_BROKEN_BYTES = re.compile("[\udc80-\udcff]")


def is_parquet(path: Path) -> bool:
    """Say whether a file begins as Parquet does."""
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def columns(path: Path) -> tuple[str, ...]:
    """Return the column names of a CSV or Parquet file.

    Raises:
        BankError: It is empty, damaged, or names a column twice.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    if is_parquet(path):
        with _parquet(path) as file:
            names = tuple(file.schema_arrow.names)
    else:
        head(path)
        names = tuple(next(_lines(path), (1, []))[1])
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise fault(path, f"it has the column {twice[0]!r} more than once.")
    return names


def rows(path: Path, *, needed: Sequence[str] = (), wanted: Sequence[str] | None = None) -> Iterator[tuple[Place, Row]]:
    """Yield the rows of a CSV or Parquet file; cells of a CSV file are text, an empty one is `""`.

    Args:
        path: The file.
        needed: Columns it must have.
        wanted: Columns to read; all unless given.

    Raises:
        BankError: A column is missing, a row is malformed, or the file is damaged; names file and row (from 1, without
            the header).
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    check_pickle(path, b"")
    present = columns(path)
    missing = [name for name in needed if name not in present]
    if missing:
        listed = ", ".join(repr(name) for name in present[:20])
        raise fault(path, f"it lacks the column {missing[0]!r}; it has {listed}.")
    chosen = [name for name in present if wanted is None or name in wanted]
    yield from _parquet_rows(path, chosen) if is_parquet(path) else _csv_rows(path, present, chosen)


def _csv_rows(path: Path, names: Sequence[str], chosen: Sequence[str]) -> Iterator[tuple[Place, Row]]:
    lines = _lines(path)
    next(lines)
    for index, (_, cells) in enumerate(lines, start=1):
        place = Place(path, f"row {index}")
        if len(cells) != len(names):
            raise fault(place, f"it has {len(cells)} cells, the header has {len(names)}: it is malformed or cut off.")
        row = dict(zip(names, cells, strict=True))
        yield place, {name: row[name] for name in chosen}


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a CSV file with the line each ends at; blank lines are left out."""
    # The limit is the whole process's, as the csv module has it; ours is far above what others set.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_LINE))
    with opened(path) as binary:
        # Bytes that are not UTF-8 pass as lone surrogates, so that the row that holds them can be named.
        text = TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(_bounded(path, text), strict=True)
        index = 0
        try:
            for cells in reader:
                if not cells:
                    continue
                if any(_BROKEN_BYTES.search(cell) for cell in cells):
                    raise fault(Place(path, f"row {index}"), "it holds bytes that are not UTF-8.")
                yield reader.line_num, cells
                index += 1
        except csv.Error as error:
            raise fault(Place(path, f"row {index}"), f"it is no CSV row: {error}.") from error


def _bounded(path: Path, text: TextIOWrapper) -> Iterator[str]:
    while line := text.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise fault(path, f"it has a line of more than {_LONGEST_LINE:,} characters; this is no CSV file.")
        yield line


def _parquet_rows(path: Path, chosen: Sequence[str]) -> Iterator[tuple[Place, Row]]:
    from pyarrow import ArrowException

    index = 0
    with _parquet(path) as file:
        try:
            for batch in file.iter_batches(batch_size=_BATCH, columns=list(chosen)):
                for row in _batch(path, batch, index, chosen):
                    index += 1
                    yield Place(path, f"row {index}"), row
        except (ArrowException, OSError) as error:
            raise fault(path, f"it is damaged or cut off ({_first_line(error)}). Fetch it again.") from error


def _batch(path: Path, batch: Any, before: int, chosen: Sequence[str]) -> list[Row]:
    try:
        found: list[Row] = batch.to_pylist()
    except UnicodeDecodeError:
        for offset in range(len(batch)):
            for name in chosen:
                try:
                    batch.column(name)[offset].as_py()
                except UnicodeDecodeError as error:
                    place = Place(path, f"row {before + offset + 1}")
                    raise fault(place, f"{name} holds bytes that are not UTF-8.") from error
        raise
    return found


def _parquet(path: Path) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("Reading Parquet", "bench") from error
    try:
        return ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise fault(path, f"it is damaged or cut off ({_first_line(error)}). Fetch it again.") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
