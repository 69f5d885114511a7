"""Every error smcs raises on purpose, in two branches.

`UserError` is the caller's mistake: the message says what was got, what is allowed and how to fix it, and
front ends show it as one line. `RunError` is the run's failure: an endpoint, a file or a budget gave way.
Anything else that escapes is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = (
    "BankError",
    "BudgetExceededError",
    "ConfigError",
    "EmbedderError",
    "InputError",
    "LLMError",
    "MissingExtraError",
    "ModelFileError",
    "NoUsableAnswerError",
    "RunError",
    "SmcsError",
    "UserError",
    "suggest",
)


class SmcsError(Exception):
    """Base of all errors raised on purpose."""


class UserError(SmcsError):
    """The caller's mistake: nothing was run, and the message carries the fix."""


class InputError(UserError, ValueError):
    """An argument is outside what the function accepts (shape, range, NaN, ...)."""


class ConfigError(UserError):
    """A config file, command line or environment variable asks for something that cannot be."""


class BankError(UserError):
    """A question bank is missing, of another schema, or lacks what was asked of it."""


class MissingExtraError(UserError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency. Install it with: pip install 'smcs[{extra}]'")
        self.extra = extra
        """Name of the extra that installs it."""


class RunError(SmcsError):
    """The run's failure: the request was fine, but something it needed gave way."""


class LLMError(RunError):
    """One call to one LLM failed. It never becomes an answer."""

    def __init__(
        self,
        message: str,
        *,
        llm: str,
        kind: str = "error",
        http_status: int | None = None,
        retry_after: float | None = None,
        retryable: bool = False,
        body: bytes | None = None,
    ) -> None:
        super().__init__(f"{llm}: {message}")
        self.reason = message
        """What went wrong, without the LLM's name."""
        self.llm = llm
        """Pool name of the LLM."""
        self.kind = kind
        """`AttemptStatus` the failure is recorded under: "error", "timeout", "empty", or "skipped" (never sent)."""
        self.http_status = http_status
        """HTTP status, if one was received."""
        self.retry_after = retry_after
        """Seconds the server asked us to wait, if it did."""
        self.retryable = retryable
        """Whether the same call may succeed later (overload, a dropped connection, a 5xx)."""
        self.body = body
        """What the server sent with `http_status`, whole and without our keys; `None` if nothing or too much came."""


class EmbedderError(RunError):
    """An embedder failed or returned vectors that cannot be used."""


class ModelFileError(RunError):
    """A model file could not be downloaded, verified or stored."""


class BudgetExceededError(RunError):
    """A cap on calls, seconds or money would be passed by the next call."""


class NoUsableAnswerError(RunError):
    """Every way to an answer failed; `causes` lists each failure."""

    def __init__(self, message: str, causes: Sequence[str]) -> None:
        super().__init__("\n".join([message, *(f"  - {cause}" for cause in causes)]))
        self.causes = tuple(causes)
        """One line per failed call or stage, in the order they happened."""


def suggest(got: str, allowed: Iterable[str]) -> str:
    """Return a ` Did you mean ...?` / ` Choose one of: ...` tail for an unknown name.

    Args:
        got: The name that was not recognised.
        allowed: The names that are.

    Returns:
        A sentence with a leading space, empty when nothing is allowed.
    """
    names = sorted(allowed)
    if not names:
        return ""
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(got.lower(), lower, n=1, cutoff=0.6)
    hint = f" Did you mean {lower[close[0]]!r}?" if close else ""
    return f"{hint} Choose one of: {', '.join(repr(name) for name in names)}."
