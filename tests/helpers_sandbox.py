"""What the sandbox tests share: find out what an attack left behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

LINUX = sys.platform == "linux"


def processes_with(marker: str) -> list[int]:
    """Ids of running processes (zombies left out) that have `marker` in their command line or name."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if marker in command and state != "Z":
            found.append(int(entry.name))
    return found


def nothing_left(marker: str, *, within: float = 3.0) -> bool:
    """Whether no process with `marker` is left, waiting a moment for the kernel to finish ending them."""
    end = time.monotonic() + within
    while processes_with(marker):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
