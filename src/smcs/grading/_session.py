"""One run of the sandbox's supervisor: start it, hand it its order, collect what comes back, leave nothing behind."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from smcs.grading.jail.wire import WireError, read_frame, write_frame
from smcs.grading.limits import Limits

__all__ = ("Session", "run")

_GRACE_SECONDS = 2.0
_UIDS = (61_184, 65_519)
_CHECKER_UID = 65_520
_BOOT = "import sys; sys.path.append(sys.argv[1]); from jail.supervisor import main; sys.path.pop(); main()"
_NAMESPACES = True
_PACKAGES = ("numpy", "sortedcontainers")
_SHARED = frozenset(
    {"bisect", "collections", "copy", "datetime", "decimal", "fractions", "functools", "heapq", "itertools", "json"}
    | {"math", "operator", "random", "re", "statistics", "string", "typing"}
)
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)|import[ \t]+([^\n#]+))", re.MULTILINE)


def run(order: dict[str, Any], proof: dict[str, Any], limits: Limits) -> Session:
    """Start a supervisor, hand it the order and the proof, and wait until all of it has ended.

    Args:
        order: `source`, `setup`, `stdin`, and `entry_point` (`None` runs the source as a script).
        proof: What the program must not see: tests and token.
        limits: What the program may use.
    """
    started = time.monotonic()
    uid = _UIDS[0] + secrets.randbelow(_UIDS[1] - _UIDS[0]) if os.getuid() == 0 else None
    root = tempfile.mkdtemp(prefix="smcs-")
    imports = _imports(order["setup"], order["source"])
    order = {
        **order,
        "limits": asdict(limits),
        "uid": uid,
        "checker_uid": _CHECKER_UID,
        "home": str(Path.home()),
        "namespaces": _NAMESPACES,
        "imports": imports,
        "packages": [f"{folder}/{name}" for name, folder in imports.items() if folder],
    }
    session = Session(limits)
    try:
        session.start(root, order, proof)
        session.collect(started + limits.wall_seconds + _GRACE_SECONDS)
    finally:
        session.close()
        shutil.rmtree(root, ignore_errors=True)  # a program may leave folders that not even we can list
    session.seconds = time.monotonic() - started
    session.unprivileged = uid is not None
    return session


def _imports(setup: str, source: str) -> dict[str, str]:
    """Return which modules to load before program and tests part, each with its folder ("" in the standard library)."""
    named = {name for match in _IMPORT.finditer(setup) for name in re.findall(r"[A-Za-z_]\w*", match[1] or match[2])}
    modules = dict.fromkeys(sorted(_SHARED & named), "")
    for name in _PACKAGES:
        if name in source or name in setup:
            folder = _folder(name)
            if folder:
                modules[name] = folder
    return modules


@cache
def _folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    return str(Path(spec.origin).parent.parent) if spec is not None and spec.origin else ""


class Session:
    """One supervisor process and what it sent."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.seconds = 0.0
        self.unprivileged = False
        self.reply: dict[str, Any] = {}
        """The result: `status`, `reason`, `token`, ...; empty when none came."""
        self.begun: dict[str, Any] = {}
        """The program's id and what isolates it; empty when it never ran."""
        self.overflow = False
        """Whether it printed too much."""
        self.failure = ""
        self._output = {"stdout": bytearray(), "stderr": bytearray()}
        self._process: subprocess.Popen[bytes] | None = None
        self._replies = -1

    @property
    def stdout(self) -> str:
        """Printed text so far; bytes that are not UTF-8 are replaced."""
        return self._output["stdout"].decode(errors="replace")

    @property
    def stderr(self) -> str:
        """The same for standard error."""
        return self._output["stderr"].decode(errors="replace")

    def start(self, root: str, order: dict[str, Any], proof: dict[str, Any]) -> None:
        """Start the supervisor in a folder and write both frames to it."""
        self._replies, child_end = os.pipe()
        folder = str(Path(__file__).parent)
        try:
            self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and our own code)
                [sys.executable, "-s", "-S", "-P", "-X", "utf8", "-c", _BOOT, folder, str(child_end), root],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=root,
                env={"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                pass_fds=(child_end,),
                start_new_session=True,
            )
        finally:
            os.close(child_end)
        assert self._process.stdin is not None  # noqa: S101
        try:
            for frame in (order, proof):
                write_frame(self._process.stdin.fileno(), frame)
        except (OSError, WireError) as error:
            self.failure = f"the sandbox did not start: {error}"

    def collect(self, deadline: float) -> None:
        """Read output and frames until the supervisor has ended or must be ended."""
        assert self._process is not None  # noqa: S101
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout.fileno(), selectors.EVENT_READ, "stdout")  # type: ignore[union-attr]
            selector.register(self._process.stderr.fileno(), selectors.EVENT_READ, "stderr")  # type: ignore[union-attr]
            selector.register(self._replies, selectors.EVENT_READ, "replies")
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if not (self._frame() if key.data == "replies" else self._text(key.fd, key.data)):
                        selector.unregister(key.fd)

    def _frame(self) -> bool:
        try:
            frame = read_frame(self._replies)
        except (EOFError, WireError):
            return False
        if "started" in frame:
            self.begun = frame
        else:
            self.reply = frame
        return True

    def _text(self, fd: int, name: str) -> bool:
        part = os.read(fd, 2**16)
        room = self.limits.output_bytes - sum(map(len, self._output.values()))
        self._output[name] += part[: max(room, 0)]
        if len(part) > room and not self.overflow:
            self.overflow = True
            os.kill(self._process.pid, signal.SIGTERM)  # type: ignore[union-attr]
        return bool(part)

    def close(self) -> None:
        """End everything: the program by its id (that ends its process namespace too), then the whole group."""
        os.close(self._replies)
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(timeout=_GRACE_SECONDS if self.reply else 0.0)
        except subprocess.TimeoutExpired:
            if "started" in self.begun:
                _kill(os.kill, self.begun["started"])
        if self.begun.get("processes") == "group":
            _kill(os.killpg, self.begun["started"])
        _kill(os.killpg, self._process.pid)
        self._process.wait()


def _kill(how: Any, target: int) -> None:
    try:
        how(target, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # already gone; macOS answers "not permitted" for a group of zombies
