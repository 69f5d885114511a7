"""Committed frames of the protocol: what we send must stay what it was, byte by byte."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

SNAPSHOTS = Path(__file__).resolve().parents[1] / "snapshots"


@pytest.fixture
def snapshot() -> Callable[[str, bytes], None]:
    """Compare bytes with a committed file; `SMCS_UPDATE_SNAPSHOTS=1` writes it instead."""

    def check(name: str, got: bytes) -> None:
        path = SNAPSHOTS / name
        if os.environ.get("SMCS_UPDATE_SNAPSHOTS") == "1":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(got)
        assert path.is_file(), f"There is no snapshot {name}. Write it with SMCS_UPDATE_SNAPSHOTS=1."
        assert got == path.read_bytes()

    return check
