"""Which bank questions speak about a new one: the support set (Eq. 2-3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import check_compat, real_array
from smcs.errors import InputError
from smcs.types import Compat

__all__ = ("SupportSet", "support_set")

_MAX_FOLD = 64
_MIN_FOLD = 8


@dataclass(frozen=True, slots=True, eq=False)
class SupportSet:
    """The bank questions an estimate rests on, most similar first (equal ones by lower index)."""

    indices: NDArray[np.intp]
    """Rows of the bank, shape (M,)."""
    similarities: NDArray[np.float64]
    """Cosine similarity of each to the new question, shape (M,)."""

    def __len__(self) -> int:
        """Return M, the number of questions."""
        return len(self.indices)


def support_set(
    similarities: ArrayLike, *, base: int = 400, tolerance: float = 0.95, compat: Compat = "paper"
) -> SupportSet:
    """Select the support questions of Eq. 3: all whose similarity reaches `tolerance` times the `base`-th largest.

    The `base` most similar questions always belong, so the set never holds fewer: a negative `base`-th similarity,
    whose multiple by `tolerance` would exceed it, is its own threshold. A bank of `base` questions or fewer is taken
    whole.

    Args:
        similarities: Cosine similarity of the question to each bank question (Eq. 2), shape (N,). float32 and float64
            are used as they are, thresholds are always compared in float64.
        base: N_sup_base, at least 1; more than N means N.
        tolerance: gamma, from 0 to 1.
        compat: "official" takes the threshold from the (`base` + 1)-th largest similarity and keeps what is strictly
            above it. With N <= `base` there is no such value; the whole bank is taken, as in "paper".

    Returns:
        Rows and similarities, most similar first.

    Raises:
        InputError: The bank is empty, a similarity is not finite, or an option is out of range.
    """
    check_compat(compat)
    values = real_array("similarities", similarities, ndim=1)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    if base < 1:
        raise InputError(f"`base` must be at least 1, got {base}.")
    if not 0 <= tolerance <= 1:
        raise InputError(f"`tolerance` must be from 0 to 1, got {tolerance}.")
    if not np.isfinite(values).all():
        raise InputError(
            f"`similarities` must be finite, got {np.count_nonzero(~np.isfinite(values))} NaN or infinite of "
            f"{len(values)}. Check the embeddings for zero or non-finite rows."
        )
    official = compat == "official" and len(values) > base
    nearest = _nth_largest(values, min(base, len(values)))
    threshold = tolerance * (_nth_largest(values, base + 1) if official else nearest)

    # A coarse pass over all N in their own precision, then the exact one over the few it leaves. Rounding the threshold
    # to float32 keeps order, so the coarse pass loses nothing that reaches it.
    rows = np.flatnonzero(values >= values.dtype.type(min(threshold, nearest)))
    exact = values[rows].astype(np.float64)
    keep = (exact >= nearest) | ((exact > threshold) if official else (exact >= threshold))
    rows, exact = rows[keep], exact[keep]
    order = np.argsort(-exact, kind="stable")
    return SupportSet(rows[order], exact[order])


def _nth_largest(values: NDArray[Any], n: int) -> float:
    """Return the `n`-th largest value, 1 <= n <= N, by partition.

    A long array is first folded into columns: the n-th largest of their maxima cannot exceed the n-th largest value,
    so everything below it is left out of the partition (2.5 times faster at N = 1,000,000, n = 400).
    """
    fold = min(_MAX_FOLD, len(values) // (4 * n))
    if fold >= _MIN_FOLD:
        columns = len(values) // fold
        maxima = values[: fold * columns].reshape(fold, columns).max(axis=0)
        values = values[values >= np.partition(maxima, -n)[-n]]
    return float(np.partition(values, -n)[-n])
