"""The memory-mapped form of a bank that search reads: derived from the database, kept in the cache, deleted at will.

One folder per state of the bank, named by a hash of its content and of one embedder's vectors:

    <cache>/index/<key>/meta.json      shapes, LLM names
                        embeddings.npy (N, d) float32, unit-norm rows, C order
                        outcomes.npy   (N, R) uint8 with 255 = missing if all scores are 0 or 1, else float32 with NaN
                        ids.npy        the N question ids, sorted: UTF-8, one after another
                        id_ends.npy    where each id ends

A folder is filled under a temporary name, flushed and renamed, so it is whole or not there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from smcs._paths import cache_dir
from smcs.bank import reads
from smcs.errors import BankError, suggest

__all__ = ("MISSING", "BankIndex", "QuestionIds", "load_index", "map_array", "write_array")

MISSING = 255
"""What stands for a missing score among uint8 outcomes."""

_FORMAT = 1
_KEPT = 8
_UNUSED_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class QuestionIds:
    """N question ids held as bytes: no Python object per question until it is asked for."""

    text: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, rows: NDArray[np.intp]) -> tuple[str, ...]:
        """Return the ids of some rows, in their order."""
        starts = np.where(rows > 0, self.ends[rows - 1], 0)
        spans = zip(starts.tolist(), self.ends[rows].tolist(), strict=True)
        return tuple(self.text[start:end].tobytes().decode() for start, end in spans)


@dataclass(frozen=True)
class BankIndex:
    """One state of a bank, for one embedder: N embedded questions and R LLMs."""

    embedder: str
    embeddings: NDArray[np.float32]
    """(N, d), unit-norm rows, memory-mapped."""
    outcomes: NDArray[np.uint8] | NDArray[np.float32]
    """(N, R): uint8 with 255 for missing, or float32 with NaN."""
    llms: tuple[str, ...]
    ids: QuestionIds
    folder: Path
    """Where it is kept; further derived arrays may be put beside."""


def load_index(connection: Connection, embedder: str | None) -> BankIndex:
    """Map the index of the bank's present state, after building it if it is not in the cache.

    Args:
        connection: A read transaction.
        embedder: Whose vectors; `None` means the bank's default.

    Raises:
        BankError: The bank has no vectors of that embedder, or of no present text.
    """
    manifest = reads.manifest_row(connection)
    name = embedder or manifest.default_embedder
    row = reads.embedder_row(connection, name) if name else None
    if row is None:
        known = reads.embedder_names(connection)
        what = f"of embedder {name!r} " if name else ""
        raise BankError(
            f"This bank has no embeddings {what}to search. Make them with `await bank.embed(embedder)`."
            f"{suggest(name or '', known)}"
        )
    state = json.dumps([_FORMAT, manifest.content_sum, name, row.vector_sum])
    folder = cache_dir() / "index" / hashlib.sha256(state.encode()).hexdigest()[:40]
    index = _open(folder, name)
    if index is not None:
        return index
    _build(connection, name, row.dimensions, folder)
    index = _open(folder, name)
    if index is None:
        raise BankError(f"The search index in {str(folder)!r} cannot be read back. Check the disk, then delete it.")
    return index


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array that appears under its name complete or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tmp-", delete=False) as file:
        try:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def map_array(path: Path) -> NDArray[Any]:
    """Map an array that `write_array` wrote, read-only."""
    mapped: NDArray[Any] = np.load(path, mmap_mode="r").view(np.ndarray)
    return mapped


def _open(folder: Path, embedder: str) -> BankIndex | None:
    try:
        meta = json.loads((folder / "meta.json").read_text())
        embeddings, outcomes, text, ends = (
            map_array(folder / f"{name}.npy") for name in ("embeddings", "outcomes", "ids", "id_ends")
        )
        shapes = [list(array.shape) for array in (embeddings, outcomes, text, ends)]
        if meta["shapes"] != shapes:
            return None
        os.utime(folder)
    except (OSError, ValueError, KeyError):
        return None
    return BankIndex(embedder, embeddings, outcomes, tuple(meta["llms"]), QuestionIds(text, ends), folder)


def _build(connection: Connection, embedder: str, dimensions: int, folder: Path) -> None:
    ids = reads.fresh_embedding_ids(connection, embedder)
    if not ids:
        raise BankError(f"No question of this bank has an embedding of {embedder!r}: `await bank.embed(embedder)`.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".tmp-"))
    try:
        _write_embeddings(connection, embedder, ids, dimensions, work / "embeddings.npy")
        matrix = reads.outcome_matrix(connection, ids)
        outcomes = _compact(matrix.scores)
        encoded = [question_id.encode() for question_id in ids]
        text = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        ends = np.cumsum([len(part) for part in encoded], dtype=np.int64)
        for name, array in (("outcomes", outcomes), ("ids", text), ("id_ends", ends)):
            write_array(work / f"{name}.npy", array)
        shapes = [[len(ids), dimensions], *(list(array.shape) for array in (outcomes, text, ends))]
        (work / "meta.json").write_text(json.dumps({"embedder": embedder, "llms": matrix.llms, "shapes": shapes}))
        # An unreadable older one stands in the way; a good one of another process may as well win.
        if folder.exists() and _open(folder, embedder) is None:
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _prune(folder.parent)


def _write_embeddings(connection: Connection, embedder: str, ids: tuple[str, ...], dimensions: int, path: Path) -> None:
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(ids), dimensions)}
        np.lib.format.write_array_header_1_0(file, header)
        file.writelines(vector for _, _, vector in reads.vectors(connection, embedder, ids))
        file.flush()
        os.fsync(file.fileno())


def _compact(scores: NDArray[np.float32]) -> NDArray[np.uint8] | NDArray[np.float32]:
    missing = np.isnan(scores)
    if not np.all(missing | (scores == 0) | (scores == 1)):
        return scores
    compact: NDArray[np.uint8] = np.where(missing, np.float32(MISSING), scores).astype(np.uint8)
    return compact


def _prune(root: Path) -> None:
    """Delete indexes that nobody opened for a day, but for the last ones, and what a killed build left behind."""
    with suppress(OSError):
        newest_first = sorted(((path.stat().st_mtime, path) for path in root.iterdir()), reverse=True)
        for rank, (modified, path) in enumerate(newest_first):
            if (rank >= _KEPT or path.name.startswith(".")) and modified < time.time() - _UNUSED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
