"""Recorded outcomes as arrays, and the command that replays them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from helpers_embedders import SHARED_DATA, tiny_bert
from smcs.bench.recordings import RECORDINGS, Recording, load_recording
from smcs.bench.results import read_results
from smcs.cli.bench import app
from smcs.errors import ConfigError
from smcs.prior import PRIORS
from smcs.types import Question

pa = pytest.importorskip("pyarrow")

EXAMPLES = "Which is one?\nA) 1\nB) 2\nPrint a letter.\nAnswer:\nA\n\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder of local data with one small recording of each kind."""
    from pyarrow import parquet

    for place in RECORDINGS.values():
        folder = (tmp_path / place).parent if place.endswith(".parquet") else tmp_path / place
        folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    graded = [
        {
            "dataset": task,
            "split": split,
            "index": number,
            "question": f"{task} w{number}",
            "model": model,
            "score": float(rng.integers(11)) / 10,
        }
        for task in ("alpha", "beta")
        for split, count in (("train", 8), ("test", 6))
        for number in range(count)
        for model in ("m1", "m2", "m3")
    ]
    parquet.write_table(pa.Table.from_pylist(graded[:-1]), tmp_path / RECORDINGS["routerdc"])
    priced = [
        {
            "dataset": "arc",
            "split": "train" if number < 8 else "test",
            "sample_id": f"arc.{number}",
            "prompt": str([f"{EXAMPLES}Which is w{number}?\nA) 3\nB) 4\nPrint a letter.\nAnswer:"]),
            "model": model,
            "score": float(right),
            "response": "A",
            "cost_usd": price * (1 + number / 100),
        }
        for number in range(14)
        for model, price, right in (("cheap", 0.001, number % 2), ("dear", 0.004, number % 3 > 0))
    ]
    parquet.write_table(pa.Table.from_pylist(priced), tmp_path / RECORDINGS["routerbench"])
    _write_mmlu_pro(tmp_path / RECORDINGS["mmlu_pro"])
    return tmp_path


def _write_mmlu_pro(folder: Path) -> None:
    from pyarrow import parquet

    rng = np.random.default_rng(1)
    ids = [f"id{number}" for number in range(20)]
    questions = {
        "id": ids,
        "subject": ["x", "y"] * 10,
        "question": [f"w{number} w1?" for number in range(20)],
        "choices": [["one", "two", "three"]] * 20,
        "answer": ["A"] * 20,
        "split": ["validation"] * 12 + ["test"] * 8,
    }
    outcomes = [
        {"id": id_, "llm": llm, "predicted": letter, "correct": letter == "A"}
        for id_ in ids
        for llm in ("a", "b", "c")
        for letter in [["A", "B", None][int(rng.integers(3))]]
        if (id_, llm) != ("id0", "a")
    ]
    parquet.write_table(pa.table(questions), folder / "questions.parquet")
    parquet.write_table(pa.Table.from_pylist(outcomes), folder / "outcomes.parquet")
    parquet.write_table(pa.table({"id": ["id0"] * 3, "llm": ["a", "b", "c"]}), folder / "responses.parquet")


def test_answers_options_and_gaps_are_kept(data: Path) -> None:
    found = load_recording("mmlu_pro", data)
    assert (len(found.bank), len(found.asked), found.llms) == (12, 8, ("a", "b", "c"))
    assert np.isnan(found.scores[0, 0])
    assert not np.isnan(found.scores[1:]).any()
    assert found.answers is not None
    assert found.answers[0, 0] == -1
    expected = Question("", found.texts[3], choices=("one", "two", "three")).prompt()
    assert found.embedded_texts(with_choices=True)[3] == expected == "w3 w1?\nA. one\nB. two\nC. three"
    assert found.embedded_texts(with_choices=False) == found.texts
    assert found.features().shape == (20, 21)
    direct = load_recording("mmlu_pro", data / RECORDINGS["mmlu_pro"])
    assert direct.ids == found.ids


def test_graded_scores_come_by_task_and_split(data: Path) -> None:
    found = load_recording("routerdc", data)
    assert (len(found.bank), len(found.asked), found.llms) == (16, 12, ("m1", "m2", "m3"))
    assert set(found.groups.tolist()) == {"alpha", "beta"}
    assert np.isnan(found.scores).sum() == 1
    assert found.answers is None
    assert found.costs is None
    row = found.texts.index("beta w3")
    assert found.tasks[row] == "beta"


def test_costs_are_kept_and_worked_examples_are_not_embedded(data: Path) -> None:
    found = load_recording("routerbench", data)
    assert (len(found.bank), len(found.asked)) == (8, 6)
    assert found.costs is not None
    assert found.costs[2].tolist() == pytest.approx([0.00102, 0.00408])
    assert found.texts[2] == "Which is w2?\nA) 3\nB) 4\nPrint a letter.\n"


def test_a_limit_draws_every_group_in_proportion(data: Path) -> None:
    found = load_recording("mmlu_pro", data, limit=4)
    for rows in (found.bank, found.asked):
        assert sorted(found.groups[rows].tolist()) == ["x", "x", "y", "y"]
    assert found.ids == load_recording("mmlu_pro", data, limit=4).ids
    assert found.ids != load_recording("mmlu_pro", data, limit=4, seed=1).ids
    whole = load_recording("mmlu_pro", data)
    places = [whole.ids.index(id_) for id_ in found.ids]
    assert np.array_equal(found.scores, whole.scores[places], equal_nan=True)
    assert found.choices == tuple(whole.choices[place] for place in places)


def test_what_is_missing_is_said_in_one_line(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="routerdc"):
        load_recording("routerdcc", data)
    with pytest.raises(ConfigError, match="does not exist"):
        load_recording("routerdc", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="both a bank and a test split"):
        _only_test(data)


def _only_test(data: Path) -> Recording:
    from pyarrow import parquet

    path = data / RECORDINGS["routerdc"]
    rows = [row for row in parquet.read_table(path).to_pylist() if row["split"] == "test"]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return load_recording("routerdc", data)


@pytest.fixture
def arguments(data: Path, tmp_path: Path) -> list[str]:
    pytest.importorskip("safetensors")
    pytest.importorskip("tokenizers")
    (tmp_path / "model").mkdir()
    tiny_bert(tmp_path / "model", longest=256)
    common = ["--model", str(tmp_path / "model"), "--cache", str(tmp_path / "cache.sqlite")]
    return ["recorded", "--data", str(data), *common]


def test_the_command_compares_all_priors_and_votes(arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "result.jsonl.gz"
    shown = CliRunner().invoke(app, [*arguments, "--priors", "--choices", "--out", str(out)], catch_exceptions=False)
    assert shown.exit_code == 0
    assert all(name in shown.stdout for name in (*PRIORS, "majority of all", "rps, missing as wrong"))
    found = read_results(out)
    assert not out.with_suffix("").exists()
    assert len(found.rows) == len(found.header.arms) * 8
    assert found.header.config == {"asked": 8, "embedded_with_choices": True, "limit": None}


def test_the_command_reports_costs_as_json(arguments: list[str]) -> None:
    made = CliRunner().invoke(app, [*arguments, "--dataset", "routerbench", "--json"], catch_exceptions=False)
    report = json.loads(made.stdout)
    assert [arm["name"] for arm in report["arms"]] == list(PRIORS)
    assert [curve["prior"] for curve in report["cost_curves"]] == list(PRIORS)
    assert all(curve["hull_area"] >= curve["area"] - 1e-12 for curve in report["cost_curves"])
    table = CliRunner().invoke(app, [*arguments, "--dataset", "routerbench"], catch_exceptions=False)
    assert "Accuracy against cost" in table.stdout


@pytest.mark.parametrize(("name", "shape"), [("mmlu_pro", (6708, 17)), ("routerbench", (1470, 11))])
def test_the_recordings_at_hand_are_read(name: str, shape: tuple[int, int]) -> None:
    if not (SHARED_DATA / RECORDINGS[name]).exists():
        pytest.skip("the recorded outcomes are not here")
    found = load_recording(name, SHARED_DATA)
    assert found.scores.shape == shape
    assert replace(found).part(found.asked).is_test.all()
