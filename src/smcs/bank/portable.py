"""A bank as one text file: JSON lines, gzipped if the name ends in `.gz`. The same content gives the same bytes.

The first line is the header; then come the questions, the embeddings that were asked for, and the outcomes, one a line:

    {"format": "smcs-bank", "version": 1, "llms": [...], "questions": 2, ..., "content_hash": "...", "command": "..."}
    {"question": {"id": "q1", "text": "...", ...}}
    {"embedding": {"embedder": "...", "question_id": "q1", "text_hash": "...", "vector": "base64 of float32 LE"}}
    {"outcome": {"question_id": "q1", "llm": "...", "score": 1.0, ...}}
"""

from __future__ import annotations

import base64
import gzip
import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from sqlalchemy import Connection

from smcs.bank import reads, writes
from smcs.bank.database import Writer
from smcs.bank.records import EMPTY_SUM, Row, add_digests, content_hash, llm_digest, outcome_row, question_row
from smcs.bank.writes import EmbeddedTexts
from smcs.errors import BankError, RunError, UserError
from smcs.types import Outcome, Question

__all__ = ("Imported", "export_bank", "import_bank")

FORMAT = "smcs-bank"
VERSION = 1
_BATCH = 1000

Kind = Literal["question", "embedding", "outcome"]


class _Header(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    format: str
    version: int
    llms: list[str]
    questions: int | None = None
    embeddings: int | None = None
    outcomes: int | None = None
    content_hash: str | None = None
    command: str = ""


class _Embedding(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    embedder: str
    question_id: str
    text_hash: str
    vector: str


class _Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    question: Question | None = None
    embedding: _Embedding | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Imported:
    """What an import brought."""

    questions: int
    """Questions that were new."""
    llms: int
    """LLMs that were new."""
    outcomes: int
    """Outcomes that were new or replaced another."""
    embeddings: int
    """Vectors that were new or replaced another."""
    command: str
    """What made the file, as its header says."""


def export_bank(connection: Connection, path: Path, *, embedders: Sequence[str] = (), command: str = "") -> None:
    """Write a bank to a file, which appears complete or not at all.

    Args:
        connection: A read transaction.
        path: The file; gzipped if its name ends in `.gz`.
        embedders: Whose vectors to include.
        command: What made the bank, for the header.

    Raises:
        BankError: The bank has no vectors of a named embedder.
        RunError: The file cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tmp-", delete=False) as file:
            try:
                lines = _lines(connection, embedders, command)
                if path.suffix == ".gz":
                    # No name and no time in the gzip header: equal banks give equal files.
                    with gzip.GzipFile("", "wb", 9, file, mtime=0) as compressed:
                        compressed.writelines(lines)
                else:
                    file.writelines(lines)
                file.close()
                Path(file.name).chmod(0o644)
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise RunError(f"The bank could not be exported to {str(path)!r}: {error}.") from error


def import_bank(writer: Writer, path: Path) -> Imported:
    """Read a file written by `export_bank` into a bank; its outcomes replace recorded ones of the same pair.

    Raises:
        BankError: The file is missing, malformed, cut off or altered, or contradicts the bank; names file and line.
    """
    try:
        with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as file:
            return _Import(writer, path).run(file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BankError(f"{path} is not a whole gzip file: {error}. Fetch or export it again.") from error
    except OSError as error:
        raise BankError(f"{path} cannot be read: {error}.") from error


def _lines(connection: Connection, embedders: Sequence[str], command: str) -> Iterator[bytes]:
    encode = msgspec.json.Encoder(order="deterministic").encode
    ids = reads.question_ids(connection)
    llms = reads.llm_names(connection)
    vectors = {name: reads.fresh_embedding_ids(connection, name) for name in sorted(set(embedders))}
    for name, embedded in vectors.items():
        if not embedded:
            raise BankError(f"This bank has no embeddings of {name!r} to export.")
    header = _Header(
        format=FORMAT,
        version=VERSION,
        llms=list(llms),
        questions=len(ids),
        embeddings=sum(len(embedded) for embedded in vectors.values()),
        outcomes=reads.outcome_count(connection),
        content_hash=content_hash(reads.manifest_row(connection).content_sum),
        command=command,
    )
    # A header field stands where its declaration stands, so the file opens with its format.
    yield msgspec.json.encode(header) + b"\n"
    for chunk in reads.chunks(ids):
        for question in reads.questions_by_id(connection, chunk):
            yield encode(_Line(question=question)) + b"\n"
    for name, embedded in vectors.items():
        for question_id, text_hash, vector in reads.vectors(connection, name, embedded):
            text = base64.b64encode(vector).decode()
            row = _Embedding(embedder=name, question_id=question_id, text_hash=text_hash, vector=text)
            yield encode(_Line(embedding=row)) + b"\n"
    for llm in llms:
        for outcome in reads.recorded(connection, llm):
            fields = msgspec.to_builtins(outcome)
            if outcome.samples == 1:  # As in files written before there were several.
                del fields["samples"]
            yield msgspec.json.encode({"outcome": fields}) + b"\n"


class _Import:
    """One pass over a file: each line checked as it is read, written with its neighbours, and counted in the end."""

    def __init__(self, writer: Writer, path: Path) -> None:
        self._writer = writer
        self._path = path
        self._line = 1
        self._kind: Kind = "question"
        self._waiting: list[tuple[int, Row]] = []
        self._seen: Counter[Kind] = Counter()
        self._changed: Counter[Kind] = Counter()
        self._sum = EMPTY_SUM

    def run(self, file: BufferedIOBase) -> Imported:
        with self._at(1):
            header = _header(file.readline())
            new_llms = writes.add_llms(self._writer, header.llms)
        self._sum = add_digests(self._sum, new=[llm_digest(name) for name in header.llms])
        decode = msgspec.json.Decoder(_Line).decode
        for line, text in enumerate(file, start=2):
            with self._at(line):
                kind, row = _row(decode(text))
            if kind != self._kind or len(self._waiting) == _BATCH:
                self._flush()
                self._kind = kind
            self._waiting.append((line, row))
            self._seen[kind] += 1
            if kind != "embedding":
                self._sum = add_digests(self._sum, new=[row["digest"]])
        self._flush()
        self._check_end(header)
        changed = self._changed
        return Imported(changed["question"], new_llms, changed["outcome"], changed["embedding"], header.command)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            self._changed[self._kind] += _write(self._writer, self._kind, [row for _, row in waiting])
        except (UserError, ValueError):
            # What is wrong was found before anything was written: go through the lines to name the one.
            for line, row in waiting:
                with self._at(line):
                    _write(self._writer, self._kind, [row])
            with self._at(waiting[0][0]):
                raise

    def _check_end(self, header: _Header) -> None:
        promised: dict[Kind, int | None]
        promised = {"question": header.questions, "embedding": header.embeddings, "outcome": header.outcomes}
        for kind, declared in promised.items():
            if declared is not None and declared != self._seen[kind]:
                raise BankError(
                    f"{self._path} is not whole: its header promises {declared} {kind} lines, it has "
                    f"{self._seen[kind]}. Fetch or export it again."
                )
        if header.content_hash is not None and header.content_hash != content_hash(self._sum):
            raise BankError(f"{self._path} was altered: its content has another hash than its header says.")

    @contextmanager
    def _at(self, line: int) -> Iterator[None]:
        try:
            yield
        except (UserError, ValueError, msgspec.MsgspecError) as error:
            raise BankError(f"{self._path}:{line}: {error} Nothing was imported.") from error


def _header(text: bytes) -> _Header:
    known = json.loads(text)
    if not isinstance(known, dict) or known.get("format") != FORMAT:
        raise BankError(f"the first line of an exported bank is a header with the format {FORMAT!r}.")
    if known.get("version") != VERSION:
        raise BankError(f"the file has version {known.get('version')!r}, this smcs reads version {VERSION}.")
    return msgspec.convert(known, _Header)


def _row(line: _Line) -> tuple[Kind, Row]:
    if line.question is not None:
        return "question", question_row(line.question)
    if line.outcome is not None:
        return "outcome", outcome_row(line.outcome)
    if line.embedding is not None:
        vector = np.frombuffer(base64.b64decode(line.embedding.vector, validate=True), dtype="<f4")
        return "embedding", {**msgspec.structs.asdict(line.embedding), "vector": vector}
    raise BankError("a line must hold a question, an embedding or an outcome.")


def _write(writer: Writer, kind: Kind, rows: Sequence[Row]) -> int:
    if kind == "question":
        return writes.add_questions(writer, rows, replace=False)
    if kind == "outcome":
        return writes.record(writer, rows)
    by_embedder: dict[str, list[Row]] = {}
    for row in rows:
        by_embedder.setdefault(row["embedder"], []).append(row)
    changed = 0
    for name, group in by_embedder.items():
        texts = EmbeddedTexts([row["question_id"] for row in group], [row["text_hash"] for row in group])
        changed += writes.store_embeddings(writer, name, texts, np.stack([row["vector"] for row in group]))
    return changed
