"""Run Python programs written by LLMs without trusting them.

Each program gets a process of its own: its own session, hard limits on CPU, memory, files and processes, an empty
environment, a throw-away folder, an unprivileged user when we are root, and on Linux (where the system permits) no
network, no view of other processes, a read-only file system and filters on system calls and files. `Isolation` says
which of these held, `isolation_report` what to expect here; nothing is claimed that was not done. POSIX only: on
Windows every run is "unavailable". See `docs/sandbox.md` for the threat model.

What is not bounded: the sum over several processes of one program (memory_bytes x processes).
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache
from typing import Any, Literal

from smcs.grading._session import Session, run
from smcs.grading.limits import Limits

__all__ = (
    "CheckResult",
    "Isolation",
    "IsolationReport",
    "ProgramResult",
    "check_cases",
    "check_function",
    "isolation_report",
    "run_program",
)

ProgramStatus = Literal["ok", "error", "timeout", "killed", "output_limit", "unavailable"]
"""How a program ended. `error` is a non-zero exit, `killed` a signal; `unavailable` means the sandbox itself failed."""


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
    reading: Literal["limited", "open"] = "open"
    """"limited": it can open Python's and the system's libraries only (Landlock)."""
    calls: Literal["filtered", "open"] = "open"
    """"filtered": sockets, tracing, mounting and the like are refused by the kernel (seccomp)."""


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """What shields this machine from the programs it grades."""

    isolation: Isolation | None
    """`None` when no program can be run here."""
    missing: tuple[str, ...]
    """What is not in force, each in a few words; empty when all is."""
    reason: str = ""
    """Why no program can be run."""

    def __str__(self) -> str:
        if self.isolation is None:
            return f"Programs cannot be run here: {self.reason}"
        held = "programs run without network, foreign files, foreign processes and privileges"
        if not self.missing:
            return f"Sandbox: complete ({held})."
        return f"Sandbox: incomplete on this system, for lack of: {'; '.join(self.missing)}."


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


def run_program(source: str, *, limits: Limits | None = None, stdin: str = "", setup: str = "") -> ProgramResult:
    """Run a program as a script and wait for it; nothing of it is left running.

    Args:
        source: Python source, not trusted.
        limits: What it may use.
        stdin: Text on its standard input.
        setup: Python source that runs before it in the same module, for instance imports.

    Returns:
        How it ended. Blocks for at most `limits.wall_seconds` and a few seconds of clean-up.
    """
    return _start({"source": source, "stdin": stdin, "entry_point": None, "setup": setup}, {}, limits)[0]


def check_function(
    source: str, *, entry_point: str, tests: str, setup: str = "", limits: Limits | None = None
) -> CheckResult:
    """Run tests against a function or class of an untrusted program.

    The tests run in another process than the program. Arguments and results cross as plain data (None, numbers, text,
    bytes, and lists, tuples, sets, dicts, ranges and iterators of them); instances of classes that `setup` defines
    cross by value; objects of the program's own classes stay there, and the tests see their attributes and methods.

    Args:
        source: Python source that defines `entry_point`, not trusted.
        entry_point: Name of the function or class; the tests may use other names of the program as well.
        tests: Python source that calls it and raises when an answer is wrong.
        setup: Python source that runs before the tests and before the program.
        limits: What it may use; the time is for all tests together.
    """
    order = {"source": source, "stdin": "", "entry_point": entry_point, "setup": setup}
    return _check(order, {"tests": tests}, limits)


def check_cases(
    source: str,
    *,
    entry_point: str,
    cases: Sequence[Mapping[str, Any]],
    setup: str = "",
    limits: Limits | None = None,
) -> CheckResult:
    """Call a function of an untrusted program with given arguments and compare what it returns.

    Tuples count as lists; numbers with a fraction may be off by 1e-6, relative above 1.

    Args:
        source: Python source that defines `entry_point`, or a class `Solution` with a method of that name.
        entry_point: Name of the function or method.
        cases: `{"input": [arguments], "output": value}`, JSON values.
        setup: Python source that runs before the program.
        limits: What it may use; the time is for all cases together.
    """
    order = {"source": source, "stdin": "", "entry_point": entry_point, "setup": setup, "solution_class": True}
    return _check(order, {"cases": [dict(case) for case in cases]}, limits)


@cache
def isolation_report() -> IsolationReport:
    """Return what isolates programs on this system, found out by running an empty one; the answer is kept."""
    result = run_program("")
    held = result.isolation
    if held is None or result.status != "ok":
        return IsolationReport(None, (), result.reason)
    missing = {
        "no network": held.network == "blocked",
        "a read-only file system": held.filesystem == "read-only",
        "a process table of its own": held.processes == "namespace",
        "a user of its own (start as root for that)": held.user == "unprivileged" or held.processes == "namespace",
        "reading limited to libraries (Landlock)": held.reading == "limited",
        "filtered system calls (seccomp)": held.calls == "filtered",
    }
    return IsolationReport(held, tuple(name for name, present in missing.items() if not present))


def _check(order: dict[str, Any], tests: dict[str, Any], limits: Limits | None) -> CheckResult:
    token = secrets.token_hex(16)
    run, reply = _start(order, {**tests, "token": token}, limits)
    if run.status == "unavailable":
        return CheckResult(None, run.reason, run)
    if run.status != "ok":
        return CheckResult(False, run.reason, run)
    genuine = reply.get("status") == "passed" and secrets.compare_digest(str(reply.get("token")), token)
    return CheckResult(genuine, str(reply.get("reason", "")), run)


def _start(order: dict[str, Any], proof: dict[str, Any], limits: Limits | None) -> tuple[ProgramResult, dict[str, Any]]:
    if os.name != "posix":
        reason = "programs can be run on POSIX systems only (Linux, macOS, WSL)"
        return ProgramResult("unavailable", "", "", seconds=0.0, reason=reason), {}
    session = run(order, proof, limits or Limits())
    status, reason, exit_code = _ending(session, checked=order["entry_point"] is not None)
    result = ProgramResult(
        status,
        session.stdout,
        session.stderr,
        seconds=session.seconds,
        exit_code=exit_code,
        reason=reason,
        isolation=_isolation(session),
    )
    return result, session.reply


def _isolation(session: Session) -> Isolation | None:
    begun, filters = session.begun, session.reply.get("filters", [])
    if not begun:
        return None
    calls, files = "calls" in filters, "files" in filters
    return Isolation(
        network="blocked" if calls else begun["network"],
        filesystem="read-only" if files else begun["filesystem"],
        processes=begun["processes"],
        user="unprivileged" if session.unprivileged else "same",
        reading="limited" if files else "open",
        calls="filtered" if calls else "open",
    )


def _ending(session: Session, *, checked: bool) -> tuple[ProgramStatus, str, int | None]:
    kind = session.reply.get("status")
    if session.overflow:
        return "output_limit", f"printed more than {session.limits.output_bytes} bytes", None
    if session.failure or kind == "broken":
        return "unavailable", session.failure or str(session.reply["reason"]), None
    if kind is None:
        if session.begun:
            return "timeout", f"not done after {session.limits.wall_seconds:g} s", None
        noise = session.stderr.strip().splitlines()
        return "unavailable", f"the sandbox did not start: {noise[-1] if noise else 'no reply'}", None
    if kind == "timeout":
        return "timeout", str(session.reply["reason"]), None
    if kind in ("passed", "failed"):
        return "ok", "", None
    if kind == "died":
        return "killed", f"the program broke off before its tests were done: {session.reply['reason']}", None
    code = os.waitstatus_to_exitcode(session.reply["wait"])
    where = str(session.reply.get("reason", ""))
    if code < 0:
        return "killed", f"the program was killed by signal {-code} ({signal.strsignal(-code)}){where}", code
    if code > 0 or checked:
        return "error", f"the program ended with exit status {code}{where}", code
    return "ok", "", code
