"""Record what LLMs answered, and answer from the record.

A record is one JSON object a line. Its key is the SHA-256 of the LLM's name, the messages, the sampling, `n` and how
often that same request was made before, so that repeated samples of one prompt stay different. Failures are recorded
too.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections import Counter
from pathlib import Path

import msgspec

from smcs.errors import ConfigError, LLMError
from smcs.llms.protocol import LLM, DeltaSink
from smcs.types import Completion, Delta, Request

__all__ = ("RecordingLLM", "ReplayLLM", "request_key")

_log = logging.getLogger(__name__)


class _Failure(msgspec.Struct, omit_defaults=True):
    message: str
    kind: str = "error"
    http_status: int | None = None
    retry_after: float | None = None
    retryable: bool = False


class _Record(msgspec.Struct, omit_defaults=True):
    key: str
    llm: str
    completion: Completion | None = None
    failure: _Failure | None = None


_decoder = msgspec.json.Decoder(_Record)


def request_key(llm: str, request: Request, occurrence: int) -> str:
    """Return the key (hex) of the `occurrence`-th time (from 0) that an LLM is sent a request."""
    parts = msgspec.json.encode((llm, request.messages, request.sampling, request.n, occurrence))
    return hashlib.sha256(parts).hexdigest()


class _Occurrences:
    """How often each request was made so far."""

    def __init__(self, llm: str) -> None:
        self._llm = llm
        self._counts: Counter[str] = Counter()

    def next_key(self, request: Request) -> str:
        first = request_key(self._llm, request, 0)
        occurrence = self._counts[first]
        self._counts[first] += 1
        return request_key(self._llm, request, occurrence) if occurrence else first


class RecordingLLM:
    """An LLM whose completions and failures are appended to a file, each on disk before the call returns."""

    def __init__(self, llm: LLM, name: str, path: str | os.PathLike[str]) -> None:
        """Wrap an LLM; the file and its folder are made when first needed.

        Args:
            llm: Who answers.
            name: Name under which the answers can be replayed.
            path: JSON-lines file; several LLMs and several processes may share it.
        """
        self.inner = llm
        self._name = name
        self._path = Path(path)
        self._occurrences = _Occurrences(name)

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer a request and record it; see `LLM.complete`."""
        key = self._occurrences.next_key(request)
        try:
            completion = await self.inner.complete(request, on_delta=on_delta)
        except LLMError as error:
            message = str(error).removeprefix(f"{error.llm}: ")
            failure = _Failure(message, error.kind, error.http_status, error.retry_after, error.retryable)
            await self._append(_Record(key, self._name, failure=failure))
            raise
        await self._append(_Record(key, self._name, completion=completion))
        return completion

    async def _append(self, record: _Record) -> None:
        await asyncio.to_thread(_append_line, self._path, msgspec.json.encode(record))


class ReplayLLM:
    """An LLM that answers from a record; what was never recorded is an error, not a guess."""

    def __init__(self, name: str, path: str | os.PathLike[str]) -> None:
        """Read a record; where a key occurs twice, the later line counts.

        Args:
            name: Name the answers were recorded under.
            path: File written by `RecordingLLM`.

        Raises:
            ConfigError: The file cannot be read, or not one of its lines is a record.
        """
        self._name = name
        self._path = Path(path)
        self._records = {record.key: record for record in _read(self._path) if record.llm == name}
        self._occurrences = _Occurrences(name)

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer as recorded; see `LLM.complete`."""
        record = self._records.get(self._occurrences.next_key(request))
        if record is None:
            raise LLMError(f"{self._path.name} holds no answer to this request", llm=self._name)
        if record.failure is not None:
            failure = record.failure
            raise LLMError(
                failure.message,
                llm=self._name,
                kind=failure.kind,
                http_status=failure.http_status,
                retry_after=failure.retry_after,
                retryable=failure.retryable,
            )
        if record.completion is None:
            raise LLMError(f"{self._path.name} holds neither an answer nor a failure for this request", llm=self._name)
        if on_delta is not None:
            for index, choice in enumerate(record.completion.choices):
                on_delta(Delta(choice.text, choice.reasoning, index))
        return record.completion


def _append_line(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # A process died in the middle of its line: start a new one.
                line = b"\n" + line
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> list[_Record]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The recording {str(path)!r} cannot be read: {error.strerror}.") from error
    records = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            records.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a writer died in the middle of it
            _log.warning("line %d of %s is no record and is left out: %s", number, path, error)
    if content.strip() and not records:
        raise ConfigError(
            f"{str(path)!r} is no recording: none of its lines is a record. Make one with `RecordingLLM`."
        )
    return records
