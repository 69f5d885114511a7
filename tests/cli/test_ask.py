"""`smcs ask`: what goes to stdout, what to stderr, and with which exit code."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_strategies import make_bank
from smcs import Run

Smcs = Callable[..., Any]
Config = Callable[..., Path]

HOSTILE = "\x1b[31mred\x1b[0m \x1b]0;title\x07 [/b] [bold]:smile: \u202eback\x9b2J\r end"
SHOWN = "[31mred[0m ]0;title [/b] [bold]:smile: back2J end"


def bank(folder: Path) -> str:
    accuracy = {"adder": {"sums": 1.0}, "half": {"sums": 0.5}, "merger": {"sums": 0.1}}
    asyncio.run(make_bank(folder / "bank.db", accuracy)).close()
    return "bank.db"


def test_stdout_holds_the_answer_alone(smcs: Smcs, config: Config) -> None:
    result = smcs("ask", "-c", config(), "add 3 and 4")
    assert (result.code, result.out) == (0, "answer of merger\n")
    assert "cost $0.00" in result.err
    assert "written by merger" in result.err
    assert "degraded: no question bank: every LLM has the same prior" in result.err
    assert "\x1b" not in result.out + result.err


def test_an_unknown_cost_says_so(smcs: Smcs, config: Config) -> None:
    result = smcs("ask", "-c", config(half={"failures": "refused"}), "q")
    assert (result.code, result.out) == (0, "answer of merger\n")
    assert "cost unknown (at least $0.00" in result.err
    assert "degraded: reference lost: half (error: HTTP 400: scripted refusal)" in result.err


def test_json_is_the_record(smcs: Smcs, config: Config) -> None:
    result = smcs("ask", "-c", config(), "--json", "add 3 and 4")
    run = Run.from_json(result.out)
    assert (run.answer, run.query.text, run.settings["n"]) == ("answer of merger", "add 3 and 4", 2)
    assert result.err == ""


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_the_question_comes_from_stdin(smcs: Smcs, config: Config, arguments: list[str]) -> None:
    result = smcs("ask", "-c", config(), "--json", *arguments, stdin="wie groß ist π?\n".encode())
    assert Run.from_json(result.out).query.text.strip() == "wie groß ist π?"


def test_the_question_comes_from_a_file(smcs: Smcs, config: Config, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("line one\nline two: π\n", encoding="utf-8")
    result = smcs("ask", "-c", config(), "--json", "--file", tmp_path / "q.txt")
    assert Run.from_json(result.out).query.text.strip() == "line one\nline two: π"


def test_options_reach_the_run(smcs: Smcs, config: Config) -> None:
    options = [
        "-k",
        2,
        "-n",
        1,
        "--seed",
        5,
        "--profile",
        "fast",
        "--max-calls",
        9,
        "--max-usd",
        3,
        "--max-seconds",
        99,
    ]
    settings = Run.from_json(smcs("ask", "-c", config(), "--json", *options, "q").out).settings
    asked = {name: settings[name] for name in ("k", "n", "seed", "quorum", "max_calls", "max_usd", "max_seconds")}
    assert asked == {"k": 2, "n": 1, "seed": 5, "quorum": 0.5, "max_calls": 9, "max_usd": 3.0, "max_seconds": 99.0}


def test_explain_shows_the_evidence(smcs: Smcs, config: Config, tmp_path: Path) -> None:
    file = config({"bank": bank(tmp_path), "parameters": {"k": 3, "n": 2, "seed": 7, "support_base": 10}})
    result = smcs("ask", "-c", file, "--explain", "add the numbers 3 and 4")
    assert result.code == 0
    assert result.out.startswith("answer of merger\n")
    for words in (
        "Support questions",
        "add the numbers 3 and 4",
        "sums",
        "Priors",
        "Calls",
        "aggregation",
        "Candidates",
    ):
        assert words in result.out
    run = Run.from_json(smcs("ask", "-c", file, "--json", "add the numbers 3 and 4").out)
    for candidate in run.candidates:
        assert candidate.score is not None
        assert f"{candidate.score:.3f}" in result.out
        assert ", ".join(candidate.members) in result.out
    assert f"{run.priors[0].prior:.3f}" in result.out


@pytest.mark.parametrize("options", [[], ["--explain"]])
def test_model_text_cannot_drive_the_terminal(smcs: Smcs, config: Config, options: list[str]) -> None:
    result = smcs("ask", "-c", config(merger={"replies": [HOSTILE]}), *options, "q [/i] :smile:")
    assert result.code == 0
    assert result.out.startswith(SHOWN + "\n")
    for character in ("\x1b", "\x07", "\x9b", "\r", "\u202e"):
        assert character not in result.out + result.err
    if options:
        assert "[/b] [bold]:smile:" in result.out.removeprefix(SHOWN)


MISTAKES: dict[str, tuple[list[str], str]] = {
    "config": (["-c", "none.yaml", "q"], "There is no config file at 'none.yaml'."),
    "empty": (["{config}", " "], "The question is empty."),
    "profile": (["{config}", "--profile", "quick", "q"], "Unknown profile 'quick'."),
    "strategy": (["{config}", "--strategy", "smsc", "q"], "Did you mean 'smcs'?"),
    "range": (["{config}", "-k", "0", "q"], "`k` must be at least 1, got 0."),
    "file": (["{config}", "--file", "none.txt"], "The question cannot be read"),
    "twice": (["{config}", "--file", "none.txt", "q"], "either as an argument or with --file"),
}


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_the_user_is_one_line_and_code_2(
    smcs: Smcs, config: Config, arguments: list[str], expected: str
) -> None:
    file = config()
    flat = [part for word in arguments for part in (["-c", str(file)] if word == "{config}" else [word])]
    result = smcs("ask", *flat)
    assert (result.code, result.out) == (2, "")
    (line,) = result.err.splitlines()
    assert line.startswith("smcs: ")
    assert expected in line


def test_stdin_that_is_not_text_is_code_2(smcs: Smcs, config: Config) -> None:
    result = smcs("ask", "-c", config(), stdin=b"\xff\xfe")
    assert result.code == 2
    assert "smcs: The question cannot be read" in result.err


def test_a_run_without_an_answer_lists_every_cause_and_is_code_1(smcs: Smcs, config: Config) -> None:
    broken = {name: {"failures": "refused"} for name in ("adder", "half", "merger")}
    result = smcs("ask", "-c", config(**broken), "q")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("smcs: No LLM returned an answer:\n")
    assert "  - reference by adder: error (HTTP 400: scripted refusal)" in result.err
    assert "Traceback" not in result.err


def test_without_a_config_the_embedded_pool_names_what_to_fetch(smcs: Smcs) -> None:
    result = smcs("ask", "q")
    assert result.code == 2
    assert "smcs models pull" in result.err


def test_as_a_program(config: Config, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from smcs.cli import main; main()", "ask", "-c", str(config())]
    done = subprocess.run(command, input="q", capture_output=True, text=True, timeout=110, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "answer of merger\n")
    wrong = subprocess.run([*command, "-k", "0", "q"], capture_output=True, text=True, timeout=110, check=False)
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_on_a_terminal_the_run_is_watched(config: Config, tmp_path: Path) -> None:
    file = config(adder={"latency": 2.0}, merger={"latency": 0.5})
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from smcs.cli import main; main()", "ask", "-c", str(file), "add 3 and 4"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "150", "LINES": "50"},
    )
    os.close(slave)
    shown = _read_all(master, seconds=100)
    assert process.wait(timeout=20) == 0
    os.close(master)
    assert "answering" in shown
    assert "answered in" in shown
    assert "similarity" in shown
    assert "written by merger" in shown
    assert shown.index("add 3 and 4") < shown.index("answer of merger")


def _read_all(terminal: int, *, seconds: float) -> str:
    data, until = b"", time.monotonic() + seconds
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # how Linux says that the other side is gone
            break
        if not piece:
            break
        data += piece
    return data.decode(errors="replace")
