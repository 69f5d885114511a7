"""The question bank: what was asked, how each LLM did, and which of it is close to a new question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from smcs.bank import reads, writes
from smcs.bank.audit import Audit, AuditOptions, audit
from smcs.bank.importers.dispatch import import_into
from smcs.bank.importers.entry import ImportFormat, ImportOptions, OwnFormat
from smcs.bank.info import BankInfo, bank_info
from smcs.bank.journal import Header
from smcs.bank.notes import NotedBank
from smcs.bank.parquet import export_parquet
from smcs.bank.portable import Imported, export_bank
from smcs.bank.reads import OutcomeMatrix
from smcs.bank.records import outcome_row, question_row
from smcs.bank.verify import Verified, verify
from smcs.bank.writes import EmbeddedTexts
from smcs.embedders.protocol import Embedder
from smcs.errors import BankError, EmbedderError, InputError, suggest
from smcs.types import Outcome, Question

__all__ = ("QuestionBank",)


class _GivenUp(Exception):  # noqa: N818
    """Undoes the transaction of an import that was only to be tried."""

    def __init__(self, brought: Imported) -> None:
        super().__init__()
        self.brought = brought


class QuestionBank(NotedBank):
    """Questions with verified answers, and the graded answers of LLMs to them.

    Made by `open` or `create`; usable from several threads, and by several processes at once on one database. A write
    is one transaction: when the call returns it is on disk, when it raises nothing has changed. `search` works on a
    snapshot that is loaded at its first call, and again after a write through this object or `refresh`.

    What changes which questions and LLMs there are is logged and can be undone (`history`, `undo`, `logged`).
    """

    @property
    def llms(self) -> tuple[str, ...]:
        """Names of the LLMs, sorted."""
        with self._read() as connection:
            return reads.llm_names(connection)

    def questions(self, ids: Iterable[str] | None = None) -> tuple[Question, ...]:
        """Return all questions sorted by id, or those of `ids` in their order.

        Raises:
            BankError: An id is not in the bank.
        """
        with self._read() as connection:
            return reads.questions(connection) if ids is None else reads.questions_by_id(connection, ids)

    def question_ids(self) -> tuple[str, ...]:
        """Return the ids of all questions, sorted."""
        with self._read() as connection:
            return reads.question_ids(connection)

    def iter_questions(self, *, batch: int = 1000) -> Iterator[Question]:
        """Yield all questions by id, holding `batch` of them in memory and no transaction open.

        Those that are removed meanwhile are left out, those that are added meanwhile too.
        """
        for ids in reads.chunks(self.question_ids(), batch):
            yield from self._existing(ids).values()

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
        with self._write(Header("replace" if replace else "add")) as writer:
            return writes.add_questions(writer, map(question_row, questions), replace=replace)

    def remove_questions(self, ids: Iterable[str], *, note: str = "", author: str = "") -> int:
        """Remove questions with their outcomes and embeddings; return how many there were."""
        with self._write(Header("remove", note, author)) as writer:
            return writes.remove_questions(writer, ids)

    def merge_questions(self, keep: str, duplicates: Sequence[str], *, note: str = "", author: str = "") -> int:
        """Remove questions that are the same as another, which takes over those outcomes that it lacks.

        An LLM's outcome on the kept question stays; where it has none, the first duplicate that has one gives it, with
        its score as it is: where the golds contradict, correct one first and grade again.

        Args:
            keep: Id of the question that stays.
            duplicates: Ids of those that go, at least one.
            note: Why.
            author: Who does it.

        Returns:
            How many outcomes moved.

        Raises:
            BankError: A question is not in the bank.
            InputError: No duplicate is named, one twice, or the kept question is among them.
        """
        with self._write(Header("merge", note, author)) as writer:
            return writes.merge_questions(writer, keep, duplicates)

    def add_llm(self, name: str) -> bool:
        """Add an LLM; return whether it was new."""
        with self._write(Header("add")) as writer:
            return writes.add_llms(writer, [name]) == 1

    def remove_llm(self, name: str, *, note: str = "", author: str = "") -> None:
        """Remove an LLM with its outcomes.

        Raises:
            BankError: It is not in the bank.
        """
        with self._write(Header("remove", note, author)) as writer:
            writes.remove_llm(writer, name)

    def record(self, outcomes: Iterable[Outcome]) -> int:
        """Record outcomes in one transaction; a (question, LLM) pair has one, the last recorded.

        Returns:
            How many were new or differed from what was recorded.

        Raises:
            BankError: A question or an LLM is not in the bank.
            InputError: A score, cost, time, token or sample count is out of range.
        """
        with self._write() as writer:
            return writes.record(writer, map(outcome_row, outcomes))

    def answered(self, llm: str) -> set[str]:
        """Return the ids of the questions that have an outcome of `llm`, graded or not."""
        with self._read() as connection:
            return reads.answered(connection, llm)

    def recorded(self, llm: str) -> tuple[Outcome, ...]:
        """Return the outcomes of `llm` with their responses, sorted by question id.

        Raises:
            BankError: The LLM is not in the bank.
        """
        with self._read() as connection:
            reads.check_llms(connection, [llm])
            return tuple(reads.recorded(connection, llm))

    def extracted_answers(self, llm: str) -> list[tuple[str, float, str, int]]:
        """Return what was read out of an LLM's graded answers, in no order: much faster than `recorded`.

        Returns:
            Question id, score, extracted answer, and the characters of the text it was read out of (0: not kept).

        Raises:
            BankError: The LLM is not in the bank.
        """
        with self._read() as connection:
            reads.check_llms(connection, [llm])
            return reads.extracted_answers(connection, llm)

    def graders(self) -> dict[str, str | None]:
        """Return question id -> the grader of its answers, for all questions; `None` where the bank names none."""
        with self._read() as connection:
            return reads.graders(connection)

    def outcomes_on(self, question_id: str) -> tuple[Outcome, ...]:
        """Return the outcomes of all LLMs on one question, sorted by name; none if it is not in the bank."""
        with self._read() as connection:
            return reads.outcomes_on(connection, question_id)

    def outcome_counts(self) -> dict[str, int]:
        """Return LLM -> questions that have an outcome of it, graded or not; every LLM of the bank is there."""
        with self._read() as connection:
            return reads.outcome_counts(connection)

    def outcomes(self) -> OutcomeMatrix:
        """Return all scores as an (N, R) matrix with NaN for what is missing."""
        with self._read() as connection:
            return reads.outcome_matrix(connection, reads.question_ids(connection))

    def missing_embeddings(self, embedder_name: str) -> tuple[Question, ...]:
        """Return the questions that have no vector of this embedder, or one of a text that has changed since."""
        with self._read() as connection:
            return reads.questions_by_id(connection, reads.ids_without_embedding(connection, embedder_name))

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

    def set_default_embedder(self, name: str) -> None:
        """Make the vectors of an embedder those that `search` uses when none is named.

        Raises:
            BankError: The bank has no vectors of it.
        """
        with self._write() as writer:
            if reads.embedder_row(writer.connection, name) is None:
                known = reads.embedder_names(writer.connection)
                raise BankError(f"This bank has no embeddings of {name!r}.{suggest(name, known)}")
            writer.default_embedder = name

    async def embed(
        self, embedder: Embedder, *, batch: int = 256, on_progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Embed what is missing, a batch at a time; each batch is stored when it is done.

        Stopped at any point, it goes on with what is still missing when it is called again.

        Args:
            embedder: Makes the vectors; they are stored under its name, beside those of others.
            batch: Questions at a time.
            on_progress: Called after each batch with the number of questions done and of all that were missing.

        Returns:
            How many vectors were made.

        Raises:
            EmbedderError: The embedder failed or returned unusable vectors; batches done before are kept.
        """
        missing = await asyncio.to_thread(self._missing_ids, embedder.name)
        made = 0
        for ids in reads.chunks(missing, batch):
            found = await asyncio.to_thread(self._existing, ids)
            if not found:
                continue
            questions = list(found.values())
            vectors = await embedder.embed([question.prompt() for question in questions])
            texts = EmbeddedTexts(list(found), [question.content_hash() for question in questions])
            try:
                await asyncio.to_thread(self._store, embedder.name, texts, vectors)
            except InputError as error:
                raise EmbedderError(f"{embedder.name} returned vectors that cannot be stored: {error}") from error
            made += len(questions)
            if on_progress is not None:
                on_progress(made, len(missing))
        return made

    def info(self) -> BankInfo:
        """Return counts, embedders and accuracy per LLM, task and subject."""
        with self._read() as connection:
            return bank_info(connection, url=self.url)

    def export_to(
        self,
        path: str | Path,
        *,
        format: OwnFormat = "smcs",  # noqa: A002  # the word for it, everywhere
        embedders: Sequence[str] = (),
        command: str = "",
    ) -> None:
        """Write the bank to one portable file, or to a folder of Parquet files; it appears complete or not at all.

        Args:
            path: "smcs": the file, in an existing folder, replaced if it exists; JSON lines, gzipped if the name ends
                in `.gz`; the same content gives the same bytes. "parquet": a folder that does not exist or is empty.
            format: Which of the two.
            embedders: Names of embedders whose vectors to include.
            command: What made the bank, kept in the file's header or the folder's manifest.

        Raises:
            BankError: The bank has no vectors of a named embedder.
            InputError: The format is unknown, or there is something at the path of the folder.
            MissingExtraError: pyarrow is not installed, and Parquet is asked for.
            RunError: The file or folder cannot be written.
        """
        if format not in get_args(OwnFormat):
            raise InputError(f"A bank cannot be exported as {format!r}.{suggest(format, get_args(OwnFormat))}")
        export = export_bank if format == "smcs" else export_parquet
        with self._read() as connection:
            export(connection, Path(path), embedders=embedders, command=command)

    def import_from(
        self,
        path: str | Path,
        *,
        format: ImportFormat | None = None,  # noqa: A002
        options: ImportOptions | None = None,
        dry_run: bool = False,
        note: str = "",
        author: str = "",
    ) -> Imported:
        """Add what a file or folder holds, in one transaction and one change that can be undone.

        Questions that are here already stay; an outcome in the file replaces one recorded here for the same pair.

        Args:
            path: What `export_to` wrote, or what another project published (see `smcs.bank.importers`).
            format: What it is; found out from its content unless given.
            options: What to take of a foreign format, and under which names; all of it unless given.
            dry_run: Whether to do all of it, report, and then give the transaction up.
            note: Why, for the log; the file's name unless given.
            author: Who does it.

        Returns:
            What was new.

        Raises:
            BankError: The file is missing, malformed, cut off or altered, or contradicts the bank. The message names
                the file, and the line, row or entry; nothing has changed.
            InputError: The format is unknown, or an option does not apply to it.
            MissingExtraError: It is Parquet, and pyarrow is not installed.
        """
        try:
            with self._write(Header("import", note or Path(path).name, author)) as writer:
                brought = import_into(writer, Path(path), format=format, options=options)
                if dry_run:
                    raise _GivenUp(brought)
        except _GivenUp as end:
            return end.brought
        return brought

    def verify(self) -> Verified:
        """Count the bank again, row by row, against its manifest; reads everything once, in constant memory."""
        with self._read() as connection:
            return verify(connection)

    def audit(self, options: AuditOptions | None = None) -> Audit:
        """Look for what may be wrong: duplicates, test questions, contradictory golds, odd LLMs, what is missing.

        Reads everything, so it takes a while on a large bank; changes nothing.

        Raises:
            InputError: An option is out of range.
            BankError: There are no vectors of the embedder that is named.
        """
        with self._read() as connection:
            return audit(connection, options or AuditOptions(), url=self.url)

    def _missing_ids(self, embedder_name: str) -> tuple[str, ...]:
        with self._read() as connection:
            return reads.ids_without_embedding(connection, embedder_name)

    def _existing(self, ids: Sequence[str]) -> dict[str, Question]:
        with self._read() as connection:
            return reads.existing_questions(connection, ids)

    def _store(self, embedder_name: str, texts: EmbeddedTexts, vectors: NDArray[np.floating]) -> None:
        with self._write() as writer:
            writes.store_embeddings(writer, embedder_name, texts, vectors)
