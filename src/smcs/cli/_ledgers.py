"""What the commands over keys and runs share: the ledger they mean, moments, and figures."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

if TYPE_CHECKING:
    from smcs.gateway.ledger import Ledger

__all__ = ("AsJson", "Config", "Where", "ago", "moment", "with_ledger")

_T = TypeVar("_T")

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Config file that names the database.")]
Where = Annotated[
    str | None, typer.Option("--database", help="Path or URL of keys and runs; else the config's, or beside it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_SPAN: Final = re.compile(r"(\d{1,6})([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def with_ledger(
    config: Path | None, database: str | None, work: Callable[[Ledger], Awaitable[_T]], *, create: bool = False
) -> _T:
    """Open the ledger that is meant, do something with it, and close it.

    Args:
        config: Config file, if one was named.
        database: Path or URL, if one was named.
        work: What to do.
        create: Whether to make the ledger where there is none.

    Raises:
        ConfigError: There is no ledger, or no such config.
    """
    from smcs.config import find_config
    from smcs.gateway.ledger import Ledger
    from smcs.gateway.settings import database_of

    place = database_of(find_config(config), database)

    async def inside() -> _T:
        async with Ledger.open(place, create=create) as ledger:
            return await work(ledger)

    return asyncio.run(inside())


def ago(text: str) -> timedelta:
    """Read a span of time such as 30d, 12h, 90m or 2w.

    Raises:
        ConfigError: It is not written like that.
    """
    from smcs.errors import ConfigError

    span = _SPAN.fullmatch(text.strip())
    if span is None:
        raise ConfigError(f"A span of time is a number and m, h, d or w, such as 30d, got {text!r:.80}.")
    return timedelta(**{_UNITS[span.group(2)]: int(span.group(1))})


def moment(text: str | None) -> str | datetime | None:
    """Read a moment: ISO 8601, or a span such as 7d for that long ago."""
    if text is None or not _SPAN.fullmatch(text.strip()):
        return text
    return datetime.now(UTC) - ago(text)
