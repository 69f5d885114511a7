"""An opened bank: its connection, its transactions, and the changes they make up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from smcs.bank import history, reads
from smcs.bank.database import Database, Writer
from smcs.bank.history import Change
from smcs.bank.journal import Header
from smcs.bank.records import content_hash
from smcs.errors import BankError, InputError

__all__ = ("BankCore", "Logged")


@dataclass
class Logged:
    """A change that is being made by the block of `QuestionBank.logged`."""

    change: Change | None = None
    """Its line in the log, once the block has ended; stays `None` if the block changed nothing."""


@dataclass(eq=False)
class _Open:
    """The transaction of a `logged` block, which every write of the block joins."""

    bank: BankCore
    writer: Writer
    lock: threading.RLock = field(default_factory=threading.RLock)
    ended: bool = False


# A task or thread sees the blocks it was started in, and no others: who writes beside a block gets his own transaction.
_OPEN: ContextVar[tuple[_Open, ...]] = ContextVar("smcs_open_changes", default=())


class BankCore:
    """What every part of a `QuestionBank` stands on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url_or_path: str | Path) -> Self:
        """Open a bank: the path of a SQLite file, or a database URL such as `postgresql://user@host/name`.

        A bank of an older smcs is brought to the present schema first; a SQLite file is copied before that, to
        `<name>.v<version>-backup` beside it.

        Raises:
            BankError: There is no bank there, it was made by a newer smcs, it is of an older one and cannot be written,
                or the database cannot be reached.
            MissingExtraError: The URL is of PostgreSQL and its driver is not installed.
        """
        return cls(Database.open(url_or_path))

    @classmethod
    def create(cls, url_or_path: str | Path) -> Self:
        """Create an empty bank at a path (folders included) or in the database of a URL.

        Raises:
            BankError: There is a bank already, or the database cannot be reached.
            MissingExtraError: The URL is of PostgreSQL and its driver is not installed.
        """
        return cls(Database.create(url_or_path))

    def close(self) -> None:
        """Close the database connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        with self._read() as connection:
            return reads.question_count(connection)

    def __bool__(self) -> bool:
        return True

    @property
    def url(self) -> str:
        """Where the bank is: a path, or a URL without its password."""
        return self._database.url

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) that names the content: questions, LLMs and outcomes, in whatever order they came.

        Times of creation, embeddings and the log are left out: a bank that was exported and imported keeps its hash,
        and one whose last change was undone has its former hash again.
        """
        with self._read() as connection:
            return content_hash(reads.manifest_row(connection).content_sum)

    def refresh(self) -> None:
        """Forget what was read before; overridden by what keeps something in memory."""

    def history(self) -> tuple[Change, ...]:
        """Return the logged changes, the oldest first.

        Logged are added, replaced, removed and merged questions, added and removed LLMs, imports, and what a `logged`
        block did. Outcomes recorded and embeddings stored outside such a block are not.
        """
        with self._read() as connection:
            return history.history(connection)

    def undo(self, change_id: int, *, note: str = "", author: str = "") -> Change:
        """Reverse a change, in one transaction; this is logged as a change of its own, which can be undone in turn.

        Undoing in reverse order always works and gives the content hash of before. Vectors of questions that come
        back may have to be made again (`counts` of the change says "embeddings_not_kept").

        Returns:
            The new change.

        Raises:
            BankError: There is no such change, it is undone already, or something was built on it since: the rows it
                left were changed, outcomes were recorded on what it added, what it removed is there again. Nothing has
                changed then.
        """
        if self._joined() is not None:
            raise BankError("A change cannot be undone inside a `logged` block: undoing is a change of its own.")
        with self._database.write(Header("undo", note, author, undoes=change_id)) as writer:
            history.undo(writer, history.change(writer.connection, change_id))
            number = 0 if writer.journal is None else writer.journal.begin()
        self.refresh()
        with self._read() as connection:
            return history.change(connection, number)

    @contextmanager
    def logged(self, kind: str, *, note: str = "", author: str = "", run_id: str | None = None) -> Iterator[Logged]:
        """Make all writes of a block one transaction and one change that can be undone.

            with bank.logged("import", note="arc.parquet", author="me") as made:
                bank.add_questions(questions)
                bank.add_llm("a")
                bank.record(outcomes)
            print(made.change)

        Every method of this bank that is called in the block takes part and sees what the block wrote; other threads,
        tasks and processes see all of it at its end, or nothing if it raises. A method that raises leaves what the
        block did before it as it was, so the block may go on. Other writers wait meanwhile: ask no LLM inside. A
        `logged` block inside another one of the same bank is part of the outer change.

        Args:
            kind: What is being done, in a word.
            note: Why, or from which file.
            author: Who does it.
            run_id: The run that caused it.

        Yields:
            What holds the change when the block has ended.

        Raises:
            InputError: `kind` is empty or "undo".
            RunError: Another writer did not finish in time, or the database failed.
        """
        if kind == "undo":
            raise InputError("A change of the kind 'undo' is made by `undo` alone.")
        made = Logged()
        if self._joined() is not None:
            yield made
            return
        number: int | None = None
        try:
            with self._database.write(Header(kind, note, author, run_id)) as writer:
                block = _Open(self, writer)
                token = _OPEN.set((*_OPEN.get(), block))
                try:
                    yield made
                finally:
                    with block.lock:
                        block.ended = True
                    _OPEN.reset(token)
                number = None if writer.journal is None else writer.journal.id
        finally:
            self.refresh()
        if number is not None:
            with self._read() as connection:
                made.change = history.change(connection, number)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        block = self._joined()
        if block is None:
            with self._database.read() as connection:
                yield connection
            return
        with block.lock:
            yield block.writer.connection

    @contextmanager
    def _write(self, header: Header | None = None) -> Iterator[Writer]:
        """Give a transaction of its own, logged if it has a header, or a part of the `logged` block it stands in."""
        block = self._joined()
        if block is None:
            with self._database.write(header) as writer:
                yield writer
            self.refresh()
            return
        with block.lock, block.writer.part():
            yield block.writer
        self.refresh()

    def _joined(self) -> _Open | None:
        return next((block for block in _OPEN.get() if block.bank is self and not block.ended), None)
