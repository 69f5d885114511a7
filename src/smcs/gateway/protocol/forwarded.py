"""Answers of an endpoint, which are chat completions, in the words of the Responses API."""

from __future__ import annotations

import msgspec

from smcs.gateway.protocol.completions import ChatFinish, FinishedChoice, TokenLogprob, ToolInvocation
from smcs.gateway.protocol.endpoint import Said, read_said
from smcs.gateway.protocol.response_stream import ResponseStream
from smcs.types import Usage

__all__ = ("ChunkReader", "read_completion")


def read_completion(body: bytes) -> tuple[FinishedChoice, Usage]:
    """Return the first choice of an endpoint's chat completion, and its usage.

    Raises:
        msgspec.DecodeError: It is not a chat completion.
    """
    completion = read_said(body)
    choice = next((each for each in completion.choices or () if each.place == 0), None)
    if choice is None or choice.message is None:
        raise msgspec.ValidationError("the completion has no choice with a message")
    message = choice.message
    calls = tuple(
        ToolInvocation(call.id or f"call_{i}", call.name, call.arguments)
        for i, call in message.calls()
        if call.function is not None
    )
    found = FinishedChoice(
        message.text or ("" if message.content is not None else None),
        finish_reason=_finish(choice.finish_reason, called=bool(calls)),
        tool_calls=calls,
        logprobs=choice.tokens() or None,
        reasoning=message.thought,
    )
    return found, completion.tokens_used() or Usage()


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
        chunk = read_said(payload)
        self.usage = chunk.tokens_used() or self.usage
        events = b""
        for choice in chunk.choices or ():
            if choice.place != 0:
                continue
            self._finish = choice.finish_reason or self._finish
            if choice.delta is not None:
                events += self._delta(choice.delta, choice.tokens())
        return events

    def _delta(self, delta: Said, logprobs: tuple[TokenLogprob, ...]) -> bytes:
        events = b""
        if delta.thought:
            events += self._stream.reasoning(delta.thought)
        if delta.text:
            events += self._stream.text(delta.text, logprobs)
        for index, call in delta.calls():
            if index not in self._called:
                self._called.add(index)
                events += self._stream.call(index, call.id or f"call_{index}", call.name)
            if call.arguments:
                events += self._stream.arguments(index, call.arguments)
        return events


def _finish(reason: str | None, *, called: bool) -> ChatFinish:
    match reason:
        case "length" | "content_filter":
            return reason
        case _:
            return "tool_calls" if called else "stop"
