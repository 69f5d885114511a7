"""Turn what an endpoint did wrong into an `LLMError` that is safe to show.

Whatever a server says is untrusted: control characters are removed, lengths capped and keys blotted out before any
of it reaches a message.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from smcs.errors import LLMError
from smcs.llms.untrusted import one_line

__all__ = ("MAX_ERROR_BYTES", "http_failure", "malformed", "retry_after_seconds", "server_message", "transport_failure")

MAX_ERROR_BYTES: Final = 64 * 1024
"""Most of an error's body that is read and kept; a longer one only gives its beginning to the message."""

_RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_TIMEOUT_STATUS = frozenset({408, 504})
_OUT_OF_MONEY = ("insufficient_quota", "billing_hard_limit_reached")


def server_message(body: bytes | msgspec.Raw) -> str:
    """Return the message inside an error body: the field servers use for it, or the body itself as text."""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(body).decode("utf-8", "replace")
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


def retry_after_seconds(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Return the seconds a server asks us to wait (RFC 9110, section 10.2.3: seconds or a date), or `None`.

    Args:
        headers: Response headers, looked up without regard to case.
        now: Unix time a date is compared with; the present if not given.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - (time.time() if now is None else now))


def http_failure(
    llm: str, status: int, headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str] = ()
) -> LLMError:
    """Return the error for a response that is not 200.

    Args:
        llm: Name for the message.
        status: HTTP status.
        headers: Response headers.
        body: Its body, or the beginning of one longer than `MAX_ERROR_BYTES`.
        secrets: Repeated neither in the message nor in `LLMError.body`.
    """
    message = server_message(body)
    if 300 <= status < 400:
        message = f"redirected to {headers.get('Location', 'nowhere')}; set that as `base_url` if you trust it"
    return LLMError(
        f"HTTP {status}: {one_line(message, secrets=secrets) or 'no message'}",
        llm=llm,
        kind="timeout" if status in _TIMEOUT_STATUS else "error",
        http_status=status,
        retry_after=retry_after_seconds(headers),
        retryable=status in _RETRYABLE_STATUS and not any(code.encode() in body for code in _OUT_OF_MONEY),
        body=_without(secrets, body) if 0 < len(body) <= MAX_ERROR_BYTES else None,
    )


def _without(secrets: Sequence[str], body: bytes) -> bytes:
    for secret in secrets:
        body = body.replace(secret.encode(), b"***")
    return body


def transport_failure(llm: str, error: Exception, where: str) -> LLMError:
    """Return the error for a connection that could not be opened or broke."""
    if isinstance(error, TimeoutError):
        return LLMError(f"no connection to {where} in time", llm=llm, kind="timeout", retryable=True)
    if isinstance(error, aiohttp.ClientSSLError):
        return LLMError(f"no secure connection to {where}: {one_line(str(error))}", llm=llm)
    if isinstance(error, aiohttp.ClientConnectorError):
        return LLMError(f"cannot connect to {where}: {one_line(str(error.os_error))}", llm=llm, retryable=True)
    if isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError)):
        return LLMError(f"{where} dropped the connection before the answer was complete", llm=llm, retryable=True)
    return LLMError(f"{where} broke the HTTP exchange: {type(error).__name__}: {one_line(str(error))}", llm=llm)


def malformed(llm: str, what: str, body: bytes | None = None, *, secrets: Sequence[str] = ()) -> LLMError:
    """Return the error for a body that is not a chat completion; the body's first characters tell what it is."""
    tail = (
        "" if body is None else f"; got {one_line(body[:200].decode('utf-8', 'replace'), limit=80, secrets=secrets)!r}"
    )
    return LLMError(f"malformed response: {one_line(what, secrets=secrets)}{tail}", llm=llm)
