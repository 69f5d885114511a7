from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from helpers_bank import EMBEDDER, outcome, question, small_bank
from smcs._paths import cache_dir
from smcs.bank import QuestionBank, Retrieved
from smcs.bank import index as index_module


def folders() -> list[Path]:
    return sorted((cache_dir() / "index").iterdir())


def same(one: Retrieved, other: Retrieved) -> bool:
    return one.question_ids == other.question_ids and np.array_equal(one.prior, other.prior, equal_nan=True)


def test_the_index_is_built_once_and_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_bank(tmp_path / "bank.db") as bank:
        first = bank.search(np.ones(16), base=5)
        (folder,) = folders()
        assert {path.name for path in folder.iterdir()} == {
            "meta.json",
            "embeddings.npy",
            "outcomes.npy",
            "ids.npy",
            "id_ends.npy",
        }
        embeddings = np.load(folder / "embeddings.npy")
        assert (embeddings.dtype, embeddings.shape, embeddings.flags.c_contiguous) == (np.float32, (60, 16), True)
        assert np.load(folder / "outcomes.npy").dtype == np.uint8
        assert bank._index(None).embeddings.base is not None, "a view of the map, not a copy"

    def never(*_: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(index_module, "_build", never)
    with QuestionBank.open(tmp_path / "bank.db") as bank:
        assert same(bank.search(np.ones(16), base=5), first)


def test_deleting_or_spoiling_the_index_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    with small_bank(path) as bank:
        first = bank.search(np.ones(16), base=5)
    (folder,) = folders()
    shutil.rmtree(folder)
    with QuestionBank.open(path) as bank:
        assert same(bank.search(np.ones(16), base=5), first)
    for spoil in ("meta.json", "outcomes.npy"):
        (folder / spoil).write_bytes(b"{}")
        with QuestionBank.open(path) as bank:
            assert same(bank.search(np.ones(16), base=5), first)
    assert folders() == [folder]


def test_partial_grades_are_kept_exactly(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db") as bank:
        bank.record([outcome(0, "llm000", 0.25)])
        bank.search(np.ones(16))
        scores = np.load(folders()[0] / "outcomes.npy")
        assert scores.dtype == np.float32
        np.testing.assert_array_equal(scores, bank.outcomes().scores)


def test_own_writes_are_seen_others_after_refresh(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    with small_bank(path) as bank, QuestionBank.open(path) as other:
        before = bank.search(np.ones(16), base=60)
        seen = other.search(np.ones(16), base=60)
        assert same(before, seen)
        bank.add_llm("new")
        bank.record(outcome(i, "new", 1.0) for i in range(60))
        after = bank.search(np.ones(16), base=60)
        assert after.llms == (*before.llms, "new")
        assert same(other.search(np.ones(16), base=60), seen), "a snapshot"
        other.refresh()
        assert same(other.search(np.ones(16), base=60), after)
        assert len(folders()) == 2


def test_equal_content_shares_an_index_whatever_the_order(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((9, 4))
    for name, order in (("1.db", range(9)), ("2.db", reversed(range(9)))):
        with QuestionBank.create(tmp_path / name) as bank:
            for i in order:
                bank.add_questions([question(i)])
                bank.store_embeddings(EMBEDDER, [f"q{i:04}"], vectors[i : i + 1])
            found = bank.search(np.ones(4), base=3)
    assert len(folders()) == 1
    assert found.question_ids


def test_other_vectors_make_another_index(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db") as bank:
        bank.search(np.ones(16))
        bank.store_embeddings(EMBEDDER, ["q0000"], np.ones((1, 16)))
        assert bank.search(np.ones(16), base=1).question_ids[0] == "q0000"
        bank.store_embeddings("second", ["q0003"], np.ones((1, 2)))
        assert bank.search(np.ones(2), embedder="second").question_ids == ("q0003",)
        assert bank.search(np.ones(16), base=1).embedder == EMBEDDER, "the first embedder is the default"
        assert len(folders()) == 3


def test_old_indexes_are_pruned(tmp_path: Path) -> None:
    root = cache_dir() / "index"
    old = time.time() - 3 * 24 * 3600
    for i in range(12):
        (root / f"old{i:02}").mkdir(parents=True)
        os.utime(root / f"old{i:02}", (old + i, old + i))
    (root / ".tmp-killed").mkdir()
    os.utime(root / ".tmp-killed", (old + 99, old + 99))
    (root / ".tmp-busy").mkdir()
    with small_bank(tmp_path / "bank.db") as bank:
        bank.search(np.ones(16))
    names = [path.name for path in folders()]
    assert ".tmp-killed" not in names
    assert ".tmp-busy" in names
    assert "old11" in names
    assert "old00" not in names
    assert len(names) <= 9
