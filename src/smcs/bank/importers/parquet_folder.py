"""The folder that `smcs bank export --format parquet` writes, read back whole and checked against its content hash."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from smcs.bank import writes
from smcs.bank.database import Writer
from smcs.bank.importers.entry import Place, fault
from smcs.bank.importers.ingest import Staged, write_vectors
from smcs.bank.importers.tables import rows
from smcs.bank.parquet import FORMAT, MANIFEST, VERSION, EmbeddingsFile, Manifest
from smcs.bank.portable import Imported
from smcs.bank.records import EMPTY_SUM, Row, add_digests, content_hash, llm_digest, outcome_row, question_row
from smcs.errors import InputError, UserError
from smcs.types import Outcome, Question

__all__ = ("fits", "import_parquet")

_BATCH = 1000
_VECTOR_FLOATS = 2_000_000
_LARGEST_MANIFEST = 2**24
_TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens")


def fits(path: Path) -> bool:
    """Say whether a folder is such an export."""
    return (path / MANIFEST).is_file()


def import_parquet(writer: Writer, path: Path) -> Imported:
    """Read an exported folder into a bank; its outcomes replace recorded ones of the same pair.

    Raises:
        BankError: A file is missing, malformed, cut off or altered, or contradicts the bank; names file and row.
        MissingExtraError: pyarrow is not installed.
    """
    place, manifest = Place(path / MANIFEST), _manifest(path / MANIFEST)
    total = add_digests(EMPTY_SUM, new=[llm_digest(name) for name in manifest.llms])
    try:
        new_llms = writes.add_llms(writer, manifest.llms)
    except UserError as error:
        raise fault(place, str(error)) from error
    questions = Staged(lambda batch: writes.add_questions(writer, batch, replace=False))
    count, part = _stage(questions, path / "questions.parquet", _question, _BATCH)
    _check_count(path / "questions.parquet", manifest.questions, count)
    outcomes = Staged(lambda batch: writes.record(writer, batch))
    count, other = _stage(outcomes, path / "outcomes.parquet", _outcome, _BATCH)
    _check_count(path / "outcomes.parquet", manifest.outcomes, count)
    total = f"{(int(total, 16) + int(part, 16) + int(other, 16)) % 2**256:064x}"
    if content_hash(total) != manifest.content_hash:
        raise fault(path, f"it was altered: its content has another hash than {MANIFEST} says.")
    embeddings = sum(_embeddings(writer, path, file) for file in manifest.embeddings)
    return Imported(questions.changed, new_llms, outcomes.changed, embeddings, manifest.command)


def _manifest(path: Path) -> Manifest:
    try:
        with path.open("rb") as file:
            known = json.loads(file.read(_LARGEST_MANIFEST))
        if not isinstance(known, dict) or known.get("format") != FORMAT:
            raise fault(path, f"it must be an object with the format {FORMAT!r}.")
        if known.get("version") != VERSION:
            raise fault(path, f"the export has version {known.get('version')!r}, this smcs reads version {VERSION}.")
        return msgspec.convert(known, Manifest)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise fault(path, f"it is no manifest of an exported bank: {error}.") from error
    except OSError as error:
        raise fault(path, f"it cannot be read ({error.strerror or error}).") from error


def _stage(staged: Staged, path: Path, make: Callable[[Place, Row], Row], batch: int) -> tuple[int, str]:
    """Write a table; return how many rows there were and the sum of their digests."""
    total = EMPTY_SUM
    count = 0
    for place, row in _rows(path, make):
        staged.add(place, row)
        total = add_digests(total, new=[row["digest"]])
        count += 1
        if len(staged) == batch:
            staged.flush()
    staged.flush()
    return count, total


def _rows(path: Path, make: Callable[[Place, Row], Row]) -> Iterator[tuple[Place, Row]]:
    if not path.is_file():
        raise fault(path, "it is missing from the export.")
    for place, row in rows(path):
        try:
            yield place, make(place, row)
        except KeyError as error:
            raise fault(place, f"it lacks the column {error.args[0]!r}.") from error
        except (UserError, TypeError, ValueError, AttributeError) as error:
            raise fault(place, f"it is not as exported: {error}") from error


def _question(place: Place, row: Row) -> Row:
    del place
    question = Question(
        row["id"],
        row["text"],
        task=row["task"],
        subject=row["subject"],
        choices=tuple(row["choices"]),
        gold=row["gold"],
        grader=row["grader"],
        check=json.loads(row["check_json"]),
    )
    return question_row(msgspec.convert(msgspec.to_builtins(question), Question))


def _outcome(place: Place, row: Row) -> Row:
    del place
    tokens = {name: row[name] for name in _TOKENS}
    known = {name: value for name, value in row.items() if name not in tokens}
    return outcome_row(msgspec.convert({**known, "usage": tokens}, Outcome))


def _embeddings(writer: Writer, folder: Path, file: EmbeddingsFile) -> int:
    if Path(file.file).name != file.file or not file.file.endswith(".parquet"):
        raise fault(folder / MANIFEST, f"embeddings must be in a file beside it, got {file.file!r}.")

    def vector(place: Place, row: Row) -> Row:
        numbers = np.asarray(row["vector"], dtype=np.float32)
        if numbers.shape != (file.dimensions,):
            raise InputError(f"the vector has the shape {numbers.shape}, not ({file.dimensions},) as {MANIFEST} says.")
        if not np.isfinite(numbers).all():
            raise InputError("the vector holds NaN or infinity.")
        return {"question_id": row["question_id"], "text_hash": row["text_hash"], "vector": numbers}

    staged = Staged(lambda batch: write_vectors(writer, file.embedder, batch))
    count = 0
    for place, row in _rows(folder / file.file, vector):
        staged.add(place, row)
        count += 1
        if len(staged) * file.dimensions >= _VECTOR_FLOATS or len(staged) == _BATCH:
            staged.flush()
    staged.flush()
    _check_count(folder / file.file, file.rows, count)
    return staged.changed


def _check_count(path: Path, promised: int, found: int) -> None:
    if promised != found:
        raise fault(path, f"it is not whole: {MANIFEST} promises {promised} rows, it has {found}.")
