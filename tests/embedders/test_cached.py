from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from smcs.embedders import CachedEmbedder, HashingEmbedder, Vectors
from smcs.errors import EmbedderError


class Counting:
    """A hashing embedder that remembers what it was asked for."""

    def __init__(self, dimensions: int = 16, name: str | None = None, *, fails_after: int | None = None) -> None:
        self._inner = HashingEmbedder(dimensions)
        self._name = name or self._inner.name
        self._fails_after = fails_after
        self.calls: list[list[str]] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimensions(self) -> int | None:
        return None if self._name != self._inner.name else self._inner.dimensions

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if self._fails_after is not None and len(self.calls) >= self._fails_after:
            raise EmbedderError("the model gave way")
        self.calls.append(list(texts))
        return await self._inner.embed(texts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "embeddings.sqlite"


async def test_a_text_is_embedded_once(path: Path) -> None:
    inner = Counting()
    first = await CachedEmbedder(inner, path).embed(["a", "b", "a"])
    again = await CachedEmbedder(inner, path).embed(["b", "c", "a"])
    assert inner.calls == [["a", "b"], ["c"]]
    assert np.array_equal(first, await HashingEmbedder(16).embed(["a", "b", "a"]))
    assert np.array_equal(again, await HashingEmbedder(16).embed(["b", "c", "a"]))


async def test_embedders_of_other_names_do_not_share_vectors(path: Path) -> None:
    one, two = Counting(name="one"), Counting(name="two")
    await CachedEmbedder(one, path).embed(["a"])
    cached = CachedEmbedder(two, path)
    assert cached.name == "two"
    assert cached.dimensions is None
    await cached.embed(["a"])
    assert two.calls == [["a"]]
    assert cached.dimensions == 16


async def test_what_was_done_before_a_failure_is_kept(path: Path) -> None:
    texts = [f"question {number}" for number in range(5)]
    with pytest.raises(EmbedderError, match="gave way"):
        await CachedEmbedder(Counting(fails_after=2), path, batch=2).embed(texts)
    rest = Counting()
    await CachedEmbedder(rest, path, batch=2).embed(texts)
    assert rest.calls == [["question 4"]]


async def test_no_text_gives_no_vector(path: Path) -> None:
    assert (await CachedEmbedder(HashingEmbedder(16), path).embed([])).shape == (0, 16)


@pytest.fixture
def damaged(path: Path) -> Path:
    path.parent.mkdir()
    path.write_bytes(b"this was a database once " * 400)
    return path


async def test_a_damaged_file_is_dropped_with_a_warning(damaged: Path, caplog: pytest.LogCaptureFixture) -> None:
    inner = Counting()
    cached = CachedEmbedder(inner, damaged)
    with caplog.at_level(logging.WARNING):
        vectors = await cached.embed(["a"])
    assert "is damaged" in caplog.text
    assert np.array_equal(vectors, await HashingEmbedder(16).embed(["a"]))
    await cached.embed(["a"])
    assert inner.calls == [["a"]]


@pytest.mark.parametrize(
    "blob",
    [b"", b"abc", np.full(16, np.nan, dtype="<f4").tobytes(), np.ones(16, dtype="<f4").tobytes(), b"\0" * 32, "text"],
)
async def test_a_damaged_vector_is_made_again(path: Path, blob: object, caplog: pytest.LogCaptureFixture) -> None:
    inner = Counting()
    cached = CachedEmbedder(inner, path)
    await cached.embed(["a", "b"])
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE vectors SET vector = ? WHERE key = (SELECT MIN(key) FROM vectors)", (blob,))
    connection.close()
    with caplog.at_level(logging.WARNING):
        vectors = await cached.embed(["a", "b"])
    assert "1 damaged vectors" in caplog.text
    assert np.array_equal(vectors, await HashingEmbedder(16).embed(["a", "b"]))
    assert len(inner.calls) == 2


async def test_a_place_that_cannot_be_written_only_costs_time(damaged: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):  # a file stands where a folder should be
        vectors = await CachedEmbedder(HashingEmbedder(16), damaged / "cache.sqlite").embed(["a"])
    assert "passed over" in caplog.text
    assert vectors.shape == (1, 16)


async def test_a_model_that_changed_under_its_name_is_reported(path: Path) -> None:
    await CachedEmbedder(Counting(16, "remote"), path).embed(["a"])
    with pytest.raises(EmbedderError, match=r"\[16, 24\] dimensions"):
        await CachedEmbedder(Counting(24, "remote"), path).embed(["a", "b"])


async def test_calls_at_the_same_time_do_not_disturb_each_other(path: Path) -> None:
    cached = CachedEmbedder(HashingEmbedder(16), path, batch=3)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cached.embed([str(n) for n in range(k, k + 9)])) for k in range(8)]
    for k, task in enumerate(tasks):
        assert np.array_equal(task.result(), await HashingEmbedder(16).embed([str(n) for n in range(k, k + 9)]))


def test_processes_share_one_file(path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from smcs.embedders import CachedEmbedder, HashingEmbedder\n"
        "cached = CachedEmbedder(HashingEmbedder(16), sys.argv[1], batch=5)\n"
        "asyncio.run(cached.embed([str(n) for n in range(200)]))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert (writer.returncode, errors) == (0, "")
    inner = Counting()
    vectors = asyncio.run(CachedEmbedder(inner, path).embed([str(n) for n in range(200)]))
    assert inner.calls == []
    assert np.array_equal(vectors, asyncio.run(HashingEmbedder(16).embed([str(n) for n in range(200)])))
