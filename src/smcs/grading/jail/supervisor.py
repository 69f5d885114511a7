"""The trusted half: isolate, fork the program off, run the tests against it, clean up, report.

Standard input carries two frames from the grader (the order, then tests and token); the file descriptor in the second
argument carries frames back: `started` (process id, what is isolated), then one result. The program holds neither, and
the second frame is read after the program was forked off, so tests and token are not in its memory. The third argument
is the folder that the program works in.
"""

from __future__ import annotations

import os
import signal
import sys

from . import checker, isolation, solution, wire

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would double the start-up time
    from types import FrameType
    from typing import Any, NoReturn

__all__ = ("main",)

_SIGNALS = (signal.SIGALRM, signal.SIGTERM)


class _Stopped(BaseException):
    """The time is up, or the grader asked us to stop."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise _Stopped


def main() -> NoReturn:
    """Run one program as ordered, and end this process."""
    replies, root = int(sys.argv[2]), sys.argv[3]
    order = wire.read_frame(0)
    limits, uid = order["limits"], order["uid"]
    _import(order["imports"])
    if uid is None:
        limits["processes"] += isolation.tasks_of_user()
    try:
        state = isolation.isolate(
            root,
            home=order["home"],
            uid=uid,
            disk_bytes=limits["disk_bytes"],
            packages=tuple(order["packages"]),
            namespaces=order["namespaces"],
        )
        isolation.protect_supervisor()
    except OSError as error:
        wire.write_frame(replies, {"status": "broken", "reason": str(error)})
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    calls_out, calls_in = os.pipe()
    results_out, results_in = os.pipe()
    group = state["processes"] == "group"
    pid = os.fork()
    if pid == 0:
        for fd in (replies, calls_in, results_out):
            os.close(fd)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        _become_program(order, root, calls_out, results_in, group=group)
    os.close(calls_out)
    os.close(results_in)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    wire.write_frame(replies, {"started": pid, **state})
    result = _supervise(pid, order, calls_in, results_out, group=group)
    if group:
        isolation.sweep(uid)
    wire.write_frame(replies, result)
    os._exit(0)


def _import(modules: dict[str, str]) -> None:
    """Load modules that setup or program ask for once, before the program is forked off: both halves then have them.

    Args:
        modules: Folder of each module that is not in the standard library, "" for one that is.
    """
    for name, folder in modules.items():
        if folder:
            sys.path.append(folder)
        try:
            __import__(name)
        except ImportError:
            continue  # whoever needs it will say so
        finally:
            if folder:
                sys.path.remove(folder)


def _become_program(order: dict[str, Any], root: str, calls: int, results: int, *, group: bool) -> NoReturn:
    """Turn the forked child into the program: no way back to the tests, no privileges."""
    try:
        _replace_stdin(order["stdin"], root)
        readable = tuple(order["packages"])
        held = isolation.confine(order["limits"], root=root, uid=order["uid"], readable=readable, group=group)
        program = os.fork()
    except OSError as error:
        wire.write_frame(results, {"broken": str(error)})
        os._exit(1)
    if program:
        os.close(calls)
        _wait_as_init(program, results)
    wire.write_frame(results, {"confined": held})
    if order["entry_point"] is None:
        os.close(calls)
        os.close(results)
        sys.exit(solution.run_script(order["source"], order["setup"]))
    try:
        solution.serve(order, calls, results)
    finally:
        os._exit(0)


def _wait_as_init(program: int, results: int) -> NoReturn:
    """Stand between supervisor and program, because signals mean nothing to the first process of a namespace."""
    for fd in (0, 1, 2):
        os.close(fd)
    status: int | None = None
    while status is None:
        pid, ended = os.wait()
        if pid == program:
            status = ended
    wire.write_frame(results, {"ended": status})
    os._exit(0)


def _replace_stdin(text: str, root: str) -> None:
    path = f"{root}/.stdin"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(path)  # noqa: PTH108
    content = text.encode()
    while content:
        content = content[os.write(fd, content) :]
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0)
    os.close(fd)


def _supervise(pid: int, order: dict[str, Any], calls: int, results: int, *, group: bool) -> dict[str, Any]:
    """Judge the program within its time, and leave it dead.

    Returns:
        `status` "passed", "failed", "timeout", "ended", "died" or "broken"; `reason`; `token`; `filters`, those in
        force; for "ended" also `wait`, the program's wait status (`os.waitpid`).
    """
    for number in _SIGNALS:
        signal.signal(number, _stop)
    proof: dict[str, Any] = {}
    held: list[str] = []
    try:
        signal.setitimer(signal.ITIMER_REAL, order["limits"]["wall_seconds"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        proof = wire.read_frame(0)
        confined = wire.read_frame(results)
        held = confined.get("confined", [])
        if "broken" in confined:
            verdict = {"status": "broken", "reason": confined["broken"]}
        elif order["entry_point"] is None:
            verdict = {"status": "ended", "wait": wire.read_frame(results)["ended"], "reason": ""}
        else:
            _settle(order, group=group)
            verdict = checker.check(order, proof, calls, results)
    except _Stopped:
        verdict = {"status": "timeout", "reason": f"not done after {order['limits']['wall_seconds']:g} s"}
    except MemoryError:
        verdict = {"status": "failed", "reason": "what the program returned takes too much memory"}
    except (EOFError, OSError, wire.WireError) as error:
        verdict = {"status": "died", "reason": str(error)}
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return {**verdict, "token": proof.get("token"), "filters": held}


def _settle(order: dict[str, Any], *, group: bool) -> None:
    # A supervisor that is root and alone with a program's user must later become that user to end its processes;
    # another must find them in the process table.
    root = order["uid"] is not None
    if not (root and group):
        readable = (*order["packages"], "/proc") if group else tuple(order["packages"])
        isolation.settle(uid=order["checker_uid"] if root else None, readable=readable, killing=root)
