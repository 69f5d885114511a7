"""Where the gateway keeps its state."""

from __future__ import annotations

from smcs._paths import state_dir
from smcs.config import FoundConfig

__all__ = ("database_of",)


def database_of(found: FoundConfig, database: str | None = None) -> str:
    """Return the path or URL of the database with keys and ledger.

    Args:
        found: The config; its `gateway.database` (a path is relative to the file) comes first, then
            `smcs-gateway.db` beside the file, then, where there is no file, one in the user's data folder.
        database: Another one, as a command line gives it: a path from the working folder, or a URL.
    """
    if database is not None:
        return database
    named = found.config.gateway.database
    if named is not None:
        return named if "://" in named else str(found.folder / named)
    if found.is_file:
        return str(found.folder / "smcs-gateway.db")
    return str(state_dir() / "gateway.db")
