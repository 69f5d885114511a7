"""Answers of an endpoint, which are chat completions, in the words of the Responses API.

Only what a response holds is read; an endpoint's mistakes in the rest do no harm.
"""

from __future__ import annotations

from typing import Final

import msgspec

from smcs.gateway.protocol.completions import ChatFinish, FinishedChoice, TokenLogprob, ToolInvocation
from smcs.gateway.protocol.response_stream import ResponseStream
from smcs.types import Usage

__all__ = ("ChunkReader", "read_completion")


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Top(msgspec.Struct):
    token: str = ""
    logprob: float | None = None
    bytes: tuple[int, ...] | None = None


class _Token(_Top):
    top_logprobs: tuple[_Top, ...] | None = None


class _Logprobs(msgspec.Struct):
    content: tuple[_Token, ...] | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[_Call, ...] | None = None

    def thought(self) -> str:
        """The reasoning a server keeps in a field of its own, under either of its two names."""
        return self.reasoning_content or self.reasoning or ""


class _Choice(msgspec.Struct):
    index: int = 0
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Payload(msgspec.Struct):
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None


_decoder: Final = msgspec.json.Decoder(_Payload)


def read_completion(body: bytes) -> tuple[FinishedChoice, Usage]:
    """Return the first choice of an endpoint's chat completion, and its usage.

    Raises:
        msgspec.DecodeError: It is not a chat completion.
    """
    payload = _decoder.decode(body)
    choice = next((each for each in payload.choices or () if each.index == 0), None)
    if choice is None or choice.message is None:
        raise msgspec.ValidationError("the completion has no choice with a message")
    message = choice.message
    calls = tuple(
        ToolInvocation(call.id or f"call_{i}", call.function.name or "", call.function.arguments or "")
        for i, call in enumerate(message.tool_calls or ())
        if call.function is not None
    )
    found = FinishedChoice(
        message.content,
        finish_reason=_finish(choice.finish_reason, called=bool(calls)),
        tool_calls=calls,
        logprobs=_tokens(choice.logprobs) or None,
        reasoning=message.thought(),
    )
    return found, _usage(payload.usage)


class ChunkReader:
    """Turns the chunks of an endpoint's chat stream into events of a response as they arrive.

    Args:
        stream: The response's events.
    """

    def __init__(self, stream: ResponseStream) -> None:
        self._stream = stream
        self._called: set[int] = set()
        self._finish: str | None = None
        self.usage = Usage()
        """Tokens, once the endpoint has said how many."""

    @property
    def finish_reason(self) -> ChatFinish:
        """Why the answer ended, once it has."""
        return _finish(self._finish, called=bool(self._called))

    def feed(self, payload: bytes) -> bytes:
        """Return the events of one chunk, which may be none.

        Raises:
            msgspec.DecodeError: It is not a chunk.
        """
        chunk = _decoder.decode(payload)
        if chunk.usage is not None:
            self.usage = _usage(chunk.usage)
        events = b""
        for choice in chunk.choices or ():
            if choice.index != 0:
                continue
            self._finish = choice.finish_reason or self._finish
            if choice.delta is not None:
                events += self._delta(choice.delta, _tokens(choice.logprobs))
        return events

    def _delta(self, delta: _Message, logprobs: tuple[TokenLogprob, ...]) -> bytes:
        events = b""
        if thought := delta.thought():
            events += self._stream.reasoning(thought)
        if delta.content:
            events += self._stream.text(delta.content, logprobs)
        for call in delta.tool_calls or ():
            function = call.function or _Function()
            if call.index not in self._called:
                self._called.add(call.index)
                events += self._stream.call(call.index, call.id or f"call_{call.index}", function.name or "")
            if function.arguments:
                events += self._stream.arguments(call.index, function.arguments)
        return events


def _finish(reason: str | None, *, called: bool) -> ChatFinish:
    match reason:
        case "length" | "content_filter":
            return reason
        case _:
            return "tool_calls" if called else "stop"


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    details = usage.prompt_tokens_details or _Details()
    return Usage(usage.prompt_tokens, usage.completion_tokens, details.cached_tokens)


def _tokens(logprobs: _Logprobs | None) -> tuple[TokenLogprob, ...]:
    entries = (logprobs.content or ()) if logprobs is not None else ()
    return tuple(
        TokenLogprob(
            entry.token,
            entry.logprob,
            _bytes(entry),
            tuple(
                {"token": top.token, "logprob": top.logprob, "bytes": _bytes(top)}
                for top in entry.top_logprobs or ()
                if top.logprob is not None
            ),
        )
        for entry in entries
        if entry.logprob is not None
    )


def _bytes(entry: _Top) -> tuple[int, ...]:
    """Return a token's bytes, which a response must have: those of its text, where an endpoint gave none."""
    return tuple(entry.token.encode()) if entry.bytes is None else entry.bytes
