"""`smcs strategies list`, and `smcs ask` with each of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_strategies import make_bank
from smcs import Run
from smcs.strategies import STRATEGIES

Smcs = Callable[..., Any]
Config = Callable[..., Path]

ACCURACY = {"adder": {"sums": 1.0}, "half": {"sums": 0.5}, "merger": {"sums": 0.1}}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a bank that knows the pool of `config`."""
    path = tmp_path_factory.mktemp("bank") / "bank.db"
    asyncio.run(make_bank(path, ACCURACY)).close()
    return str(path)


def test_every_strategy_says_what_it_does(smcs: Smcs) -> None:
    result = smcs("strategies", "list")
    assert result.code == 0
    header, *lines = result.out.splitlines()
    assert header.split() == ["name", "title", "calls", "needs", "summary"]
    assert [line.split()[0] for line in lines] == list(STRATEGIES)
    for spec, line in zip(STRATEGIES.values(), lines, strict=True):
        assert spec.title in line
        assert spec.summary in line
    assert "calls: of a full run with" in result.err


def test_calls_are_for_the_pool_and_the_parameters_of_the_config(smcs: Smcs, config: Config) -> None:
    file = config({"parameters": {"k": 2, "n": 5}, "limits": {"max_calls": 6}})
    rows = json.loads(smcs("strategies", "list", "-c", file, "--json").out)
    calls = {row["name"]: row["calls"] for row in rows}
    assert (calls["single"], calls["majority_vote"], calls["moa"], calls["symbolic_moe"]) == (1, 3, 4, 3)
    assert (calls["smcs"], calls["self_consistency"], calls["self_moa"]) == (6, 6, 6)
    assert "3 LLMs, profile paper" in smcs("strategies", "list", "-c", file).err


def test_as_json(smcs: Smcs) -> None:
    rows = json.loads(smcs("strategies", "list", "--json").out)
    assert [row["name"] for row in rows] == list(STRATEGIES)
    for row, spec in zip(rows, STRATEGIES.values(), strict=True):
        assert set(row) == {"name", "title", "calls", "needs", "one_llm", "summary"}
        assert row["needs"] == sorted(spec.needs)
        assert row["calls"] >= 1


def test_an_unknown_profile_is_one_line(smcs: Smcs, config: Config) -> None:
    result = smcs("strategies", "list", "-c", config(), "--profile", "fsat")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("smcs: Unknown profile 'fsat'. Did you mean 'fast'?")


@pytest.mark.parametrize(
    ("name", "answer", "calls"),
    [
        ("single", "adder", 1),
        ("simple_router", "adder", 1),
        ("rps", "adder", 1),
        ("majority_vote", "adder", 3),
        ("prior_vote", "adder", 3),
        ("self_consistency", "adder", 1),
        ("best_of_n", "adder", 1),
        ("moa", "merger", 4),
        ("self_moa", "merger", 2),
        ("symbolic_moe", "merger", 4),
    ],
)
def test_ask_answers_with_each(smcs: Smcs, config: Config, bank: str, name: str, answer: str, calls: int) -> None:
    file = config({"bank": bank})
    result = smcs("ask", "-c", file, "--strategy", name, "--samples", 2, "--json", "add the numbers 3 and 4")
    assert result.code == 0, result.err
    run = Run.from_json(result.out)
    assert (run.strategy, run.answer, run.calls) == (name, f"answer of {answer}", calls)
    assert run.settings["samples"] == 2


def test_ask_takes_the_parameters_of_the_methods(smcs: Smcs, config: Config) -> None:
    result = smcs("ask", "-c", config(), "--strategy", "single", "--llm", "half", "--json", "q")
    assert Run.from_json(result.out).answer == "answer of half"
    result = smcs("ask", "-c", config(), "--strategy", "moa", "--layers", 2, "--json", "q")
    assert Run.from_json(result.out).calls == 7


def test_explain_shows_a_vote(smcs: Smcs, config: Config, bank: str) -> None:
    file = config({"bank": bank})
    result = smcs("ask", "-c", file, "--strategy", "majority_vote", "--explain", "add the numbers 3 and 4")
    assert result.code == 0
    assert "why this answer" in result.out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--strategy", "mao"], "Unknown strategy 'mao'. Did you mean 'moa'?"),
        (["--strategy", "rps"], "Strategy 'rps' needs a question bank. Give one."),
        (["--strategy", "self_moa"], "Strategy 'self_moa' needs a question bank. Give one, or name the LLM (`llm`)."),
        (["--strategy", "single", "--llm", "hlaf"], "The pool has no LLM 'hlaf'. Did you mean 'half'?"),
        (["--strategy", "moa", "--layers", "0"], "`layers` must be at least 1, got 0."),
    ],
)
def test_mistakes_are_one_line(smcs: Smcs, config: Config, arguments: list[str], error: str) -> None:
    result = smcs("ask", "-c", config(), *arguments, "q")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"smcs: {error}")
    assert len(result.err.splitlines()) == 1
