"""An answer store: what LLMs were asked and what they said, so that one answer serves every arm of an experiment.

A store is one SQLite file. An answer is kept under the SHA-256 of the LLM's name, the messages and the sampling without
its seed, and under its number among the answers to that same request. Within a scope (one run of one arm) the
first call gets answer 0, the next one answer 1, and so on: different arms and repeated runs are given byte-identical
answers, while samples of one run stay different. Failures are never stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from smcs._sqlite import write_ahead
from smcs.errors import ConfigError, LLMError
from smcs.llms.pool import Member
from smcs.llms.protocol import LLM, DeltaSink
from smcs.types import Choice, Completion, Delta, Message, Request, Sampling, Usage

__all__ = ("AnswerStore", "StoreMode", "StoreScope", "StoredAnswer", "StoredLLM", "answer_key")

StoreMode = Literal["record", "replay"]
""""record" asks the LLM for what the store lacks and keeps it; "replay" never asks."""

_FORMAT = "1"
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (
    key TEXT NOT NULL, number INTEGER NOT NULL, llm TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (key, number)
) WITHOUT ROWID;
"""
_BUSY_SECONDS = 60.0


class StoredAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer, and what the call that gave it took."""

    choice: Choice
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    """Wall seconds of the call that gave it, which may have given others too."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(StoredAnswer)


def answer_key(llm: str, messages: Sequence[Message], sampling: Sampling | None, *, series: int = 0) -> str:
    """Return the key (hex) of a request.

    Args:
        llm: Pool name of the LLM.
        messages: All that it is shown.
        sampling: Every parameter but the seed counts; `None` is for answers whose sampling is not known.
        series: Number of the repetition of an experiment.
    """
    unseeded: dict[str, Any] | None = None
    if sampling is not None:
        unseeded = {**{f.name: getattr(sampling, f.name) for f in fields(sampling)}, "seed": None}
        if sampling.response_format is None:  # keys of stores that were recorded before there was such a parameter
            del unseeded["response_format"]
    parts = (llm, tuple(messages), unseeded)
    return hashlib.sha256(_encoder.encode((*parts, series) if series else parts)).hexdigest()


class AnswerStore:
    """Answers in a SQLite file that several runs and processes may share."""

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        """Open a store, or make it.

        Raises:
            ConfigError: The file is no answer store, is one of another version, or is absent and not to be made.
        """
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise ConfigError(
                f"There is no answer store {str(path)!r}. Record one with `smcs bench run --record PATH`."
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            write_ahead(self._db, _BUSY_SECONDS)
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._open()
        except sqlite3.Error as error:
            raise ConfigError(f"{str(path)!r} cannot be used as an answer store: {error}.") from error
        self._turns: dict[str, asyncio.Lock] = {}

    def _open(self) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                for statement in filter(str.strip, _SCHEMA.split(";\n")):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO about VALUES ('format', ?)", (_FORMAT,))
            elif not {"about", "answers"} <= tables:
                raise ConfigError(f"{str(self.path)!r} is a database, but no answer store.")
            (version,) = self._db.execute("SELECT value FROM about WHERE name = 'format'").fetchone() or ("",)
            if version != _FORMAT:
                raise ConfigError(
                    f"{str(self.path)!r} is an answer store of format {version!r}, and this smcs reads {_FORMAT}."
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; harmless when called twice."""
        self._db.close()

    def counts(self) -> Mapping[str, int]:
        """Return how many answers each LLM has."""
        return dict(self._db.execute("SELECT llm, count(*) FROM answers GROUP BY llm ORDER BY llm"))

    def answers(self) -> Iterator[tuple[str, StoredAnswer]]:
        """Yield every answer with the name of its LLM.

        Raises:
            ConfigError: One is damaged.
        """
        for llm, record in self._db.execute("SELECT llm, record FROM answers"):
            yield llm, self._decoded(record)

    def add_imported(self, answers: Sequence[tuple[str, Sequence[Message], str]]) -> int:
        """Keep answers that others recorded, one per LLM and conversation, in one transaction.

        Args:
            answers: LLM, messages and answer of each.

        Returns:
            How many were new; an LLM's answer to a conversation is never replaced.
        """
        rows = [
            (answer_key(llm, messages, None), llm, zlib.compress(_encoder.encode(StoredAnswer(Choice(text)))))
            for llm, messages, text in answers
        ]
        before = self._db.total_changes
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO answers VALUES (?, 0, ?, ?)", rows)
        return self._db.total_changes - before

    def find(self, key: str, first: int, wanted: int) -> list[StoredAnswer]:
        """Return up to `wanted` answers of a key from number `first` on, in order."""
        rows = self._db.execute(
            "SELECT record FROM answers WHERE key = ? AND number >= ? ORDER BY number LIMIT ?", (key, first, wanted)
        )
        return [self._decoded(blob) for (blob,) in rows]

    def _decoded(self, record: bytes) -> StoredAnswer:
        try:
            return _decoder.decode(zlib.decompress(record))
        except (zlib.error, msgspec.DecodeError) as error:
            raise ConfigError(f"{str(self.path)!r} holds a damaged answer: {error}.") from error

    def turn(self, key: str) -> asyncio.Lock:
        """Return the lock of a key: whoever asks an LLM for it lets the others wait and then read."""
        return self._turns.setdefault(key, asyncio.Lock())

    def append(self, key: str, llm: str, completion: Completion, seconds: float | None) -> None:
        """Keep the choices of a completion, and the wall seconds it took, after those that are there already."""
        usage = completion.usage
        alone = len(completion.choices) == 1
        blobs = [
            zlib.compress(
                _encoder.encode(
                    StoredAnswer(
                        choice,
                        usage.prompt_tokens,
                        usage.cached_tokens,
                        usage.completion_tokens if alone else choice.completion_tokens,
                        seconds,
                    )
                )
            )
            for choice in completion.choices
        ]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            (number,) = self._db.execute("SELECT count(*) FROM answers WHERE key = ?", (key,)).fetchone()
            self._db.executemany(
                "INSERT INTO answers VALUES (?, ?, ?, ?)",
                [(key, number + i, llm, blob) for i, blob in enumerate(blobs)],
            )


class StoreScope:
    """One run in front of an answer store: counts who asked for what, so that every run begins with answer 0.

    Args:
        store: Where answers are.
        mode: See `StoreMode`.
        series: Seed of the repetition: another one has answers of its own, imported answers excepted.
    """

    def __init__(self, store: AnswerStore, mode: StoreMode = "record", *, series: int = 0) -> None:
        self.store = store
        self.mode = mode
        self.series = series
        self.taken: Counter[str] = Counter()
        """How many answers of each key this run was given."""
        self.missing = 0
        """Calls that a replay could not answer, because nobody may be asked."""
        self.untimed = 0
        """Calls answered with imported answers, of which nobody knows how long they took."""

    def pool(self, members: Mapping[str, Member]) -> dict[str, Member]:
        """Return members in front of the store.

        Those whose endpoint is known to give no log-probabilities are recorded without them.
        """
        return {name: replace(member, llm=self.llm(name, member)) for name, member in members.items()}

    def llm(self, name: str, member: Member) -> StoredLLM:
        """Return one member's LLM in front of the store."""
        return StoredLLM(name, self, member.llm, logprobs=member.capabilities.logprobs is not False)


class StoredLLM:
    """An LLM in front of an answer store, or a store alone.

    Args:
        name: Name the answers are kept under.
        scope: The run it serves.
        inner: Who is asked for what the store lacks; `None` asks nobody.
        logprobs: Whether answers are recorded with log-probabilities, so that they serve requests of either kind.
        repeats: Whether it begins with the first answer again when all were given.
    """

    def __init__(
        self, name: str, scope: StoreScope, inner: LLM | None = None, *, logprobs: bool = True, repeats: bool = False
    ) -> None:
        self.inner = inner
        self._name = name
        self._scope = scope
        self._store = scope.store
        self._logprobs = logprobs
        self._repeats = repeats

    async def close(self) -> None:
        """Close the store where it belongs to this LLM alone, which then has nobody behind it."""
        if self.inner is None:
            self._store.close()

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer from the store, or ask and remember; see `LLM.complete`.

        Raises:
            LLMError: The store lacks the answer and nobody may be asked, or the call failed.
        """
        await asyncio.sleep(0)  # Calls sent together must all have begun before the first one ends, as they do live.
        key = answer_key(self._name, request.messages, request.sampling, series=self._scope.series)
        first = self._scope.taken[key]
        self._scope.taken[key] += request.n
        async with self._store.turn(key):
            found = self._find(request, key, first)
            if len(found) < request.n and self.inner is not None:
                await self._ask(self.inner, request, key, first + len(found), request.n - len(found))
                found = self._find(request, key, first)
        if not found:
            raise LLMError(f"{self._store.path.name} holds no answer to this request", llm=self._name)
        completion = _completion(found)
        self._scope.untimed += completion.recorded_seconds is None
        if on_delta is not None:
            for index, choice in enumerate(completion.choices):
                on_delta(Delta(choice.text, choice.reasoning, index))
        return completion

    def _find(self, request: Request, key: str, first: int) -> list[StoredAnswer]:
        for place in (key, answer_key(self._name, request.messages, None)):
            found = self._store.find(place, first, request.n)
            if not found and self._repeats and first:
                found = self._store.find(place, 0, request.n)
            if found:
                return found
        return []

    async def _ask(self, inner: LLM, request: Request, key: str, number: int, wanted: int) -> None:
        """Ask for answers from a number on and keep them; the seed follows from the key and the number."""
        if self._scope.mode == "replay" and not isinstance(inner, StoredLLM):
            self._scope.missing += 1
            return
        begun = time.perf_counter()
        digest = hashlib.sha256(f"{key}\0{number}".encode()).digest()
        completion = await inner.complete(
            replace(
                request,
                sampling=replace(request.sampling, seed=int.from_bytes(digest[:4], "big") >> 1),
                n=wanted,
                logprobs=request.logprobs or self._logprobs,
            )
        )
        usable = tuple(choice for choice in completion.choices if choice.text.strip())
        if not usable:
            raise LLMError("the answer holds no text", llm=self._name, kind="empty")
        measured = None if isinstance(inner, StoredLLM) else time.perf_counter() - begun
        seconds = measured if completion.recorded_seconds is None else completion.recorded_seconds
        self._store.append(key, self._name, replace(completion, choices=usable), seconds)


def _completion(answers: Sequence[StoredAnswer]) -> Completion:
    """Join stored answers into one completion: the prompt is counted once, the seconds are those of the longest."""
    written = [answer.completion_tokens for answer in answers]
    seconds = [answer.seconds for answer in answers]
    return Completion(
        tuple(answer.choice for answer in answers),
        Usage(
            answers[0].prompt_tokens,
            None if None in written else sum(tokens for tokens in written if tokens is not None),
            answers[0].cached_tokens,
        ),
        recorded_seconds=None if None in seconds else max(value for value in seconds if value is not None),
    )
