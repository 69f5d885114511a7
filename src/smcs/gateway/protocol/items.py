"""The input of the Responses API, item by item, and the chat messages it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import Discriminator, Field, Tag

from smcs.gateway.errors import unsupported
from smcs.gateway.protocol.parsing import Body

__all__ = ("InputItem", "chat_messages")

_Id = Annotated[str, Field(min_length=1, max_length=256)]
_Status = Literal["in_progress", "completed", "incomplete"]


class _Part(Body):
    prompt_cache_breakpoint: dict[str, Any] | None = None


class _InputText(_Part):
    type: Literal["input_text"]
    text: str


class _OutputText(_Part):
    type: Literal["output_text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class _Refusal(_Part):
    type: Literal["refusal"]
    refusal: str


class _InputImage(_Part):
    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None


class _InputFile(_Part):
    type: Literal["input_file"]
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None


_AnyPart = Annotated[_InputText | _OutputText | _Refusal | _InputImage | _InputFile, Field(discriminator="type")]
_Parts = Annotated[list[_AnyPart], Field(max_length=1_000, fail_fast=True)]


class _MessageItem(Body):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | _Parts
    id: _Id | None = None
    status: _Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class _CallItem(Body):
    type: Literal["function_call"]
    call_id: _Id
    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str
    id: str | None = None
    status: _Status | None = None


class _OutputItem(Body):
    type: Literal["function_call_output"]
    call_id: _Id
    output: str | Annotated[list[_InputText], Field(min_length=1, max_length=1_000, fail_fast=True)]
    id: str | None = None
    name: str | None = None
    status: _Status | None = None


class _ReasoningItem(Body):
    type: Literal["reasoning"]
    id: str | None = None
    summary: list[Any] | None = None
    content: list[Any] | None = None
    encrypted_content: str | None = None
    status: _Status | None = None


def _item_type(item: Any) -> Any:
    return item.get("type", "message") if isinstance(item, dict) else getattr(item, "type", None)


InputItem = Annotated[
    Annotated[_MessageItem, Tag("message")]
    | Annotated[_CallItem, Tag("function_call")]
    | Annotated[_OutputItem, Tag("function_call_output")]
    | Annotated[_ReasoningItem, Tag("reasoning")],
    Discriminator(_item_type),
]
"""A message, a function call, what it returned, or reasoning of an earlier response."""


def chat_messages(items: Sequence[InputItem]) -> list[dict[str, Any]]:
    """Return the chat messages, as JSON-ready values, that these items stand for.

    Calls that follow one another, and an assistant's text before them, become one turn; reasoning is left out.

    Raises:
        GatewayError: 400; a part is not allowed where it stands, or names a file that would have to be stored here.
    """
    messages: list[dict[str, Any]] = []
    for i, item in enumerate(items):
        if isinstance(item, _MessageItem):
            messages.append({"role": item.role, "content": _content(item, f"input[{i}].content")})
        elif isinstance(item, _CallItem):
            _add_call(messages, item)
        elif isinstance(item, _OutputItem):
            text = item.output if isinstance(item.output, str) else "\n".join(part.text for part in item.output)
            messages.append({"role": "tool", "tool_call_id": item.call_id, "content": text})
    return messages


def _content(item: _MessageItem, place: str) -> str | list[dict[str, Any]]:
    if isinstance(item.content, str):
        return item.content
    parts = [_chat_part(part, item.role, f"{place}[{j}]") for j, part in enumerate(item.content)]
    if item.role != "user" and all(part["type"] == "text" for part in parts):
        return "\n".join(cast("str", part["text"]) for part in parts)
    return parts


def _chat_part(part: Any, role: str, place: str) -> dict[str, Any]:
    match part:
        case _InputText() | _OutputText():
            return {"type": "text", "text": part.text}
        case _Refusal() if role == "assistant":
            return {"type": "refusal", "refusal": part.refusal}
        case _InputImage() if role == "user" and part.image_url is not None:
            detail = {} if part.detail is None else {"detail": part.detail}
            return {"type": "image_url", "image_url": {"url": part.image_url, **detail}}
        case _InputFile() if role == "user" and part.file_data is not None:
            name = {} if part.filename is None else {"filename": part.filename}
            return {"type": "file", "file": {"file_data": part.file_data, **name}}
        case _InputImage() | _InputFile() if role == "user":
            raise unsupported(place, "No files are stored here. Send the data itself (`image_url` or `file_data`).")
        case _:
            raise unsupported(place, f"A part of type {part.type!r} is not allowed in a message of role {role!r}.")


def _add_call(messages: list[dict[str, Any]], item: _CallItem) -> None:
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    call = {"id": item.call_id, "type": "function", "function": {"name": item.name, "arguments": item.arguments}}
    messages[-1].setdefault("tool_calls", []).append(call)
