"""Which bank a command means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smcs.bank import QuestionBank

__all__ = ("open_named_bank",)


def open_named_bank(url: str | None, config: Path | None = None) -> QuestionBank:
    """Open a bank by path, URL or `seed`, or the one of the config that applies when none is named.

    Raises:
        BankError: There is none, or it cannot be used.
        ConfigError: None is named, and the config names none either.
    """
    from smcs.config import find_config, open_bank
    from smcs.errors import ConfigError

    if url is not None:
        return open_bank(url)
    found = find_config(config)
    if found.config.bank is None:
        raise ConfigError(f"{found.source} names no bank. Name one as the first argument: a path, a URL, or `seed`.")
    return open_bank(found.config.bank, found.folder)
