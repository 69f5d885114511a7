"""Strategies by name."""

from __future__ import annotations

from typing import Final

from smcs.errors import ConfigError, suggest
from smcs.strategies.calls import Strategy
from smcs.strategies.smcs import smcs

__all__ = ("STRATEGIES", "strategy")

STRATEGIES: Final[dict[str, Strategy]] = {"smcs": smcs}
"""Every strategy; adding one is one file and one line here."""


def strategy(name: str) -> Strategy:
    """Return a strategy.

    Raises:
        ConfigError: There is none of this name.
    """
    try:
        return STRATEGIES[name]
    except KeyError:
        raise ConfigError(f"Unknown strategy {name!r}.{suggest(name, STRATEGIES)}") from None
