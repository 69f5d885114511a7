"""The check that every embedder's vectors pass before anyone sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from smcs.embedders.protocol import Vectors
from smcs.errors import EmbedderError

__all__ = ("unit_rows",)


def unit_rows(vectors: ArrayLike, *, embedder: str, rows: int, dimensions: int | None = None) -> Vectors:
    """Return vectors scaled to unit norm, as C-contiguous float32 of shape (rows, dimensions).

    Raises:
        EmbedderError: Another number of rows or dimensions, or a vector that is not finite or is all zeros.
    """
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, and is refused below
        array = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows == 0:
        return array.reshape(0, dimensions or (array.shape[1] if array.ndim == 2 else 0))
    if array.ndim != 2 or len(array) != rows or array.shape[1] == 0:
        raise EmbedderError(f"{embedder}: expected {rows} vectors, got an array of shape {array.shape}.")
    if dimensions is not None and array.shape[1] != dimensions:
        raise EmbedderError(f"{embedder}: expected {dimensions} dimensions, got {array.shape[1]}.")
    # Scaled by the largest entry first: the square of a large or tiny float32 would leave its range.
    largest = np.abs(array).max(axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(largest) & (largest > 0)))
    if bad.size:
        raise EmbedderError(f"{embedder}: {bad.size} of {rows} vectors are zero or not finite, the first at {bad[0]}.")
    scaled: Vectors = array / largest
    scaled /= np.sqrt(np.vecdot(scaled, scaled))[:, None]
    return scaled
