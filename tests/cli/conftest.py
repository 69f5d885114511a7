from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from smcs.cli import main


@dataclass(frozen=True)
class Result:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def smcs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run the `smcs` command in this process, piped, in an empty working folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["smcs", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """Write a config of scripted LLMs; keywords change the scripts, `top` the whole file."""

    def write(top: dict[str, Any] | None = None, **scripts: dict[str, Any]) -> Path:
        names = ("adder", "half", "merger")
        pool = [
            {
                "name": name,
                "kind": "scripted",
                "price": {"input": 1, "output": 2},
                "script": {"replies": [f"answer of {name}"], **scripts.get(name, {})},
            }
            for name in names
        ]
        whole = {"pool": pool, "aggregators": ["merger"], "embedder": {"kind": "hashing"}, "profile": "paper"}
        file = tmp_path / "smcs.yaml"
        file.write_text(yaml.safe_dump({**whole, "parameters": {"k": 3, "n": 2, "seed": 7}, **(top or {})}))
        return file

    return write
