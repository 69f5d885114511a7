from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from helpers_embedders import EMBEDDING_CACHE, MINILM, SHARED_DATA, tiny_bert
from smcs.bench import (
    Figure,
    RecordedBank,
    Setting,
    embed_questions,
    load_recorded,
    recorded_figures,
)
from smcs.cli.bench import app
from smcs.embedders import CachedEmbedder, HashingEmbedder, MiniLMEmbedder, Vectors
from smcs.errors import ConfigError, InputError

pa = pytest.importorskip("pyarrow")

LLMS = ("a", "b", "c")
QUESTIONS = [
    # id, subject, gold, split, letters of a, b and c; "?" answered without a letter, "-" not recorded
    ("b1", "x", "A", "validation", "ABB"),
    ("b2", "x", "B", "validation", "BBA"),
    ("b3", "y", "C", "validation", "CCC"),
    ("b4", "y", "A", "validation", "B-A"),
    ("t1", "x", "A", "test", "ABB"),
    ("t2", "y", "C", "test", "A?C"),
    ("t3", "unseen", "D", "test", "ABB"),
]
VECTORS = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [0, 1], [1, 0]], dtype=np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from pyarrow import parquet

    ids, subjects, gold, splits, letters = zip(*QUESTIONS, strict=True)
    outcomes = [
        {"id": id_, "llm": llm, "predicted": None if letter == "?" else letter, "correct": letter == right}
        for id_, right, row in zip(ids, gold, letters, strict=True)
        for llm, letter in zip(LLMS, row, strict=True)
        if letter != "-"
    ]
    # An LLM whose responses were not recorded takes no part.
    outcomes.append({"id": "t3", "llm": "silent", "predicted": "D", "correct": True})
    questions = {
        "id": list(ids),
        "subject": list(subjects),
        "question": [f"w{number} w1 w2" for number in range(len(ids))],
        "answer": list(gold),
        "split": list(splits),
    }
    parquet.write_table(pa.table(questions), tmp_path / "questions.parquet")
    parquet.write_table(pa.Table.from_pylist(outcomes), tmp_path / "outcomes.parquet")
    parquet.write_table(pa.table({"id": ["t1"] * 3, "llm": list(LLMS)}), tmp_path / "responses.parquet")
    return tmp_path


@pytest.fixture
def bank(folder: Path) -> RecordedBank:
    return load_recorded(folder)


def values(figures: Sequence[Figure]) -> dict[str, float]:
    return {figure.name: figure.value for figure in figures}


def test_files_become_arrays(bank: RecordedBank) -> None:
    assert bank.llms == LLMS
    assert bank.ids == ("b1", "b2", "b3", "b4", "t1", "t2", "t3")
    assert bank.questions[3] == "w3 w1 w2"
    assert bank.is_test.tolist() == [False] * 4 + [True] * 3
    assert bank.gold.tolist() == [0, 1, 2, 0, 0, 2, 3]
    assert bank.predicted.tolist() == [[0, 1, 1], [1, 1, 0], [2, 2, 2], [1, -1, 0], [0, 1, 1], [0, -1, 2], [0, 1, 1]]
    expected = [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, np.nan, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert np.array_equal(bank.correct, np.array(expected, dtype=np.float64), equal_nan=True)


def test_figures_are_those_worked_out_by_hand(bank: RecordedBank) -> None:
    # Priors of a, b, c: 2, 1, 0 for t1 and t3 (support b1, b2); 1, 1, 2 for t2 (support b3, b4; b's gap is wrong).
    third = 100 / 3
    got = values(recorded_figures(bank, VECTORS, Setting(base=2, k=2)))
    assert got == pytest.approx(
        {
            "best single LLM": third,  # a, right 3 of 4 times in the bank: right on t1
            "best LLM per subject": 2 * third,  # a on x, c on y, a on the unseen subject
            "RPS top-1": 2 * third,  # a, c, a
            "majority vote of all": 0,  # B beats A on t1; A and C tie on t2, and a stands before c
            "majority vote of the RPS top K": 2 * third,  # all three tie, and the best prior decides
            "prior-weighted vote of the RPS top K": 2 * third,
            "oracle": 2 * third,  # nobody knew t3
            "pairwise ranking score": 100,
            "pairwise ranking score, one global ranking": 50,  # a before b and c: all of t1, nothing of t2
            "mean support set": 2,
        }
    )


def test_weights_outvote_a_majority_of_worse_llms(bank: RecordedBank) -> None:
    # On t1, b and c agree on B; a alone has 0.72 of the weight (softmax of 1.22, 0, -1.22).
    got = values(recorded_figures(bank, VECTORS, Setting(base=2, k=7)))
    assert got["majority vote of the RPS top K"] == pytest.approx(100 / 3)
    assert got["prior-weighted vote of the RPS top K"] == pytest.approx(200 / 3)


def test_differences_are_ours_minus_recorded() -> None:
    assert Figure("x", 61.5, 61.0, "%").difference == 0.5


def test_what_does_not_fit_is_refused(bank: RecordedBank) -> None:
    with pytest.raises(InputError, match=r"7 questions, got shape \(6, 2\)"):
        recorded_figures(bank, VECTORS[:-1])
    with pytest.raises(InputError, match="test split"):
        recorded_figures(replace(bank, is_test=np.ones(7, dtype=np.bool_)), VECTORS)


def test_missing_files_and_columns_are_named(folder: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(pa.table({"id": ["t1"]}), folder / "responses.parquet")
    with pytest.raises(ConfigError, match=r"responses\.parquet lacks the column\(s\) 'llm'"):
        load_recorded(folder)
    (folder / "responses.parquet").write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match="cannot be read as parquet"):
        load_recorded(folder)
    (folder / "outcomes.parquet").unlink()
    with pytest.raises(ConfigError, match=r"outcomes\.parquet does not exist"):
        load_recorded(folder)


async def test_questions_are_embedded_in_batches(bank: RecordedBank) -> None:
    many = replace(bank, questions=tuple(f"question {number}" for number in range(600)))
    seen: list[int] = []
    vectors = await embed_questions(many, HashingEmbedder(16), on_progress=seen.append)
    assert seen == [256, 512, 600]
    assert np.array_equal(vectors, await HashingEmbedder(16).embed(many.questions))


def test_the_command_prints_a_table_or_json(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("safetensors")
    pytest.importorskip("tokenizers")
    model = tmp_path_factory.mktemp("model")
    tiny_bert(model, longest=256)
    arguments = ["recorded", "--data", str(folder), "--model", str(model), "--cache", str(model / "cache.sqlite")]
    report = json.loads(CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert (report["llms"], report["bank_questions"], report["test_questions"]) == (3, 4, 3)
    oracle = next(figure for figure in report["figures"] if figure["name"] == "oracle")
    assert oracle == {"name": "oracle", "value": 66.6667, "recorded": 91.81, "difference": -25.1433, "unit": "%"}
    table = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert table.exit_code == 0
    assert "66.67 %" in table.stdout
    assert "-25.14" in table.stdout


class NotCached:
    """Stands for an embedder whose vectors must all be cached already."""

    def __init__(self, name: str, dimensions: int) -> None:
        self.name = name
        self.dimensions: int | None = dimensions

    async def embed(self, texts: Sequence[str]) -> Vectors:
        pytest.skip(f"{len(texts)} questions are not embedded yet; run `smcs bench recorded` once")


def test_the_recorded_figures_are_reproduced() -> None:
    data = SHARED_DATA / "mmlu_pro_recorded"
    if not data.is_dir() or not (MINILM / "model.safetensors").is_file():
        pytest.skip("the recorded answers or the model are not here")
    minilm = MiniLMEmbedder(MINILM, long_texts="truncate")
    recorded = load_recorded(data)
    cached = CachedEmbedder(NotCached(minilm.name, minilm.dimensions), EMBEDDING_CACHE)
    figures = recorded_figures(recorded, asyncio.run(embed_questions(recorded, cached)))
    off = {figure.name: figure.difference for figure in figures if abs(figure.difference) > 0.2}
    assert len(figures) == 10
    assert set(off) <= {"mean support set"}  # recorded as a whole number
    assert abs(values(figures)["mean support set"] - 466) <= 0.5
