from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers_models import noise, sha256
from smcs.cli.models import app
from smcs.errors import ConfigError
from smcs.llms import find_model

DATA = noise(5_000)


@pytest.fixture(autouse=True)
def _toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue with one tiny model, kept in a file."""
    (tmp_path / "source.gguf").write_bytes(DATA)
    url = (tmp_path / "source.gguf").as_uri()
    entry = {
        "name": "toy",
        "kind": "llm",
        "title": "Toy",
        "parameters": 7_000_000,
        "licence": "MIT",
        "context": 64,
        "chat_template": True,
        "use": "tests",
        "files": [{"name": "toy.gguf", "sha256": sha256(DATA), "size": len(DATA), "url": url}],
    }
    (tmp_path / "catalogue.json").write_text(json.dumps([entry]))
    monkeypatch.setenv("SMCS_CATALOGUE", str(tmp_path / "catalogue.json"))
    monkeypatch.setenv("COLUMNS", "160")


def test_list_is_a_table() -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    assert "licence" in result.stdout
    toy = next(line for line in result.stdout.splitlines() if "toy" in line)
    assert toy.split() == ["toy", "7", "M", "0", "MB", "MIT", "no", "tests"]
    assert "Gemma Terms of Use" in result.stdout


def test_pull_path_list_remove() -> None:
    run = CliRunner().invoke
    pulled = run(app, ["pull", "toy"])
    assert pulled.exit_code == 0
    assert "licence of the model: MIT" in pulled.stdout
    assert "downloading" not in pulled.stdout
    assert "toy: done" in pulled.stderr
    path = Path(run(app, ["path", "toy"]).stdout.strip())
    assert path == find_model("toy").path
    assert path.read_bytes() == DATA
    listed = {entry["name"]: entry for entry in json.loads(run(app, ["list", "--json"]).stdout)}
    assert listed["toy"]["downloaded"]
    assert listed["toy"]["sha256"] == {"toy.gguf": sha256(DATA)}
    assert run(app, ["remove", "toy"]).stdout == "toy: removed\n"
    assert not path.exists()
    assert run(app, ["remove", "toy"]).stdout == "toy: was not on this machine\n"


def test_json() -> None:
    run = CliRunner().invoke
    pulled = json.loads(run(app, ["pull", "toy", "--json"]).stdout)
    assert [entry["name"] for entry in pulled] == ["toy"]
    assert json.loads(run(app, ["path", "toy", "--json"]).stdout) == {"name": "toy", "path": pulled[0]["path"]}
    assert json.loads(run(app, ["remove", "toy", "--json"]).stdout) == [{"name": "toy", "removed": True}]


def test_mistakes_are_config_errors() -> None:
    missing = CliRunner().invoke(app, ["path", "toy"])
    assert isinstance(missing.exception, ConfigError)
    assert "smcs models pull toy" in str(missing.exception)
    unknown = CliRunner().invoke(app, ["pull", "toi"])
    assert isinstance(unknown.exception, ConfigError)
    assert "Did you mean 'toy'" in str(unknown.exception)
