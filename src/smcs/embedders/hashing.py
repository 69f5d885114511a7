"""An embedder without a model: hashed words and word pairs, for tests, demos and offline use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from smcs.embedders._checks import unit_rows
from smcs.embedders.protocol import Vectors
from smcs.errors import InputError

__all__ = ("HashingEmbedder",)

_WORD = re.compile(r"\w+|[^\w\s]")


class HashingEmbedder:
    """Texts that share words get near vectors; nothing is learned, nothing is downloaded.

    Each word and each pair of neighbouring words adds +1 or -1 to one of the dimensions, chosen by its hash; one
    constant feature keeps the vector of an empty text from being zero. The same text gives the same vector on every
    machine.

    Args:
        dimensions: Length of a vector, from 8 up.

    Raises:
        InputError: `dimensions` is below 8.
    """

    def __init__(self, dimensions: int = 256) -> None:
        if dimensions < 8:
            raise InputError(f"`dimensions` must be at least 8, got {dimensions}.")
        self._dimensions = dimensions

    @property
    def name(self) -> str:
        """`hashing/` and the dimensions."""
        return f"hashing/{self._dimensions}"

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._dimensions

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts in their order; returns unit-norm float32 of shape (texts, dimensions)."""
        rows = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        rows[:, 0] = 0.5
        for row, text in zip(rows, texts, strict=True):
            for feature in _features(text):
                digest = int.from_bytes(
                    hashlib.blake2b(feature.encode(errors="replace"), digest_size=8).digest(), "big"
                )
                row[1 + (digest >> 1) % (self._dimensions - 1)] += 1 if digest & 1 else -1
        return unit_rows(rows, embedder=self.name, rows=len(texts))


def _features(text: str) -> Iterator[str]:
    words = _WORD.findall(text.lower())
    yield from words
    for first, second in pairwise(words):
        yield f"{first} {second}"
