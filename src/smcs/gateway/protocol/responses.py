"""The body of `POST /v1/responses` (OpenAI API), and how it becomes the same chat request as everything else.

Nothing is stored for later retrieval: `store` is honoured when it is false or absent (and answered with
`"store": false`), `previous_response_id`, `conversation`, `item_reference` and `background` are refused. Reasoning
items that a client sends back are accepted and left out, because reasoning is never shown to another LLM. Built-in
tools are refused by their type; functions work. `include: ["reasoning.encrypted_content"]` is accepted, since there is
no hidden reasoning to encrypt, and `max_tool_calls` too, since it counts built-in tools only.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from smcs.gateway.errors import GatewayError, unsupported
from smcs.gateway.protocol.chat import ChatRequest, Metadata
from smcs.gateway.protocol.checks import check_request
from smcs.gateway.protocol.items import InputItem, chat_messages
from smcs.gateway.protocol.options import ModelName, SmcsOptions
from smcs.gateway.protocol.parsing import Body, described, parse

__all__ = ("MAX_ITEMS", "ResponsesRequest", "parse_responses")

MAX_ITEMS: Final = 9_999
"""Most items of `input`; with the instructions, as many messages as a chat may have."""

_Label = Annotated[str, Field(max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]


class _FunctionTool(Body):
    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _FunctionChoice(Body):
    type: Literal["function"]
    name: str


class _TextFormat(Body):
    type: Literal["text", "json_object"]


class _SchemaFormat(Body):
    type: Literal["json_schema"]
    name: str
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class _TextConfig(Body):
    format: Annotated[_TextFormat | _SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class _Reasoning(Body):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: Literal["standard", "pro"] | None = None


class _StreamOptions(Body):
    include_obfuscation: bool | None = None


class ResponsesRequest(Body):
    """A request of the Responses API, checked field by field; `to_chat` makes the chat request of it."""

    model: ModelName
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_ITEMS, fail_fast=True)]
    )
    instructions: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    text: _TextConfig | None = None
    reasoning: _Reasoning | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    include: Annotated[list[str], Field(max_length=16)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    metadata: Metadata | None = None
    user: _Label | None = None
    safety_identifier: _Label | None = None
    store: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    prompt_cache_key: _Label | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    background: bool | None = None
    prompt: dict[str, Any] | None = None
    context_management: list[Any] | None = None
    moderation: dict[str, Any] | None = None
    access_programs: dict[str, Any] | None = None
    background_options: dict[str, Any] | None = None
    image: dict[str, Any] | None = None
    smcs: SmcsOptions | None = None

    def to_chat(self) -> ChatRequest:
        """Return the chat request that asks for the same.

        Raises:
            GatewayError: 400; the request asks for what is not honoured here, or its parts do not go together.
        """
        for name, harmless, why in _REFUSED:
            value = getattr(self, name)
            if value is not None and value not in harmless:
                raise unsupported(name, f"`{name}` is not supported: {why}")
        self._check_nested()
        body = {name: value for name in _SAME if (value := getattr(self, name)) is not None}
        body |= {
            "messages": self._messages(),
            "max_completion_tokens": self.max_output_tokens,
            "reasoning_effort": self.reasoning.effort if self.reasoning else None,
            "verbosity": self.text.verbosity if self.text else None,
            "response_format": self._response_format(),
            "tools": self._tools(),
            "tool_choice": self._tool_choice(),
            "smcs": None if self.smcs is None else self.smcs.model_dump(exclude_unset=True),
        }
        if self.stream:
            body["stream_options"] = {"include_usage": True}
        if self.top_logprobs is not None or _LOGPROBS in (self.include or ()):
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        body = {name: value for name, value in body.items() if value is not None}
        try:
            request = ChatRequest.model_validate(body)
        except ValidationError as error:
            raise described(error, body, fields=ChatRequest.model_fields) from error
        check_request(request)
        return request

    def _check_nested(self) -> None:
        for i, name in enumerate(self.include or ()):
            if name not in _INCLUDABLE:
                raise unsupported(f"include[{i}]", f"{name[:100]!r} cannot be included: it belongs to a built-in tool.")
        if self.reasoning is not None:
            if self.reasoning.context not in (None, "auto"):
                raise unsupported("reasoning.context", "Reasoning of earlier turns is never shown to an LLM.")
            if self.reasoning.mode not in (None, "standard"):
                raise unsupported("reasoning.mode", "There is one mode of reasoning: leave it out.")
        if self.stream_options is not None and self.stream_options.include_obfuscation:
            raise unsupported("stream_options.include_obfuscation", "Streams are not padded. Leave it out.")

    def _messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        if self.instructions:
            messages.append({"role": "system", "content": self.instructions})
        if isinstance(self.input, str):
            return [*messages, {"role": "user", "content": self.input}]
        return messages + chat_messages(self.input)

    def _response_format(self) -> dict[str, Any] | None:
        form = self.text.format if self.text else None
        if form is None:
            return None
        fields = form.model_dump(exclude_unset=True, by_alias=True)
        if form.type != "json_schema":
            return fields
        del fields["type"]
        return {"type": "json_schema", "json_schema": fields}

    def _tools(self) -> list[dict[str, Any]] | None:
        if self.tools is None:
            return None
        tools: list[dict[str, Any]] = []
        for i, tool in enumerate(self.tools):
            kind = tool.get("type")
            if kind != "function":
                shown = kind[:100] if isinstance(kind, str) else kind
                raise unsupported(
                    f"tools[{i}]", f"Tools of type {shown!r} are not supported; functions (`type: function`) are."
                )
            found = _validated(_FunctionTool, tool, f"tools[{i}]").model_dump(exclude_unset=True)
            del found["type"]
            tools.append({"type": "function", "function": found})
        return tools

    def _tool_choice(self) -> str | dict[str, Any] | None:
        choice = self.tool_choice
        if not isinstance(choice, dict):
            return choice
        if choice.get("type") != "function":
            raise unsupported("tool_choice", 'Only functions can be chosen: {"type": "function", "name": ...}.')
        return {"type": "function", "function": {"name": _validated(_FunctionChoice, choice, "tool_choice").name}}


_SAME: Final = (
    "model",
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "stream",
    "metadata",
    "user",
    "safety_identifier",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
)
_LOGPROBS: Final = "message.output_text.logprobs"
_INCLUDABLE: Final = frozenset({_LOGPROBS, "reasoning.encrypted_content"})
_REFUSED: Final[tuple[tuple[str, tuple[Any, ...], str], ...]] = (
    ("store", (False,), "responses are not stored for retrieval. Leave it out or say false."),
    ("previous_response_id", (), "no response is stored. Send the earlier turns in `input`."),
    ("conversation", (), "no conversation is stored. Send the earlier turns in `input`."),
    ("background", (False,), "every request is answered on its connection."),
    ("background_options", ({},), "every request is answered on its connection."),
    ("prompt", (), "no prompts are stored. Send its text in `instructions` or `input`."),
    ("truncation", ("disabled",), "nothing is left out of a conversation."),
    ("context_management", ([],), "nothing is left out of a conversation."),
    ("moderation", (), "nothing moderates here."),
    ("access_programs", ({},), "there are none here."),
    ("image", ({},), "images pass as they are."),
)
"""Field, values that ask for nothing, why the rest is refused."""


def parse_responses(body: bytes) -> ResponsesRequest:
    """Read the body of a Responses request; `to_chat` of what it returns checks how its fields go together.

    Fields that only an endpoint knows are refused for every model: what an endpoint is sent is a chat completion.

    Raises:
        GatewayError: 400.
    """
    return parse(ResponsesRequest, body)


def _validated(model: type[Any], value: dict[str, Any], place: str) -> Any:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        told = described(error, value, fields=model.model_fields)
        param = f"{place}.{told.param}" if told.param else place
        message = told.message if told.param is None else told.message.replace(f"'{told.param}'", f"'{param}'", 1)
        raise GatewayError(told.status, message, code=told.code, param=param) from error
