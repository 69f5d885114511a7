"""The real `datasets` library on folders that stand in for repositories of the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers_tasks import ROWS
from smcs.errors import ConfigError, InputError
from smcs.tasks import DATA_ENV, Part, Task, find_task

datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub-cache")
    monkeypatch.delenv(DATA_ENV, raising=False)


def publish(folder: Path, splits: Mapping[str, Sequence[Mapping[str, Any]]], config: str = "default") -> str:
    """Lay rows out as a repository: a Parquet file per config and split, listed in the README."""
    import pyarrow as pa
    from pyarrow import parquet

    (folder / config).mkdir(parents=True)
    for split, rows in splits.items():
        parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows]), folder / config / f"{split}-0.parquet")
    configs = [
        {
            "config_name": place.name,
            "data_files": [
                {"split": file.stem.removesuffix("-0"), "path": f"{place.name}/{file.name}"} for file in place.iterdir()
            ],
        }
        for place in sorted(folder.iterdir())
        if place.is_dir()
    ]
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n")
    return str(folder)


def moved(task: str, repo: str, **changes: Any) -> Task:
    """Return a task whose parts all lie in a folder."""

    def move(part: Part) -> Part:
        without = None if part.without is None else replace(part.without, repo=repo)
        return replace(part, repo=repo, without=without, **changes)

    found = find_task(task)
    return replace(found, hub={split: tuple(map(move, parts)) for split, parts in found.hub.items()})


@pytest.mark.parametrize("task", [name for name in ROWS if name not in ("gpqa", "livecodebench", "mbpp")])
def test_a_published_split_loads(tmp_path: Path, task: str) -> None:
    split = "test" if "test" in find_task(task).hub else "validation"
    part = find_task(task).hub[split][0]
    repo = publish(tmp_path / "repo", {part.split: list(ROWS[task])})
    questions = moved(task, repo, config=None).load(split)
    assert len(questions) == len(ROWS[task])
    assert all(question.task == task for question in questions)


def test_configs_are_told_apart_and_the_diamond_is_taken_out(tmp_path: Path) -> None:
    rows = [{**ROWS["gpqa"][0], "Record ID": f"rec{number}"} for number in range(4)]
    repo = tmp_path / "repo"
    publish(repo, {"train": rows[:2]}, "gpqa_diamond")
    publish(repo, {"train": rows}, "gpqa_main")
    task = moved("gpqa", str(repo))
    assert [q.id for q in task.load("test")] == ["gpqa/rec0", "gpqa/rec1"]
    assert [q.id for q in task.load("validation")] == ["gpqa/rec2", "gpqa/rec3"]


def test_a_split_made_of_several_published_ones(tmp_path: Path) -> None:
    rows = [{**ROWS["mbpp"][0], "task_id": number} for number in range(6)]
    repo = publish(
        tmp_path / "repo", {"prompt": rows[:1], "validation": rows[1:3], "train": rows[3:5], "test": rows[5:]}, "full"
    )
    task = moved("mbpp", repo)
    assert [q.id for q in task.load("validation")] == [f"mbpp/{number}" for number in range(5)]
    assert [q.id for q in task.load("test")] == ["mbpp/5"]


def test_files_are_read_without_the_repositorys_own_loader(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "code_generation_lite.py").write_text("raise SystemExit('ran')")
    (repo / "test5.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS["livecodebench"]))
    questions = moved("livecodebench", str(repo)).load("test")
    assert [question.check["style"] for question in questions] == ["stdin", "call"]


def test_bank_and_test_drawn_from_one_split_do_not_overlap(tmp_path: Path) -> None:
    rows = [{**ROWS["ifeval"][0], "key": number} for number in range(350)]
    task = moved("ifeval", publish(tmp_path / "repo", {"train": rows}))
    test, bank = ({question.id for question in task.load(split)} for split in ("test", "validation"))
    assert (len(test), len(bank)) == (300, 50)
    assert not test & bank


def test_a_row_unlike_the_published_ones_is_named(tmp_path: Path) -> None:
    lacking = {key: value for key, value in ROWS["mmlu_pro"][0].items() if key != "category"}
    task = moved("mmlu_pro", publish(tmp_path / "repo", {"test": [lacking]}))
    with pytest.raises(InputError, match=r"repo \(test\), row 1: there is no column 'category'\.$"):
        task.load("test")
    task = moved("mmlu_pro", publish(tmp_path / "other", {"test": [{**ROWS["mmlu_pro"][0], "answer": "J"}]}))
    with pytest.raises(InputError, match=r"row 1: `answer` must be one of the letters A to B, got 'J'\.$"):
        task.load("test")
    task = moved("mmlu_pro", publish(tmp_path / "twice", {"test": [ROWS["mmlu_pro"][0]] * 2}))
    with pytest.raises(InputError, match="occurs twice"):
        task.load("test")


def test_what_the_hub_lacks_or_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = moved("medmcqa", publish(tmp_path / "repo", {"train": [ROWS["medmcqa"][0]]}))
    with pytest.raises(ConfigError, match=r"could not be loaded from the hub: .*A local copy works too") as caught:
        task.load("test")
    assert "\n" not in str(caught.value)

    def refuse(*_: object, **__: object) -> None:
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'x' is a gated dataset\non the Hub.")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(ConfigError, match=r"gated dataset on the Hub\. It is gated: ask for access"):
        find_task("gpqa").load("test")


def test_a_revision_reaches_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def record(*arguments: Any, **options: Any) -> list[Mapping[str, Any]]:
        seen.append((arguments, options))
        return list(ROWS["livecodebench"] if arguments[0] == "json" else ROWS["math500"])

    monkeypatch.setattr(datasets, "load_dataset", record)
    find_task("math500").load("test", revision="abc")
    find_task("livecodebench").load("test", revision="abc")
    assert seen[0] == (("HuggingFaceH4/MATH-500", None), {"split": "test", "revision": "abc"})
    files = seen[1][1]["data_files"]
    assert files == {"test": ["hf://datasets/livecodebench/code_generation_lite@abc/test5.jsonl"]}
