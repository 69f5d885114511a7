from __future__ import annotations

import subprocess
import sys

import pytest

import smcs.llms


def test_every_exported_name_exists() -> None:
    for name in smcs.llms.__all__:
        assert getattr(smcs.llms, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        smcs.llms.Nope  # noqa: B018


def test_importing_the_room_is_light() -> None:
    heavy = ("aiohttp", "msgspec", "numpy", "pydantic", "yarl")
    code = f"import sys, smcs.llms; print([name for name in {heavy!r} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
