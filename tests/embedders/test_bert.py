from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from helpers_embedders import tiny_bert
from smcs.embedders._bert import BertEncoder, gelu
from smcs.errors import ModelFileError

pytest.importorskip("safetensors")


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=300))
def test_gelu_is_the_exact_one(values: list[float]) -> None:
    rows = np.array(values, dtype=np.float32)[:, None]
    gelu(rows)
    exact = [value * 0.5 * math.erfc(-value / math.sqrt(2)) for value in values]
    assert np.allclose(rows[:, 0], exact, atol=4e-7, rtol=1e-6)


def plain_sums(tensors: dict[str, NDArray[np.float32]], ids: list[int]) -> NDArray[np.float64]:
    """The textbook encoder in float64, one head and one token at a time."""
    weights = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def normalise(rows: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        out = [(row - row.mean()) / math.sqrt(row.var() + 1e-12) for row in rows]
        return np.array(out) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(rows: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return rows @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    states = np.array(
        [
            weights["embeddings.word_embeddings.weight"][token]
            + weights["embeddings.position_embeddings.weight"][position]
            + weights["embeddings.token_type_embeddings.weight"][0]
            for position, token in enumerate(ids)
        ]
    )
    states = normalise(states, "embeddings.LayerNorm")
    for index in range(2):
        name = f"encoder.layer.{index}"
        parts = [linear(states, f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
        mixed = np.zeros_like(states)
        for head in range(0, states.shape[1], 32):
            query, key, value = (part[:, head : head + 32] for part in parts)
            for token in range(len(ids)):
                scores = [math.exp(float(query[token] @ other) / math.sqrt(32)) for other in key]
                mixed[token, head : head + 32] = sum(s * v for s, v in zip(scores, value, strict=True)) / sum(scores)
        attended = linear(mixed, f"{name}.attention.output.dense") + states
        attended = normalise(attended, f"{name}.attention.output.LayerNorm")
        inner = linear(attended, f"{name}.intermediate.dense")
        inner *= np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)))(inner)
        states = normalise(linear(inner, f"{name}.output.dense") + attended, f"{name}.output.LayerNorm")
    return np.asarray(states.sum(axis=0))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 29), min_size=1, max_size=16), min_size=1, max_size=5))
def test_packed_windows_give_what_each_gives_alone(
    tmp_path_factory: pytest.TempPathFactory, windows: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    tensors = tiny_bert(folder)
    sums = BertEncoder.load(folder / "model.safetensors").sums(windows)
    for row, window in zip(sums, windows, strict=True):
        assert np.allclose(row, plain_sums(tensors, window), atol=2e-4)


def test_the_fingerprint_tells_fine_tunes_apart(tmp_path: Path) -> None:
    prints = set()
    for seed in (1, 2):
        tiny_bert(tmp_path, seed=seed)
        prints.add(BertEncoder.load(tmp_path / "model.safetensors").fingerprint)
    tiny_bert(tmp_path, seed=1)
    assert BertEncoder.load(tmp_path / "model.safetensors").fingerprint in prints
    assert len(prints) == 2


def test_other_files_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "model.safetensors"
    path.write_bytes(b"no tensors here")
    with pytest.raises(ModelFileError, match="cannot be read as safetensors"):
        BertEncoder.load(path)
    save_file({"weight": np.zeros(3, dtype=np.float32)}, path)
    with pytest.raises(ModelFileError, match="not a MiniLM-style BERT"):
        BertEncoder.load(path)
    tensors = tiny_bert(tmp_path)
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, path)
    with pytest.raises(ModelFileError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        BertEncoder.load(path)
