"""The `gateway` section of the config file: what `smcs serve` needs beyond the pool."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ("CacheConfig", "GatewayConfig", "TracingConfig", "VirtualModelConfig")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VirtualModelConfig(_Strict):
    """A model name that stands for a strategy with its parameters."""

    strategy: str = "smcs_guarded"
    profile: str | None = None
    """The file's own profile when absent."""
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    """As in `parameters` and `limits` of the file, laid over them."""
    description: str = ""


class CacheConfig(_Strict):
    """Answers kept for requests that are repeated exactly; off unless a size is given."""

    megabytes: float = Field(0.0, ge=0)
    seconds: float = Field(3600.0, gt=0)
    """How long an answer is kept."""
    all_requests: bool = False
    """Whether requests that are not deterministic (temperature above 0 and no seed) are kept too."""
    shared: bool = False
    """Whether one key may get an answer that was made for another."""


class TracingConfig(_Strict):
    """OpenTelemetry traces (extra `otel`); see `smcs.gateway.tracing.TracingSettings`."""

    endpoint: str | None = None
    sample: float = Field(1.0, ge=0, le=1)
    service: str = "smcs"
    texts: bool = False


class GatewayConfig(_Strict):
    """How the pool is served."""

    host: str = "127.0.0.1"
    port: int = Field(8300, ge=0, le=65535)
    database: str | None = None
    """Path or URL of the database with keys and ledger; see `smcs.gateway.settings.database_of`."""
    keys: Literal["auto", "required", "off"] = "auto"
    """Who may call: `auto` asks for a key once one exists or the address is public; `off` never (loopback only)."""
    models: dict[str, VirtualModelConfig] = Field(default_factory=dict[str, VirtualModelConfig])
    """Virtual models beside the built-in ones."""
    studio: bool = True
    """Whether the web pages of the studio are served too, where they are installed (extra `studio`)."""
    results: str = "experiments"
    """Folder with result files of `smcs bench` that the studio shows; relative to the config file."""
    max_running: int = Field(64, ge=1)
    """Requests answered at once; more wait."""
    max_waiting: int = Field(256, ge=0)
    """Requests that wait; more are refused with 503."""
    max_wait_seconds: float = Field(60.0, gt=0)
    per_key_share: float = Field(1.0, gt=0, le=1)
    """Share of `max_running` that one key may take."""
    max_body_megabytes: float = Field(10.0, gt=0)
    keep_alive_seconds: float = Field(10.0, gt=0)
    """Longest silence on a stream."""
    thinking: bool = True
    """Whether streams show what happens as `reasoning_content`; a client may say otherwise."""
    collaborate_on_tool_answers: bool = True
    """Whether the text that ends a conversation with tools is written by the collaboration."""
    cache: CacheConfig = CacheConfig()
    tracing: TracingConfig | None = None
    record: Literal["full", "no-texts", "none"] = "full"
    """What the ledger keeps of a run: everything, everything but texts, or figures only."""
    retention_days: float | None = Field(None, gt=0)
    """Runs older than this are deleted; `None` keeps them."""
    learn: bool = True
    """Whether feedback adds questions and outcomes to the bank (never to the one that ships with smcs)."""
    log_texts: bool = False
    """Whether questions and answers may stand in the log."""
    breaker_failures: int = Field(5, ge=1)
    """Failures in a row after which an LLM is left out for a while."""
    breaker_seconds: float = Field(30.0, gt=0)
    stop_seconds: float = Field(30.0, ge=0)
    """How long a stopping server lets running requests go on."""
