"""What `smcs.yaml` may hold; unknown keys are refused with a suggestion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from smcs.config.gateway import GatewayConfig
from smcs.strategies import Guard, ProfileName, Settings, profile
from smcs.types import Ablation, Sampling

__all__ = (
    "Config",
    "EmbedderConfig",
    "GuardConfig",
    "HashingEmbedderConfig",
    "LLMConfig",
    "LimitsConfig",
    "LocalLLMConfig",
    "MiniLMConfig",
    "OpenAIEmbedderConfig",
    "OpenAILLMConfig",
    "ParametersConfig",
    "ReplayLLMConfig",
    "SamplingConfig",
    "ScriptedLLMConfig",
    "SentenceTransformersConfig",
    "ShrinkageConfig",
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SamplingConfig(_Strict):
    """Sampling parameters; what is not set is left to the run's settings."""

    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    stop: tuple[str, ...] = ()
    response_format: dict[str, Any] | None = None
    """As OpenAI writes it, e.g. `{type: json_object}`."""


class PriceConfig(_Strict):
    """USD per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class CapabilitiesConfig(_Strict):
    """What an endpoint does; what is not declared is probed or taken as unknown."""

    logprobs: bool | None = None
    max_n: int | None = Field(None, ge=1)
    seed: bool | None = None
    prefix_cache: bool | None = None
    concurrent_prefix: bool | None = None
    tools: bool | None = None
    vision: bool | None = None


class TimeoutsConfig(_Strict):
    """Seconds allowed to each phase of a call."""

    connect: float = Field(10.0, gt=0)
    first_byte: float = Field(300.0, gt=0)
    between_bytes: float = Field(120.0, gt=0)
    total: float = Field(600.0, gt=0)


class _LLM(_Strict):
    name: str = Field(min_length=1)
    """Name in the pool; the bank's outcomes are found by it."""
    system_prompt: str | None = None
    sampling: SamplingConfig = SamplingConfig()
    price: PriceConfig | None = None
    context_window: int | None = Field(None, ge=1)
    capabilities: CapabilitiesConfig = CapabilitiesConfig()
    tags: tuple[str, ...] = ()
    aggregates_only: bool = False
    """Whether it merges references but is never asked for one."""


class OpenAILLMConfig(_LLM):
    """An LLM behind an OpenAI-compatible endpoint."""

    kind: Literal["openai"] = "openai"
    base_url: str
    """Up to and including `/v1`."""
    model: str
    """Name the endpoint knows the LLM by."""
    api_key_env: str | None = None
    """Environment variable that holds the key."""
    timeouts: TimeoutsConfig = TimeoutsConfig()
    max_concurrent: int = Field(64, ge=1)
    """Calls in flight at once to this endpoint, shared by all LLMs behind it."""
    requests_per_minute: int | None = Field(None, ge=1)
    tries: int = Field(4, ge=1, le=20)
    """Requests sent for one call before it counts as failed."""
    extra_body: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Sent with every request as it stands."""


class LocalLLMConfig(_LLM):
    """An LLM that llama.cpp runs on this machine."""

    kind: Literal["local"]
    model: str | None = None
    """Name in the catalogue (`smcs models list`)."""
    path: Path | None = None
    """A GGUF file of your own."""
    threads: int | None = Field(None, ge=1)
    parallel: int = Field(8, ge=1, le=64)
    """Most choices that one call may ask for."""
    context: int | None = Field(None, ge=256)
    """Context window in tokens; 8,192 or the model's own, whichever is less, when absent."""

    @model_validator(mode="after")
    def _one_source(self) -> LocalLLMConfig:
        if (self.model is None) == (self.path is None):
            raise ValueError("give either `model` (a catalogue name) or `path` (a GGUF file)")
        return self


class ScriptedLLMConfig(_LLM):
    """An LLM that answers from a script: for tests, demonstrations and dry runs."""

    kind: Literal["scripted"]
    script: dict[str, Any] = Field(default_factory=dict[str, Any])


class ReplayLLMConfig(_LLM):
    """An LLM whose recorded answers are replayed; nobody is asked."""

    kind: Literal["replay"]
    path: Path
    """Answer store, as `smcs bench run --record` and `smcs bench import-answers` make it."""


LLMConfig = Annotated[
    OpenAILLMConfig | LocalLLMConfig | ScriptedLLMConfig | ReplayLLMConfig, Field(discriminator="kind")
]


class _Embedder(_Strict):
    query_prefix: str = ""
    """Instruction put before a question that is looked up, not before bank questions (as the released code does)."""


class MiniLMConfig(_Embedder):
    """all-MiniLM-L6-v2 on this machine, without torch."""

    kind: Literal["minilm"] = "minilm"
    path: Path | None = None
    """Folder with `model.safetensors` and `tokenizer.json`; the catalogue's when absent."""
    long_texts: Literal["window", "truncate"] = "window"
    """Whether all of a long text is read, or its first 256 tokens only, as sentence-transformers does."""


class OpenAIEmbedderConfig(_Embedder):
    """An embedding model behind `/v1/embeddings`."""

    kind: Literal["openai"]
    base_url: str
    model: str
    api_key_env: str | None = None
    dimensions: int | None = Field(None, ge=1)


class HashingEmbedderConfig(_Embedder):
    """Hashed words and word pairs: for tests and demonstrations."""

    kind: Literal["hashing"]
    dimensions: int = Field(256, ge=8)


class SentenceTransformersConfig(_Embedder):
    """A model of the sentence-transformers family (extra `sentence-transformers`)."""

    kind: Literal["sentence-transformers"]
    model: str


EmbedderConfig = Annotated[
    MiniLMConfig | OpenAIEmbedderConfig | HashingEmbedderConfig | SentenceTransformersConfig,
    Field(discriminator="kind"),
]


class ShrinkageConfig(_Strict):
    """How much data it takes before a vote's worth differs; see `smcs.posterior.Shrinkage`."""

    voter: float | None = Field(None, gt=0)
    region: float | None = Field(None, gt=0)
    length: float | None = Field(None, gt=0)
    regions: int | None = Field(None, ge=0)


class GuardConfig(_Strict):
    """The guarded posterior; see `smcs.strategies.guard.Guard`."""

    aggregate: Literal["never", "auto", "always"] | None = None
    certain: float | None = None
    dominance: float | None = None
    aggregator_accuracy: float | None = None
    texts: float | None = None
    shrinkage: ShrinkageConfig = ShrinkageConfig()

    def over(self, base: Guard) -> Guard:
        """Return the guard with what is set here laid over it."""
        given = self.model_dump(exclude_unset=True, exclude_none=True, exclude={"shrinkage"})
        shrinkage = self.shrinkage.model_dump(exclude_unset=True, exclude_none=True)
        return replace(base, **given, shrinkage=replace(base.shrinkage, **shrinkage))


class ParametersConfig(_Strict):
    """Parameters that differ from the profile's; see `smcs.strategies.Settings`."""

    k: int | None = None
    support_base: int | None = None
    tolerance: float | None = None
    drop: int | None = None
    n: int | None = None
    balance: float | None = None
    straggler_cut: float | None = None
    quorum: float | None = None
    quorum_lead: float | None = None
    replace_failed: bool | None = None
    samples: int | None = None
    layers: int | None = None
    llm: str | None = None
    prior: str | None = None
    without: tuple[Ablation, ...] | None = None
    seed: int | None = None
    compat: Literal["paper", "official"] | None = None
    sampling: SamplingConfig = SamplingConfig()
    guard: GuardConfig = GuardConfig()


class LimitsConfig(_Strict):
    """Hard caps of every run."""

    max_calls: int | None = None
    max_seconds: float | None = None
    max_usd: float | None = None


class Config(_Strict):
    """The whole file."""

    pool: tuple[LLMConfig, ...] = Field(min_length=1)
    aggregators: tuple[str, ...] = Field(min_length=1)
    """LLMs of the pool that merge references, in the order they take over from each other."""
    embedder: EmbedderConfig = MiniLMConfig()
    bank: str | None = None
    """Path or URL of a question bank; `seed` is the one that ships with smcs."""
    profile: ProfileName = "balanced"
    parameters: ParametersConfig = ParametersConfig()
    limits: LimitsConfig = LimitsConfig()
    prompts: Path | None = None
    """Folder whose files replace our prompts."""
    gateway: GatewayConfig = GatewayConfig()
    """How `smcs serve` serves the pool."""

    @model_validator(mode="before")
    @classmethod
    def _default_kind(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("pool"), list):
            pool = [{"kind": "openai", **llm} if isinstance(llm, dict) else llm for llm in data["pool"]]
            data = {**data, "pool": pool}
        if isinstance(data, dict) and isinstance(data.get("embedder"), dict):
            data = {**data, "embedder": {"kind": "minilm", **data["embedder"]}}
        return data

    @model_validator(mode="after")
    def _names(self) -> Config:
        names = [llm.name for llm in self.pool]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"LLM names must be unique, got twice: {', '.join(twice)}")
        for name in self.aggregators:
            if name not in names:
                raise ValueError(f"aggregator {name!r} is not in the pool, which has: {', '.join(names)}")
        if all(llm.aggregates_only for llm in self.pool):
            raise ValueError("every LLM is `aggregates_only`; at least one must answer as a referencer")
        limits: dict[str, tuple[int, int | None]] = {}
        for llm in self.pool:
            if isinstance(llm, OpenAILLMConfig):
                own = (llm.max_concurrent, llm.requests_per_minute)
                if limits.setdefault(llm.base_url.rstrip("/"), own) != own:
                    raise ValueError(
                        f"LLMs behind {llm.base_url} share one limit, but {llm.name!r} declares another "
                        "`max_concurrent` or `requests_per_minute`; give all of them the same"
                    )
        self.settings()
        return self

    def settings(self, profile_name: str | None = None) -> Settings:
        """Return a profile with the parameters and limits of the file laid over it.

        Args:
            profile_name: Another profile than the file's.

        Raises:
            InputError: There is no such profile, or a value is out of range.
        """
        base = profile(profile_name or self.profile)
        given = self.parameters.model_dump(exclude_unset=True, exclude={"sampling", "guard"})
        # `straggler_cut:` without a value switches it off; `k:` without one leaves it to the profile
        defaults = Settings.__dataclass_fields__
        set_parameters = {name: v for name, v in given.items() if v is not None or defaults[name].default is None}
        sampling = Sampling(**self.parameters.sampling.model_dump(exclude_unset=True))
        return replace(
            base,
            **set_parameters,
            **self.limits.model_dump(exclude_unset=True),
            sampling=sampling.over(base.sampling),
            guard=self.parameters.guard.over(base.guard),
        )
