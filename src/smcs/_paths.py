"""Where smcs keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ("cache_dir",)


def cache_dir() -> Path:
    """Return the user's cache folder for smcs (not created): `SMCS_CACHE_DIR`, or the system's place for caches."""
    override = os.environ.get("SMCS_CACHE_DIR")
    if override:
        return Path(override).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("smcs")
