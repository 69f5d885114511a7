"""Where smcs keeps files: what it can make or fetch again, and what it cannot."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ("cache_dir", "state_dir")


def cache_dir() -> Path:
    """Return the user's cache folder for smcs (not created): `SMCS_CACHE_DIR`, or the system's place for caches."""
    override = os.environ.get("SMCS_CACHE_DIR")
    if override:
        return Path(override).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("smcs")


def state_dir() -> Path:
    """Return the user's data folder for smcs (not created): `SMCS_STATE_DIR`, or the system's place for data."""
    override = os.environ.get("SMCS_STATE_DIR")
    if override:
        return Path(override).expanduser()
    from platformdirs import user_data_path

    return user_data_path("smcs")
