"""Search in a bank: the index in memory, and the questions that were shown lately."""

from __future__ import annotations

import threading
from pathlib import Path

from numpy.typing import ArrayLike

from smcs.bank import reads, search
from smcs.bank.core import BankCore
from smcs.bank.database import Database
from smcs.bank.estimates import Estimates, load_estimates
from smcs.bank.index import BankIndex, load_index
from smcs.bank.quantized import Quantized, load_quantized
from smcs.bank.search import Retrieved, Scan, Selection
from smcs.types import Compat, Question

__all__ = ("SearchingBank",)

_QUICK_FLOATS = 4_000_000
"""Size of an embedding matrix that is compared in about a millisecond on one thread."""

_SHOWN_AT_MOST = 10_000
"""Questions kept in memory because a run showed them; a bank may hold millions."""


class SearchingBank(BankCore):
    """The part of a `QuestionBank` that finds what is close to a new question.

    `search` works on a snapshot that is loaded at its first call, and again after a write through this object or
    `refresh`.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._lock = threading.Lock()
        self._names_lock = threading.Lock()  # Its own: names are read on an event loop, and an index loads for seconds.
        self._indexes: dict[str | None, BankIndex] = {}
        self._llms: tuple[str, ...] | None = None
        self._shown: dict[str, Question] = {}
        self._quantized: dict[Path, Quantized] = {}
        self._estimates: dict[Path, Estimates | None] = {}

    @property
    def searched_llms(self) -> tuple[str, ...]:
        """Names of the LLMs, sorted, as searches know them: from memory after the first time, until `refresh`."""
        with self._names_lock:
            if self._llms is None:
                with self._read() as connection:
                    self._llms = reads.llm_names(connection)
            return self._llms

    def search(
        self,
        embedding: ArrayLike,
        *,
        embedder: str | None = None,
        base: int = 400,
        tolerance: float = 0.95,
        compat: Compat = "paper",
        scan: Scan = "float32",
        estimates: bool = False,
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
            estimates: Whether predicted probabilities stand in for missing outcomes of LLMs that are graded on less
                than 90% of the searched questions (`Retrieved.estimated` says which); otherwise, as for all other
                LLMs, an LLM's mean over the support set does. They are computed at the first such search of a state
                of the bank, and kept beside its index.

        Raises:
            BankError: The bank has no embeddings of that embedder.
            InputError: The embedding has another length than the bank's, is zero, or holds NaN or infinity; or an
                option is out of range.
            MissingExtraError: `scan` is "int8" and simsimd is not installed.
        """
        index = self._index(embedder)
        quantized = self._int8(index) if scan == "int8" else None
        chances = self._chances(index) if estimates else None
        selection = Selection(base, tolerance, compat)
        return search.search(index, embedding, selection, quantized=quantized, estimates=chances)

    def index(self, embedder: str | None = None) -> BankIndex:
        """Return the searched questions and their outcomes as arrays, which must not be written to.

        Args:
            embedder: Whose vectors; `None` means the bank's default.

        Raises:
            BankError: The bank has no embeddings of that embedder.
        """
        return self._index(embedder)

    def is_quick(self, embedder: str) -> bool:
        """Say whether a search with estimates takes about a millisecond: less than handing it to a thread costs."""
        index = self._indexes.get(embedder)
        return index is not None and index.folder in self._estimates and index.embeddings.size <= _QUICK_FLOATS

    def knows_nearest(self, found: Retrieved, count: int) -> bool:
        """Say whether `nearest` needs no query."""
        return all(question_id in self._shown for question_id in found.nearest_ids(count))

    def nearest(self, found: Retrieved, count: int) -> tuple[Question, ...]:
        """Return the `count` most similar support questions of a search; those shown before cost no query."""
        ids = found.nearest_ids(count)
        known = {question_id: self._shown[question_id] for question_id in ids if question_id in self._shown}
        new = [question_id for question_id in ids if question_id not in known]
        if new:
            with self._read() as connection:
                known.update(zip(new, reads.questions_by_id(connection, new), strict=True))
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
        estimates: bool = False,
    ) -> tuple[Retrieved, ...]:
        """Search for Q questions, (Q, d), with one matrix product per batch; otherwise as `search`.

        Similarities agree with those of `search` to about 1e-6 (another order of summing in float32).
        """
        index = self._index(embedder)
        chances = self._chances(index) if estimates else None
        return search.search_many(index, embeddings, Selection(base, tolerance, compat), estimates=chances)

    def refresh(self) -> None:
        """Let the next search see what other processes, or other objects in this one, have written since."""
        with self._lock:
            self._indexes.clear()
            self._shown = {}
            self._quantized.clear()
            self._estimates.clear()
        with self._names_lock:
            self._llms = None

    def _index(self, embedder: str | None) -> BankIndex:
        with self._lock:
            index = self._indexes.get(embedder)
            if index is None:
                with self._read() as connection:
                    index = self._indexes[embedder] = load_index(connection, embedder)
            return index

    def _chances(self, index: BankIndex) -> Estimates | None:
        with self._lock:
            if index.folder not in self._estimates:
                self._estimates[index.folder] = load_estimates(index)
            return self._estimates[index.folder]

    def _int8(self, index: BankIndex) -> Quantized:
        with self._lock:
            if index.folder not in self._quantized:
                self._quantized[index.folder] = load_quantized(index)
            return self._quantized[index.folder]
