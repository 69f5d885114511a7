"""Vectors of recorded answers: what an LLM wrote on a question, to be compared with what it writes on a new one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from smcs.bank import reads, schema, writes
from smcs.bank.database import Database
from smcs.bank.records import clean
from smcs.bank.searching import SearchingBank
from smcs.bank.writes import EmbeddedAnswers
from smcs.embedders.protocol import Embedder
from smcs.errors import EmbedderError, InputError

__all__ = ("AnswerCounts", "AnswerVectors", "AnswersBank", "embedded_part")

_LONGEST = 30_000
"""Characters of an answer that are embedded: about 7,500 tokens, as JiSi has it."""

_AT_ONCE = 1000


def embedded_part(response: str) -> str:
    """Return what of an answer is embedded: its end, where it is long, for that is where it concludes."""
    return clean(response)[-_LONGEST:]


@dataclass(frozen=True)
class AnswerCounts:
    """How far the recorded answers of some LLMs are embedded."""

    texts: int
    """Answers that the bank keeps the text of."""
    embedded: int
    """Those that have a vector."""

    @property
    def left(self) -> int:
        """Those that have none."""
        return self.texts - self.embedded


@dataclass(frozen=True)
class AnswerVectors:
    """The vectors of one LLM's recorded answers by one embedder, in memory."""

    rows: Mapping[str, int]
    """Question id -> row."""
    vectors: NDArray[np.float32]
    """(n, d), unit norm."""

    def similarities(self, vector: NDArray[np.floating], question_ids: Sequence[str]) -> NDArray[np.float64]:
        """Return the cosine similarity of a new answer to those recorded on some questions.

        Args:
            vector: (d,), unit norm, of the new answer.
            question_ids: M ids.

        Returns:
            Shape (M,); NaN where no vector is kept.

        Raises:
            EmbedderError: d is not what the vectors kept have.
        """
        found = np.full(len(question_ids), np.nan)
        places = [place for place, question_id in enumerate(question_ids) if question_id in self.rows]
        if not places:
            return found
        if vector.shape != self.vectors.shape[1:]:
            raise EmbedderError(
                f"vectors of recorded answers have {self.vectors.shape[1]} dimensions, that of the new one has "
                f"{vector.shape[0]}: the model behind the embedder's name has changed"
            )
        found[places] = self.vectors[[self.rows[question_ids[place]] for place in places]] @ vector
        return found


class AnswersBank(SearchingBank):
    """The part of a `QuestionBank` that keeps vectors of recorded answers."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._answers_lock = threading.Lock()
        self._answers: dict[tuple[str, str], tuple[tuple[str, int], AnswerVectors]] = {}

    def answer_vectors(self, llm: str, embedder_name: str) -> AnswerVectors:
        """Return the vectors of an LLM's recorded answers, read once for each state of the bank.

        They stay in memory as long as the bank is open: 4 bytes x answers x dimensions for each LLM asked for.
        """
        with self._answers_lock, self._read() as connection:
            count = _count(connection, llm, embedder_name)
            # With equal outcomes there are equal texts, so vectors can only have been added.
            state = (reads.manifest_row(connection).content_sum, count)
            kept = self._answers.get((llm, embedder_name))
            if kept is None or kept[0] != state:
                kept = state, _load(connection, llm, embedder_name, count)
                self._answers[llm, embedder_name] = kept
            return kept[1]

    def answer_counts(self, embedder_name: str, *, llms: Sequence[str] | None = None) -> AnswerCounts:
        """Count the recorded answers that have a text, and those that have a vector of an embedder.

        Args:
            embedder_name: `Embedder.name`.
            llms: Whose answers; all LLMs' if left out.

        Raises:
            BankError: An LLM is not in the bank.
        """
        with self._read() as connection:
            names = _names(connection, llms)
            texts = sum(reads.answer_texts(connection, name) for name in names)
            return AnswerCounts(texts, sum(_count(connection, name, embedder_name) for name in names))

    async def embed_answers(
        self,
        embedder: Embedder,
        *,
        llms: Sequence[str] | None = None,
        batch: int = 256,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Embed the recorded answers that have a text and no vector, a batch at a time; each is stored when it is done.

        Stopped at any point, it goes on with what is still missing when it is called again. Of an answer beyond 30,000
        characters the end is embedded. The content hash stays.

        Args:
            embedder: Makes the vectors; they are stored under its name, beside those of others.
            llms: Whose answers; all LLMs' if left out.
            batch: Answers at a time.
            on_progress: Called after each batch with the number of answers done and of all that were missing.

        Returns:
            How many vectors were stored.

        Raises:
            BankError: An LLM is not in the bank.
            EmbedderError: The embedder failed or returned unusable vectors; batches done before are kept.
        """
        missing = await asyncio.to_thread(self._unembedded, embedder.name, llms)
        total = sum(len(ids) for _, ids in missing)
        done = made = 0
        for llm, ids in missing:
            for part in reads.chunks(ids, batch):
                made += await self._embed_part(embedder, llm, part)
                done += len(part)
                if on_progress is not None:
                    on_progress(done, total)
        return made

    async def _embed_part(self, embedder: Embedder, llm: str, ids: Sequence[str]) -> int:
        responses = await asyncio.to_thread(self._responses, llm, ids)
        if not responses:
            return 0
        vectors = await embedder.embed([embedded_part(response) for response in responses.values()])
        try:
            return await asyncio.to_thread(self._store_answers, embedder.name, EmbeddedAnswers(llm, responses), vectors)
        except InputError as error:
            raise EmbedderError(f"{embedder.name} returned vectors that cannot be stored: {error}") from error

    def _unembedded(self, embedder_name: str, llms: Sequence[str] | None) -> list[tuple[str, tuple[str, ...]]]:
        with self._read() as connection:
            names = _names(connection, llms)
            return [(name, reads.answers_without_embedding(connection, embedder_name, name)) for name in names]

    def _responses(self, llm: str, ids: Sequence[str]) -> dict[str, str]:
        with self._read() as connection:
            return reads.responses(connection, llm, ids)

    def _store_answers(self, embedder_name: str, answers: EmbeddedAnswers, vectors: NDArray[np.floating]) -> int:
        with self._write() as writer:
            return writes.store_answers(writer, embedder_name, answers, vectors)


def _names(connection: Connection, llms: Sequence[str] | None) -> tuple[str, ...]:
    if llms is None:
        return reads.llm_names(connection)
    reads.check_llms(connection, llms)
    return tuple(dict.fromkeys(llms))


def _count(connection: Connection, llm: str, embedder: str) -> int:
    table = schema.answer_embeddings
    statement = select(func.count()).select_from(table).where(table.c.embedder == embedder, table.c.llm == llm)
    return connection.execute(statement).scalar_one()


def _load(connection: Connection, llm: str, embedder: str, count: int) -> AnswerVectors:
    vectors = np.empty((count, reads.dimensions(connection, embedder) or 0), dtype=np.float32)
    table = schema.answer_embeddings
    statement = select(table.c.question_id, table.c.vector).where(table.c.embedder == embedder, table.c.llm == llm)
    rows: dict[str, int] = {}
    for question_id, vector in connection.execute(statement.execution_options(yield_per=_AT_ONCE)):
        vectors[len(rows)] = np.frombuffer(vector, dtype="<f4")
        rows[question_id] = len(rows)
    return AnswerVectors(rows, vectors)
