"""What the sandbox tests share: find out what an attack left behind."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smcs.grading import _session

LINUX = sys.platform == "linux"


def processes_with(marker: str, uid: int | None = None) -> list[int]:
    """Ids of running processes (zombies left out) that have `marker` in their command line, or run as user `uid`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            owner = entry.stat().st_uid
        except OSError:
            continue
        if (marker in command or owner == uid) and state != "Z":
            found.append(int(entry.name))
    return found


def nothing_left(marker: str, uid: int | None = None, *, within: float = 30.0) -> bool:
    """Whether no process with `marker` or of user `uid` is left, once the kernel had a moment to end them."""
    end = time.monotonic() + within
    while processes_with(marker, uid):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def nothing_may_be_left() -> Iterator[str]:
    """Give sandboxes a folder and, as root, a user of their own; nothing of them may run or lie there at the end."""
    made = tempfile.mkdtemp(prefix="sandboxes-")
    Path(made).chmod(0o755)
    # Threads of one test run one after the other, and other tests run in other processes: the user tells them apart.
    uid = _session._UIDS[0] + os.getpid() % (_session._UIDS[1] - _session._UIDS[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", made)
        patch.setattr(_session, "_UIDS", (uid, uid + 1))
        yield made
    if LINUX:
        assert nothing_left(made, uid if os.getuid() == 0 else None)
    assert list(Path(made).iterdir()) == []
    Path(made).rmdir()
