"""Under what an experiment ran: code, versions, machine. Nothing that names a person, a host or a path."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from smcs.llms.local import available_cores

__all__ = ("describe_commit", "describe_machine")

_PACKAGES = ("smcs", "numpy", "msgspec", "pydantic", "sqlalchemy", "aiohttp", "xllamacpp", "tokenizers", "matplotlib")
_GIT_SECONDS = 10


def describe_machine() -> tuple[dict[str, str], dict[str, Any]]:
    """Return the versions and the hardware, for a result file's header.

    Returns:
        Versions by name: Python, and the packages that results depend on, where installed. Hardware: `system`,
        `machine`, `cpu` (model, `None` where unknown), `cores` (that this process may use), `memory_gb` (`None` where
        unknown).
    """
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    hardware = {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cores": available_cores(),
        "memory_gb": _memory_gb(),
    }
    return versions, hardware


def describe_commit() -> tuple[str | None, bool | None]:
    """Return the commit of the running code and whether the package's files differ from it.

    Returns:
        The full hash and the flag; `(None, None)` where the package is not a git checkout.
    """
    package = Path(__file__).resolve().parents[1]
    tracked = _git(package, "ls-files", "--error-unmatch", "__init__.py")
    commit = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain", "--", str(package))
    if not tracked or not commit or changes is None:
        return None, None
    return commit, bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, `None` when there is no git or it refuses."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str | None:
    if sys.platform == "linux":
        information = Path("/proc/cpuinfo")
        if information.is_file():
            for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or None


def _memory_gb() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
