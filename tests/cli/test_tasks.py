from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_tasks import record, write_lines
from smcs.tasks import DATA_ENV, find_task, task_names

SECRET = "an item that must not be shown"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(DATA_ENV, raising=False)
    write_lines(tmp_path / "mmlu_pro.jsonl", [record("mmlu_pro", number) for number in range(7)])
    write_lines(tmp_path / "gpqa.jsonl", [record("gpqa", number, question=f"{SECRET} {number}") for number in range(3)])
    return tmp_path


def test_list_names_every_task_and_what_is_here(smcs: Callable[..., Any], folder: Path) -> None:
    result = smcs("tasks", "list", "--data", folder)
    assert result.code == 0
    assert all(name in result.out for name in task_names())
    rows = {row["name"]: row for row in json.loads(smcs("tasks", "list", "--data", folder, "--json").out)}
    assert list(rows) == list(task_names())
    assert rows["mmlu_pro"]["local"] == str(folder / "mmlu_pro.jsonl")
    assert (rows["aime"]["local"], rows["aime"]["from"]) == (None, "hub")
    assert rows["livecodebench_standin"]["from"] == "--data only"
    assert {split["name"]: split["size"] for split in rows["mmlu_pro"]["splits"]} == {"validation": 5512, "test": 1196}


def test_show_has_an_example_and_counts(smcs: Callable[..., Any], folder: Path) -> None:
    result = smcs("tasks", "show", "mmlu_pro", "--data", folder)
    assert result.code == 0
    for part in ("Apache-2.0", "choice", "validation: 7 questions here", "3  subject 0", "Which is", "B. "):
        assert part in result.out
    report = json.loads(smcs("tasks", "show", "mmlu_pro", "--data", folder, "--json").out)
    assert report["subjects"] == {"subject 0": 3, "subject 1": 2, "subject 2": 2}
    assert report["questions"] == 7
    assert report["example"].startswith("Which is")


def test_show_without_the_questions_says_how_to_get_them(smcs: Callable[..., Any], folder: Path) -> None:
    result = smcs("tasks", "show", "aime")
    assert result.code == 0
    assert "--hub to download" in " ".join(result.out.split())
    assert json.loads(smcs("tasks", "show", "aime", "--json").out)["questions"] is None


def test_show_never_shows_an_item_of_gpqa(smcs: Callable[..., Any], folder: Path) -> None:
    for extra in ((), ("--json",)):
        result = smcs("tasks", "show", "gpqa", "--data", folder, *extra)
        assert result.code == 0
        assert SECRET not in result.out + result.err
    write_lines(folder / "gpqa.jsonl", [record("gpqa", 1, question=SECRET, answer=SECRET)])
    result = smcs("tasks", "show", "gpqa", "--data", folder)
    assert result.code == 2
    assert "row 1" in result.err
    assert SECRET not in result.out + result.err


def test_show_a_file_of_ones_own(smcs: Callable[..., Any], folder: Path) -> None:
    (folder / "own.csv").write_text("q,answer\n[bold]1 + 1?,2\n")
    result = smcs("tasks", "show", folder / "own.csv", "--grader", "number", "--column", "question=q")
    assert result.code == 0
    assert "[bold]1 + 1?" in result.out
    assert smcs("tasks", "show", folder / "own.csv", "--grader", "nubmer").code == 2
    assert smcs("tasks", "show", folder / "own.csv", "--column", "question").code == 2


def test_mistakes_are_one_line(smcs: Callable[..., Any], folder: Path) -> None:
    result = smcs("tasks", "show", "mmlupro")
    assert result.code == 2
    assert "Did you mean 'mmlu_pro'" in result.err
    result = smcs("tasks", "show", "mmlu_pro", "--split", "tset", "--data", folder)
    assert result.code == 2
    assert "no split 'tset'" in result.err
    assert find_task("mmlu_pro").local_file(folder) is not None
