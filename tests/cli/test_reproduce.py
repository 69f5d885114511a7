"""`smcs reproduce`: what is used when nothing is named, what is printed, and mistakes in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_reproduce import released_folder
from helpers_results import make_results, write_results

Smcs = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the recorded data and MiniLM out of it."""
    monkeypatch.setenv("SMCS_SHARED_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("SMCS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path, make_results(4))


def test_without_data_the_seed_bank_is_used(smcs: Smcs) -> None:
    result = smcs("reproduce", "fig4", "fig5", "--json")
    assert result.code == 0
    assert "the seed bank is used" in result.err
    fig4, fig5 = json.loads(result.out)
    assert (fig4["name"], fig5["name"]) == ("fig4", "fig5")
    assert [line["name"] for line in fig4["panels"][1]["lines"]] == ["1 LLM", "2 LLMs", "3 LLMs"]
    shares = {line["name"]: line["cells"][0]["ours"]["value"] for line in fig5["panels"][1]["lines"]}
    assert shares["seed/code <- seed/code (its own)"] > 50


def test_a_result_file_stands_beside_the_paper(smcs: Smcs, results: Path) -> None:
    result = smcs("reproduce", "table10", "fig6", "--results", results)
    assert result.code == 0
    assert result.err == ""
    lines = result.out.splitlines()
    full = [line for line in lines if line.startswith("RPS + MPS + PPL + prior drop")]
    assert ["82.02" in line for line in full] == [True, True, False]  # the paper's table, then beside ours
    assert "ours [2]" in full[2]
    assert "n=4" in full[2]
    assert any(line.startswith("[2] results.jsonl.gz: smcs") for line in lines)
    assert "Missing:" in result.out
    assert "smcs bench run" in result.out


def test_no_number_is_cut_in_a_narrow_terminal(smcs: Smcs, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    result = smcs("reproduce", "table1", "--results", results)
    (bound,) = [line for line in result.out.splitlines() if line.startswith("Closed-source upper bound")]
    assert bound.split()[-2:] == ["74.74", "76.21"]


def test_finished_experiments_of_the_folder_are_used(smcs: Smcs) -> None:
    Path("experiments").mkdir()
    write_results(Path("experiments"), make_results(4), "mine")
    result = smcs("reproduce", "fig6", "--json")
    assert "so these are used: experiments/mine.jsonl.gz" in result.err
    (fig6,) = json.loads(result.out)
    assert fig6["panels"][0]["lines"][0]["source"] == "mine.jsonl.gz: smcs"


def test_out_writes_markdown_or_json(smcs: Smcs, results: Path, tmp_path: Path) -> None:
    assert smcs("reproduce", "all", "-r", results, "--out", tmp_path / "figures.md").code == 0
    assert smcs("reproduce", "table1", "-r", results, "--out", tmp_path / "figures.json").code == 0
    text = (tmp_path / "figures.md").read_text()
    assert text.count("## table") == 12
    assert text.count("## fig") == 4
    assert "| SMCS | paper | 73.33 |" in text
    assert "| Closed-source upper bound | paper |" in text
    assert "76.21 |" in text
    (table1,) = json.loads((tmp_path / "figures.json").read_text())
    assert table1["source"].startswith("arXiv 2507.14200v2, Table 1")


def test_the_release_is_read(smcs: Smcs, tmp_path: Path) -> None:
    found = smcs("reproduce", "table1", "--released", released_folder(tmp_path / "data"))
    assert found.code == 0
    assert "released data, cache_8k" in found.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table5",), "Unknown table or figure 'table5'"),
        (("table1", "--results", "none.jsonl"), "Cannot read the result file"),
        (("table1", "--bank", "none.db"), "none.db"),
        (("table1", "--released", "none"), "There is no folder 'none'"),
        (("table1", "--data", "none"), "does not exist"),
        (("table8", "--store", "none.db"), "There is no answer store"),
        (("table1", "--out", "x.pdf"), "must end in .md or .json"),
        (("table1", "--out", "no/x.md"), "there is no folder"),
    ],
)
def test_mistakes_are_one_line(smcs: Smcs, arguments: tuple[str, ...], message: str) -> None:
    result = smcs("reproduce", *arguments)
    assert result.code == 2
    assert message in result.err.splitlines()[-1]
    assert "Traceback" not in result.err
