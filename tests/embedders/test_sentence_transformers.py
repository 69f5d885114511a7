from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from smcs.embedders import SentenceTransformersEmbedder
from smcs.errors import EmbedderError, MissingExtraError


class Library:
    """The part of the library's interface that is used, with vectors made of text lengths."""

    max_seq_length = 256

    def __init__(self, model: str, device: str | None) -> None:
        if model == "missing":
            raise OSError("no such model")

    def get_embedding_dimension(self) -> int:
        return 3

    def encode(self, texts: list[str], **_: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        if "explode" in texts:
            raise RuntimeError("out of memory")
        return np.array([[len(text), 3, 4] for text in texts], dtype=np.float32)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = Library  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)


@pytest.mark.usefixtures("library")
async def test_vectors_are_checked_and_normalised() -> None:
    embedder = SentenceTransformersEmbedder("some/e5-small/")
    assert embedder.name == "sentence-transformers:e5-small/3/truncate256"
    assert np.allclose(await embedder.embed(["", "abc"]), [[0, 0.6, 0.8], np.array([3, 3, 4]) / np.sqrt(34)])
    assert (await embedder.embed([])).shape == (0, 3)
    with pytest.raises(EmbedderError, match="out of memory"):
        await embedder.embed(["explode"])


@pytest.mark.usefixtures("library")
def test_a_model_that_does_not_load_is_one_error() -> None:
    with pytest.raises(EmbedderError, match="'missing': no such model"):
        SentenceTransformersEmbedder("missing")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"smcs\[sentence-transformers\]"):
        SentenceTransformersEmbedder("some/model")
