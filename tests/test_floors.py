"""The floors of the house: a room imports only rooms on lower floors, and every room stands on one."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import smcs

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(smcs.__file__).parent


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (only,) = settings["contracts"]
    return dict(only)


def rooms_of(floor: str) -> list[str]:
    return [room.strip(" ()") for room in floor.split("|")]


def lint(config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    arguments = ["--config", str(config), "--no-cache"]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


def test_the_contract_is_exhaustive_and_names_every_room(contract: dict[str, Any]) -> None:
    assert contract["type"] == "layers"
    assert contract["exhaustive"] is True
    assert contract["containers"] == ["smcs"]
    assert not contract.get("exhaustive_ignores")
    assert not contract.get("ignore_imports")
    named = {room for floor in contract["layers"] for room in rooms_of(floor)}
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert there - {"__init__"} <= named


def test_rooms_of_one_floor_do_not_import_each_other(contract: dict[str, Any]) -> None:
    assert all(":" not in floor for floor in contract["layers"])


def test_the_contract_is_kept() -> None:
    done = lint(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def test_a_broken_floor_would_be_noticed(tmp_path: Path, contract: dict[str, Any]) -> None:
    upside_down = [
        "[importlinter]",
        "root_package = smcs",
        "[importlinter:contract:1]",
        "name = upside down",
        "type = layers",
        "containers = smcs",
        "layers =",
        *(f"    {floor}" for floor in reversed(contract["layers"])),
    ]
    (tmp_path / ".importlinter").write_text("\n".join(upside_down))
    done = lint(tmp_path / ".importlinter")
    assert done.returncode == 1
    assert "0 kept, 1 broken" in done.stdout
