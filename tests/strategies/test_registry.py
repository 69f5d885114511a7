"""The registry: what is promised about each strategy is what a run of it does."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers_methods import NAMES, choice_query, requests, says, team
from helpers_strategies import SETTINGS, run
from smcs.bank import QuestionBank
from smcs.errors import ConfigError, InputError
from smcs.run import Run
from smcs.strategies import STRATEGIES, Settings, check_strategy, find_strategy, strategy
from smcs.types import Capabilities

METHODS = (
    "single", "simple_router", "rps", "majority_vote", "prior_vote", "self_consistency", "best_of_n", "moa", "self_moa",
    "symbolic_moe", "smcs",
)  # fmt: skip


def test_every_compared_method_is_there() -> None:
    assert set(METHODS) <= set(STRATEGIES)
    for name, spec in STRATEGIES.items():
        assert (spec.name, strategy(name)) == (name, spec.run)
        assert spec.title
        assert spec.summary.endswith(".")
        assert len(spec.summary) <= 110
        assert "\n" not in spec.summary


def test_every_strategy_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
    assert set(STRATEGIES) <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


@pytest.mark.parametrize("max_calls", [None, 1, 2, 3, 5])
@pytest.mark.parametrize("name", METHODS)
async def test_a_full_run_makes_the_calls_that_are_promised(
    known: QuestionBank, name: str, max_calls: int | None
) -> None:
    one_call = {llm: {"capabilities": Capabilities(logprobs=True, max_n=1)} for llm in NAMES}
    over = team(known, {llm: says("A") for llm in NAMES}, facts=one_call)
    settings = replace(SETTINGS, k=3, n=1, drop=0, samples=4, layers=2, max_calls=max_calls)
    record, _ = await run(over, settings, name=name, question=choice_query(task="sums"))
    assert record.calls == STRATEGIES[name].calls(settings, len(over.pool))
    assert record.strategy == name
    assert json.loads(json.dumps(record.settings)) == record.settings
    assert Run.from_json(record.to_json()) == record
    assert bool(record.degraded) == (record.calls < STRATEGIES[name].calls(replace(settings, max_calls=None), 4))


def test_an_unknown_name_is_one_line_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"^Unknown strategy 'self_mao'\. Did you mean 'self_moa'\?") as error:
        find_strategy("self_mao")
    assert "\n" not in str(error.value)


def test_a_missing_bank_is_refused_where_it_is_needed() -> None:
    over = team(None)
    for name in METHODS:
        spec = find_strategy(name)
        if "bank" not in spec.needs:
            check_strategy(spec, over)
            continue
        with pytest.raises(ConfigError, match=f"Strategy '{name}' needs a question bank"):
            check_strategy(spec, over)
        if spec.one_llm:
            check_strategy(spec, over, Settings(llm="half"))


def test_a_bank_that_knows_none_of_the_pool_is_refused(known: QuestionBank, tmp_path: Path) -> None:
    strangers = team(known, names=("new",), aggregators=("new",))
    with pytest.raises(
        ConfigError, match=r"needs a question bank that knows LLMs of the pool \(new\), and .* knows: adder"
    ):
        check_strategy(find_strategy("rps"), strangers)
    with QuestionBank.create(tmp_path / "empty.db") as empty, pytest.raises(ConfigError, match="knows: none"):
        check_strategy(find_strategy("rps"), team(empty))
    check_strategy(find_strategy("rps"), team(known))


def test_a_pool_without_log_probabilities_is_refused(known: QuestionBank) -> None:
    deaf = Capabilities(logprobs=False, max_n=4)
    spec = find_strategy("best_of_n")
    none = team(known, facts={name: {"capabilities": deaf} for name in NAMES})
    with pytest.raises(ConfigError, match="needs log-probabilities, and none come from adder, guide, half, poor"):
        check_strategy(spec, none)
    some = team(known, facts={"half": {"capabilities": deaf}})
    check_strategy(spec, some)
    with pytest.raises(ConfigError, match="none come from half"):
        check_strategy(spec, some, Settings(llm="half"))


def test_an_unknown_llm_is_refused_by_those_that_would_ask_it(known: QuestionBank) -> None:
    over = team(known)
    with pytest.raises(ConfigError, match=r"The pool has no LLM 'gide'\. Did you mean 'guide'"):
        check_strategy(find_strategy("single"), over, Settings(llm="gide"))
    check_strategy(find_strategy("smcs"), over, Settings(llm="gide"))
    assert not any(requests(over, name) for name in over.pool)


@pytest.mark.parametrize("field", ["k", "n", "support_base", "samples", "layers"])
def test_counts_must_be_at_least_one(field: str) -> None:
    changes: dict[str, Any] = {field: 0}
    with pytest.raises(InputError, match=f"`{field}` must be at least 1, got 0"):
        Settings(**changes)


def test_settings_are_json_ready_whatever_they_hold() -> None:
    values = Settings(without=("rps", "similarity"), llm="a", samples=3, layers=2).to_dict()
    assert json.loads(json.dumps(values)) == values
    assert set(values) == set(Settings.__dataclass_fields__) - {"replace_failed"}
    assert set(Settings(replace_failed=True).to_dict()) == set(Settings.__dataclass_fields__)
    assert (values["without"], values["llm"], values["prior"]) == (["rps", "similarity"], "a", "rps")
    assert values["sampling"]["stop"] == []
