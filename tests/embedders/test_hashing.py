from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.embedders import Embedder, HashingEmbedder
from smcs.errors import InputError


async def test_the_same_text_gives_the_same_vector_everywhere() -> None:
    embedder: Embedder = HashingEmbedder(16)
    vectors = await embedder.embed(["red fox", "", "red fox"])
    assert embedder.name == "hashing/16"
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, 16)
    assert np.array_equal(vectors[0], vectors[2])
    # Pinned: another machine, Python or hash seed must not move a feature.
    assert np.flatnonzero(vectors[0]).tolist() == [0, 1, 14]
    assert vectors[1].tolist() == [1.0] + [0.0] * 15


async def test_shared_words_bring_texts_together() -> None:
    fox, near, far = await HashingEmbedder().embed(
        ["the red fox jumps over the fence", "a red fox jumps a fence", "integrate x squared from zero to one"]
    )
    assert fox @ near > 0.3 > 0.1 > fox @ far


@given(st.lists(st.text(max_size=40), max_size=5), st.integers(8, 300))
async def test_every_vector_is_a_unit_vector(texts: list[str], dimensions: int) -> None:
    vectors = await HashingEmbedder(dimensions).embed(texts)
    assert vectors.shape == (len(texts), dimensions)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


async def test_half_a_surrogate_pair_is_text_too() -> None:
    assert np.isfinite(await HashingEmbedder().embed(["\ud83d broken"])).all()


def test_too_few_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match="at least 8, got 7"):
        HashingEmbedder(7)
