"""A bank as a folder of Parquet files, for pandas, polars, DuckDB and R: read it with them, and import it back whole.

    bank.json                 {"format": "smcs-bank-parquet", "version": 1, "llms": [...], "questions": N, ...}
    questions.parquet         id, text, task, subject, choices (list of texts), gold, grader, check_json, text_hash
    outcomes.parquet          question_id, llm, score (0 to 1, null: ungraded), response, extracted, reason, grader,
                              prompt_tokens, completion_tokens, cached_tokens, cost_usd, seconds, samples
    embeddings-000.parquet    question_id, text_hash (of the text embedded), vector (float32, unit norm); one file for
                              each embedder, as `bank.json` lists them

A missing outcome has no row. Rows are sorted by question id, outcomes first by LLM; the same content gives the same
tables. What only the database knows (times of creation, the log of changes) is not in it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import Connection

from smcs.bank import reads
from smcs.bank.records import content_hash, question_row
from smcs.errors import BankError, InputError, MissingExtraError, RunError
from smcs.types import Outcome, Question

__all__ = ("FORMAT", "MANIFEST", "VERSION", "EmbeddingsFile", "Manifest", "export_parquet")

FORMAT = "smcs-bank-parquet"
VERSION = 1
MANIFEST = "bank.json"
_ROWS = 5000
_VECTOR_BYTES = 2**25


class EmbeddingsFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The vectors of one embedder."""

    embedder: str
    dimensions: int
    file: str
    rows: int


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What `bank.json` says."""

    format: str
    version: int
    llms: list[str]
    questions: int
    outcomes: int
    embeddings: list[EmbeddingsFile]
    content_hash: str
    command: str = ""


def export_parquet(connection: Connection, path: Path, *, embedders: Sequence[str] = (), command: str = "") -> None:
    """Write a bank to a folder, which appears complete or not at all.

    Args:
        connection: A read transaction.
        path: The folder; it must not exist, or be empty.
        embedders: Whose vectors to include.
        command: What made the bank, for the manifest.

    Raises:
        BankError: The bank has no vectors of a named embedder.
        InputError: There is something at `path`.
        MissingExtraError: pyarrow is not installed.
        RunError: The folder cannot be written.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise InputError(f"There is something at {str(path)!r} already. Name a new folder for the export.")
    for name in embedders:
        if reads.embedder_row(connection, name) is None:
            raise BankError(f"This bank has no embeddings of {name!r} to export.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=".tmp-"))
        try:
            _write(connection, scratch, sorted(set(embedders)), command)
            scratch.chmod(0o755)
            scratch.replace(path)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except OSError as error:
        raise RunError(f"The bank could not be exported to {str(path)!r}: {error}.") from error


def _write(connection: Connection, folder: Path, embedders: Sequence[str], command: str) -> None:
    tables = _schemas()
    llms = reads.llm_names(connection)
    ids = reads.question_ids(connection)
    asked = (question for chunk in reads.chunks(ids) for question in reads.questions_by_id(connection, chunk))
    _table(folder / "questions.parquet", tables["questions"], map(_question, asked))
    graded = (outcome for llm in llms for outcome in reads.recorded(connection, llm))
    outcomes = _table(folder / "outcomes.parquet", tables["outcomes"], map(_outcome, graded))
    files = [
        _vectors(connection, folder / f"embeddings-{number:03}.parquet", name, tables["embeddings"])
        for number, name in enumerate(embedders)
    ]
    manifest = Manifest(
        format=FORMAT,
        version=VERSION,
        llms=list(llms),
        questions=len(ids),
        outcomes=outcomes,
        embeddings=files,
        content_hash=content_hash(reads.manifest_row(connection).content_sum),
        command=command,
    )
    (folder / MANIFEST).write_text(json.dumps(msgspec.to_builtins(manifest), indent=2, ensure_ascii=False) + "\n")


def _schemas() -> dict[str, Callable[[int], Any]]:
    """Return the Arrow schema of each table, as functions of the embedder's dimensions."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("Writing Parquet", "bench") from error
    text = pa.string()
    question = [(name, text) for name in ("id", "text", "task", "subject")]
    question += [("choices", pa.list_(text))]
    question += [(name, text) for name in ("gold", "grader", "check_json", "text_hash")]
    outcome = [("question_id", text), ("llm", text), ("score", pa.float64())]
    outcome += [(name, text) for name in ("response", "extracted", "reason", "grader")]
    outcome += [(name, pa.int64()) for name in ("prompt_tokens", "completion_tokens", "cached_tokens")]
    outcome += [("cost_usd", pa.float64()), ("seconds", pa.float64()), ("samples", pa.int64())]
    return {
        "questions": lambda _: pa.schema(question),
        "outcomes": lambda _: pa.schema(outcome),
        "embeddings": lambda dimensions: pa.schema(
            [("question_id", text), ("text_hash", text), ("vector", pa.list_(pa.float32(), dimensions))]
        ),
    }


def _table(path: Path, schema: Callable[[int], Any], rows: Iterable[dict[str, Any]]) -> int:
    """Write rows, some thousands in memory at a time, and return how many there were."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    count = 0
    with ParquetWriter(path, schema(0), compression="zstd") as writer:
        for part in _parts(rows):
            writer.write_table(pa.Table.from_pylist(part, schema=schema(0)))
            count += len(part)
    return count


def _vectors(connection: Connection, path: Path, embedder: str, schema: Callable[[int], Any]) -> EmbeddingsFile:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    ids = reads.fresh_embedding_ids(connection, embedder)
    if not ids:
        raise BankError(f"This bank has no embeddings of {embedder!r} to export.")
    row = reads.embedder_row(connection, embedder)
    dimensions = int(row.dimensions) if row is not None else 0
    table = schema(dimensions)
    # Numbers without a pattern: compressing them or listing their values costs time and saves nothing.
    with ParquetWriter(path, table, compression="none", use_dictionary=False) as writer:
        for chunk in reads.chunks(ids, max(1, _VECTOR_BYTES // (4 * dimensions))):
            found = list(reads.vectors(connection, embedder, chunk))
            flat = np.frombuffer(b"".join(vector for _, _, vector in found), dtype="<f4")
            arrays = [
                pa.array([question_id for question_id, _, _ in found]),
                pa.array([text_hash for _, text_hash, _ in found]),
                pa.FixedSizeListArray.from_arrays(pa.array(flat), dimensions),
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=table))
    return EmbeddingsFile(embedder=embedder, dimensions=dimensions, file=path.name, rows=len(ids))


def _parts(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    for row in rows:
        part.append(row)
        if len(part) == _ROWS:
            yield part
            part = []
    if part:
        yield part


def _question(question: Question) -> dict[str, Any]:
    return {**question_row(question), "choices": list(question.choices)}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), **asdict(outcome.usage)}
