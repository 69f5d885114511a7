"""Reading presets, and writing a config from one."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from smcs.config.load import parse_config
from smcs.errors import ConfigError, suggest

__all__ = (
    "PRESETS",
    "AggregatorArm",
    "Preset",
    "PresetLLM",
    "aggregator_arms",
    "load_preset",
    "preset_config",
    "serve_line",
)

PRESETS: Final = ("paper-15",)
"""Names of the presets that ship."""

PAPER_TOKENS: Final = 8_192
_FIRST_PORT: Final = 8001
_EMBEDDER_PORT: Final = 8100
_GIGABYTES_PER_BILLION: Final = 2.0
"""bfloat16."""
_GPU_GIGABYTES: Final = 80.0
_WEIGHTS_SHARE: Final = 0.7
"""Share of a GPU's memory that weights may take, so that room is left for the cache of many long answers."""
_PROMPT_TOKENS: Final = 4_096
"""Room for a question beside the answer."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PresetPrice(_Strict):
    """USD per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class PresetLLM(_Strict):
    """One LLM of a published pool."""

    name: str = Field(min_length=1)
    """As the publication calls it."""
    hub: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    billions: float = Field(gt=0)
    """Parameters."""
    kind: Literal["instruction-tuned", "deep thinking"]
    context: int = Field(ge=1024)
    """Tokens without extension."""
    yarn: float | None = Field(None, gt=1)
    """Factor by which YaRN extends the context, where its makers give one."""
    own_code: bool = False
    """Whether its repository brings code that a server must be allowed to run."""
    price: PresetPrice | None = None
    """Typical of open hosting; `None` is unknown."""


class _Prices(_Strict):
    as_of: str
    what: str


class _Embedder(_Strict):
    name: str
    hub: str
    dimensions: int


class _Selection(_Strict):
    figure: str
    tasks: tuple[str, ...]
    named: tuple[str, ...]
    chosen: tuple[str, ...]


class Preset(_Strict):
    """A published pool."""

    title: str
    source: str
    prices: _Prices
    aggregator: str
    coding_aggregator: str
    """Aggregator of coding tasks where answers may take 32,768 tokens."""
    embedder: _Embedder
    llms: tuple[PresetLLM, ...] = Field(min_length=1)
    aggregator_selection: _Selection

    @model_validator(mode="after")
    def _names(self) -> Preset:
        names = [llm.name for llm in self.llms]
        selection = self.aggregator_selection
        for name in (self.aggregator, self.coding_aggregator, *selection.named, *selection.chosen):
            if name not in names:
                raise ValueError(f"{name!r} is no LLM of the pool")
        if len(set(names)) != len(names):
            raise ValueError("two LLMs have one name")
        return self

    def llm(self, name: str) -> PresetLLM:
        """Return an LLM by name.

        Raises:
            ConfigError: There is none of this name.
        """
        for llm in self.llms:
            if llm.name == name:
                return llm
        raise ConfigError(f"The preset has no LLM {name!r}.{suggest(name, [llm.name for llm in self.llms])}")


@dataclass(frozen=True, slots=True)
class AggregatorArm:
    """One aggregator of the aggregator-selection experiment."""

    aggregator: str
    named_by_paper: bool
    """Whether the paper's text names it among the six; the others are our choice."""
    tasks: tuple[str, ...]


def load_preset(name: str) -> Preset:
    """Return a preset.

    Raises:
        ConfigError: There is none of this name, or the installed file was altered.
    """
    if name not in PRESETS:
        raise ConfigError(f"Unknown preset {name!r}.{suggest(name, PRESETS)}")
    text = (files("smcs.config.presets") / f"{name}.yaml").read_text(encoding="utf-8")
    try:
        return Preset.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"The preset {name!r} cannot be read: {' '.join(str(error).split())}.") from error


def aggregator_arms(preset: Preset) -> tuple[AggregatorArm, ...]:
    """Return the arms of the paper's aggregator selection: the same references, merged by one LLM each."""
    selection = preset.aggregator_selection
    named = [AggregatorArm(name, True, selection.tasks) for name in selection.named]
    return (*named, *(AggregatorArm(name, False, selection.tasks) for name in selection.chosen))


def serve_line(llm: PresetLLM, *, port: int, output_tokens: int = PAPER_TOKENS, aggregates: bool = False) -> str:
    """Return a vLLM command line that serves an LLM on GPUs of 80 GB.

    Args:
        llm: Which.
        port: Where.
        output_tokens: Longest answer.
        aggregates: Whether it also reads the references of others, for which it gets its whole context.
    """
    needed = output_tokens + _PROMPT_TOKENS
    longest = int(llm.context * (llm.yarn or 1))
    extended = llm.yarn is not None and (aggregates or needed > llm.context)
    length = longest if aggregates else min(longest, max(needed, 16_384))
    gpus = llm.billions * _GIGABYTES_PER_BILLION / (_GPU_GIGABYTES * _WEIGHTS_SHARE)
    parts = [f"vllm serve {llm.hub} --served-model-name {llm.name} --port {port} --max-model-len {length}"]
    parts.append(f"--tensor-parallel-size {2 ** math.ceil(math.log2(max(1.0, gpus)))}")
    if extended:
        scaling = {"rope_type": "yarn", "factor": llm.yarn, "original_max_position_embeddings": llm.context}
        parts.append(f"--hf-overrides '{json.dumps({'rope_scaling': scaling})}'")
    if llm.own_code:
        parts.append("--trust-remote-code")
    return " ".join(parts)


def preset_config(preset: Preset, *, aggregator: str | None = None, output_tokens: int = PAPER_TOKENS) -> str:
    """Return the text of a config that uses the pool, each LLM served by vLLM on this machine.

    Args:
        preset: The pool.
        aggregator: Who merges; the paper's unless given.
        output_tokens: Longest answer.

    Raises:
        ConfigError: The aggregator is not in the pool, or `output_tokens` is below 1.
    """
    merger = preset.llm(aggregator or preset.aggregator)
    if output_tokens < 1:
        raise ConfigError(f"The longest answer must be at least 1 token, got {output_tokens}.")
    lines = [
        f"# {preset.title} ({preset.source}).",
        "# Change the addresses to where your LLMs are. Each comment is a vLLM line for 80 GB GPUs.",
        f"# Prices in USD per million tokens: {preset.prices.what} ({preset.prices.as_of}). None: unknown, not $0.",
        *_remarks(preset, merger, output_tokens),
        "pool:",
    ]
    for port, llm in enumerate(preset.llms, start=_FIRST_PORT):
        serve = serve_line(llm, port=port, output_tokens=output_tokens, aggregates=llm.name == merger.name)
        lines += [
            f"  # {llm.billions:g}B, {llm.kind}. {serve}",
            f"  - name: {llm.name}",
            f"    base_url: http://localhost:{port}/v1",
            f"    model: {llm.name}",
            f"    context_window: {serve.partition('--max-model-len ')[2].split()[0]}",
        ]
        if llm.price is not None:
            lines.append(f"    price: {{input: {llm.price.input:g}, output: {llm.price.output:g}}}")
    lines += [
        f"aggregators: [{merger.name}]",
        f"# vllm serve {preset.embedder.hub} --served-model-name {preset.embedder.name} --port {_EMBEDDER_PORT}",
        f"embedder: {{kind: openai, base_url: 'http://localhost:{_EMBEDDER_PORT}/v1', model: {preset.embedder.name}}}",
        "# Make a bank of the validation splits (`smcs bank build`), or import the released one, then name it here.",
        "# bank: bank.db",
        "profile: paper",
        "parameters:",
        f"  sampling: {{temperature: 0.7, max_tokens: {output_tokens}, presence_penalty: 1.05}}",
    ]
    text = "\n".join(lines) + "\n"
    parse_config(yaml.safe_load(text), where="preset")
    return text


def _remarks(preset: Preset, merger: PresetLLM, output_tokens: int) -> list[str]:
    short = [llm.name for llm in preset.llms if output_tokens + _PROMPT_TOKENS > llm.context * (llm.yarn or 1)]
    remarks = []
    if output_tokens > PAPER_TOKENS and merger.name != preset.coding_aggregator:
        remarks.append(
            f"# For MBPP and LiveCodeBench the paper aggregates with {preset.coding_aggregator}: write a second config"
        )
        remarks.append(f"# with --aggregator {preset.coding_aggregator}.")
    if short:
        remarks.append(
            f"# Too short a context for answers of {output_tokens:,} tokens: {', '.join(short)}. Their answers are cut."
        )
    return remarks
