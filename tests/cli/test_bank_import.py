from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_bank import EMBEDDER, small_bank
from helpers_importing import LLMS, MAKERS, mmlu_pro, published, released

TRUTH = published(missing=False)
Smcs = Callable[..., Any]


def info(smcs: Smcs, bank: Path) -> Any:
    return json.loads(smcs("bank", "info", bank, "--json").out)


def test_a_format_is_found_out_and_imported(smcs: Smcs, tmp_path: Path) -> None:
    path = MAKERS["routerbench wide csv"](tmp_path, TRUTH)
    done = smcs("bank", "import", path, tmp_path / "new" / "bank.db")
    assert done.code == 0
    assert done.out.strip().endswith("new are 12 questions, 3 LLMs, 36 outcomes (from routerbench)")
    assert info(smcs, tmp_path / "new" / "bank.db")["questions"] == 12


def test_options_and_json(smcs: Smcs, tmp_path: Path) -> None:
    path, bank = released(tmp_path / "bank.json", TRUTH), tmp_path / "bank.db"
    options = ["--llms", LLMS[0], "--llms", "beta", "--rename", f"{LLMS[0]}=alpha", "--task", "mine", "--limit", 4]
    done = smcs("bank", "import", path, bank, *options, "--embedder", "lem", "--format", "released", "--json")
    assert json.loads(done.out) == {
        "bank": str(bank),
        "format": "released",
        "dry_run": False,
        "questions": 4,
        "llms": 2,
        "outcomes": 8,
        "embeddings": 4,
        "command": "",
    }
    report = info(smcs, bank)
    assert [row["llm"] for row in report["llms"]] == ["alpha", "beta"]
    assert {row["task"] for row in report["subjects"]} == {"mine"}
    assert report["embedders"][0]["name"] == "lem"


def test_a_dry_run_reports_and_makes_nothing(smcs: Smcs, tmp_path: Path) -> None:
    folder, bank = mmlu_pro(tmp_path / "recorded", TRUTH), tmp_path / "bank.db"
    done = smcs("bank", "import", folder, bank, "--split", "all", "--dry-run")
    assert "new would be 12 questions, 3 LLMs, 36 outcomes" in done.out
    assert not bank.exists()
    smcs("bank", "import", folder, bank)
    before = info(smcs, bank)
    assert "4 questions" in smcs("bank", "import", folder, bank, "--split", "test", "--dry-run").out
    assert info(smcs, bank) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rename", "a"], "--rename must be OLD=NEW, got 'a'"),
        (["--rename", "a=b", "--rename", "a=c"], "names 'a' twice"),
        (["--rename", "a=x", "--rename", "b=x"], "two LLMs the name 'x'"),
        (["--format", "releasd"], "Did you mean 'released'"),
        (["--llms", "bet"], "Did you mean 'beta'"),
        (["--split", "test"], "no splits"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_bank(smcs: Smcs, tmp_path: Path, options: list[str], message: str) -> None:
    done = smcs("bank", "import", released(tmp_path / "bank.json", TRUTH), tmp_path / "bank.db", *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err.splitlines()[-1]
    assert not list(tmp_path.glob("bank.db*"))


def test_a_broken_file_leaves_no_bank(smcs: Smcs, tmp_path: Path) -> None:
    path = released(tmp_path / "bank.json", TRUTH)
    path.write_bytes(path.read_bytes()[:-100])
    done = smcs("bank", "import", path, tmp_path / "bank.db")
    assert done.code == 2
    assert "entry '11': the file ends inside the value" in done.err
    assert not list(tmp_path.glob("bank.db*"))


def test_export_to_parquet_and_back(smcs: Smcs, tmp_path: Path) -> None:
    small_bank(tmp_path / "bank.db").close()
    out = tmp_path / "out"
    done = smcs("bank", "export", tmp_path / "bank.db", out, "--format", "parquet", "--embedder", "all", "--json")
    report = json.loads(done.out)
    assert report["questions"] == 60
    assert report["bytes"] == sum(file.stat().st_size for file in out.iterdir())
    back = json.loads(smcs("bank", "import", out, tmp_path / "copy.db", "--json").out)
    assert (back["format"], back["embeddings"]) == ("parquet", 60)
    assert info(smcs, tmp_path / "copy.db")["content_hash"] == info(smcs, tmp_path / "bank.db")["content_hash"]


def test_embed_fills_in_what_is_missing(smcs: Smcs, tmp_path: Path) -> None:
    bank = tmp_path / "bank.db"
    small_bank(bank).close()
    done = smcs("bank", "embed", bank, "--embedder", "hashing:64", "--batch", 25)
    assert "60 new vectors of hashing/64, 60 in all" in done.out
    assert done.err.splitlines() == [f"hashing/64: {count} of 60" for count in (25, 50, 60)]
    found = {one["name"]: one["default"] for one in info(smcs, bank)["embedders"]}
    assert found == {EMBEDDER: True, "hashing/64": False}
    again = json.loads(smcs("bank", "embed", bank, "--embedder", "hashing:64", "--default", "--json").out)
    assert (again["new"], again["embedded"], again["default"]) == (0, 60, True)
    found = {one["name"]: one["default"] for one in info(smcs, bank)["embedders"]}
    assert found == {EMBEDDER: False, "hashing/64": True}


def test_embed_takes_bank_and_embedder_of_the_config(smcs: Smcs, tmp_path: Path) -> None:
    small_bank(tmp_path / "bank.db").close()
    config = tmp_path / "smcs.yaml"
    pool = "pool: [{name: a, kind: scripted}]\naggregators: [a]\n"
    config.write_text(pool + "bank: bank.db\nembedder: {kind: hashing, dimensions: 32}\n")
    assert json.loads(smcs("bank", "embed", "--config", config, "--json").out)["embedder"] == "hashing/32"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--embedder", "minilmm"], "Did you mean 'minilm'"),
        (["--embedder", "hashing:3"], "no embedder 'hashing:3'"),
        (["--embedder", "http://127.0.0.1:1/v1"], "needs --model"),
        (["--embedder", "hashing", "--model", "x"], "go with the URL"),
        (["--embedder", "hashing", "--dimensions", "8"], "go with the URL"),
    ],
)
def test_embedders_that_are_none(smcs: Smcs, tmp_path: Path, options: list[str], message: str) -> None:
    small_bank(tmp_path / "bank.db").close()
    done = smcs("bank", "embed", tmp_path / "bank.db", *options)
    assert done.code == 2
    assert message in done.err
