"""Exact search: similarities of a question to the whole bank, its support set and the prior of each LLM (Eq. 2-4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import check_compat, finite_array
from smcs.bank.estimates import Estimates
from smcs.bank.index import MISSING, BankIndex, QuestionIds
from smcs.bank.quantized import Quantized
from smcs.errors import InputError
from smcs.prior import SupportSet, support_set, weighted_prior
from smcs.types import Compat

__all__ = ("Retrieved", "Scan", "Selection", "search", "search_many", "similarities")

Scan = Literal["float32", "int8"]
"""What the whole bank is compared in; the support set is selected on float32 similarities either way."""

# One core reads several places of memory at once 1.5 times as fast as one place front to back, so the bank is read in
# this many equal parts side by side. BLAS splits a product of this many floats over threads; each step stays below.
_STREAMS = (16, 8, 4)
_THREADED_FLOATS = 9216
_BATCH_FLOATS = 2**24
_PRIOR_FLOATS = 2**16

_SCORE_OF = np.full(256, np.nan, dtype=np.float32)
_SCORE_OF[:2] = 0.0, 1.0


@dataclass(frozen=True)
class Selection:
    """How a support set is selected (Eq. 3)."""

    base: int = 400
    tolerance: float = 0.95
    compat: Compat = "paper"


@dataclass(frozen=True, eq=False)
class Retrieved:
    """What the bank knows about a new question."""

    support: SupportSet
    """The M closest bank questions; `indices` are rows of the searched index."""
    prior: NDArray[np.float64]
    """(R,) expected capability of each LLM (Eq. 4); NaN for one without a graded outcome in the support set."""
    llms: tuple[str, ...]
    """The R names, sorted."""
    embedder: str
    """Whose embeddings were compared."""
    state: Path
    """Folder of the searched index: another one whenever the bank holds something else."""
    _ids: QuestionIds
    estimated: tuple[bool, ...] = ()
    """(R,) whether the prior rests on predicted probabilities where the LLM was not graded; empty means of none."""

    @cached_property
    def question_ids(self) -> tuple[str, ...]:
        """Ids of the M support questions, most similar first."""
        return self._ids.take(self.support.indices)

    def nearest_ids(self, count: int) -> tuple[str, ...]:
        """Return the ids of the `count` most similar support questions, for far less than all of them cost."""
        if count >= len(self.support):
            return self.question_ids
        return self._ids.take(self.support.indices[:count])


def similarities(embeddings: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the dot products (n,) of unit-norm rows (n, d) with a unit-norm query (d,), as float32 (Eq. 2).

    From 16 to 2,303 dimensions a row's result does not depend, to the bit, on where it stands (with the OpenBLAS of
    numpy's wheels): each is computed in a product of the same number of rows.

    Args:
        embeddings: C-contiguous, n >= 1.
        query: C-contiguous.
    """
    count, dimensions = embeddings.shape
    streams = next((number for number in _STREAMS if number * dimensions < _THREADED_FLOATS), None)
    if streams is None:  # Rows so long that the few which BLAS reads at once are places far apart.
        whole: NDArray[np.float32] = embeddings @ query
        return whole
    result = np.empty(count, dtype=np.float32)
    steps = count // streams
    even = steps * streams
    parts = embeddings[:even].reshape(streams, steps, dimensions).transpose(1, 0, 2)
    result[:even].reshape(streams, steps)[:] = (parts @ query).T
    if even < count:
        last = np.zeros((streams, dimensions), dtype=np.float32)
        last[: count - even] = embeddings[even:]
        result[even:] = (last @ query)[: count - even]
    return result


def search(
    index: BankIndex,
    embedding: ArrayLike,
    selection: Selection,
    *,
    quantized: Quantized | None = None,
    estimates: Estimates | None = None,
) -> Retrieved:
    """Search an index for one question.

    Args:
        index: The bank.
        embedding: (d,), finite and non-zero; compared at unit norm.
        selection: How the support set is selected.
        quantized: The index in int8, for a first pass that reads a quarter of the memory. The similarities of the
            rows it leaves are computed by the same float32 kernel as without it.
        estimates: What stands in for missing outcomes of LLMs that have few; without it, as for all others, an LLM's
            mean over the support set does.

    Raises:
        InputError: The embedding has another length than the bank's, is zero, or holds NaN or infinity; or an option
            is out of range.
    """
    query = _queries(index, finite_array("embedding", embedding, ndim=1)[None, :])[0]
    if quantized is None or len(index.ids) <= selection.base + 1:
        return _retrieved(index, similarities(index.embeddings, query), selection, estimates)
    _check(selection)

    def exact(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        return similarities(index.embeddings.take(rows, axis=0), query)

    rows = quantized.candidates(query, exact, base=selection.base, tolerance=selection.tolerance)
    return _retrieved(index, exact(rows), selection, estimates, rows=rows)


def search_many(
    index: BankIndex, embeddings: ArrayLike, selection: Selection, *, estimates: Estimates | None = None
) -> tuple[Retrieved, ...]:
    """Search an index for Q questions at once, with one matrix product per batch.

    Similarities are float32 sums in another order than those of `search`: they agree to about 1e-6.

    Args:
        index: The bank.
        embeddings: (Q, d), rows as in `search`.
        selection: How the support sets are selected.
        estimates: As in `search`.

    Returns:
        Q results, in order.

    Raises:
        InputError: As `search`.
    """
    queries = _queries(index, finite_array("embeddings", embeddings, ndim=2))
    batch = max(1, _BATCH_FLOATS // len(index.ids))
    found: list[Retrieved] = []
    for start in range(0, len(queries), batch):
        block = queries[start : start + batch] @ index.embeddings.T
        found += [_retrieved(index, row, selection, estimates) for row in block]
    return tuple(found)


def _retrieved(
    index: BankIndex,
    values: NDArray[np.float32],
    selection: Selection,
    estimates: Estimates | None,
    *,
    rows: NDArray[np.intp] | None = None,
) -> Retrieved:
    support = support_set(values, base=selection.base, tolerance=selection.tolerance, compat=selection.compat)
    if rows is not None:
        support = SupportSet(rows[support.indices], support.similarities)
    prior = _prior(index, support)
    if estimates is None:
        return Retrieved(support, prior, index.llms, index.embedder, index.folder, index.ids)
    chances = estimates.chances.take(support.indices, axis=0)
    scores = _grades(index.outcomes.take(support.indices, axis=0).take(estimates.columns, axis=1))
    filled = np.where(np.isnan(scores), chances, scores)
    prior[estimates.columns] = weighted_prior(filled, support.similarities)
    estimated = np.zeros(len(index.llms), dtype=np.bool_)
    estimated[estimates.columns] = True
    return Retrieved(support, prior, index.llms, index.embedder, index.folder, index.ids, tuple(estimated.tolist()))


def _prior(index: BankIndex, support: SupportSet) -> NDArray[np.float64]:
    if not index.llms:
        return np.empty(0)
    scores = index.outcomes.take(support.indices, axis=0)
    # LLMs do not depend on each other, and large temporary arrays cost more page faults than the arithmetic on them.
    width = max(1, _PRIOR_FLOATS // len(scores))
    blocks = (_grades(scores[:, start : start + width]) for start in range(0, len(index.llms), width))
    return np.concatenate([weighted_prior(block, support.similarities) for block in blocks])


def _grades(scores: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.uint8] | NDArray[np.float32]:
    if scores.dtype != np.uint8 or scores.max() != MISSING:
        return scores
    return _SCORE_OF.take(scores.view(np.uint8))


def _queries(index: BankIndex, embeddings: NDArray[np.float64]) -> NDArray[np.float32]:
    dimensions = index.embeddings.shape[1]
    if embeddings.shape[1] != dimensions:
        raise InputError(
            f"The bank's embeddings of {index.embedder!r} have {dimensions} dimensions, got {embeddings.shape[1]}. "
            "Embed the question with the same embedder."
        )
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise InputError("An embedding of zero or infinite length has no direction to compare. Check the embedder.")
    unit: NDArray[np.float32] = (embeddings / norms).astype(np.float32)
    return unit


def _check(selection: Selection) -> None:
    """Reject options before the first pass uses them, with the messages of `support_set`."""
    check_compat(selection.compat)
    support_set(np.ones(1), base=selection.base, tolerance=selection.tolerance)
