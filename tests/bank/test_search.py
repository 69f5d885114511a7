from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from helpers_bank import EMBEDDER, fill, question, reference_search, small_bank
from smcs.bank import QuestionBank
from smcs.bank.index import BankIndex, QuestionIds, load_index
from smcs.bank.quantized import load_quantized
from smcs.bank.search import Selection, search, search_many, similarities
from smcs.errors import BankError, InputError, MissingExtraError
from smcs.types import Compat


def make_index(folder: Path, *, seed: int, count: int, dimensions: int, llms: int, clusters: int) -> BankIndex:
    """Return an index over clustered unit vectors, with missing scores, without a database."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dimensions))
    vectors = centres[rng.integers(clusters, size=count)] + 0.7 * rng.standard_normal((count, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    outcomes = rng.integers(0, 2, size=(count, llms)).astype(np.uint8)
    outcomes[rng.random(outcomes.shape) < 0.2] = 255
    names = [f"q{i}".encode() for i in range(count)]
    ids = QuestionIds(np.frombuffer(b"".join(names), np.uint8), np.cumsum([len(name) for name in names]))
    return BankIndex(EMBEDDER, vectors.astype(np.float32), outcomes, tuple(f"llm{r}" for r in range(llms)), ids, folder)


def plain_scores(index: BankIndex) -> list[list[float]]:
    return [[math.nan if score == 255 else float(score) for score in row] for row in index.outcomes.tolist()]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 120),
    dimensions=st.integers(2, 40),
    base=st.integers(1, 60),
    tolerance=st.floats(0.5, 0.999),
)
def test_search_is_what_the_equations_say(
    tmp_path: Path, seed: int, count: int, dimensions: int, base: int, tolerance: float
) -> None:
    index = make_index(tmp_path, seed=seed, count=count, dimensions=dimensions, llms=3, clusters=4)
    query = np.random.default_rng(seed + 1).standard_normal(dimensions) + index.embeddings[0]
    found = search(index, query, Selection(base, tolerance))
    support, prior = reference_search(index.embeddings.tolist(), plain_scores(index), query.tolist(), base, tolerance)
    assert found.support.indices.tolist() == support
    np.testing.assert_allclose(found.prior, prior, rtol=1e-4, atol=1e-4)
    assert found.question_ids == tuple(f"q{i}" for i in support)
    assert found.llms == ("llm0", "llm1", "llm2")


@pytest.mark.parametrize(("count", "dimensions"), [(3000, 48), (2001, 384), (503, 1000)])
@pytest.mark.parametrize("compat", ["paper", "official"])
def test_int8_gives_the_same_support_set(tmp_path: Path, count: int, dimensions: int, compat: Compat) -> None:
    pytest.importorskip("simsimd")
    selections = (Selection(40, 0.95, compat), Selection(1, 0.8, compat), Selection(count - 2, 1.0, compat))
    for seed in range(4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        index = make_index(folder, seed=seed, count=count, dimensions=dimensions, llms=4, clusters=9)
        quantized = load_quantized(index)
        rng = np.random.default_rng(seed)
        queries = [index.embeddings[5], -index.embeddings[6], rng.standard_normal(dimensions)]
        for query in queries:
            for selection in selections:
                exact = search(index, query, selection)
                fast = search(index, query, selection, quantized=quantized)
                assert fast.support.indices.tolist() == exact.support.indices.tolist()
                np.testing.assert_array_equal(fast.support.similarities, exact.support.similarities)
                np.testing.assert_array_equal(fast.prior, exact.prior)


@pytest.mark.parametrize("dimensions", [3, 16, 384, 575, 576, 1152, 2303, 2304, 4096])
def test_similarities_of_every_shape(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    rows = rng.standard_normal((99, dimensions)).astype(np.float32) / np.float32(math.sqrt(dimensions))
    query = rows[7].copy()
    whole = similarities(rows, query)
    np.testing.assert_allclose(whole, rows.astype(np.float64) @ query.astype(np.float64), atol=1e-6)
    for count in (1, 4, 15, 16, 17, 98):
        chosen = rng.permutation(99)[:count]
        some = similarities(rows.take(chosen, axis=0), query)
        if 16 <= dimensions < 2304:
            np.testing.assert_array_equal(some, whole[chosen], "a row's place does not matter")
        np.testing.assert_allclose(some, whole[chosen], atol=1e-6)


def test_the_int8_error_bound_holds(tmp_path: Path) -> None:
    pytest.importorskip("simsimd")
    index = make_index(tmp_path, seed=1, count=4000, dimensions=64, llms=1, clusters=5)
    quantized = load_quantized(index)
    for row in range(20):
        query = index.embeddings[row]
        exact = similarities(index.embeddings, query)
        bounds = quantized.upper_bounds(query)
        assert np.all(bounds >= exact)
        assert np.all(bounds <= exact + 0.06), "and close enough to be of use"
        kept = quantized.candidates(query, exact.__getitem__, base=20, tolerance=0.9)
        assert 21 <= len(kept) < 3000, "the first pass rules rows out"


def test_int8_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "simsimd", None)
    with small_bank(tmp_path / "bank.db") as bank, pytest.raises(MissingExtraError, match=r"smcs\[int8\]"):
        bank.search(np.ones(16), scan="int8")


def test_many_at_once_is_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcs.bank.search._BATCH_FLOATS", 1500)
    index = make_index(tmp_path, seed=3, count=500, dimensions=32, llms=5, clusters=6)
    queries = np.random.default_rng(0).standard_normal((7, 32))
    many = search_many(index, queries, Selection(30, 0.9))
    assert len(many) == 7
    for query, found in zip(queries, many, strict=True):
        alone = search(index, query, Selection(30, 0.9))
        assert found.support.indices.tolist() == alone.support.indices.tolist()
        np.testing.assert_allclose(found.prior, alone.prior, rtol=1e-5)


def test_search_through_the_bank(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    scores = rng.choice([0.0, 0.25, 1.0, math.nan], size=(80, 4))
    scores[:, 2] = math.nan
    vectors = rng.standard_normal((80, 12))
    query = rng.standard_normal(12)
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        fill(bank, scores, vectors)
        bank.add_questions([question(90)])
        found = bank.search(query * 7, base=10, tolerance=0.9)
        support, prior = reference_search(vectors.tolist(), scores.tolist(), query.tolist(), 10, 0.9)
        assert found.question_ids == tuple(f"q{i:04}" for i in support)
        np.testing.assert_allclose(found.prior, prior, rtol=1e-5)
        assert math.isnan(found.prior[2]), "an LLM without outcomes has no prior"
        assert found.embedder == EMBEDDER
        assert bank.search(query, base=400).support.indices.size == 80, "a question without an embedding is left out"
        many = bank.search_many(np.stack([query, -query]), base=10, tolerance=0.9)
        assert many[0].question_ids == found.question_ids


def test_a_bank_without_llms_or_embeddings(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        with pytest.raises(BankError, match="no embeddings to search"):
            bank.search(np.ones(3))
        bank.add_questions([question(1), question(2)])
        bank.store_embeddings("e", ["q0001", "q0002"], np.eye(2))
        assert bank.search(np.array([1.0, 0.1])).prior.shape == (0,)
        with pytest.raises(BankError, match=r"embedder 'f'.*Choose one of: 'e'"):
            bank.search(np.ones(2), embedder="f")
        bank.remove_questions(["q0001", "q0002"])
        with pytest.raises(BankError, match="No question of this bank has an embedding"):
            bank.search(np.ones(2))


@pytest.mark.parametrize(
    ("embedding", "options", "message"),
    [
        (np.ones(15), {}, "16 dimensions, got 15"),
        (np.ones((2, 16)), {}, "1 dimension"),
        (np.full(16, np.nan), {}, "finite"),
        (np.full(16, np.inf), {}, "finite"),
        (np.full(16, 1e308), {}, "infinite length"),
        (np.zeros(16), {}, "zero"),
        (np.ones(16), {"base": 0}, "base"),
        (np.ones(16), {"base": 5, "tolerance": 1.5}, "tolerance"),
        (np.ones(16), {"base": 5, "compat": "paperr"}, "compat"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_bad_queries(tmp_path: Path, embedding: np.ndarray, options: dict[str, object], message: str) -> None:
    with small_bank(tmp_path / "bank.db") as bank:
        for scan in ("float32", "int8"):
            with pytest.raises(InputError, match=message):
                bank.search(embedding, scan=scan, **options)  # type: ignore[arg-type]


def test_nearest_questions_come_best_first_and_follow_a_change(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db") as bank:
        vector = np.ones(16)
        found = bank.search(vector, base=10)
        first = bank.nearest(found, 3)
        assert tuple(question.id for question in first) == found.question_ids[:3]
        assert bank.nearest(found, 3) == first
        changed = replace(first[0], subject="moved")
        bank.add_questions([changed], replace=True)
        assert bank.nearest(bank.search(vector, base=10), 1) == (changed,)


def test_the_llms_that_searches_know_follow_a_change_and_a_refresh(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db") as bank, QuestionBank.open(tmp_path / "bank.db") as other:
        assert bank.searched_llms == other.searched_llms == bank.llms
        bank.add_llm("zeta")
        assert bank.searched_llms == bank.llms == (*other.searched_llms, "zeta")
        other.refresh()
        assert other.searched_llms == bank.llms


def test_the_llms_that_searches_know_do_not_wait_for_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_bank(tmp_path / "bank.db") as bank, ThreadPoolExecutor() as threads:
        bank.refresh()

        def loading(connection: Connection, embedder: str | None) -> BankIndex:
            assert threads.submit(lambda: bank.searched_llms).result(timeout=20) == bank.llms
            return load_index(connection, embedder)

        monkeypatch.setattr("smcs.bank.searching.load_index", loading)
        assert bank.search(np.ones(16)).llms == bank.searched_llms
