"""Opening foreign files: gzipped or not, read in pieces, with one line for whatever is wrong with them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from smcs.bank.importers.entry import fault

__all__ = ("PARQUET", "check_pickle", "head", "opened")

PARQUET = b"PAR1"
_GZIP = b"\x1f\x8b"
_PICKLE_SUFFIXES = (".pkl", ".pickle", ".p")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading in binary mode, unpacked if it is gzip whatever its name.

    Raises:
        BankError: It is missing, cannot be read, is a damaged gzip file or a pickle, or the body raises what a broken
            read raises.
    """
    try:
        with path.open("rb") as raw:
            check_pickle(path, raw.peek(2)[:2])
            if raw.peek(2)[:2] != _GZIP:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield BufferedReader(unpacked, 2**20)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise fault(path, f"it is not a whole gzip file ({error}). Fetch it again.") from error
    except OSError as error:
        raise fault(path, f"it cannot be read ({error.strerror or error}).") from error


def head(path: Path, size: int = 2**16) -> bytes:
    """Return the first bytes of a file, unpacked.

    Raises:
        BankError: As `opened`, or it is empty.
    """
    with opened(path) as file:
        start = file.read(size)
    if not start.strip():
        raise fault(path, "it is empty.")
    return start


def check_pickle(path: Path, start: bytes) -> None:
    """Refuse a pickle: reading one runs whatever code it holds.

    Raises:
        BankError: The name or the first bytes are those of a pickle.
    """
    is_pickle = len(start) == 2 and start[0] == 0x80 and start[1] <= 5
    if is_pickle or path.suffix.lower() in _PICKLE_SUFFIXES:
        raise fault(
            path,
            "it is a pickle, which could run code of whoever made it. If you trust its source, convert it: python -c "
            "\"import pandas; pandas.read_pickle('FILE.pkl').to_parquet('FILE.parquet')\", and import FILE.parquet.",
        )
