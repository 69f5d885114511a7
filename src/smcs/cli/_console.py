"""What commands share to render: consoles, safe text, and figures that may be unknown."""

from __future__ import annotations

import re
import sys

from rich.console import Console

__all__ = ("dollars", "number", "printable", "stderr", "stdout")

_CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")


def stdout() -> Console:
    """Return a console for results; it shows text as it is, markup and emoji codes of models included."""
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def stderr() -> Console:
    """Return a console for progress and diagnostics; it shows text as it is."""
    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def printable(text: str) -> str:
    """Return model text without the control characters that could drive a terminal."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def dollars(amount: float | None, *, at_least: float = 0.0) -> str:
    """Return an amount of money; an unknown one says so, with its known part as a lower bound."""
    if amount is None:
        return f"unknown (at least ${at_least:.4f})" if at_least else "unknown"
    return f"${amount:.4f}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure, or a dash when it is unknown."""
    return "-" if value is None else f"{value:.{digits}f}"
