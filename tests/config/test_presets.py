"""Presets: the paper's pool as it is printed, and a config that can be used."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from smcs.bench.paper import paper_figure
from smcs.config import parse_config
from smcs.config.presets import aggregator_arms, load_preset, preset_config, serve_line
from smcs.errors import ConfigError
from smcs.strategies import PROFILES

PRESET = load_preset("paper-15")


def test_the_pool_is_the_papers() -> None:
    printed = {row.name for row in paper_figure("table1").rows if row.group == "open"}
    assert {llm.name for llm in PRESET.llms} == printed
    assert len(PRESET.llms) == 15
    assert all(20 <= llm.billions <= 72 for llm in PRESET.llms)
    kinds = [llm.kind for llm in PRESET.llms]
    assert (kinds.count("deep thinking"), kinds.count("instruction-tuned")) == (8, 7)


@pytest.mark.parametrize("tokens", [8192, 32768])
def test_the_config_is_valid_and_the_papers(tokens: int) -> None:
    config = parse_config(yaml.safe_load(preset_config(PRESET, output_tokens=tokens)))
    assert [llm.name for llm in config.pool] == [llm.name for llm in PRESET.llms]
    assert config.aggregators == ("Llama-3.3-70B-Instruct",)
    assert config.settings().sampling.max_tokens == tokens
    if tokens == 8192:
        assert config.settings() == PROFILES["paper"]


def test_an_unknown_price_stays_unknown() -> None:
    config = parse_config(yaml.safe_load(preset_config(PRESET)))
    unknown = {llm.name for llm in PRESET.llms if llm.price is None}
    assert "TeleChat2-35B-32K" in unknown
    assert {llm.name for llm in config.pool if llm.price is None} == unknown
    assert "check yours" in preset_config(PRESET)


def test_another_aggregator_and_a_wrong_one() -> None:
    config = parse_config(yaml.safe_load(preset_config(PRESET, aggregator="QwQ-32B")))
    assert config.aggregators == ("QwQ-32B",)
    with pytest.raises(ConfigError, match="Did you mean 'QwQ-32B'"):
        preset_config(PRESET, aggregator="QwQ32B")
    with pytest.raises(ConfigError, match="at least 1 token"):
        preset_config(PRESET, output_tokens=0)
    with pytest.raises(ConfigError, match=r"Unknown preset 'paper-16'\. Did you mean 'paper-15'"):
        load_preset("paper-16")


@pytest.mark.parametrize("llm", PRESET.llms, ids=lambda llm: llm.name)
def test_serve_lines_fit_the_model(llm: object) -> None:
    for tokens in (8192, 32768):
        words = shlex.split(serve_line(llm, port=8001, output_tokens=tokens))  # type: ignore[arg-type]
        length = int(words[words.index("--max-model-len") + 1])
        assert ("--hf-overrides" in words) == (length > llm.context)  # type: ignore[attr-defined]
        assert length >= min(tokens + 4096, llm.context)  # type: ignore[attr-defined]
        assert ("--trust-remote-code" in words) == llm.own_code  # type: ignore[attr-defined]
        gpus = int(words[words.index("--tensor-parallel-size") + 1])
        assert llm.billions * 2 <= gpus * 80 * 0.7  # type: ignore[attr-defined]


def test_the_aggregator_gets_its_whole_context() -> None:
    line = serve_line(PRESET.llm("Llama-3.3-70B-Instruct"), port=1, aggregates=True)
    assert "--max-model-len 131072" in line
    line = serve_line(PRESET.llm("Qwen3-32B"), port=1, aggregates=True)
    assert "--max-model-len 163840" in line
    assert '"factor": 4.0' in line


def test_remarks_on_long_answers() -> None:
    text = preset_config(PRESET, output_tokens=32768)
    assert "the paper aggregates with QwQ-32B" in text
    assert re.search(r"Too short a context .*TeleChat2-35B-32K", text)
    assert "the paper aggregates" not in preset_config(PRESET)


def test_six_aggregators_of_which_the_paper_names_two() -> None:
    arms = aggregator_arms(PRESET)
    assert len({arm.aggregator for arm in arms}) == 6
    assert [arm.aggregator for arm in arms if arm.named_by_paper] == ["Llama-3.3-70B-Instruct", "Qwen3-32B"]
    assert len(arms[0].tasks) == 5
