"""Server-sent events (WHATWG HTML, section 9.2) as the OpenAI API uses them."""

from __future__ import annotations

from typing import Final

import msgspec

from smcs.gateway.errors import GatewayError

__all__ = ("DONE", "KEEP_ALIVE", "data_event", "error_event", "named_event")

DONE: Final = b"data: [DONE]\n\n"
"""Last event of a chat stream that is complete."""

KEEP_ALIVE: Final = b": keep-alive\n\n"
"""A comment, which every reader skips: tells whoever stands between that the line is not dead."""


def data_event(payload: bytes) -> bytes:
    """Return an event with this data; line breaks in it are framed so that a reader joins them again."""
    if b"\n" in payload or b"\r" in payload:
        lines = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        payload = b"\ndata: ".join(lines)
    return b"data: " + payload + b"\n\n"


def named_event(name: str, payload: bytes) -> bytes:
    """Return an event with a name and data."""
    return b"event: " + name.encode() + b"\n" + data_event(payload)


def error_event(error: GatewayError) -> bytes:
    """Return what a chat stream ends with when it breaks off: the error object, and no `[DONE]` after it."""
    return data_event(msgspec.json.encode(error.body()))
