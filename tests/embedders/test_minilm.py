from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers_embedders import MINILM, SENTENCES, SHARED_DATA, tiny_bert
from smcs.embedders import MiniLMEmbedder
from smcs.embedders.minilm import _MAX_WINDOWS
from smcs.errors import ConfigError, InputError, MissingExtraError, ModelFileError

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

needs_model = pytest.mark.skipif(
    not (MINILM / "model.safetensors").is_file(), reason="smcs models pull all-minilm-l6-v2"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_bert(tmp_path)
    return tmp_path


def reference() -> dict[str, NDArray[np.generic]]:
    with np.load(Path(__file__).with_name("minilm_reference.npz")) as stored:
        return dict(stored)


def lowest_cosine(vectors: NDArray[np.float32], stored: NDArray[np.generic]) -> float:
    expected = stored.astype(np.float64)
    return float((np.vecdot(vectors, expected) / np.linalg.norm(expected, axis=1)).min())


@needs_model
def test_it_agrees_with_sentence_transformers_on_our_sentences() -> None:
    embedder = MiniLMEmbedder(MINILM, long_texts="truncate")
    assert lowest_cosine(embedder.embed_now(SENTENCES), reference()["sentence_vectors"]) > 1 - 1e-5


@needs_model
def test_it_agrees_with_sentence_transformers_on_200_real_questions() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = SHARED_DATA / "mmlu_pro_recorded" / "questions.parquet"
    if not path.is_file():
        pytest.skip("the recorded questions are not here")
    table = parquet.read_table(path, columns=["id", "question"]).to_pydict()
    texts = dict(zip(table["id"], table["question"], strict=True))
    stored = reference()
    chosen = [texts[id_] for id_ in stored["question_ids"].tolist()]
    assert [hashlib.sha256(text.encode()).hexdigest() for text in chosen] == stored["question_hashes"].tolist()
    vectors = MiniLMEmbedder(MINILM, long_texts="truncate").embed_now(chosen)
    assert len(vectors) == 200
    assert lowest_cosine(vectors, stored["question_vectors"]) > 1 - 1e-5


@needs_model
def test_windows_change_nothing_for_short_texts() -> None:
    windows, truncated = MiniLMEmbedder(MINILM), MiniLMEmbedder(MINILM, long_texts="truncate")
    short, long = SENTENCES[:-2], SENTENCES[-2:]
    assert np.allclose(windows.embed_now(short), truncated.embed_now(short), atol=1e-6)
    assert (np.vecdot(windows.embed_now(long), truncated.embed_now(long)) < 0.999).all()
    assert (windows.name, truncated.name) == ("minilm-27727c14/384/window256", "minilm-27727c14/384/truncate256")


async def test_order_and_company_do_not_matter(folder: Path) -> None:
    embedder = MiniLMEmbedder(folder, window=8)
    texts = ["w1 w2", "", "w3 " * 40, "w4", "w5 w6 w7"]
    together = await embedder.embed(texts)
    assert together.shape == (5, 64)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for text, row in zip(texts, together, strict=True):
        assert np.allclose((await embedder.embed([text]))[0], row, atol=1e-5)
    assert (await embedder.embed([])).shape == (0, 64)


async def test_a_long_text_is_the_mean_over_the_tokens_of_all_windows(folder: Path) -> None:
    embedder = MiniLMEmbedder(folder, window=8)
    words = [f"w{number % 20}" for number in range(15)]
    windows = [words[0:6], words[6:12], words[12:15]]
    encoder, tokenizer = embedder._encoder, embedder._tokenizer
    ids = [[1, *tokenizer.encode(" ".join(window), add_special_tokens=False).ids, 2] for window in windows]
    assert [len(window) for window in ids] == [8, 8, 5]
    total = sum(encoder.sums([window])[0] for window in ids)
    vector = (await embedder.embed([" ".join(words)]))[0]
    assert np.allclose(vector, total / np.linalg.norm(total), atol=1e-5)
    first = (await MiniLMEmbedder(folder, window=8, long_texts="truncate").embed([" ".join(words)]))[0]
    assert np.allclose(first, (await embedder.embed([" ".join(words[:6])]))[0], atol=1e-5)


async def test_an_endless_text_is_sampled_and_said_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    embedder = MiniLMEmbedder(folder, window=8)
    with caplog.at_level(logging.WARNING):
        await embedder.embed(["w1 " * 6 * _MAX_WINDOWS])
        assert not caplog.text
        vectors = await embedder.embed(["w1 " * 6 * _MAX_WINDOWS + "w2 " * 600])
    assert "984 tokens is embedded from 64 of its 164 windows" in caplog.text
    assert np.isfinite(vectors).all()


async def test_half_a_surrogate_pair_is_text_too(folder: Path) -> None:
    assert np.isfinite(await MiniLMEmbedder(folder, window=16).embed(["w1 \ud83d w2"])).all()


async def test_the_event_loop_stays_free_and_a_cancelled_call_stops(folder: Path) -> None:
    embedder = MiniLMEmbedder(folder, window=16)
    task = asyncio.create_task(embedder.embed(["w1 w2 w3 " * 4] * 20_000))
    await asyncio.sleep(0.05)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    begun = time.monotonic()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert time.monotonic() - begun < 5


def test_mistakes_are_named(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(ConfigError, match=r"no model\.safetensors and no tokenizer\.json.*smcs models pull"):
        MiniLMEmbedder(empty)
    for window in (2, 17):
        with pytest.raises(InputError, match=f"from 3 to 16 tokens, got {window}"):
            MiniLMEmbedder(folder, window=window)
    with pytest.raises(InputError, match="'cut'"):
        MiniLMEmbedder(folder, long_texts="cut")  # type: ignore[arg-type]
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelFileError, match="not a tokenizer file"):
        MiniLMEmbedder(folder)


@pytest.mark.parametrize("package", ["tokenizers", "safetensors"])
def test_a_missing_package_names_the_extra(folder: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"smcs\[local\]"):
        MiniLMEmbedder(folder)
