"""The body of `POST /v1/chat/completions`: every field of the OpenAI API, honoured or refused, none ignored in silence.

A request takes one of three ways, and each has its check in `smcs.gateway.protocol.checks`:

- *collaboration*: many LLMs, one answer (`check_collaborative`);
- *routed*: a virtual model whose request only one capable LLM can answer, because of tools or images (`check_routed`);
- *pass-through*: an LLM of the pool under its own name; all fields reach its endpoint (`check_pass_through`).

Accepted on every way although nothing is done with them, because they ask for nothing that changes an answer: `user`,
`safety_identifier`, `metadata` (recorded), `store: false`, `parallel_tool_calls` without tools, `service_tier` "auto"
or "default", `modalities: ["text"]`, `verbosity: "medium"`, an empty `logit_bias`, `prompt_cache_key`,
`prompt_cache_options`, `prompt_cache_retention`, `cache_control` in content parts and
`stream_options.include_obfuscation: false`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import Field, PrivateAttr

from smcs.gateway.protocol.messages import ChatMessage, UserPart
from smcs.gateway.protocol.options import ModelName, SmcsOptions
from smcs.gateway.protocol.parsing import Body
from smcs.gateway.protocol.tools import FunctionDefinition, NamedFunction, Tool, ToolChoice
from smcs.types import Sampling

__all__ = (
    "MAX_MESSAGES",
    "ChatRequest",
    "Metadata",
    "Need",
    "ResponseFormat",
    "StreamOptions",
    "need_of",
)

MAX_MESSAGES: Final = 10_000
MAX_TOKENS: Final = 10_000_000

Need = Literal["tools", "image", "audio", "file"]
"""What a request needs of the one LLM that answers it."""

_SignedInt64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
_Penalty = Annotated[float, Field(ge=-2, le=2)]
_Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
_Label = Annotated[str, Field(max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Stop = Annotated[str, Field(min_length=1, max_length=1_000)]

Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")], _Label],
    Field(max_length=16),
]
"""At most 16 labels (OpenAI API)."""


class _TextFormat(Body):
    type: Literal["text"]


class _JsonFormat(Body):
    type: Literal["json_object"]


class _Schema(Body):
    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class _SchemaFormat(Body):
    type: Literal["json_schema"]
    json_schema: _Schema


ResponseFormat = Annotated[_TextFormat | _JsonFormat | _SchemaFormat, Field(discriminator="type")]


class StreamOptions(Body):
    """What a stream holds beside the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Body):
    """A chat completion request, checked field by field; `checks.parse_chat` also checks how fields go together."""

    model: ModelName
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    stop: _Stop | Annotated[list[_Stop], Field(max_length=16)] | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    seed: _SignedInt64 | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    logit_bias: (
        Annotated[
            dict[Annotated[str, Field(max_length=10, pattern=r"^[0-9]+$")], Annotated[float, Field(ge=-100, le=100)]],
            Field(max_length=1_024),
        ]
        | None
    ) = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[Tool], Field(max_length=128, fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[FunctionDefinition], Field(max_length=128, fail_fast=True)] | None = None
    function_call: Literal["none", "auto"] | NamedFunction | None = None
    user: _Label | None = None
    safety_identifier: _Label | None = None
    metadata: Metadata | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    modalities: Annotated[list[Literal["text", "audio"]], Field(max_length=2)] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    moderation: dict[str, Any] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: dict[str, Any] | None = None
    prompt_cache_key: _Label | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    smcs: SmcsOptions | None = None
    _sent: dict[str, Any] | None = PrivateAttr(default=None)

    def sent_as(self, body: dict[str, Any]) -> None:
        """Keep the decoded body, which holds fields that only an endpoint knows."""
        self._sent = body

    @property
    def options(self) -> SmcsOptions:
        """How the LLMs shall collaborate; empty where nothing was said."""
        return self.smcs or _NO_OPTIONS

    @property
    def streamed(self) -> bool:
        """Whether the answer is to be streamed."""
        return bool(self.stream)

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def answers(self) -> int:
        """Number of choices asked for, 1 to 16."""
        return self.n or 1

    @property
    def max_output_tokens(self) -> int | None:
        """The token limit, under whichever of its two names it was given."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """Stop sequences."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def run_seed(self) -> int | None:
        """The seed as a run takes it: never negative, and with room below 2**63 for the offsets of its calls."""
        return None if self.seed is None else self.seed % 2**62

    @property
    def deterministic(self) -> bool:
        """Whether the same request is meant to give the same answer: temperature 0, or a seed."""
        return self.temperature == 0 or self.seed is not None

    @property
    def needs(self) -> frozenset[Need]:
        """What only a single, capable LLM can do; empty for a conversation of texts.

        Tools that may not be called (`tool_choice: "none"`) need nothing.
        """
        found: set[Need] = {"tools"} if self.tools and self.tool_choice != "none" else set()
        for message in self.messages:
            if message.role == "user" and not isinstance(message.content, str):
                found.update(need for part in message.content if (need := need_of(part)) is not None)
        return frozenset(found)

    def sampling(self) -> Sampling:
        """Return the sampling parameters that were given; lay them over a run's with `Sampling.over`."""
        form = self.response_format
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_output_tokens,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            seed=self.run_seed,
            stop=self.stops,
            response_format=None if form is None or form.type == "text" else _dumped(form),
        )

    def body(self) -> dict[str, Any]:
        """Return the request as it came, without the `smcs` object: what an endpoint is sent."""
        if self._sent is not None:
            return {name: value for name, value in self._sent.items() if name != "smcs"}
        return self.model_dump(exclude_unset=True, exclude={"smcs"}, by_alias=True)

    def canonical(self) -> bytes:
        """Return what the answer depends on as JSON with sorted keys, equal for requests that ask for the same.

        How it is delivered and for whom is left out: streaming, user, metadata, cache hints, explain and thinking.
        """
        body = {name: value for name, value in self.body().items() if name not in _DELIVERY and value is not None}
        for name in ("max_tokens", "max_completion_tokens"):
            body.pop(name, None)
        limit = {} if self.max_output_tokens is None else {"max_tokens": self.max_output_tokens}
        steer = self.options.model_dump(exclude_none=True, exclude={"explain", "thinking"})
        return msgspec.json.encode({**body, **limit, "smcs": steer}, order="sorted")


_NO_OPTIONS: Final = SmcsOptions()
_NEED_OF_PART: Final[dict[str, Need]] = {"image_url": "image", "input_audio": "audio", "file": "file"}
_DELIVERY: Final = frozenset(
    {
        "stream",
        "stream_options",
        "user",
        "safety_identifier",
        "metadata",
        "store",
        "service_tier",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
    }
)


def need_of(part: UserPart) -> Need | None:
    """Return what a content part needs of an LLM; `None` for text."""
    return _NEED_OF_PART.get(part.type)


def _dumped(form: ResponseFormat) -> dict[str, Any]:
    return form.model_dump(exclude_unset=True, by_alias=True)
