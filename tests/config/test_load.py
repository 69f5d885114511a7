"""Reading `smcs.yaml`: every mistake gives one clear line that says where and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from smcs.config import Config, load_config, parse_config
from smcs.config.schema import LocalLLMConfig, MiniLMConfig, OpenAILLMConfig
from smcs.errors import ConfigError, InputError
from smcs.strategies import profile

OPENAI: dict[str, Any] = {"name": "a", "base_url": "http://127.0.0.1:1/v1", "model": "m"}
SCRIPTED: dict[str, Any] = {"name": "a", "kind": "scripted"}
MINIMAL: dict[str, Any] = {"pool": [SCRIPTED], "aggregators": ["a"]}


def openai(**more: Any) -> dict[str, Any]:
    return {**MINIMAL, "pool": [{**OPENAI, **more}]}


MISTAKES: dict[str, tuple[Any, str]] = {
    "unknown key": ({**MINIMAL, "agregators": []}, r"unknown key `agregators`\. Did you mean 'aggregators'\?"),
    "unknown key of an LLM": (openai(base_ulr="x"), r"unknown key `pool\[0\]\.base_ulr`\. Did you mean 'base_url'\?"),
    "unknown key of a scripted LLM": (
        {**MINIMAL, "pool": [{**SCRIPTED, "scrpt": {}}]},
        r"unknown key `pool\[0\]\.scrpt`\. Did you mean 'script'\?",
    ),
    "unknown key of sampling": (
        openai(sampling={"temprature": 1}),
        r"unknown key `pool\[0\]\.sampling\.temprature`\. Did you mean 'temperature'\?",
    ),
    "unknown key of parameters": (
        {**MINIMAL, "parameters": {"tolerence": 1}},
        r"unknown key `parameters\.tolerence`\. Did you mean 'tolerance'\?",
    ),
    "unknown key three deep": (
        {**MINIMAL, "parameters": {"sampling": {"topp": 1}}},
        r"unknown key `parameters\.sampling\.topp`\. Did you mean 'top_p'\?",
    ),
    "unknown limit": ({**MINIMAL, "limits": {"max_cals": 1}}, r"`limits\.max_cals`\. Did you mean 'max_calls'\?"),
    "unknown key of the embedder": (
        {**MINIMAL, "embedder": {"kind": "hashing", "dimension": 8}},
        r"unknown key `embedder\.dimension`\. Did you mean 'dimensions'\?",
    ),
    "unknown key of the default embedder": (
        {**MINIMAL, "embedder": {"query_prefx": "x"}},
        r"unknown key `embedder\.query_prefx`\. Did you mean 'query_prefix'\?",
    ),
    "bad kind of LLM": (
        {**MINIMAL, "pool": [{"name": "a", "kind": "scriptd"}]},
        r"`pool\[0\]\.kind`: unknown value 'scriptd'\. Did you mean 'scripted'\? Choose one of: 'local', 'openai'",
    ),
    "bad kind of embedder": (
        {**MINIMAL, "embedder": {"kind": "mini"}},
        r"`embedder\.kind`: unknown value 'mini'\. Did you mean 'minilm'\?",
    ),
    "bad profile": ({**MINIMAL, "profile": "balance"}, r"`profile`: unknown value 'balance'\. Did you mean 'balanced'"),
    "bad compat": (
        {**MINIMAL, "parameters": {"compat": "offical"}},
        r"`parameters\.compat`: .* Did you mean 'official",
    ),
    "no aggregator": ({"pool": [SCRIPTED]}, r"`aggregators`: is missing$"),
    "empty aggregators": ({**MINIMAL, "aggregators": []}, r"`aggregators`: must not be empty$"),
    "aggregators as text": ({**MINIMAL, "aggregators": "a"}, r"`aggregators`: must be a list \(got 'a'\)$"),
    "aggregator outside": ({**MINIMAL, "aggregators": ["b"]}, r"aggregator 'b' is not in the pool, which has: a$"),
    "no pool": ({"aggregators": ["a"]}, r"`pool`: is missing$"),
    "empty pool": ({**MINIMAL, "pool": []}, r"`pool`: must not be empty$"),
    "LLM as text": ({**MINIMAL, "pool": ["a"]}, r"`pool\[0\]`: must be a mapping of keys \(got 'a'\)$"),
    "duplicate names": ({**MINIMAL, "pool": [SCRIPTED, SCRIPTED]}, r"LLM names must be unique, got twice: a$"),
    "no name": ({**MINIMAL, "pool": [{"kind": "scripted"}]}, r"`pool\[0\]\.name`: is missing$"),
    "no base_url": ({**MINIMAL, "pool": [{"name": "a", "model": "m"}]}, r"`pool\[0\]\.base_url`: is missing$"),
    "no source": (
        {**MINIMAL, "pool": [{"name": "a", "kind": "local"}]},
        r"`pool\[0\]`: give either `model` \(a catalogue name\) or `path`",
    ),
    "wrong type": ({**MINIMAL, "parameters": {"k": "many"}}, r"`parameters\.k`: .*integer.*\(got 'many'\)$"),
    "text for a section": (
        {**MINIMAL, "parameters": "fast"},
        r"`parameters`: must be a mapping of keys \(got 'fast'\)",
    ),
    "temperature": (openai(sampling={"temperature": 9}), r"`pool\[0\]\.sampling\.temperature`: .*\(got 9\)$"),
    "negative price": (openai(price={"input": -1, "output": 1}), r"`pool\[0\]\.price\.input`: .*\(got -1\)$"),
    "price that is no number": (openai(price={"input": float("nan"), "output": 1}), r"`pool\[0\]\.price\.input`"),
    "half a price": (openai(price={"input": 1}), r"`pool\[0\]\.price\.output`: is missing$"),
    "k": ({**MINIMAL, "parameters": {"k": 0}}, r"`k` must be at least 1, got 0\.$"),
    "tolerance": (
        {**MINIMAL, "parameters": {"tolerance": 1.5}},
        r"`tolerance` must be above 0 and at most 1, got 1\.5",
    ),
    "straggler_cut": ({**MINIMAL, "parameters": {"straggler_cut": 1}}, r"`straggler_cut` must be above 1"),
    "max_usd": ({**MINIMAL, "limits": {"max_usd": 0}}, r"`max_usd` must be above 0, got 0"),
    "no mapping": (["pool"], r"must hold a mapping of keys such as `pool`"),
    "nothing": (None, r"must hold a mapping of keys such as `pool`"),
}


@pytest.mark.parametrize(("data", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gives_one_line(data: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        parse_config(data, where="smcs.yaml")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("smcs.yaml")


def test_several_mistakes_give_one_line_each() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({**openai(modle="m", tries=0), "profil": "fast"}, where="smcs.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("smcs.yaml: ") for line in lines)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no config file at '.*smcs\.yaml'\.$"):
        load_config(tmp_path / "smcs.yaml")


@pytest.mark.parametrize("content", [b"pool: [", b"pool:\n\t- a", b"{a: b: c}"])
def test_what_is_not_yaml_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "smcs.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"smcs\.yaml is not valid YAML: .*line \d") as caught:
        load_config(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"pool: \xe9"])
def test_a_file_that_is_not_text(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "smcs.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(file)


def test_a_folder_is_not_a_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_yaml_cannot_build_python_objects(tmp_path: Path) -> None:
    (tmp_path / "smcs.yaml").write_text("pool: !!python/object/apply:os.getcwd []")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(tmp_path / "smcs.yaml")


def test_a_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "smcs.yaml"
    file.write_text(yaml.safe_dump({**MINIMAL, "pool": [OPENAI, {"name": "b", "kind": "local", "model": "m"}]}))
    config = load_config(file)
    first, second = config.pool
    assert isinstance(first, OpenAILLMConfig)
    assert isinstance(second, LocalLLMConfig)
    assert (config.profile, config.bank, config.embedder) == ("balanced", None, MiniLMConfig())
    assert config.settings() == profile("balanced")


def settings_of(**more: Any) -> Config:
    return parse_config({**MINIMAL, **more})


def test_parameters_and_limits_are_laid_over_the_profile() -> None:
    config = settings_of(profile="fast", parameters={"n": 5, "sampling": {"temperature": 0.1}}, limits={"max_calls": 9})
    settings = config.settings()
    assert (settings.k, settings.n, settings.max_calls) == (3, 5, 9)
    assert settings.sampling.temperature == 0.1
    assert settings.sampling.max_tokens == profile("fast").sampling.max_tokens


def test_another_profile_keeps_what_the_file_sets() -> None:
    settings = settings_of(parameters={"n": 5}).settings("paper")
    assert (settings.n, settings.k, settings.quorum) == (5, 7, None)


def test_an_unknown_profile_is_suggested() -> None:
    with pytest.raises(InputError, match="Did you mean 'paper'"):
        settings_of().settings("papr")


def test_null_switches_off_what_can_be_off_and_leaves_the_rest_to_the_profile() -> None:
    settings = settings_of(parameters={"straggler_cut": None, "quorum": None, "k": None, "compat": None}).settings()
    assert (settings.straggler_cut, settings.quorum) == (None, None)
    assert (settings.k, settings.compat) == (7, "paper")
