"""A few processes that compare mathematics, each killed when it takes too long."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from smcs.errors import MissingExtraError

__all__ = ("Comparison", "compare")

SECONDS = 5.0
"""CPU time that one comparison may take: what is graded must not depend on what else the machine does."""

PATIENCE = 12.0
"""How many times as long it may take by the clock before the worker is taken for stuck."""

START_SECONDS = 60.0
"""Longest that a worker may take to start; importing sympy takes a second, on a busy machine many."""

MEMORY_BYTES = 2 * 2**30
"""Address space of a worker."""

_OUT_OF_TIME = -int(getattr(signal, "SIGPROF", 0)) or None
"""Exit code of a worker whose timer of CPU time ran out."""

_SCRIPT = Path(__file__).with_name("_worker.py")
_KEPT = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a worker found out about an answer."""

    equal: bool = False
    """Whether the answer equals one of the golds."""
    golds_read: bool = False
    """Whether any gold could be read as mathematics."""
    answer_read: bool = False
    """Whether the answer could."""
    value: float | None = None
    """The answer as a finite real number, where it is one and not equal."""
    failure: str | None = None
    """Why there is no result: the worker was too slow or gave way. Everything else is then unset."""


def compare(golds: Sequence[str], answer: str, *, seconds: float = SECONDS) -> Comparison:
    """Compare an answer with golds, all in LaTeX, in another process.

    Safe in threads, after a fork and in spawned processes. Workers start when first needed, at most one per CPU, four
    at most, and end with this process.

    Args:
        golds: At least one.
        answer: LaTeX of bounded length.
        seconds: CPU time that it may take, the start of a worker not counted; a worker past it is killed. By the clock
            it may take `PATIENCE` times as long, or no longer on Windows, which has no timers of CPU time.

    Raises:
        MissingExtraError: math-verify is not installed.
    """
    wall = seconds * PATIENCE if hasattr(signal, "setitimer") else seconds
    request = {"golds": list(golds), "answer": answer, "seconds": seconds, "wall": wall}
    for _ in range(2):
        worker = _pool.take()
        try:
            reply = worker.ask(request, wall)
        finally:
            _pool.give(worker)
        if reply is not None:
            if "failed" in reply:
                return Comparison(failure=f"the comparison failed ({reply['failed']})")
            return Comparison(**reply)
        if worker.timed_out:
            return Comparison(failure=f"the comparison took longer than {seconds:g} s")
    return Comparison(failure="the process that compares broke off")


class _Worker:
    """One process; used by one thread at a time."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self.timed_out = False
        self.process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-s", "-P", str(_SCRIPT), str(MEMORY_BYTES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        assert self.process.stdout is not None  # noqa: S101
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        if self._reply(START_SECONDS) is None:
            self.close()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None and not self.timed_out

    def ask(self, request: dict[str, Any], wall: float) -> dict[str, Any] | None:
        """Return the reply, or `None` when there is none: the worker is dead then."""
        if not self.alive:
            return None
        reply = None
        try:
            self._stdin.write(json.dumps(request).encode() + b"\n")
            self._stdin.flush()
            reply = self._reply(wall)
        except BrokenPipeError:
            return None
        finally:
            if reply is None or "failed" in reply:
                self.close()
                self.timed_out = self.timed_out or self.process.returncode == _OUT_OF_TIME
        return reply

    def _reply(self, seconds: float) -> dict[str, Any] | None:
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            line = self._stdout.readline()
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            return None
        reply = json.loads(line)
        return reply if isinstance(reply, dict) else None

    def _expire(self) -> None:
        self.timed_out = True
        self.process.kill()

    def close(self) -> None:
        """Kill the process and wait for its end."""
        self.process.kill()
        self.process.wait()
        self.release()

    def release(self) -> None:
        """Close our ends of its pipes."""
        with contextlib.suppress(BrokenPipeError):  # a request that was never read
            self._stdin.close()
        self._stdout.close()

    def disown(self) -> None:
        """Let go of a process that belongs to the process we were forked from."""
        self.process.returncode = 0
        self.release()


class _Pool:
    """Workers that wait, and a limit on how many there are."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._slots = threading.Semaphore(max(1, min(4, os.cpu_count() or 1)))
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()

    def take(self) -> _Worker:
        """Return a worker for the caller alone, when there is one."""
        self._slots.acquire()
        try:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is None or not worker.alive:
                if find_spec("math_verify") is None:
                    raise MissingExtraError("Grading mathematics", "grading")
                worker = _Worker()
                with self._lock:
                    self._all.add(worker)
        except BaseException:
            self._slots.release()
            raise
        return worker

    def give(self, worker: _Worker) -> None:
        """Take a worker back; a dead one is forgotten."""
        with self._lock:
            if worker.alive:
                self._idle.append(worker)
            else:
                self._all.discard(worker)
        self._slots.release()

    def close(self) -> None:
        """Kill every worker, busy or not."""
        with self._lock:
            workers, self._all, self._idle = self._all, set(), []
        for worker in workers:
            worker.close()

    def after_fork(self) -> None:
        """Start afresh in a forked child: the workers, and the locks as they happen to stand, are the parent's."""
        workers = self._all
        self._reset()
        for worker in workers:
            worker.disown()


_pool = _Pool()
atexit.register(_pool.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.after_fork)
