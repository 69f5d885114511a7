"""The OpenAI chat-completion format: only the fields we need, and how they become our records.

What the answer depends on (choices, texts) is checked and a mistake there fails the call. What only measures it
(log-probabilities, usage) is read leniently: if it cannot be trusted it is unknown, and the text still counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, TypeVar, cast

import msgspec

from smcs.errors import LLMError
from smcs.llms.failures import malformed, server_message
from smcs.llms.reasoning import split_reasoning
from smcs.llms.untrusted import one_line
from smcs.types import Choice, Completion, FinishReason, Request, Usage

__all__ = (
    "MaxTokensField",
    "decode_completion",
    "encode_request",
    "finish_reason",
    "make_choice",
    "make_completion",
    "read_usage",
    "without_nan",
)

MaxTokensField = Literal["max_tokens", "max_completion_tokens"]
"""How the endpoint calls its token limit; newer OpenAI models accept only `max_completion_tokens`."""

_T = TypeVar("_T")
_NULL = msgspec.Raw(b"null")
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UNLIKELY = -9999.0
"""At or below this a log-probability is a server's word for "not computed"."""
_ROUNDING = 1e-3


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None


class WireMessage(msgspec.Struct):
    """A generated message, or a streamed piece of one."""

    content: str | list[_Part] | None = None
    reasoning_content: Any = None
    reasoning: Any = None

    def text(self) -> str:
        """The content as one string; parts that are not text (thinking, say) are left out."""
        if isinstance(self.content, list):
            return "".join(part.text or "" for part in self.content if part.type in ("text", "output_text"))
        return self.content or ""

    def thought(self) -> str:
        """The reasoning a server keeps in a field of its own, under either of its two names."""
        for field in (self.reasoning_content, self.reasoning):
            if isinstance(field, str) and field:
                return field
        return ""


class _Value(msgspec.Struct, gc=False):
    logprob: float | None = None


class _Values(msgspec.Struct):
    content: list[_Value] | None = None


WireLogprobs: TypeAlias = msgspec.Raw | _Values | None
"""The `logprobs` object: kept as it came where its tokens may be needed, else only its numbers."""


class _WireChoice(msgspec.Struct):
    index: int = 0
    message: WireMessage | None = None
    finish_reason: str | None = None


class _TypedChoice(_WireChoice):
    logprobs: _Values | None = None


class _RawChoice(_WireChoice):
    logprobs: msgspec.Raw = _NULL


class _WireResponse(msgspec.Struct):
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


class _TypedResponse(_WireResponse):
    choices: list[_TypedChoice] | None = None


class _RawResponse(_WireResponse):
    choices: list[_RawChoice] | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _WireUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Token(msgspec.Struct):
    token: str = ""
    bytes: list[int] | None = None


class _Tokens(msgspec.Struct):
    content: list[_Token] | None = None


_typed_decoder = msgspec.json.Decoder(_TypedResponse)
_raw_decoder = msgspec.json.Decoder(_RawResponse)
_usage_decoder = msgspec.json.Decoder(_WireUsage | None)
_values_decoder = msgspec.json.Decoder(_Values | None)
_tokens_decoder = msgspec.json.Decoder(_Tokens | None)


def encode_request(
    model: str,
    request: Request,
    *,
    stream: bool,
    extra_body: Mapping[str, Any],
    max_tokens_field: MaxTokensField = "max_tokens",
) -> bytes:
    """Return the JSON body of a request; values that are not set are left out.

    `top_logprobs` is always 1 with log-probabilities: llama.cpp sends none for 0, and others accept 1.
    """
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": request.messages,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        max_tokens_field: sampling.max_tokens,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed,
        "stop": sampling.stop or None,
        "response_format": sampling.response_format,
        "n": request.n if request.n > 1 else None,
    }
    if request.logprobs:
        body |= {"logprobs": True, "top_logprobs": 1}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    body |= extra_body
    return msgspec.json.encode({key: value for key, value in body.items() if value is not None})


def decode_completion(llm: str, body: bytes, *, n: int = 1, secrets: Sequence[str] = ()) -> Completion:
    """Read a response that was not streamed.

    Args:
        llm: Name for error messages.
        body: The JSON body.
        n: Choices asked for; a server's surplus is dropped, a shortfall returned as it is.
        secrets: Never repeated in an error message.

    Raises:
        LLMError: The body is no chat completion, reports an error, or holds no text (`kind="empty"`).
    """
    try:
        response = _decode_response(body)
    except (*_DECODE_ERRORS, ValueError) as error:
        raise malformed(llm, str(error), body, secrets=secrets) from error
    if not response.choices:
        if bytes(response.error) != b"null":
            raise LLMError(f"the server reported: {one_line(server_message(response.error), secrets=secrets)}", llm=llm)
        raise malformed(llm, "no choices", body, secrets=secrets)
    found: Sequence[_TypedChoice | _RawChoice] = response.choices
    choices = []
    for choice in sorted(found, key=lambda choice: choice.index)[:n]:
        if choice.message is None:
            raise malformed(llm, "a choice without a message", body, secrets=secrets)
        text, thought = split_reasoning(choice.message.text())
        choices.append(
            make_choice(llm, text, (choice.message.thought(), thought), choice.finish_reason, [choice.logprobs])
        )
    return make_completion(llm, choices, response.usage)


def finish_reason(llm: str, reported: str | None) -> FinishReason:
    """Map a server's word for why a text ended.

    Raises:
        LLMError: The server says it ended in an error: what stands there is no answer.
    """
    if reported == "error":
        raise LLMError("the server broke off the answer with an error", llm=llm, retryable=True)
    return "stop" if reported == "stop" else "length" if reported == "length" else "other"


def make_choice(
    llm: str, text: str, thoughts: Sequence[str], finish: str | None, logprobs: Sequence[WireLogprobs]
) -> Choice:
    """Build one choice from a text already freed of its reasoning.

    Where there was reasoning, only the log-probabilities of the answer's own tokens are kept. If the tokens the server
    listed do not contain the answer they cannot be told apart, and those of the whole text stay.

    Args:
        llm: Name for error messages.
        text: The answer.
        thoughts: Reasoning, in order.
        finish: The server's finish reason.
        logprobs: The `logprobs` objects, one for a whole body and one per chunk of a stream.
    """
    values = _logprob_values(logprobs)
    count = len(values) if values is not None else None
    reasoning = "\n".join(part.strip() for part in thoughts if part.strip())
    trusted = _trusted(values)
    if trusted is not None and reasoning:
        trusted = _answer_values(trusted, logprobs, text) or trusted
    return Choice(
        text,
        reasoning=reasoning,
        finish_reason=finish_reason(llm, finish),
        logprobs=trusted,
        completion_tokens=count,
    )


def make_completion(llm: str, choices: Sequence[Choice], usage: msgspec.Raw) -> Completion:
    """Add usage up and leave out choices without a text.

    llama.cpp counts the tokens of one choice only when `n > 1`, so the sum over choices wins where it is larger.

    Raises:
        LLMError: No choice holds a text (`kind="empty"`).
    """
    reported = read_usage(usage)
    written = reported.completion_tokens
    counts = [choice.completion_tokens for choice in choices if choice.completion_tokens is not None]
    if len(choices) == 1 and written is not None:
        written = max([written, *counts])
        if counts != [written]:
            choices = [replace(choices[0], completion_tokens=written)]
    elif len(counts) == len(choices):
        written = max(sum(counts), written or 0)
    usable = tuple(choice for choice in choices if choice.text.strip())
    if not usable:
        spent = "only reasoning" if any(choice.reasoning for choice in choices) else "no text"
        cut = " (cut by the token limit)" if any(choice.finish_reason == "length" for choice in choices) else ""
        raise LLMError(f"the answer holds {spent}{cut}", llm=llm, kind="empty")
    if written != reported.completion_tokens:
        reported = replace(reported, completion_tokens=written)
    return Completion(usable, reported)


def read_usage(raw: msgspec.Raw) -> Usage:
    """Return the tokens in a `usage` object; what cannot be trusted is unknown."""
    reported = _lenient(_usage_decoder, raw) or _WireUsage()
    details = reported.prompt_tokens_details or _PromptDetails()
    return Usage(reported.prompt_tokens, reported.completion_tokens, details.cached_tokens)


def _decode_response(body: bytes) -> _TypedResponse | _RawResponse:
    try:
        typed = _typed_decoder.decode(body)
    except _DECODE_ERRORS:
        typed = None
    # Tokens are looked at only to tell those of an answer from those of a thought.
    if typed is not None and not any(_holds_thought(choice.message) for choice in typed.choices or ()):
        return typed
    try:
        return _raw_decoder.decode(body)
    except _DECODE_ERRORS:
        # Python servers write NaN and Infinity, which JSON does not have; the text beside them is still good.
        if b"NaN" not in body and b"Infinity" not in body:
            raise
    return _raw_decoder.decode(without_nan(body))


def _holds_thought(message: WireMessage | None) -> bool:
    return message is not None and bool(message.thought() or "think" in message.text())


def without_nan(body: bytes) -> bytes:
    """Return a JSON body with the non-numbers that JSON forbids turned into null."""
    return msgspec.json.encode(json.loads(body, parse_constant=lambda _: None))


def _lenient(decoder: msgspec.json.Decoder[_T], raw: msgspec.Raw) -> _T | None:
    try:
        return decoder.decode(raw)
    except _DECODE_ERRORS:
        return None


def _logprob_values(raws: Iterable[WireLogprobs]) -> list[float | None] | None:
    values: list[float | None] = []
    for raw in raws:
        entries = _lenient(_values_decoder, raw) if isinstance(raw, msgspec.Raw) else raw
        if entries is not None and entries.content:
            values += [entry.logprob for entry in entries.content]
    return values or None


def _trusted(values: list[float | None] | None) -> tuple[float, ...] | None:
    """Return finite log-probabilities, those above 0 by rounding clipped; `None` as soon as one is anything else."""
    if values is None or None in values:
        return None
    known = cast("tuple[float, ...]", tuple(values))
    if not math.isfinite(sum(known)):
        return None
    highest = max(known)
    if min(known) <= _UNLIKELY or highest > _ROUNDING:
        return None
    return known if highest <= 0.0 else tuple(min(value, 0.0) for value in known)


def _answer_values(values: tuple[float, ...], raws: Iterable[WireLogprobs], answer: str) -> tuple[float, ...] | None:
    tokens: list[_Token] = []
    for raw in raws:
        entries = _lenient(_tokens_decoder, raw) if isinstance(raw, msgspec.Raw) else None
        if entries is not None and entries.content:
            tokens += entries.content
    wanted = answer.strip().encode()
    if len(tokens) != len(values) or not wanted:
        return None
    try:
        pieces = [token.token.encode() if token.bytes is None else bytes(token.bytes) for token in tokens]
    except ValueError:
        return None
    start = b"".join(pieces).rfind(wanted)
    if start < 0:
        return None
    end, position, kept = start + len(wanted), 0, []
    for value, piece in zip(values, pieces, strict=True):
        if position < end and position + len(piece) > start:
            kept.append(value)
        position += len(piece)
    return tuple(kept)
