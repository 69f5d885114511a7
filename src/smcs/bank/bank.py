"""The question bank: what was asked, how each LLM did, and which of it is close to a new question."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs.bank import reads, search, writes
from smcs.bank.database import Database, Writer
from smcs.bank.index import BankIndex, load_index
from smcs.bank.info import BankInfo, bank_info
from smcs.bank.portable import Imported, export_bank, import_bank
from smcs.bank.quantized import Quantized, load_quantized
from smcs.bank.reads import OutcomeMatrix
from smcs.bank.records import content_hash, outcome_row, question_row
from smcs.bank.search import Retrieved, Scan, Selection
from smcs.bank.writes import EmbeddedTexts
from smcs.embedders.protocol import Embedder
from smcs.errors import EmbedderError, InputError
from smcs.types import Compat, Outcome, Question

__all__ = ("QuestionBank",)

_QUICK_FLOATS = 4_000_000
"""Size of an embedding matrix that is compared in about a millisecond on one thread."""

_SHOWN_AT_MOST = 10_000
"""Questions kept in memory because a run showed them; a bank may hold millions."""


class QuestionBank:
    """Questions with verified answers, and the graded answers of LLMs to them.

    Made by `open` or `create`; usable from several threads, and by several processes at once on one database. A write
    is one transaction: when the call returns it is on disk, when it raises nothing has changed. `search` works on a
    snapshot that is loaded at its first call, and again after a write through this object or `refresh`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._indexes: dict[str | None, BankIndex] = {}
        self._shown: dict[str, Question] = {}
        self._quantized: dict[Path, Quantized] = {}

    @classmethod
    def open(cls, url_or_path: str | Path) -> Self:
        """Open a bank: the path of a SQLite file, or a database URL.

        Raises:
            BankError: There is no bank there, it has another schema, or the database cannot be reached.
        """
        return cls(Database.open(url_or_path))

    @classmethod
    def create(cls, url_or_path: str | Path) -> Self:
        """Create an empty bank at a path (folders included) or in the database of a URL.

        Raises:
            BankError: There is a bank already, or the database cannot be reached.
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
        with self._database.read() as connection:
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

        Times of creation and embeddings are left out: a bank that was exported and imported keeps its hash.
        """
        with self._database.read() as connection:
            return content_hash(reads.manifest_row(connection).content_sum)

    @property
    def llms(self) -> tuple[str, ...]:
        """Names of the LLMs, sorted."""
        with self._database.read() as connection:
            return reads.llm_names(connection)

    def questions(self, ids: Iterable[str] | None = None) -> tuple[Question, ...]:
        """Return all questions sorted by id, or those of `ids` in their order.

        Raises:
            BankError: An id is not in the bank.
        """
        with self._database.read() as connection:
            return reads.questions(connection) if ids is None else reads.questions_by_id(connection, ids)

    def add_questions(self, questions: Iterable[Question], *, replace: bool = False) -> int:
        """Add questions; those that are in the bank already are left alone.

        Args:
            questions: The questions, each with an id of its own.
            replace: Whether a question whose id is taken replaces the old one. Its outcomes are dropped if more than
                its task or subject differs, because they answer something else.

        Returns:
            How many were new.

        Raises:
            BankError: An id is taken by a question that differs, and `replace` is off.
            InputError: A question cannot be stored.
        """
        with self._write() as writer:
            return writes.add_questions(writer, map(question_row, questions), replace=replace)

    def remove_questions(self, ids: Iterable[str]) -> int:
        """Remove questions with their outcomes and embeddings; return how many there were."""
        with self._write() as writer:
            return writes.remove_questions(writer, ids)

    def add_llm(self, name: str) -> bool:
        """Add an LLM; return whether it was new."""
        with self._write() as writer:
            return writes.add_llms(writer, [name]) == 1

    def remove_llm(self, name: str) -> None:
        """Remove an LLM with its outcomes.

        Raises:
            BankError: It is not in the bank.
        """
        with self._write() as writer:
            writes.remove_llm(writer, name)

    def record(self, outcomes: Iterable[Outcome]) -> int:
        """Record outcomes in one transaction; a (question, LLM) pair has one, the last recorded.

        Returns:
            How many were new or differed from what was recorded.

        Raises:
            BankError: A question or an LLM is not in the bank.
            InputError: A score, cost, time or token count is out of range.
        """
        with self._write() as writer:
            return writes.record(writer, map(outcome_row, outcomes))

    def answered(self, llm: str) -> set[str]:
        """Return the ids of the questions that have an outcome of `llm`, graded or not."""
        with self._database.read() as connection:
            return reads.answered(connection, llm)

    def recorded(self, llm: str) -> tuple[Outcome, ...]:
        """Return the outcomes of `llm` with their responses, sorted by question id.

        Raises:
            BankError: The LLM is not in the bank.
        """
        with self._database.read() as connection:
            reads.check_llms(connection, [llm])
            return tuple(reads.recorded(connection, llm))

    def outcomes(self) -> OutcomeMatrix:
        """Return all scores as an (N, R) matrix with NaN for what is missing."""
        with self._database.read() as connection:
            return reads.outcome_matrix(connection, reads.question_ids(connection))

    def missing_embeddings(self, embedder_name: str) -> tuple[Question, ...]:
        """Return the questions that have no vector of this embedder, or one of a text that has changed since."""
        with self._database.read() as connection:
            return reads.questions_without_embedding(connection, embedder_name)

    def store_embeddings(self, embedder_name: str, ids: Sequence[str], vectors: NDArray[np.floating]) -> int:
        """Store vectors of the present text (`Question.prompt()`) of some questions.

        Args:
            embedder_name: `Embedder.name`; the first embedder stored becomes the bank's default.
            ids: n question ids, none twice.
            vectors: (n, d), finite and non-zero; stored as float32 at unit norm.

        Returns:
            How many were new or differed from what was stored.

        Raises:
            BankError: A question is not in the bank, or d is not what this embedder's other vectors have.
            InputError: Wrong shape, a vector that is zero or not finite, or a repeated id.
        """
        with self._write() as writer:
            return writes.store_embeddings(writer, embedder_name, EmbeddedTexts(ids), vectors)

    async def embed(self, embedder: Embedder, *, batch: int = 256) -> int:
        """Embed what is missing, a batch at a time; each batch is stored when it is done.

        Returns:
            How many vectors were made.

        Raises:
            EmbedderError: The embedder failed or returned unusable vectors; batches done before are kept.
        """
        missing = await asyncio.to_thread(self.missing_embeddings, embedder.name)
        for questions in reads.chunks(missing, batch):
            prompts = [question.prompt() for question in questions]
            vectors = await embedder.embed(prompts)
            hashes = [question.content_hash() for question in questions]
            texts = EmbeddedTexts([question.id for question in questions], hashes)
            try:
                await asyncio.to_thread(self._store, embedder.name, texts, vectors)
            except InputError as error:
                raise EmbedderError(f"{embedder.name} returned vectors that cannot be stored: {error}") from error
        return len(missing)

    def search(
        self,
        embedding: ArrayLike,
        *,
        embedder: str | None = None,
        base: int = 400,
        tolerance: float = 0.95,
        compat: Compat = "paper",
        scan: Scan = "float32",
    ) -> Retrieved:
        """Find the questions closest to a new one, and what they say about each LLM (Eq. 2-4).

        Questions without an embedding are not searched. Exact: every similarity counts, none is approximated.

        Args:
            embedding: (d,) embedding of the question, finite and non-zero.
            embedder: Name of the embedder that made it; `None` means the bank's default.
            base: N_sup_base, at least 1.
            tolerance: gamma, from 0 to 1.
            compat: Whose threshold rule to follow.
            scan: "int8" reads a quarter of the memory first (extra `int8`) and gives the same support set; it
                pays from about 100,000 questions.

        Raises:
            BankError: The bank has no embeddings of that embedder.
            InputError: The embedding has another length than the bank's, is zero, or holds NaN or infinity; or an
                option is out of range.
            MissingExtraError: `scan` is "int8" and simsimd is not installed.
        """
        index = self._index(embedder)
        quantized = self._int8(index) if scan == "int8" else None
        return search.search(index, embedding, Selection(base, tolerance, compat), quantized=quantized)

    def is_quick(self, embedder: str) -> bool:
        """Say whether a search takes about a millisecond, so that handing it to a thread would cost more than it."""
        index = self._indexes.get(embedder)
        return index is not None and index.embeddings.size <= _QUICK_FLOATS

    def knows_nearest(self, found: Retrieved, count: int) -> bool:
        """Say whether `nearest` needs no query."""
        return all(question_id in self._shown for question_id in found.nearest_ids(count))

    def nearest(self, found: Retrieved, count: int) -> tuple[Question, ...]:
        """Return the `count` most similar support questions of a search; those shown before cost no query."""
        ids = found.nearest_ids(count)
        known = {question_id: self._shown[question_id] for question_id in ids if question_id in self._shown}
        new = [question_id for question_id in ids if question_id not in known]
        if new:
            known.update(zip(new, self.questions(new), strict=True))
            with self._lock:
                # A new dictionary, not a change of the old one: it is read without the lock.
                self._shown = known if len(self._shown) > _SHOWN_AT_MOST else {**self._shown, **known}
        return tuple(known[question_id] for question_id in ids)

    def search_many(
        self,
        embeddings: ArrayLike,
        *,
        embedder: str | None = None,
        base: int = 400,
        tolerance: float = 0.95,
        compat: Compat = "paper",
    ) -> tuple[Retrieved, ...]:
        """Search for Q questions, (Q, d), with one matrix product per batch; otherwise as `search`.

        Similarities agree with those of `search` to about 1e-6 (another order of summing in float32).
        """
        return search.search_many(self._index(embedder), embeddings, Selection(base, tolerance, compat))

    def refresh(self) -> None:
        """Let the next search see what other processes, or other objects in this one, have written since."""
        with self._lock:
            self._indexes.clear()
            self._shown = {}
            self._quantized.clear()

    def info(self) -> BankInfo:
        """Return counts, embedders and accuracy per LLM, task and subject."""
        with self._database.read() as connection:
            return bank_info(connection, url=self.url)

    def export_to(self, path: str | Path, *, embedders: Sequence[str] = (), command: str = "") -> None:
        """Write the bank to one portable file: JSON lines, gzipped if the name ends in `.gz`.

        The same content gives the same bytes. The file appears complete or not at all.

        Args:
            path: The file, in an existing folder; replaced if it exists.
            embedders: Names of embedders whose vectors to include.
            command: What made the bank, kept in the file's header.

        Raises:
            BankError: The bank has no vectors of a named embedder.
            RunError: The file cannot be written.
        """
        with self._database.read() as connection:
            export_bank(connection, Path(path), embedders=embedders, command=command)

    def import_from(self, path: str | Path) -> Imported:
        """Add what a file of `export_to` holds, in one transaction.

        Questions that are here already stay; an outcome in the file replaces one recorded here for the same pair.

        Returns:
            What was new.

        Raises:
            BankError: The file is missing, malformed, cut off or altered, or contradicts the bank. The message names
                file and line, and nothing has changed.
        """
        with self._write() as writer:
            return import_bank(writer, Path(path))

    @contextmanager
    def _write(self) -> Iterator[Writer]:
        with self._database.write() as writer:
            yield writer
        self.refresh()

    def _index(self, embedder: str | None) -> BankIndex:
        with self._lock:
            index = self._indexes.get(embedder)
            if index is None:
                with self._database.read() as connection:
                    index = self._indexes[embedder] = load_index(connection, embedder)
            return index

    def _int8(self, index: BankIndex) -> Quantized:
        with self._lock:
            if index.folder not in self._quantized:
                self._quantized[index.folder] = load_quantized(index)
            return self._quantized[index.folder]

    def _store(self, embedder_name: str, texts: EmbeddedTexts, vectors: NDArray[np.floating]) -> None:
        with self._write() as writer:
            writes.store_embeddings(writer, embedder_name, texts, vectors)
