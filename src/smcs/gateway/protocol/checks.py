"""Which way a chat request may take, and what is refused on it; see `smcs.gateway.protocol.chat`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from smcs.gateway.errors import invalid_request, too_large, unsupported
from smcs.gateway.protocol.chat import ChatRequest, Need, need_of
from smcs.gateway.protocol.messages import AssistantMessage, ChatMessage
from smcs.gateway.protocol.parsing import parse
from smcs.gateway.protocol.tools import CustomChoice, FunctionChoice, FunctionTool

__all__ = (
    "MAX_TEXT",
    "check_collaborative",
    "check_pass_through",
    "check_request",
    "check_routed",
    "parse_chat",
)

MAX_TEXT: Final = 4_000_000
"""Most characters in all messages together, about a million tokens."""

_ONE_LLM: Final = "Ask an LLM of the pool by its own name for that."
_NOT_COLLABORATIVE: Final[tuple[tuple[str, tuple[Any, ...], str], ...]] = (
    ("reasoning_effort", (), f"LLMs differ in how they take it. {_ONE_LLM}"),
    ("verbosity", ("medium",), f"LLMs differ in whether they take it. {_ONE_LLM}"),
    ("logprobs", (False,), f"an answer of several LLMs has none of its own. {_ONE_LLM}"),
    ("prediction", (), f"there is not one LLM it could be given to. {_ONE_LLM}"),
)
"""Field, values that ask for nothing, why it is refused where several LLMs answer."""

_NOT_VIRTUAL: Final[tuple[tuple[str, tuple[Any, ...], str], ...]] = (
    ("functions", ([],), "it is deprecated. Use `tools`."),
    ("function_call", ("none",), "it is deprecated. Use `tool_choice`."),
    ("logit_bias", ({},), f"token numbers mean something for one LLM only. {_ONE_LLM}"),
    ("audio", (), f"no virtual model speaks. {_ONE_LLM}"),
    ("modalities", (["text"],), f"virtual models write text only. {_ONE_LLM}"),
    ("moderation", (), f"nothing moderates here. {_ONE_LLM}"),
    ("web_search_options", (), f"nothing searches the web here. {_ONE_LLM}"),
    ("service_tier", ("auto", "default"), f'there is one tier: leave it out or say "auto". {_ONE_LLM}'),
)
"""The same for every virtual model."""

_NEED_REFUSED: Final[dict[Need, str]] = {
    "tools": "Tools are called by a single LLM, and no LLM for that was found.",
    "image": "Images are seen by a single LLM, and no LLM for that was found.",
    "audio": f"Virtual models do not listen to audio. {_ONE_LLM}",
    "file": f"Virtual models do not read files. Send their text. {_ONE_LLM}",
}


def parse_chat(body: bytes, *, passes_through: Callable[[str], bool] | None = None) -> ChatRequest:
    """Read the body of a chat completion request.

    Args:
        body: JSON text, of bounded size.
        passes_through: Whether a model name is an LLM handed through as it is, whose endpoint may know more fields.

    Raises:
        GatewayError: 400, or 413 for too much text.
    """
    request = parse(ChatRequest, body, passes_through=passes_through)
    check_request(request, sizeable=len(body) > MAX_TEXT)
    return request


def check_request(request: ChatRequest, *, sizeable: bool = True) -> None:
    """Refuse fields that do not go together, whichever way the request takes.

    Args:
        request: What was parsed.
        sizeable: Whether it can hold more than `MAX_TEXT` characters at all.

    Raises:
        GatewayError: 400, or 413 for too much text.
    """
    given, limit = request.max_tokens, request.max_completion_tokens
    if given is not None and limit is not None and given != limit:
        raise invalid_request("`max_tokens` and `max_completion_tokens` differ. Give one of them.", "max_tokens")
    if request.top_logprobs is not None and not request.logprobs:
        raise invalid_request("`top_logprobs` needs `logprobs: true`.", "top_logprobs")
    if request.stream_options is not None and not request.stream:
        raise invalid_request("`stream_options` is only allowed with `stream: true`.", "stream_options")
    if request.store:
        raise unsupported(
            "store", "Completions are not stored for retrieval. The record of a run is at /v1/runs/{id} without asking."
        )
    _check_tool_choice(request)
    for i, message in enumerate(request.messages):
        if isinstance(message, AssistantMessage) and not _says_something(message):
            raise invalid_request(
                f"An assistant's message needs `content` or `tool_calls`: 'messages[{i}].content'.",
                f"messages[{i}].content",
            )
    if sizeable and (size := sum(_size(message) for message in request.messages)) > MAX_TEXT:
        raise too_large(f"The messages hold {size:,} characters; at most {MAX_TEXT:,} are read.")


def check_collaborative(request: ChatRequest) -> None:
    """Refuse what an answer of several LLMs cannot honour.

    Raises:
        GatewayError: 400 with the field's name.
    """
    _check_table(request, _NOT_COLLABORATIVE)
    _check_virtual(request, allowed=frozenset())


def check_routed(request: ChatRequest) -> None:
    """Refuse what a virtual model cannot honour although one capable LLM will answer.

    Raises:
        GatewayError: 400 with the field's name.
    """
    _check_virtual(request, allowed=frozenset({"tools", "image"}))


def check_pass_through(request: ChatRequest) -> None:
    """Refuse options of a collaboration where one LLM is asked by its own name.

    Raises:
        GatewayError: 400 with the field's name.
    """
    for name in request.options.steering():
        raise unsupported(
            f"smcs.{name}",
            f"`smcs.{name}` steers a collaboration, and {request.model!r} is a single LLM. Ask a virtual model.",
        )


def _check_virtual(request: ChatRequest, *, allowed: frozenset[Need]) -> None:
    _check_table(request, _NOT_VIRTUAL)
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        raise unsupported("stream_options.include_obfuscation", "Streams are not padded. Leave it out.")
    for need in sorted(request.needs - allowed):
        raise unsupported(_param_of(request, need), _NEED_REFUSED[need])


def _check_table(request: ChatRequest, table: tuple[tuple[str, tuple[Any, ...], str], ...]) -> None:
    for name, harmless, why in table:
        value = getattr(request, name)
        if value is not None and value not in harmless:
            raise unsupported(name, f"`{name}` is not supported by {request.model!r}: {why}")


def _param_of(request: ChatRequest, need: Need) -> str:
    if need == "tools":
        return "tools"
    for i, message in enumerate(request.messages):
        if message.role == "user" and not isinstance(message.content, str):
            for j, part in enumerate(message.content):
                if need_of(part) == need:
                    return f"messages[{i}].content[{j}]"
    return "messages"


def _check_tool_choice(request: ChatRequest) -> None:
    choice = request.tool_choice
    if choice is None or choice == "none":
        return
    if not request.tools:
        raise invalid_request("`tool_choice` is only allowed with `tools`.", "tool_choice")
    if isinstance(choice, FunctionChoice | CustomChoice):
        wanted = choice.function.name if isinstance(choice, FunctionChoice) else choice.custom.name
        names = [tool.function.name if isinstance(tool, FunctionTool) else tool.custom.name for tool in request.tools]
        if wanted not in names:
            raise invalid_request(f"`tool_choice` names {wanted!r}, which is not among `tools`.", "tool_choice")


def _says_something(message: AssistantMessage) -> bool:
    parts = (message.content, message.refusal, message.tool_calls, message.function_call, message.audio)
    return message.content == "" or any(parts)


def _size(message: ChatMessage) -> int:
    size = 0
    if isinstance(message, AssistantMessage):
        for call in message.tool_calls or ():
            size += len(call.function.arguments if call.type == "function" else call.custom.input)
    if isinstance(message.content, str):
        return size + len(message.content)
    for part in message.content or ():
        size += len(part.text) if part.type == "text" else 0
    return size
