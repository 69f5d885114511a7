"""Run Python programs written by LLMs without trusting them.

Each program gets a process of its own: its own session, hard limits on CPU, memory, files and processes, an empty
environment, a throw-away folder, an unprivileged user when we are root, and on Linux (where the system permits) no
network, no view of other processes and a read-only file system. `Isolation` says which of these held; nothing is
claimed that was not done. POSIX only: on Windows every run is "unavailable".

What is not bounded: the sum over several processes of one program (memory_bytes x processes), and reading files that
everybody on the machine may read.
"""

from __future__ import annotations

import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from smcs.errors import InputError
from smcs.grading.jail.wire import WireError, read_frame, write_frame

__all__ = ("CheckResult", "Isolation", "Limits", "ProgramResult", "check_function", "run_program")

ProgramStatus = Literal["ok", "error", "timeout", "killed", "output_limit", "unavailable"]
"""How a program ended. `error` is a non-zero exit, `killed` a signal; `unavailable` means the sandbox itself failed."""

_GRACE_SECONDS = 2.0
_UIDS = (61_184, 65_519)
_BOOT = "import sys; sys.path.append(sys.argv[1]); from jail.supervisor import main; sys.path.pop(); main()"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use; all positive."""

    _: KW_ONLY
    wall_seconds: float = 10.0
    cpu_seconds: int = 8
    """Per process, whole seconds."""
    memory_bytes: int = 512 * 2**20
    """Address space of each process."""
    file_bytes: int = 16 * 2**20
    """Largest file it may write."""
    disk_bytes: int = 64 * 2**20
    """Size of its folder, where that is a file system of its own."""
    output_bytes: int = 256 * 2**10
    """Standard output and error together; more kills the program."""
    processes: int = 16
    """Processes and threads together (Linux)."""
    open_files: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise InputError(f"Limits.{name} is {value}; it must be positive.")


@dataclass(frozen=True, slots=True)
class Isolation:
    """What shielded the machine from a program."""

    network: Literal["blocked", "open"]
    filesystem: Literal["read-only", "open"]
    """"open": only permissions keep it from writing elsewhere."""
    processes: Literal["namespace", "group"]
    """"group": it can see other processes, and signal those of its own user."""
    user: Literal["unprivileged", "same"]
    """"same": it runs as the user who started us."""


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """How one program ended and what it printed."""

    status: ProgramStatus
    stdout: str
    """Printed text, cut at `Limits.output_bytes`; bytes that are not UTF-8 are replaced."""
    stderr: str
    _: KW_ONLY
    seconds: float
    """Wall time, the sandbox's own start included."""
    exit_code: int | None = None
    """Exit status, negative for a signal; `None` when it was stopped by us or never ran."""
    reason: str = ""
    """Why it is not "ok", in one line."""
    isolation: Isolation | None = None
    """`None` when it never ran."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Whether a program's function passed its tests."""

    passed: bool | None
    """`None` when the sandbox itself failed, so nothing is known."""
    reason: str
    run: ProgramResult


def run_program(source: str, *, limits: Limits | None = None, stdin: str = "") -> ProgramResult:
    """Run a program as a script and wait for it; nothing of it is left running.

    Args:
        source: Python source, not trusted.
        limits: What it may use.
        stdin: Text on its standard input.

    Returns:
        How it ended. Blocks for at most `limits.wall_seconds` and a few seconds of clean-up.
    """
    order = {"source": source, "stdin": stdin, "entry_point": None, "setup": ""}
    return _run(order, {}, limits or Limits())[0]


def check_function(
    source: str, *, entry_point: str, tests: str, setup: str = "", limits: Limits | None = None
) -> CheckResult:
    """Run trusted tests against a function of an untrusted program.

    The tests run in another process than the program and reach its function by calls whose arguments and results are
    plain data (None, numbers, text, bytes, and lists, tuples, sets, dicts, ranges and iterators of them). A test that
    needs other objects cannot be graded this way.

    Args:
        source: Python source that defines `entry_point`, not trusted.
        entry_point: Name of the function.
        tests: Python source that calls it and raises when an answer is wrong; trusted.
        setup: Python source that runs before the tests and at the head of the program; trusted.
        limits: What it may use; the time is for all tests together.
    """
    token = secrets.token_hex(16)
    program = f"{setup}\n{source}" if setup else source
    order = {"source": program, "stdin": "", "entry_point": entry_point, "setup": setup}
    run, reply = _run(order, {"tests": tests, "token": token}, limits or Limits())
    if run.status == "unavailable":
        return CheckResult(None, run.reason, run)
    if run.status != "ok":
        return CheckResult(False, run.reason, run)
    genuine = reply.get("status") == "passed" and secrets.compare_digest(str(reply.get("token")), token)
    return CheckResult(genuine, str(reply.get("reason", "")), run)


def _run(order: dict[str, Any], proof: dict[str, Any], limits: Limits) -> tuple[ProgramResult, dict[str, Any]]:
    """Start a supervisor, hand it the order and the proof, and collect what comes back."""
    started = time.monotonic()
    if os.name != "posix":
        reason = "programs can be run on POSIX systems only (Linux, macOS, WSL)"
        return ProgramResult("unavailable", "", "", seconds=0.0, reason=reason), {}
    uid = _UIDS[0] + secrets.randbelow(_UIDS[1] - _UIDS[0]) if os.getuid() == 0 else None
    root = tempfile.mkdtemp(prefix="smcs-")
    order = {**order, "limits": asdict(limits), "uid": uid, "home": str(Path.home())}
    session = _Session(limits, checked=order["entry_point"] is not None)
    try:
        session.start(root, order, proof)
        session.collect(started + limits.wall_seconds + _GRACE_SECONDS)
    finally:
        session.close()
        shutil.rmtree(root, ignore_errors=True)  # a program may leave folders that not even we can list
    return session.result(uid, time.monotonic() - started), session.reply


class _Session:
    """One supervisor process and what it sent."""

    def __init__(self, limits: Limits, *, checked: bool) -> None:
        self.limits = limits
        self._checked = checked
        self.reply: dict[str, Any] = {}
        self._begun: dict[str, Any] = {}
        self._output = {"stdout": bytearray(), "stderr": bytearray()}
        self._overflow = False
        self._failure = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._replies = -1

    def start(self, root: str, order: dict[str, Any], proof: dict[str, Any]) -> None:
        self._replies, child_end = os.pipe()
        folder = str(Path(__file__).parent)
        try:
            self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and our own code)
                [sys.executable, "-s", "-S", "-P", "-X", "utf8", "-c", _BOOT, folder, str(child_end), root],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=root,
                env={"PYTHONHASHSEED": "0"},
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
            self._failure = f"the sandbox did not start: {error}"

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
            self._begun = frame
        else:
            self.reply = frame
        return True

    def _text(self, fd: int, name: str) -> bool:
        part = os.read(fd, 2**16)
        room = self.limits.output_bytes - sum(map(len, self._output.values()))
        self._output[name] += part[: max(room, 0)]
        if len(part) > room and not self._overflow:
            self._overflow = True
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
            if "started" in self._begun:
                _kill(os.kill, self._begun["started"])
        _kill(os.killpg, self._process.pid)
        self._process.wait()

    def result(self, uid: int | None, seconds: float) -> ProgramResult:
        status, reason, exit_code = self._ending()
        isolation = None
        if self._begun:
            isolation = Isolation(
                network=self._begun["network"],
                filesystem=self._begun["filesystem"],
                processes=self._begun["processes"],
                user="same" if uid is None else "unprivileged",
            )
        return ProgramResult(
            status,
            self._output["stdout"].decode(errors="replace"),
            self._output["stderr"].decode(errors="replace"),
            seconds=seconds,
            exit_code=exit_code,
            reason=reason,
            isolation=isolation,
        )

    def _ending(self) -> tuple[ProgramStatus, str, int | None]:
        kind = self.reply.get("status")
        if self._overflow:
            return "output_limit", f"printed more than {self.limits.output_bytes} bytes", None
        if self._failure or kind == "broken":
            return "unavailable", self._failure or str(self.reply["reason"]), None
        if kind is None:
            if self._begun:
                return "timeout", f"not done after {self.limits.wall_seconds} s", None
            noise = self._output["stderr"].decode(errors="replace").strip().splitlines()
            return "unavailable", f"the sandbox did not start: {noise[-1] if noise else 'no reply'}", None
        if kind == "timeout":
            return "timeout", str(self.reply["reason"]), None
        if kind in ("passed", "failed"):
            return "ok", "", None
        if kind == "died":
            return "killed", f"the program broke off before its tests were done: {self.reply['reason']}", None
        code = os.waitstatus_to_exitcode(self.reply["wait"])
        if code < 0:
            return "killed", f"the program was killed by signal {-code} ({signal.strsignal(-code)})", code
        if code > 0 or self._checked:
            return "error", f"the program ended with exit status {code}", code
        return "ok", "", code


def _kill(how: Any, target: int) -> None:
    try:
        how(target, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # already gone; macOS answers "not permitted" for a group of zombies
