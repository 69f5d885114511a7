"""The messages of a chat: every role and every kind of content of the OpenAI API, as frozen records.

Fields that clients send back from an earlier response (`annotations`, `refusal`, reasoning under its several names)
are known here so that a conversation can be repeated as it was received.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from smcs.gateway.protocol.parsing import Body

__all__ = (
    "AssistantMessage",
    "AudioPart",
    "ChatMessage",
    "CustomToolCall",
    "DeveloperMessage",
    "FilePart",
    "FunctionCall",
    "FunctionMessage",
    "ImagePart",
    "ImageUrl",
    "RefusalPart",
    "SystemMessage",
    "TextPart",
    "ToolCall",
    "ToolMessage",
    "UserMessage",
    "UserPart",
)

_MAX_PARTS: Final = 1_000
_MAX_TOOL_CALLS: Final = 128

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\s<|\\/>]+$")]
"""Name of a participant."""
Id = Annotated[str, Field(min_length=1, max_length=256)]


class _Part(Body):
    cache_control: dict[str, Any] | None = None
    """Hint to a prompt cache; changes no answer."""
    prompt_cache_breakpoint: dict[str, Any] | None = None
    """Hint to a prompt cache; changes no answer."""


class TextPart(_Part):
    """A piece of text."""

    type: Literal["text"]
    text: str


class ImageUrl(Body):
    """Where an image is: an http(s) address, or a data URL that holds it."""

    url: Annotated[str, Field(pattern=r"^(?i:https?://|data:image/)")]
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(_Part):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class _Audio(Body):
    data: str
    format: str


class AudioPart(_Part):
    """A recording."""

    type: Literal["input_audio"]
    input_audio: _Audio


class _File(Body):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(_Part):
    """A document."""

    type: Literal["file"]
    file: _File


class RefusalPart(_Part):
    """What an assistant said instead of an answer."""

    type: Literal["refusal"]
    refusal: str


UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
_AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
_Texts = Annotated[list[TextPart], Field(min_length=1, max_length=_MAX_PARTS, fail_fast=True)]
_UserParts = Annotated[list[UserPart], Field(min_length=1, max_length=_MAX_PARTS, fail_fast=True)]
_AssistantParts = Annotated[list[_AssistantPart], Field(max_length=_MAX_PARTS, fail_fast=True)]


class _Message(Body):
    type: Literal["text"] | None = None
    """Not of the API and said by the content already, but sent beside it by older versions of lm-evaluation-harness."""


class SystemMessage(_Message):
    """Instructions."""

    role: Literal["system"]
    content: str | _Texts
    name: Name | None = None


class DeveloperMessage(_Message):
    """Instructions, as newer clients call them."""

    role: Literal["developer"]
    content: str | _Texts
    name: Name | None = None


class UserMessage(_Message):
    """What the user says."""

    role: Literal["user"]
    content: str | _UserParts
    name: Name | None = None


class FunctionCall(Body):
    """A function and its arguments."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str
    """JSON text, as the model wrote it: not always valid."""


class ToolCall(Body):
    """A function an assistant wants called."""

    id: Id
    type: Literal["function"]
    function: FunctionCall
    index: int | None = None
    """Left over from a streamed response."""


class _Custom(Body):
    name: Annotated[str, Field(min_length=1, max_length=256)]
    input: str


class CustomToolCall(Body):
    """A tool with free-form input that an assistant wants called."""

    id: Id
    type: Literal["custom"]
    custom: _Custom
    index: int | None = None
    """Left over from a streamed response."""


AnyToolCall = Annotated[ToolCall | CustomToolCall, Field(discriminator="type")]


class AssistantMessage(_Message):
    """What an assistant said, or wants called."""

    role: Literal["assistant"]
    content: str | _AssistantParts | None = None
    refusal: str | None = None
    name: Name | None = None
    tool_calls: Annotated[list[AnyToolCall], Field(max_length=_MAX_TOOL_CALLS, fail_fast=True)] | None = None
    function_call: FunctionCall | None = None
    """Deprecated form of `tool_calls`."""
    audio: dict[str, Any] | None = None
    annotations: list[Any] | None = None
    reasoning_content: str | None = None
    """Reasoning; like the fields below never shown to another LLM."""
    reasoning: Any = None
    reasoning_details: list[Any] | None = None
    thinking_blocks: list[Any] | None = None
    provider_specific_fields: Any = None
    """Left over, like the field before, from a response that came through LiteLLM."""


class ToolMessage(_Message):
    """What a tool returned."""

    role: Literal["tool"]
    content: str | _Texts
    tool_call_id: Id
    name: Annotated[str, Field(max_length=256)] | None = None
    """Not of the API, but sent by many clients."""


class FunctionMessage(_Message):
    """What a function returned; the deprecated form of a tool's message."""

    role: Literal["function"]
    content: str | None
    name: Annotated[str, Field(min_length=1, max_length=256)]


ChatMessage = Annotated[
    SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]
"""A message of any role."""
