from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from helpers_bank import EMBEDDER, small_bank
from smcs.cli.bank import app
from smcs.errors import BankError, ConfigError


def test_info_as_tables(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db") as bank:
        info = bank.info()
    result = CliRunner().invoke(app, ["info", str(tmp_path / "bank.db")], env={"COLUMNS": "140"})
    assert result.exit_code == 0
    assert info.content_hash in result.stdout
    assert f"{info.outcomes} ({info.missing} missing)" in result.stdout
    assert f"{EMBEDDER}: 60 of 60 questions, 16 dimensions, default" in result.stdout
    for row in info.llms:
        assert f"{100 * (row.accuracy or 0):.1f} %" in result.stdout
    assert "mathematics" in result.stdout


def test_info_as_json(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db") as bank:
        info = bank.info()
    result = CliRunner().invoke(app, ["info", str(tmp_path / "bank.db"), "--json"])
    report = json.loads(result.stdout)
    assert report["questions"] == 60
    assert report["missing"] == info.missing
    assert report["llms"][1] == {
        "llm": "llm001",
        "questions": 60,
        "graded": info.llms[1].graded,
        "ungraded": 0,
        "accuracy": info.llms[1].accuracy,
        "missing": info.llms[1].missing,
    }
    assert {row["subject"] for row in report["subjects"]} == {"sums", "logic", "sets"}


def test_info_of_no_bank(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["info", str(tmp_path / "none.db")])
    assert isinstance(result.exception, BankError)


def test_export_and_import_give_the_same_bank_and_the_same_bytes(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db") as bank:
        content = bank.content_hash
    first, second = tmp_path / "first.jsonl.gz", tmp_path / "second.jsonl.gz"
    options = ["--embedder", EMBEDDER, "--command", "make bank"]
    exported = CliRunner().invoke(app, ["export", str(tmp_path / "bank.db"), str(first), *options, "--json"])
    assert json.loads(exported.stdout)["questions"] == 60
    imported = CliRunner().invoke(app, ["import", str(first), str(tmp_path / "copy.db"), "--json"])
    assert json.loads(imported.stdout)["command"] == "make bank"
    CliRunner().invoke(app, ["export", str(tmp_path / "copy.db"), str(second), *options])
    assert second.read_bytes() == first.read_bytes()
    shown = CliRunner().invoke(app, ["info", str(tmp_path / "copy.db"), "--json"])
    assert json.loads(shown.stdout)["content_hash"] == content


def test_info_without_a_bank_takes_the_one_of_the_config(tmp_path: Path) -> None:
    small_bank(tmp_path / "bank.db").close()
    config = tmp_path / "smcs.yaml"
    config.write_text("pool: [{name: a, kind: scripted}]\naggregators: [a]\nbank: bank.db\n")
    shown = CliRunner().invoke(app, ["info", "--config", str(config), "--json"])
    assert json.loads(shown.stdout)["questions"] == 60


def test_info_of_a_config_without_a_bank_says_so(tmp_path: Path) -> None:
    config = tmp_path / "smcs.yaml"
    config.write_text("pool: [{name: a, kind: scripted}]\naggregators: [a]\n")
    result = CliRunner().invoke(app, ["info", "--config", str(config)])
    assert isinstance(result.exception, ConfigError)
