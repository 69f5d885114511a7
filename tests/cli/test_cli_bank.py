from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from helpers_bank import EMBEDDER, small_bank
from smcs.cli.bank import app
from smcs.errors import BankError


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
