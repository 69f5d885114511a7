"""Raw chat completions that pass through: what must be changed in a request and known of a response, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from smcs.errors import InputError, LLMError
from smcs.llms.failures import malformed, server_message
from smcs.llms.untrusted import one_line
from smcs.llms.wire import MaxTokensField, read_usage, without_nan
from smcs.types import Usage

__all__ = ("StreamCheck", "as_events", "checked_body", "forwarded_body", "forwarded_usage")

_NULL = msgspec.Raw(b"null")
_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError)


class _Choice(msgspec.Struct):
    index: int | None = None
    finish_reason: str | None = None


class _Response(msgspec.Struct):
    """The parts that are looked at, of a body and of an event of a stream alike; all others are skipped."""

    choices: list[_Choice] | None = None
    error: msgspec.Raw = _NULL


class _Measured(msgspec.Struct):
    usage: msgspec.Raw = _NULL


_response_decoder = msgspec.json.Decoder(_Response)
_measured_decoder = msgspec.json.Decoder(_Measured)


def forwarded_body(
    model: str,
    body: Mapping[str, Any],
    *,
    stream: bool,
    defaults: Mapping[str, Any],
    max_tokens_field: MaxTokensField = "max_tokens",
) -> bytes:
    """Return the JSON that is sent for a client's body.

    Args:
        model: Name the endpoint knows the LLM by.
        body: The client's; null values are left out, everything else goes through.
        stream: Whether the answer is to be streamed, with its usage in the last event.
        defaults: Laid under the body.
        max_tokens_field: A limit under the older name is renamed where the endpoint takes only the newer.

    Raises:
        InputError: The body cannot be written as JSON.
    """
    sent = {**defaults, **{name: value for name, value in body.items() if value is not None}, "model": model}
    if max_tokens_field == "max_completion_tokens" and "max_tokens" in sent:
        sent.setdefault("max_completion_tokens", sent.pop("max_tokens"))
    sent.pop("stream", None)
    options = sent.pop("stream_options", None)
    if stream:
        asked = options if isinstance(options, Mapping) else {}
        sent |= {"stream": True, "stream_options": {**asked, "include_usage": True}}
    try:
        return msgspec.json.encode(sent)
    except _UNWRITABLE as error:
        raise InputError(f"The request cannot be written as JSON: {error}.") from error


def checked_body(llm: str, body: bytes, *, secrets: Sequence[str] = ()) -> bytes:
    """Return the body of a 200 as it came, once it is known to be a chat completion.

    Only the numbers that JSON forbids (NaN, Infinity) are turned into null.

    Raises:
        LLMError: It is none, reports an error, or an answer in it was broken off.
    """
    response, body = _decoded(llm, body, secrets)
    if bytes(response.error) != b"null":
        raise LLMError(f"the server reported: {one_line(server_message(response.error), secrets=secrets)}", llm=llm)
    if not response.choices:
        raise malformed(llm, "no choices", body, secrets=secrets)
    if any(choice.finish_reason == "error" for choice in response.choices):
        raise _broken_off(llm)
    return body


def as_events(body: bytes) -> tuple[bytes, ...]:
    """Return a checked body as the events it would have been streamed in: one with all choices, one with the usage."""
    whole: dict[str, Any] = msgspec.json.decode(body)
    usage = whole.pop("usage", None)
    head = {**whole, "object": "chat.completion.chunk"}
    choices = [
        {**{name: value for name, value in choice.items() if name != "message"}, "delta": _delta(choice.get("message"))}
        for choice in whole["choices"]
    ]
    events = [{**head, "choices": choices}, {**head, "choices": [], "usage": usage}]
    return tuple(msgspec.json.encode(event) for event in events if event["choices"] or usage is not None)


def forwarded_usage(data: bytes) -> Usage | None:
    """Return the tokens that a forwarded body, or an event of a stream, reports; `None` if it reports none."""
    if b'"usage"' not in data:
        return None
    try:
        usage = _measured_decoder.decode(data).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if bytes(usage) == b"null" else read_usage(usage)


class StreamCheck:
    """Looks at the events of a stream that passes through, to know whether it came whole."""

    def __init__(self, llm: str, *, secrets: Sequence[str] = ()) -> None:
        """Args as `checked_body`."""
        self._llm = llm
        self._secrets = secrets
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self.done = False
        """Whether the server has said that nothing more will come."""

    def feed(self, event: bytes) -> bytes | None:
        """Return the event to hand on, `None` for the one that ends the stream and whatever follows it.

        Raises:
            LLMError: It is malformed, reports an error, or breaks an answer off.
        """
        if self.done or event.strip() == b"[DONE]":
            self.done = True
            return None
        response, event = _decoded(self._llm, event, self._secrets)
        if bytes(response.error) != b"null":
            message = one_line(server_message(response.error), secrets=self._secrets)
            raise LLMError(f"the server broke off the stream: {message}", llm=self._llm, retryable=True)
        for choice in response.choices or ():
            self._begun.add(choice.index or 0)
            if choice.finish_reason == "error":
                raise _broken_off(self._llm)
            if choice.finish_reason is not None:
                self._finished.add(choice.index or 0)
        return event

    def finish(self) -> None:
        """Take note that the body has ended.

        Raises:
            LLMError: It ended before `[DONE]` and before every choice had its finish reason, or held no choice.
        """
        if not self._begun or not (self.done or self._begun == self._finished):
            raise LLMError("the stream ended before the answer was complete", llm=self._llm, retryable=True)


def _decoded(llm: str, data: bytes, secrets: Sequence[str]) -> tuple[_Response, bytes]:
    try:
        try:
            return _response_decoder.decode(data), data
        except msgspec.DecodeError:
            if b"NaN" not in data and b"Infinity" not in data:
                raise
            data = without_nan(data)
            return _response_decoder.decode(data), data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise malformed(llm, str(error), data, secrets=secrets) from error


def _delta(message: Any) -> dict[str, Any]:
    """Return a whole message as one piece of a stream, where tool calls carry their number."""
    delta: dict[str, Any] = dict(message) if isinstance(message, dict) else {}
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        delta["tool_calls"] = [{"index": i, **call} for i, call in enumerate(calls) if isinstance(call, dict)]
    return delta


def _broken_off(llm: str) -> LLMError:
    return LLMError("the server broke off the answer with an error", llm=llm, retryable=True)
