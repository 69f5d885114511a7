"""The seam between smcs and any embedding model: one method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ("Embedder", "Vectors")

Vectors = NDArray[np.float32]
"""Embeddings, one unit-norm row per text: float32 of shape (texts, dimensions)."""


class Embedder(Protocol):
    """Anything that turns texts into unit-norm vectors."""

    @property
    def name(self) -> str:
        """Identity under which vectors are stored; two embedders that differ in any vector differ in name."""
        ...

    @property
    def dimensions(self) -> int | None:
        """Length of a vector; `None` while a remote embedder has not answered yet."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts in their order.

        Raises:
            EmbedderError: The model failed, or returned non-finite, zero or wrongly sized vectors.
        """
        ...
