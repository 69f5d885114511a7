"""Any model of the sentence-transformers family, through that library (extra `sentence-transformers`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from smcs.embedders._checks import unit_rows
from smcs.embedders.protocol import Vectors
from smcs.errors import EmbedderError, MissingExtraError

__all__ = ("SentenceTransformersEmbedder",)


class SentenceTransformersEmbedder:
    """Embed with a `SentenceTransformer`, in a thread.

    Texts beyond the model's own maximum are cut by the library, which is why the maximum is part of the name.

    Args:
        model: A model's name on the hub, or the folder of a downloaded one.
        device: Where torch runs it, e.g. "cpu" or "cuda"; the library chooses when `None`.
        batch_size: Texts per forward pass.

    Raises:
        EmbedderError: The model cannot be loaded.
        MissingExtraError: `sentence-transformers` is not installed.
    """

    def __init__(self, model: str, *, device: str | None = None, batch_size: int = 32) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError("The sentence-transformers embedder", "sentence-transformers") from error
        try:
            self._model: Any = SentenceTransformer(model, device=device)
        except (OSError, ValueError) as error:
            raise EmbedderError(f"sentence-transformers cannot load {model!r}: {error}") from error
        self._label = model.rstrip("/").rsplit("/", 1)[-1]
        self._batch_size = batch_size

    @property
    def name(self) -> str:
        """Model, dimensions and the length at which texts are cut."""
        return f"sentence-transformers:{self._label}/{self.dimensions}/truncate{self._model.max_seq_length}"

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._model.get_embedding_dimension())

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts in their order; returns unit-norm float32 of shape (texts, dimensions)."""
        return await asyncio.to_thread(self._embed, list(texts))

    def _embed(self, texts: list[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        try:
            vectors = self._model.encode(texts, batch_size=self._batch_size, show_progress_bar=False)
        except RuntimeError as error:  # torch: out of memory, a device that went away
            raise EmbedderError(f"{self.name}: {error}") from error
        return unit_rows(vectors, embedder=self.name, rows=len(texts), dimensions=self.dimensions)
