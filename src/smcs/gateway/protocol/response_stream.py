"""Responses of the Responses API as they leave: one object, or its typed events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from smcs.gateway.errors import GatewayError
from smcs.gateway.protocol.completions import ChatFinish, FinishedChoice, TokenLogprob, ToolInvocation
from smcs.gateway.protocol.info import SmcsInfo
from smcs.gateway.protocol.responses import ResponsesRequest
from smcs.gateway.protocol.sse import named_event
from smcs.types import Usage

__all__ = ("ResponseStream", "response", "response_id")

_Status = Literal["completed", "incomplete"]
_INCOMPLETE: Final[Mapping[str, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_Item = dict[str, Any]


def response_id(run_id: str) -> str:
    """Return the id of the response of a run."""
    return f"resp_{run_id}"


def response(
    run_id: str,
    request: ResponsesRequest,
    choice: FinishedChoice,
    usage: Usage,
    *,
    smcs: SmcsInfo,
    created: int,
    completed: int,
) -> bytes:
    """Return the JSON of a response.

    Args:
        run_id: Id of the run.
        request: What was asked; its parameters are repeated, as the API does.
        choice: The answer.
        usage: Tokens of all LLM calls together.
        smcs: What is said of the run.
        created: Unix time in seconds.
        completed: Unix time in seconds.
    """
    status: _Status = "incomplete" if choice.finish_reason in _INCOMPLETE else "completed"
    output: list[_Item] = []
    if choice.reasoning:
        output.append(_reasoning_item(f"rs_{run_id}_0", choice.reasoning))
    if choice.text is not None:
        output.append(_message_item(f"msg_{run_id}_{len(output)}", choice.text, status, choice.logprobs))
    for call in choice.tool_calls:
        output.append(_call_item(f"fc_{run_id}_{len(output)}", call, status))
    head = _envelope(run_id, request, created)
    return msgspec.json.encode(_ended(head, output, choice.finish_reason, usage, smcs, completed))


@dataclass
class _Open:
    """An item that is still growing."""

    kind: Literal["reasoning", "message", "call"]
    id: str
    position: int
    pieces: list[str] = field(default_factory=list[str])
    logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])
    call: ToolInvocation | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class ResponseStream:
    """The events of one streamed response, as bytes to send.

    Order: `start`, any number of `reasoning`, `text`, `call` and `arguments`, then `finish` or `failed`. Items begin
    and end by themselves: one that another kind follows is closed, and `arguments` go to the call of their index.

    Args:
        run_id: Id of the run.
        request: What was asked; its parameters are repeated, as the API does.
        created: Unix time in seconds.
    """

    def __init__(self, run_id: str, request: ResponsesRequest, *, created: int) -> None:
        self._run_id = run_id
        self._head = _envelope(run_id, request, created)
        self._number = 0
        self._output: list[_Item] = []
        self._current: _Open | None = None
        self._calls: dict[int, _Open] = {}

    def start(self) -> bytes:
        """Begin the response."""
        begun = {**self._head, "status": "in_progress"}
        return self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)

    def reasoning(self, text: str) -> bytes:
        """Show a piece of thinking, as a summary of reasoning."""
        events, item = self._growing("reasoning")
        item.pieces.append(text)
        return events + self._summary_event("text.delta", item, delta=text)

    def text(self, text: str, logprobs: Sequence[TokenLogprob] = ()) -> bytes:
        """Hand out a piece of the answer."""
        events, item = self._growing("message")
        item.pieces.append(text)
        item.logprobs += logprobs
        return events + self._text_event("delta", item, delta=text, logprobs=list(logprobs))

    def call(self, index: int, call_id: str, name: str) -> bytes:
        """Begin a function call, the `index`-th of the answer; its `arguments` follow."""
        events = self._close_current()
        item = _Open("call", f"fc_{self._run_id}_{len(self._output)}", len(self._output))
        item.call = ToolInvocation(call_id, name, "")
        self._calls[index] = item
        return events + self._added(item, _call_item(item.id, item.call, "in_progress"))

    def arguments(self, index: int, piece: str) -> bytes:
        """Hand out a piece of the arguments of a function call that was begun."""
        item = self._calls[index]
        item.pieces.append(piece)
        return self._event(
            "response.function_call_arguments.delta", item_id=item.id, output_index=item.position, delta=piece
        )

    def finish(self, reason: ChatFinish, usage: Usage, *, smcs: SmcsInfo, completed: int) -> bytes:
        """End the response; one that a limit cut is "incomplete"."""
        events = self._close_all("incomplete" if reason in _INCOMPLETE else "completed")
        ended = _ended(self._head, self._output, reason, usage, smcs, completed)
        return events + self._event(f"response.{ended['status']}", response=ended)

    def failed(self, error: GatewayError, *, smcs: SmcsInfo | None = None) -> bytes:
        """Break the response off; what was handed out stays in it as incomplete items."""
        events = self._close_all("incomplete")
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        told = {"code": code, "message": error.body()["error"]["message"]}
        ended = {**self._head, "status": "failed", "error": told, "output": self._output}
        if smcs is not None:
            ended["smcs"] = smcs.to_dict()
        return events + self._event("response.failed", response=ended)

    def _growing(self, kind: Literal["reasoning", "message"]) -> tuple[bytes, _Open]:
        """Return the open item of a kind, and the events that opened it."""
        if self._current is not None and self._current.kind == kind:
            return b"", self._current
        events = self._close_current()
        position = len(self._output)
        prefix = "rs" if kind == "reasoning" else "msg"
        item = self._current = _Open(kind, f"{prefix}_{self._run_id}_{position}", position)
        if kind == "reasoning":
            empty = {"type": "reasoning", "id": item.id, "summary": [], "status": "in_progress"}
            events += self._added(item, empty)
            return events + self._summary_event("part.added", item, part=_summary("")), item
        empty = {"type": "message", "id": item.id, "role": "assistant", "status": "in_progress", "content": []}
        return events + self._added(item, empty) + self._part_event("added", item, _output_text("", ())), item

    def _close_current(self, status: _Status = "completed") -> bytes:
        item, self._current = self._current, None
        if item is None:
            return b""
        text = item.text
        if item.kind == "reasoning":
            events = self._summary_event("text.done", item, text=text)
            events += self._summary_event("part.done", item, part=_summary(text))
            return events + self._done(item, _reasoning_item(item.id, text, status))
        events = self._text_event("done", item, text=text, logprobs=item.logprobs)
        events += self._part_event("done", item, _output_text(text, item.logprobs))
        return events + self._done(item, _message_item(item.id, text, status, item.logprobs))

    def _close_all(self, status: _Status) -> bytes:
        events = self._close_current(status)
        for item in self._calls.values():
            if item.call is None:
                continue
            whole = ToolInvocation(item.call.id, item.call.name, item.text)
            events += self._event(
                "response.function_call_arguments.done",
                item_id=item.id,
                output_index=item.position,
                arguments=whole.arguments,
            )
            events += self._done(item, _call_item(item.id, whole, status))
        self._calls.clear()
        return events

    def _added(self, item: _Open, shown: _Item) -> bytes:
        self._output.append(shown)
        return self._event("response.output_item.added", output_index=item.position, item=shown)

    def _done(self, item: _Open, shown: _Item) -> bytes:
        self._output[item.position] = shown
        return self._event("response.output_item.done", output_index=item.position, item=shown)

    def _summary_event(self, what: str, item: _Open, **fields: Any) -> bytes:
        place = {"item_id": item.id, "output_index": item.position, "summary_index": 0}
        return self._event(f"response.reasoning_summary_{what}", **place, **fields)

    def _part_event(self, what: str, item: _Open, part: _Item) -> bytes:
        place = {"item_id": item.id, "output_index": item.position, "content_index": 0}
        return self._event(f"response.content_part.{what}", **place, part=part)

    def _text_event(self, what: str, item: _Open, **fields: Any) -> bytes:
        place = {"item_id": item.id, "output_index": item.position, "content_index": 0}
        return self._event(f"response.output_text.{what}", **place, **fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return named_event(kind, msgspec.json.encode({"type": kind, "sequence_number": number, **fields}))


def _envelope(run_id: str, request: ResponsesRequest, created: int) -> dict[str, Any]:
    """Return a response that has not ended: its id, and every parameter as it is in force."""
    echo = request.model_dump(
        exclude_none=True, by_alias=True, include={"text", "reasoning", "tools", "tool_choice", "metadata", "user"}
    )
    tools = [{"strict": False, "parameters": None, **tool} for tool in echo.get("tools", ())]
    return {
        "id": response_id(run_id),
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "model": request.model,
        "output": [],
        "parallel_tool_calls": True if request.parallel_tool_calls is None else request.parallel_tool_calls,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None, **echo.get("reasoning", {})},
        "store": False,
        "temperature": request.temperature,
        "text": {"format": {"type": "text"}, **echo.get("text", {})},
        "tool_choice": echo.get("tool_choice", "auto"),
        "tools": tools,
        "top_logprobs": request.top_logprobs or 0,
        "top_p": request.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": echo.get("user"),
        "metadata": echo.get("metadata", {}),
    }


def _ended(
    head: dict[str, Any], output: list[_Item], reason: ChatFinish, usage: Usage, smcs: SmcsInfo, completed: int
) -> dict[str, Any]:
    cut = _INCOMPLETE.get(reason)
    return {
        **head,
        "status": "completed" if cut is None else "incomplete",
        "incomplete_details": None if cut is None else {"reason": cut},
        "completed_at": completed if cut is None else None,
        "output": output,
        "usage": _usage(usage),
        "smcs": smcs.to_dict(),
    }


def _usage(usage: Usage) -> dict[str, Any] | None:
    """Return the usage object; the API demands numbers in its details, so a part that is not known is 0 there."""
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _summary(text: str) -> _Item:
    return {"type": "summary_text", "text": text}


def _reasoning_item(item_id: str, text: str, status: str = "completed") -> _Item:
    return {"type": "reasoning", "id": item_id, "summary": [_summary(text)], "status": status}


def _output_text(text: str, logprobs: Sequence[TokenLogprob]) -> _Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _message_item(item_id: str, text: str, status: str, logprobs: Sequence[TokenLogprob] | None) -> _Item:
    content = [_output_text(text, logprobs or ())]
    return {"type": "message", "id": item_id, "role": "assistant", "status": status, "content": content}


def _call_item(item_id: str, call: ToolInvocation, status: str) -> _Item:
    return {
        "type": "function_call",
        "id": item_id,
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        "status": status,
    }
