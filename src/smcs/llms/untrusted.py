"""Make text from elsewhere safe to show in a message."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ("one_line",)

_UNPRINTABLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ud800-\\udfff\\ufeff]+"
)


def one_line(text: str, *, limit: int = 300, secrets: Sequence[str] = ()) -> str:
    """Return untrusted text as one printable line of at most `limit` characters, without the secrets."""
    text = text[: 20 * limit]
    for secret in secrets:
        text = text.replace(secret, "***")
    text = " ".join(_UNPRINTABLE.sub(" ", text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
