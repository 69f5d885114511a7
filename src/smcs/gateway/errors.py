"""What a client is told when a request cannot be answered: the error object of the OpenAI API, and its HTTP status."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smcs.errors import (
    BankError,
    BudgetExceededError,
    EmbedderError,
    InputError,
    LLMError,
    NoUsableAnswerError,
    RunError,
    SmcsError,
    UserError,
)

__all__ = (
    "GatewayError",
    "broken",
    "forbidden",
    "from_error",
    "invalid_request",
    "ledger_unavailable",
    "not_found",
    "overloaded",
    "rate_limited",
    "stopping",
    "too_large",
    "unauthorized",
    "unsupported",
    "upstream_failed",
)

_MAX_MESSAGE = 2_000
_CAPPED = re.compile(r": skipped \(max_(?:usd|calls)\b")
_LATE = re.compile(r": timeout|: skipped \((?:max_seconds|the deadline)")


@dataclass(eq=False)
class GatewayError(RunError):
    """An answer with a status of 400 or above, in the shape of the OpenAI API."""

    status: int
    """HTTP status."""
    message: str
    type: str = "invalid_request_error"
    """Family, as OpenAI names them: invalid_request_error, authentication_error, rate_limit_error, server_error, ..."""
    code: str | None = None
    """Stable word for programs, e.g. "model_not_found"."""
    param: str | None = None
    """The part of the request it is about, e.g. "messages[3].content"."""
    retry_after: float | None = None
    """Seconds after which the same request may succeed; sent as Retry-After (RFC 9110, section 10.2.3)."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further response headers."""

    def __post_init__(self) -> None:
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        message = " ".join(self.message.split())
        return {"error": {"message": message[:_MAX_MESSAGE], "type": self.type, "param": self.param, "code": self.code}}


def invalid_request(message: str, param: str | None = None, code: str | None = None) -> GatewayError:
    """The request is malformed or out of bounds: 400."""
    return GatewayError(400, message, code=code, param=param)


def unsupported(param: str, why: str) -> GatewayError:
    """The request asks for something of the protocol that is not honoured here: 400, never ignored in silence."""
    return GatewayError(400, why, code="unsupported_parameter", param=param)


def not_found(message: str, code: str | None = None, param: str | None = None) -> GatewayError:
    """There is no such model, run or path: 404."""
    return GatewayError(404, message, code=code, param=param)


def too_large(message: str) -> GatewayError:
    """The body is larger than is read: 413."""
    return GatewayError(413, message, code="request_too_large")


def unauthorized(message: str) -> GatewayError:
    """No key, or one that is not valid: 401."""
    return GatewayError(
        401,
        message,
        type="authentication_error",
        code="invalid_api_key",
        headers={"WWW-Authenticate": 'Bearer realm="smcs"'},
    )


def forbidden(message: str, code: str | None = None) -> GatewayError:
    """A valid key that may not do this: 403."""
    return GatewayError(403, message, type="permission_error", code=code)


def rate_limited(message: str, retry_after: float | None, code: str = "rate_limit_exceeded") -> GatewayError:
    """A limit of the key is reached: 429."""
    return GatewayError(429, message, type="rate_limit_error", code=code, retry_after=retry_after)


def overloaded(message: str, retry_after: float) -> GatewayError:
    """The server has more to do than it takes on: 503."""
    return GatewayError(503, message, type="server_error", code="overloaded", retry_after=retry_after)


def ledger_unavailable() -> GatewayError:
    """Keys, limits and runs can be neither looked up nor written: 503."""
    return GatewayError(
        503,
        "The database with keys, limits and runs cannot be reached.",
        type="server_error",
        code="ledger_unavailable",
        retry_after=5.0,
    )


def stopping() -> GatewayError:
    """The server ends before the request has: 503."""
    return overloaded("The server is stopping. Send the request again.", 1.0)


def broken() -> GatewayError:
    """A failure that nobody foresaw: 500, without a word of what it was."""
    return GatewayError(500, "The server failed. Its log says why.", type="server_error")


def upstream_failed(message: str, status: int = 502) -> GatewayError:
    """What the answer needed gave way: 502, or 504 where time ran out."""
    return GatewayError(status, message, type="upstream_error", code="upstream_failed")


def from_error(error: SmcsError) -> GatewayError:
    """Return what a client is told of an error raised inside smcs.

    A user's mistake is 400; a failure of the run is 502, 504 where every cause is a time-out, 402 where a cap on money
    or calls left nothing to try; a bank that cannot be read is 503.
    """
    match error:
        case GatewayError():
            return error
        case BudgetExceededError():
            return GatewayError(402, str(error), type="budget_error", code="budget_exceeded")
        case NoUsableAnswerError(causes=causes):
            if causes and all(_CAPPED.search(cause) for cause in causes):
                return GatewayError(402, str(error), type="budget_error", code="budget_exceeded")
            late = bool(causes) and all(_LATE.search(cause) for cause in causes)
            return upstream_failed(str(error), 504 if late else 502)
        case LLMError(kind=kind):
            return upstream_failed(str(error), 504 if kind == "timeout" else 502)
        case EmbedderError():
            return upstream_failed(str(error))
        case BankError():
            return GatewayError(503, str(error), type="server_error", code="bank_unavailable", retry_after=5.0)
        case InputError() | UserError():
            return invalid_request(str(error))
        case _:
            return GatewayError(500, str(error), type="server_error")
