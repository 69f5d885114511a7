from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_results import keep_arms, make_results, write_results

Command = Callable[..., Any]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path, keep_arms(make_results(6), "single", "simple_router", "majority_vote"))


def test_a_report_is_written_beside_the_results(smcs: Command, results: Path) -> None:
    done = smcs("bench", "report", results, "--draws", 50)
    assert done.code == 0, done.err
    folder = results.parent / "results-report"
    assert {path.name for path in folder.iterdir()} == {"report.html", "report.md", "report.csv", "figures"}
    assert "majority_vote" in done.out
    assert "minus single" in done.out
    assert "planned answers" in done.err
    assert str(folder / "report.html") in done.err.replace("\n", "")


def test_json_has_every_figure(smcs: Command, results: Path, tmp_path: Path) -> None:
    done = smcs(
        "bench",
        "report",
        results,
        "--json",
        "--out",
        tmp_path / "x",
        "--baseline",
        "majority_vote",
        "--title",
        "T",
        "--draws",
        50,
    )
    made = json.loads(done.out)
    assert made["report"]["title"] == "T"
    assert made["report"]["summary"]["baseline"] == "majority_vote"
    assert [arm["name"] for arm in made["report"]["summary"]["arms"]] == ["single", "simple_router", "majority_vote"]
    assert all(Path(path).is_file() for path in made["files"])
    assert (tmp_path / "x" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{results}", "--baseline", "singel"], "Unknown baseline 'singel'. Did you mean 'single'?"),
        (["{folder}/nope.jsonl"], "No such file"),
        (["{folder}/text.jsonl"], "is not a result file"),
        (["{folder}/old.jsonl"], "this version of smcs reads 'smcs-results/1'"),
        (["{results}", "{results}"], "both hold arm"),
        (["{folder}"], "Is a directory"),
    ],
)
def test_mistakes_are_one_line(
    smcs: Command, results: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "text.jsonl").write_text("hello\n")
    (tmp_path / "old.jsonl").write_text('{"format": "smcs-results/0"}\n')
    done = smcs("bench", "report", *(text.format(results=results, folder=tmp_path) for text in arguments))
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "results-report").exists()
