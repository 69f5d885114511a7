"""`smcs pool preset`: print, write, never overwrite."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from smcs.config import load_config, parse_config

Smcs = Callable[..., Any]


def test_it_prints_a_config(smcs: Smcs) -> None:
    result = smcs("pool", "preset", "paper-15")
    assert result.code == 0
    assert len(parse_config(yaml.safe_load(result.out)).pool) == 15


def test_it_writes_a_config_once(smcs: Smcs) -> None:
    assert smcs("pool", "preset", "paper-15", "--out", "smcs.yaml").code == 0
    assert load_config(Path("smcs.yaml")).aggregators == ("Llama-3.3-70B-Instruct",)
    listed = smcs("pool", "list")
    assert "GLM-Z1-32B-0414" in listed.out
    assert "unknown" in listed.out
    again = smcs("pool", "preset", "paper-15", "--out", "smcs.yaml")
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "exists already" in again.err
    nowhere = smcs("pool", "preset", "paper-15", "--out", "no/such/folder.yaml")
    assert nowhere.code == 2
    assert "cannot be written" in nowhere.err


def test_as_json_with_serve_lines(smcs: Smcs) -> None:
    found = json.loads(smcs("pool", "preset", "paper-15", "--json", "--aggregator", "Qwen3-32B").out)
    assert found["aggregator"] == "Qwen3-32B"
    assert found["llms"][0]["serve"].startswith("vllm serve zai-org/GLM-Z1-32B-0414")
    assert next(llm for llm in found["llms"] if llm["name"] == "TeleChat2-35B-32K")["price"] is None
    assert len(found["aggregator_selection"]) == 6


def test_the_aggregator_experiment_as_commands(smcs: Smcs) -> None:
    lines = smcs("pool", "preset", "paper-15", "--experiments").out.splitlines()
    assert sum(line.startswith("smcs bench run") for line in lines) == 6
    assert len({line.split("--record ")[1].split()[0] for line in lines if "--record" in line}) == 1
    assert lines[-1].startswith("smcs reproduce fig7 --results")


def test_mistakes_are_one_line(smcs: Smcs) -> None:
    result = smcs("pool", "preset", "paper15")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "Did you mean 'paper-15'" in result.err
