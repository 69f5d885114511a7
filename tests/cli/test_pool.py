"""`smcs pool`: what the config names, and who answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Smcs = Callable[..., Any]
Config = Callable[..., Path]


def test_list_shows_the_pool_without_calling_it(smcs: Smcs, config: Config) -> None:
    result = smcs("pool", "list", "-c", config())
    assert result.code == 0
    rows = {line.split()[0]: line for line in result.out.splitlines()}
    assert {"adder", "half", "merger"} <= set(rows)
    assert "$1 / $2" in rows["adder"]
    assert "no. 1" in rows["merger"]
    assert "no. 1" not in rows["adder"]


def test_list_as_json(smcs: Smcs, config: Config) -> None:
    pool = json.loads(smcs("pool", "list", "--json", "-c", config()).out)
    assert [llm["name"] for llm in pool] == ["adder", "half", "merger"]


def test_the_embedded_pool_can_be_listed_before_it_is_fetched(smcs: Smcs) -> None:
    result = smcs("pool", "list")
    assert result.code == 0
    assert "smollm2-135m" in result.out
    assert "none (local)" in result.out


def test_check_of_a_pool_that_answers(smcs: Smcs, config: Config) -> None:
    result = smcs("pool", "check", "-c", config(half={"logprob": None, "max_n": 1}))
    assert result.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in result.out.splitlines()}
    assert rows["adder"][0] == "yes"
    assert rows["adder"][2:] == ["yes", "yes"]
    assert rows["half"][2:] == ["no", "no"]


def test_check_with_one_that_does_not_answer_is_code_1(smcs: Smcs, config: Config) -> None:
    result = smcs("pool", "check", "-c", config(half={"failures": "refused"}))
    assert result.code == 1
    rows = {line.split()[0]: line for line in result.out.splitlines()}
    assert " no " in rows["half"]
    assert "HTTP 400: scripted refusal" in rows["half"]
    assert " yes " in rows["adder"]


def test_check_does_not_wait_for_ever(smcs: Smcs, config: Config) -> None:
    result = smcs("pool", "check", "--seconds", 0.5, "--json", "-c", config(half={"failures": "hang"}))
    reports = {report["llm"]: report for report in json.loads(result.out)}
    assert result.code == 1
    assert reports["half"]["error"] == "no answer within 0.5 s"
    assert reports["adder"]["reachable"] is True
    assert reports["adder"]["capabilities"]["logprobs"] is True


def test_check_shows_a_local_llm_that_cannot_start_among_the_others(smcs: Smcs, config: Config, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"not a model")
    local = {"name": "broken", "kind": "local", "path": "model.gguf"}
    fine = {"name": "fine", "kind": "scripted"}
    result = smcs("pool", "check", "--json", "-c", config({"pool": [local, fine], "aggregators": ["fine"]}))
    reports = {report["llm"]: report for report in json.loads(result.out)}
    assert result.code == 1
    assert reports["broken"]["reachable"] is False
    assert reports["broken"]["error"]
    assert reports["fine"]["reachable"] is True


def test_a_mistake_in_the_config_is_one_line_and_code_2(smcs: Smcs, config: Config) -> None:
    result = smcs("pool", "check", "-c", config({"aggregators": ["megrer"]}))
    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 1
    assert "aggregator 'megrer' is not in the pool" in result.err
