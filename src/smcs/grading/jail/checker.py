"""Run the tests in the trusted process, against a stand-in that forwards each call to the program.

Arguments and results travel as plain data, so an answer is compared as what it is: an object that claims to equal
everything, a replaced builtin or a walk up the stack stays on the other side.
"""

from __future__ import annotations

import builtins
import os

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would double the start-up time
    from typing import Any

__all__ = ("check",)


class SolutionError(Exception):
    """The program raised an exception of a class of its own, or returned something that is not plain data."""


class _Gone(BaseException):
    """The program ended or broke the protocol in the middle of a call; no test may catch that."""

    def __init__(self, reason: str, wait: int | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _StandIn:
    """Looks like the program's function to the tests."""

    def __init__(self, name: str, calls: int, results: int) -> None:
        self.__name__ = name
        self._calls = calls
        self._results = results

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Forward one call; arguments the program changed in place are changed here too."""
        request = {
            "args": [wire.encode(item) for item in args],
            "kwargs": {name: wire.encode(item) for name, item in kwargs.items()},
        }
        try:
            wire.write_frame(self._calls, request)
            reply = wire.read_frame(self._results)
            if "ended" in reply:
                raise _Gone("ended", reply["ended"])
            error, value, changed = _parse(reply)
        except (EOFError, OSError, RecursionError, wire.WireError) as problem:
            raise _Gone(str(problem)) from problem
        if error is not None:
            raise error
        for target, new in zip(args, changed, strict=False):
            _overwrite(target, new)
        return value


def _parse(reply: dict[str, Any]) -> tuple[Exception | None, Any, list[Any]]:
    """Return what the call raised, or its value and its arguments as they are now."""
    if "raised" in reply:
        return _exception(str(reply["raised"]), str(reply.get("message"))), None, []
    changed = reply.get("args")
    if "value" not in reply or not isinstance(changed, list):
        raise wire.WireError("malformed reply")
    return None, wire.decode(reply["value"]), [wire.decode(item) for item in changed]


def _exception(name: str, message: str) -> Exception:
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(message)
        except TypeError:  # UnicodeDecodeError and its like want more than a message
            return SolutionError(message)
    return SolutionError(message)


def _overwrite(target: Any, new: Any) -> None:
    if type(target) is not type(new):
        return
    if isinstance(target, list | bytearray):
        target[:] = new
    elif isinstance(target, dict | set):
        target.clear()
        target.update(new)


def check(entry_point: str, setup: str, tests: str, calls: int, results: int) -> dict[str, Any]:
    """Run the tests against the loaded program.

    Args:
        entry_point: Name under which the tests call the program's function.
        setup: Trusted code that runs before the tests (imports, helpers).
        tests: Trusted code; the program passes when it ends without raising.
        calls: Pipe that takes call frames.
        results: Pipe that gives the frame about loading, then one frame per call.

    Returns:
        `status` "passed", "failed", "ended" (with its `wait` status), "died" or "broken", and a `reason` of one line.
    """
    loaded = wire.read_frame(results)
    if "ended" in loaded:
        return _ended(loaded["ended"])
    if loaded.get("loaded") is not True:
        return {"status": "failed", "reason": str(loaded.get("reason", "the program did not load"))}
    namespace: dict[str, Any] = {"__name__": "tests"}
    try:
        exec(compile(setup, "setup.py", "exec"), namespace)  # noqa: S102
        code = compile(tests, "tests.py", "exec")
    except Exception as error:  # noqa: BLE001  (a question whose own code is broken)
        return {"status": "broken", "reason": f"the question's setup or tests do not run: {error!r}"}
    namespace[entry_point] = _StandIn(entry_point, calls, results)
    try:
        exec(code, namespace)  # noqa: S102
    except _Gone as error:
        return {"status": "died", "reason": str(error)} if error.wait is None else _ended(error.wait)
    except wire.WireError as error:
        return {"status": "broken", "reason": f"the tests pass what is not plain data: {error}"}
    except Exception as error:  # noqa: BLE001  (any exception fails the test that raised it)
        return {"status": "failed", "reason": _failure(error, tests)}
    return {"status": "passed", "reason": "all tests passed"}


def _ended(wait: Any) -> dict[str, Any]:
    if isinstance(wait, int) and 0 <= wait < 2**16 and (os.WIFEXITED(wait) or os.WIFSIGNALED(wait)):
        return {"status": "ended", "wait": wait, "reason": ""}
    return {"status": "died", "reason": "it forged its end"}


def _failure(error: Exception, tests: str) -> str:
    line, step = "", error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "tests.py":
            line = tests.splitlines()[step.tb_lineno - 1].strip()
        step = step.tb_next
    if isinstance(error, AssertionError):
        return f"failed: {line}"[:300]
    return f"{type(error).__name__} in: {line}: {error}"[:300]
