"""The command tree: help, version, and how errors leave it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from smcs import __version__
from smcs.cli import main
from smcs.cli._console import dollars, number, printable
from smcs.errors import InputError, LLMError

Smcs = Callable[..., Any]


def test_help_names_every_command(smcs: Smcs) -> None:
    result = smcs("--help")
    assert result.code == 0
    for command in ("ask", "bank", "bench", "models", "pool", "strategies"):
        assert command in result.out


@pytest.mark.parametrize("command", ["ask", "bank", "bench", "models", "pool", "strategies"])
def test_every_command_has_help(smcs: Smcs, command: str) -> None:
    assert smcs(command, "--help").code == 0
    assert smcs(command, "-h").code == 0


def test_version(smcs: Smcs) -> None:
    assert smcs("--version").out == f"smcs {__version__}\n"


@pytest.mark.parametrize("arguments", [["aks"], ["ask", "--profil", "x"], ["ask", "-k", "many"], ["pool", "chek"]])
def test_what_cannot_be_parsed_is_code_2(smcs: Smcs, arguments: list[str]) -> None:
    result = smcs(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("k is wrong"), 2, "smcs: k is wrong\n"),
        (LLMError("gone", llm="adder"), 1, "smcs: adder: gone\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_become_a_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr(sys.modules["smcs.cli.app"], "app", broken)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == code
    assert capsys.readouterr().err == line


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys.modules["smcs.cli.app"], "app", broken)
    with pytest.raises(ZeroDivisionError):
        main()


def test_text_of_models_is_made_harmless() -> None:
    assert printable("a\tb\r\nc\x1b[2Jd\x00\x9b\u202e\u2066e\x7f") == "a\tb\nc[2Jde"


def test_figures_that_are_unknown_say_so() -> None:
    assert (dollars(0.0), dollars(1.5), dollars(None)) == ("$0.0000", "$1.5000", "unknown")
    assert dollars(None, at_least=0.25) == "unknown (at least $0.2500)"
    assert (number(None), number(0.12345), number(2.0, 1)) == ("-", "0.123", "2.0")
