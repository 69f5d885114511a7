"""A first pass over the bank in 8-bit integers that never loses a support question.

Each row is stored as scale times int8 codes, with the norm of what rounding took away. By the Cauchy-Schwarz
inequality that norm bounds the error of every similarity, so the rows that may belong to the support set are known for
certain; they alone are computed again in float32, and the support set is selected among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcs.bank.index import BankIndex, map_array, write_array
from smcs.errors import MissingExtraError
from smcs.prior import support_set

__all__ = ("Quantized", "load_quantized")

Exact = Callable[[NDArray[np.intp]], NDArray[np.float32]]

_BLOCK = 8192


@dataclass(frozen=True)
class Quantized:
    """N embeddings of d dimensions as int8: embedding = scale * codes + rest."""

    codes: NDArray[np.int8]
    """(N, d), from -127 to 127."""
    scales: NDArray[np.float32]
    """(N,)"""
    rests: NDArray[np.float32]
    """(N,): Euclidean norm of what the codes leave out, rounded up."""

    def candidates(self, query: NDArray[np.float32], exact: Exact, *, base: int, tolerance: float) -> NDArray[np.intp]:
        """Return rows, ascending, that hold the `base` + 1 most similar ones and the whole support set.

        Args:
            query: (d,), unit norm.
            exact: Function from rows to their float32 similarities.
            base: N_sup_base, below N - 1.
            tolerance: gamma, from 0 to 1.
        """
        bounds = self.upper_bounds(query)
        # The worst of any `base` + 1 exact similarities is a lower bound of the (`base` + 1)-th largest one.
        top = support_set(bounds, base=base + 1, tolerance=1.0).indices
        least = float(exact(top).min())
        return np.flatnonzero(bounds >= min(least, tolerance * least))

    def upper_bounds(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N,) numbers that no float32 similarity of `query`, (d,) at unit norm, exceeds."""
        scale = float(np.abs(query).max()) / 127
        codes = np.rint(query / np.float32(scale)).astype(np.int8)
        rest = float(np.linalg.norm(query.astype(np.float64) - scale * codes.astype(np.float64)))
        # |e.q - e'.q'| <= |e - e'| |q| + |e'| |q - q'|, and float32 rounds: d times in a similarity, a few times here.
        rounding = len(query) * 2.0**-23 + 1e-6
        dot = _dot()
        bounds = np.empty(len(self.codes), dtype=np.float32)
        # In blocks: large temporary arrays cost more page faults than the arithmetic on them.
        for start in range(0, len(bounds), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = np.asarray(dot(self.codes[rows], codes))
            block *= self.scales[rows]
            block *= scale
            block += self.rests[rows] * (1 + rest)
            block += rest + rounding
            bounds[rows] = block
        return bounds


def load_quantized(index: BankIndex) -> Quantized:
    """Map the int8 form of an index, after making it beside the index if it is not there.

    Raises:
        MissingExtraError: `simsimd` is not installed; numpy has no fast integer product.
    """
    _dot()
    names = ("int8_codes", "int8_scales", "int8_rests")
    paths = [index.folder / f"{name}.npy" for name in names]
    if not all(path.is_file() for path in paths):
        arrays: tuple[NDArray[Any], ...] = _quantize(index.embeddings)
        for path, array in zip(paths, arrays, strict=True):
            write_array(path, array)
    return Quantized(*(map_array(path) for path in paths))


def _quantize(embeddings: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    codes = np.empty(embeddings.shape, dtype=np.int8)
    scales, rests = (np.empty(len(embeddings), dtype=np.float32) for _ in range(2))
    for start in range(0, len(embeddings), _BLOCK):
        rows = slice(start, start + _BLOCK)
        block = embeddings[rows].astype(np.float64)
        scales[rows] = np.abs(block).max(axis=1) / 127
        codes[rows] = np.clip(np.rint(block / scales[rows, None]), -127, 127).astype(np.int8)
        rest = np.linalg.norm(block - scales[rows, None] * codes[rows].astype(np.float64), axis=1)
        rests[rows] = np.nextafter(rest.astype(np.float32), np.float32(np.inf))
    return codes, scales, rests


def _dot() -> Any:
    try:
        import simsimd
    except ImportError as error:
        raise MissingExtraError("The int8 first pass of the bank search", "int8") from error
    return simsimd.dot
