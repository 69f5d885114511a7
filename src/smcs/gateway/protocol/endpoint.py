"""What an endpoint says: a chat completion, or one event of its stream, as far as it is read here.

Only what an answer holds is looked at; an endpoint's mistakes in the rest do no harm. Log-probabilities, of which there
may be thousands, are left as they came until somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from smcs.gateway.protocol.completions import TokenLogprob
from smcs.types import Usage

__all__ = ("Call", "Said", "SaidChoice", "SaidCompletion", "read_said")

_NULL: Final = msgspec.Raw(b"null")


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct):
    """A call of a tool, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None

    @property
    def name(self) -> str:
        """The function's name; empty in a piece that has none."""
        return "" if self.function is None else self.function.name or ""

    @property
    def arguments(self) -> str:
        """JSON text, or a piece of it."""
        return "" if self.function is None else self.function.arguments or ""


class Said(msgspec.Struct):
    """A message, or a piece of one."""

    content: Any = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[Call] | None = None

    @property
    def text(self) -> str:
        """What is said, be it a refusal."""
        return _text(self.content) or self.refusal or ""

    @property
    def thought(self) -> str:
        """The reasoning a server keeps in a field of its own, under either of its two names."""
        return _text(self.reasoning_content) or _text(self.reasoning)

    def calls(self) -> Iterator[tuple[int, Call]]:
        """Yield calls of tools with their numbers; a server that gives none means their order."""
        for position, call in enumerate(self.tool_calls or ()):
            yield position if call.index is None else call.index, call


class _Top(msgspec.Struct):
    token: str = ""
    logprob: float | None = None
    bytes: tuple[int, ...] | None = None


class _Token(_Top):
    top_logprobs: tuple[_Top, ...] | None = None


class _Logprobs(msgspec.Struct):
    content: tuple[_Token, ...] | None = None


class SaidChoice(msgspec.Struct):
    """One of the answers, or a piece of it."""

    index: int | None = None
    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    logprobs: msgspec.Raw = _NULL

    @property
    def place(self) -> int:
        """Its number among the choices."""
        return self.index or 0

    def tokens(self) -> tuple[TokenLogprob, ...]:
        """Return its tokens with their log-probabilities, where it has any.

        Raises:
            msgspec.DecodeError: They are not written as such.
        """
        found = _logprobs.decode(self.logprobs)
        entries = (found.content or ()) if found is not None else ()
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


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class SaidCompletion(msgspec.Struct):
    """A chat completion, or a chunk of one."""

    choices: list[SaidChoice] | None = None
    usage: _Usage | None = None

    def tokens_used(self) -> Usage | None:
        """Return the tokens it took, if it says so."""
        if self.usage is None:
            return None
        details = self.usage.prompt_tokens_details or _Details()
        return Usage(self.usage.prompt_tokens, self.usage.completion_tokens, details.cached_tokens)


_completion: Final = msgspec.json.Decoder(SaidCompletion)
_logprobs: Final = msgspec.json.Decoder(_Logprobs | None)


def read_said(payload: bytes) -> SaidCompletion:
    """Read the body of a response, or the data of an event.

    Raises:
        msgspec.DecodeError: It is neither a chat completion nor a chunk of one.
        UnicodeDecodeError: It is not UTF-8.
    """
    return _completion.decode(payload)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


def _bytes(entry: _Top) -> tuple[int, ...]:
    """Return a token's bytes, which a response must have: those of its text, where an endpoint gave none."""
    return tuple(entry.token.encode()) if entry.bytes is None else entry.bytes
