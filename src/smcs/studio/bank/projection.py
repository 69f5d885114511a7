"""The bank as a picture: questions as points, close where their embeddings are, in the two directions that differ most.

The directions are the leading principal components of a sample, found by subspace iteration: a few products with the
matrix, in place of a decomposition that takes minutes where embeddings are long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.bank import BankIndex
from smcs.studio.bank.catalogue import Catalogue, rows_of_index

__all__ = ("SAMPLE", "Projection", "principal_plane", "project")

SAMPLE = 4_000
"""Questions in the picture, at most."""

_EXTRA = 6
_ROUNDS = 30
_SETTLED = 1e-6


@dataclass(frozen=True, eq=False)
class Projection:
    """Where each sampled question lies."""

    rows: NDArray[np.intp]
    """(m,) rows of the catalogue, ascending."""
    places: NDArray[np.float64]
    """(m, 2) across and up; the mean is (0, 0)."""
    kept: tuple[float, float]
    """Share of the sample's variance along each direction, from 0 to 1."""
    embedded: int
    """Questions that the sample was drawn from."""
    embedder: str


def project(catalogue: Catalogue, index: BankIndex) -> Projection:
    """Lay a sample of the embedded questions out in a plane; the same bank gives the same picture."""
    rows = rows_of_index(catalogue, index)
    there = np.flatnonzero(rows >= 0)
    chosen = there
    if len(there) > SAMPLE:
        chosen = np.sort(np.random.default_rng(0).choice(there, SAMPLE, replace=False))
    places, kept = principal_plane(index.embeddings[chosen])
    return Projection(rows[chosen], places, kept, len(there), index.embedder)


def principal_plane(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return coordinates along the two leading principal components, and the share of variance along each.

    Args:
        vectors: (m, d), finite.

    Returns:
        (m, 2) coordinates, and two shares from 0 to 1. The sign of each direction is fixed by its largest weight.
    """
    count, dimensions = vectors.shape
    if count < 2:
        return np.zeros((count, 2)), (0.0, 0.0)
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    total = float(np.square(centred, dtype=np.float64).sum())
    width = min(2 + _EXTRA, dimensions, count)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((dimensions, width)).astype(np.float32))[0]
    before = np.zeros(min(2, width))
    for _ in range(_ROUNDS):
        basis, triangle = np.linalg.qr(centred.T @ (centred @ basis))
        strengths = np.sort(np.abs(np.diag(triangle)))[::-1][: len(before)]
        if np.abs(strengths - before).max() <= _SETTLED * max(total, 1e-30):
            break
        before = strengths
    inner = (centred @ basis).astype(np.float64)
    values, turned = np.linalg.eigh(inner.T @ inner)
    leading = turned[:, ::-1][:, :2]
    weights = basis.astype(np.float64) @ leading
    signs = np.sign(weights[np.abs(weights).argmax(axis=0), np.arange(weights.shape[1])])
    places = inner @ leading * np.where(signs == 0, 1.0, signs)
    shares = np.maximum(values[::-1][:2], 0.0) / total if total > 0 else np.zeros(leading.shape[1])
    if places.shape[1] < 2:
        places, shares = np.hstack([places, np.zeros((count, 1))]), np.append(shares, 0.0)
    return places, (float(shares[0]), float(shares[1]))
