"""Writing entries into a bank: in one transaction, a batch in memory at a time, each fault named by its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from smcs.bank import writes
from smcs.bank.database import Writer
from smcs.bank.importers.entry import Entry, ImportOptions, Place, fault
from smcs.bank.records import Row, check_name, outcome_row, question_row
from smcs.bank.writes import EmbeddedTexts
from smcs.errors import UserError, suggest
from smcs.types import Outcome

__all__ = ("Ingest", "Staged", "Tally", "write_vectors")

T = TypeVar("T")

_BATCH = 10_000
_TEXT = 8_000_000
"""Characters of questions and responses held before they are written."""

_VECTOR_FLOATS = 2_000_000
"""Numbers of embeddings held before they are written: 16 MB in double precision."""


@dataclass
class Staged:
    """Rows of one kind that wait to be written together."""

    write: Callable[[list[Row]], int]
    changed: int = 0
    """What `write` has returned, added up."""
    _rows: list[Row] = field(default_factory=list[Row])
    _places: list[Place] = field(default_factory=list[Place])

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, place: Place, row: Row) -> None:
        """Put a row with the others."""
        self._rows.append(row)
        self._places.append(place)

    def flush(self) -> None:
        """Write what waits.

        Raises:
            BankError: A row is refused; the message names its place.
        """
        rows, self._rows = self._rows, []
        places, self._places = self._places, []
        if not rows:
            return
        try:
            self.changed += self.write(rows)
        except UserError as whole:
            # Refused before anything was written: go through the rows to name the one.
            for place, row in zip(places, rows, strict=True):
                try:
                    self.write([row])
                except UserError as error:
                    raise fault(place, str(error)) from error
            raise fault(places[0], str(whole)) from whole


@dataclass(frozen=True)
class Tally:
    """What entries brought that was new or replaced something."""

    questions: int
    llms: int
    outcomes: int
    embeddings: int


@dataclass
class _Seen:
    """A question that has come already."""

    place: Place
    asked: int
    """Hash, in this process, of the text and the choices."""
    llms: int = 0
    """Bit r is set once there is an outcome of LLM r."""


class Ingest:
    """One pass over a file's entries.

    Args:
        writer: The open transaction.
        options: What to take, under which names.
        embedder: Name the vectors are stored under.
    """

    def __init__(self, writer: Writer, options: ImportOptions, embedder: str) -> None:
        self._writer = writer
        self._options = options
        self._embedder = embedder
        self._seen: dict[str, _Seen] = {}
        self._llms: dict[str, int] = {}
        self._file_llms: set[str] = set()
        self._new_llms = 0
        self._fresh_llms: list[str] = []
        self._dimensions = 0
        self._text = 0
        self._questions = Staged(lambda rows: writes.add_questions(writer, rows, replace=False))
        self._outcomes = Staged(lambda rows: writes.record(writer, rows))
        self._vectors = Staged(lambda rows: write_vectors(writer, embedder, rows))

    def run(self, file: Place, entries: Iterable[Entry], *, once: bool) -> Tally:
        """Write entries.

        Args:
            file: What they come from.
            entries: In the file's order.
            once: Whether a question may come in one entry only.

        Raises:
            BankError: Something in the file is wrong or contradicts the bank, there is nothing in it, or it lacks an
                LLM that was asked for. Names the place; the transaction must then be given up.
        """
        limit = self._options.limit
        for entry in entries:
            if limit is not None and len(self._seen) >= limit and entry.question.id not in self._seen:
                if once:
                    break
                continue
            self._take(entry, once=once)
        self._flush()
        if not self._seen:
            raise fault(file, "there is no question in it (or none of the split that was asked for).")
        self._check_names(file)
        counts = (self._questions.changed, self._new_llms, self._outcomes.changed, self._vectors.changed)
        return Tally(*counts)

    def _take(self, entry: Entry, *, once: bool) -> None:
        task = self._options.task
        question = entry.question if task is None else replace(entry.question, task=task)
        asked = hash((question.text, question.choices))
        seen = self._seen.get(question.id)
        if seen is None:
            seen = self._seen[question.id] = _Seen(entry.place, asked)
            self._text += len(question.text)
            self._questions.add(entry.place, _checked(entry.place, lambda: question_row(question)))
        elif once:
            raise fault(entry.place, f"question {question.id!r} is a duplicate: it already stands at {seen.place}.")
        elif seen.asked != asked:
            raise fault(entry.place, f"question {question.id!r} has another text than at {seen.place}.")
        for outcome in entry.outcomes:
            self._take_outcome(entry.place, seen, outcome)
        if entry.vector is not None:
            self._take_vector(entry, entry.vector, question.content_hash())
        if max(len(self._questions), len(self._outcomes)) >= _BATCH or self._text >= _TEXT:
            self._flush()

    def _take_outcome(self, place: Place, seen: _Seen, outcome: Outcome) -> None:
        self._file_llms.add(outcome.llm)
        if self._options.llms and outcome.llm not in self._options.llms:
            return
        name = self._options.rename.get(outcome.llm, outcome.llm)
        if name not in self._llms:
            _checked(place, lambda: check_name("an LLM's name", name))
            self._llms[name] = len(self._llms)
            self._fresh_llms.append(name)
        bit = 1 << self._llms[name]
        if seen.llms & bit:
            raise fault(place, f"the outcome of {name!r} on {outcome.question_id!r} is a duplicate: it came before.")
        seen.llms |= bit
        renamed = outcome if name == outcome.llm else replace(outcome, llm=name)
        row = _checked(place, lambda: outcome_row(renamed))
        self._outcomes.add(place, row)
        self._text += len(outcome.response)

    def _take_vector(self, entry: Entry, vector: NDArray[np.float32], text_hash: str) -> None:
        self._dimensions = self._dimensions or len(vector)
        if len(vector) != self._dimensions:
            raise fault(
                entry.place, f"the embedding has {len(vector)} dimensions, those before have {self._dimensions}."
            )
        if not np.isfinite(vector).all():
            raise fault(entry.place, "the embedding holds NaN or infinity, or a number too large for float32.")
        if not vector.any():
            raise fault(entry.place, "the embedding is zero.")
        self._vectors.add(entry.place, {"question_id": entry.question.id, "text_hash": text_hash, "vector": vector})
        if len(self._vectors) * self._dimensions >= _VECTOR_FLOATS:
            self._flush()

    def _flush(self) -> None:
        self._text = 0
        # Outcomes and vectors refer to questions, outcomes to LLMs.
        self._questions.flush()
        if self._fresh_llms:
            self._new_llms += writes.add_llms(self._writer, self._fresh_llms)
            self._fresh_llms = []
        self._outcomes.flush()
        self._vectors.flush()

    def _check_names(self, file: Place) -> None:
        asked = [*self._options.llms, *self._options.rename]
        for name in asked:
            if name not in self._file_llms:
                raise fault(file, f"there is no outcome of an LLM {name!r}.{suggest(name, self._file_llms)}")


def write_vectors(writer: Writer, embedder: str, rows: Sequence[Row]) -> int:
    """Write vectors of one length (`question_id`, `text_hash`, `vector`) and return how many were new or differed.

    Raises:
        BankError: A question is not in the bank, or the bank's vectors of this embedder have another length.
        InputError: A vector is zero or not finite.
    """
    texts = EmbeddedTexts([row["question_id"] for row in rows], [row["text_hash"] for row in rows])
    return writes.store_embeddings(writer, embedder, texts, np.stack([row["vector"] for row in rows]))


def _checked(place: Place, make: Callable[[], T]) -> T:
    try:
        return make()
    except UserError as error:
        raise fault(place, str(error)) from error
