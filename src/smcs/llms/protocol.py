"""The seams between smcs and any LLM: one method to ask it, and two to pass a raw request through to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol, cast, runtime_checkable

from smcs.errors import InputError
from smcs.types import Completion, Delta, Request

__all__ = ("LLM", "DeltaSink", "Forwarding", "forwarding", "require_forwarding")

DeltaSink = Callable[[Delta], None]
"""Called with each piece of text as it arrives; must not block."""


class LLM(Protocol):
    """Anything that completes a chat request."""

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer a request.

        Args:
            request: Messages, sampling and what is wanted back.
            on_delta: If given, the answer is streamed and every piece is handed over before the call returns.

        Returns:
            At least one choice with a non-empty text; never an error text.

        Raises:
            LLMError: The call failed, timed out, or returned nothing that can be used.
        """
        ...


@runtime_checkable
class Forwarding(Protocol):
    """An LLM that takes requests as clients wrote them: tools, images, log-probabilities and fields nobody here knows.

    A body is that of OpenAI's `POST /chat/completions` in plain JSON values. The LLM puts its own `model` into it and
    lays what it declares for every request under it; values that are null count as not given. `stream` and
    `stream_options` are set by which method is called.
    """

    async def forward(self, body: Mapping[str, Any]) -> bytes:
        """Send a request as it is.

        Returns:
            The JSON of the response as it came: a chat completion with at least one choice.

        Raises:
            LLMError: The call failed. With an `http_status`, `body` holds what the server said about it.
        """
        ...

    def forward_stream(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Send a request as it is, and yield the data of each server-sent event of the answer as it came.

        `[DONE]` is left out, and usage is always asked for. Closing the generator closes the connection at once:
        iterate inside `contextlib.aclosing`.

        Raises:
            LLMError: The call failed, the stream carries an error, or it was cut before it was complete.
        """
        ...


def forwarding(llm: LLM) -> Forwarding | None:
    """Return an LLM as one that forwards, or `None` if it does not.

    A wrapper (with an attribute `inner`) forwards if it can and what it wraps can: one that cannot is never bypassed.
    """
    layer: Any = llm
    while layer is not None:
        if not _forwards(layer.__class__):
            return None
        layer = getattr(layer, "inner", None)
    return cast("Forwarding", llm)


@lru_cache(maxsize=256)
def _forwards(kind: type) -> bool:
    """Return whether a class forwards. Every request asks this several times, and the check itself is slow."""
    return issubclass(kind, Forwarding)


def require_forwarding(llm: LLM) -> Forwarding:
    """Return an LLM as one that forwards.

    Raises:
        InputError: It does not.
    """
    found = forwarding(llm)
    if found is None:
        raise InputError(f"{type(llm).__name__} takes no raw requests: it can answer, but nothing can pass through it.")
    return found
