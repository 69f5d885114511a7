"""Run the tests in the trusted process, against stand-ins that forward each call to the program.

Arguments and results travel as plain data, so an answer is compared as what it is: an object that claims to equal
everything, a replaced builtin or a walk up the stack stays on the other side.
"""

from __future__ import annotations

import builtins
import os
import select
from types import CodeType

from . import objects, wire

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would double the start-up time
    from typing import Any

__all__ = ("check",)

_SHOWN = 80
_MODULES = frozenset(
    {"bisect", "cmath", "collections", "copy", "datetime", "decimal", "fractions", "functools", "heapq", "itertools"}
    | {"json", "math", "operator", "random", "re", "statistics", "string", "sys", "time", "typing"}
)
_TOLERANCE = 1e-6


class SolutionError(Exception):
    """The program raised an exception of a class of its own, or returned what cannot be sent."""


class _Gone(BaseException):
    """The program ended, hung or broke the protocol in the middle of a call; no test may catch that."""

    def __init__(self, verdict: dict[str, Any]) -> None:
        super().__init__(verdict.get("reason"))
        self.verdict = verdict


class _Channel:
    """Asks the program: one request, one reply, each within `seconds`."""

    def __init__(self, calls: int, results: int, seconds: float) -> None:
        self.asked = 0
        self.classes: dict[str, type] = {}
        """Classes whose instances travel by value, by name."""
        self._calls = calls
        self._results = results
        self._seconds = seconds
        self._remotes: dict[int, objects.Remote] = {}

    def remote(self, path: list[Any]) -> objects.Remote:
        """Return what stands for a name or an object of the program."""
        return objects.Remote(self.ask, path)

    def ask(self, what: str, path: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Forward one call or attribute access; arguments that the program changed in place are changed here too."""
        self.asked += 1
        packer = objects.Packer({kind: name for name, kind in self.classes.items()}, _handle)
        request = {
            "do": what,
            "on": path,
            "args": [packer.encode(item) for item in args],
            "kwargs": {name: packer.encode(item) for name, item in kwargs.items()},
            "nodes": packer.table(),
        }
        try:
            wire.write_frame(self._calls, request)
            if not select.select([self._results], [], [], self._seconds)[0]:
                raise _Gone({"status": "timeout", "reason": f"no answer after {self._seconds:g} s"})
            reply = wire.read_frame(self._results)
            if "ended" in reply:
                raise _Gone(_ended(reply["ended"]))
            if reply.get("callable") is True and what == "get":
                return self.remote([*path, args[0]])
            value = self._apply(reply, args, kwargs, packer.nodes)
        except (EOFError, OSError, RecursionError, wire.WireError) as problem:
            raise _Gone({"status": "died", "reason": str(problem)}) from problem
        if "raised" in reply:
            raise _exception(str(reply["raised"]), str(reply.get("message")))
        return value

    def _apply(self, reply: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any], nodes: list[Any]) -> Any:
        """Return the value of a reply, and write the changed arguments back."""
        if "raised" in reply:
            return None
        after, named = reply.get("args"), reply.get("kwargs")
        if "value" not in reply or not isinstance(after, list) or not isinstance(named, dict):
            raise wire.WireError("malformed reply")
        unpacker = objects.Unpacker(self.classes, self._held, reply.get("nodes"), nodes)
        value = unpacker.decode(reply["value"])
        for target, new in zip(args, after, strict=False):
            _overwrite(target, unpacker.decode(new))
        for name in kwargs.keys() & named.keys():
            _overwrite(kwargs[name], unpacker.decode(named[name]))
        return value

    def _held(self, number: Any) -> objects.Remote:
        if not isinstance(number, int):
            raise wire.WireError("malformed value")
        return self._remotes.setdefault(number, self.remote([number]))


def _handle(value: Any) -> Any:
    if not isinstance(value, objects.Remote):
        raise wire.WireError(f"{type(value).__name__} is not plain data")
    path = object.__getattribute__(value, "_smcs_path")
    if len(path) != 1 or not isinstance(path[0], int):
        raise wire.WireError("a function or class of the program cannot be an argument")
    return {"object": path[0]}


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


def check(order: dict[str, Any], proof: dict[str, Any], calls: int, results: int) -> dict[str, Any]:
    """Run the tests or cases against the loaded program.

    Args:
        order: `entry_point`, the name under which the tests call the program; `setup`, trusted code that runs before
            the tests (imports, helpers); `limits`.
        proof: `tests`, trusted code that passes when it ends without raising; or `cases`, a list of
            `{"input": [arguments], "output": value}`.
        calls: Pipe that takes request frames.
        results: Pipe that gives the frame about loading, then one frame per request.

    Returns:
        `status` "passed", "failed", "timeout", "ended" (with its `wait` status), "died" or "broken", and a `reason` of
        one line.
    """
    loaded = wire.read_frame(results)
    if "ended" in loaded:
        return _ended(loaded["ended"])
    if loaded.get("loaded") is not True:
        return {"status": "failed", "reason": str(loaded.get("reason", "the program did not load"))}
    channel = _Channel(calls, results, order["limits"]["case_seconds"])
    entry_point, tests = order["entry_point"], proof.get("tests")
    try:
        if tests is None:
            return _check_cases(channel.remote([entry_point]), proof["cases"])
        return _check_asserts(channel, entry_point, order["setup"], tests, loaded)
    except _Gone as error:
        reason = f"{error.verdict['reason']}{_line(error, tests or '', ' in: ')}"[:300]
        return {**error.verdict, "reason": reason}
    except wire.WireError as error:
        return {"status": "broken", "reason": f"the tests pass what is not plain data: {error}"}


def _names(loaded: dict[str, Any], key: str) -> set[str]:
    names = loaded.get(key)
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def _check_asserts(
    channel: _Channel, entry_point: str, setup: str, tests: str, loaded: dict[str, Any]
) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "tests"}
    try:
        prepare = compile(setup, "setup.py", "exec", dont_inherit=True)
        code = compile(tests, "tests.py", "exec", dont_inherit=True)
        used = _used(prepare) | _used(code)
        # Tests may lean on what the program imports, and on its classes and functions; what the setup or Python
        # itself defines comes first.
        for name in used & _MODULES & _names(loaded, "modules"):
            namespace[name] = __import__(name)
        for name in (used & _names(loaded, "names")) - set(dir(builtins)) | {entry_point}:
            namespace[name] = channel.remote([name])
        exec(prepare, namespace)  # noqa: S102
    except Exception as error:  # noqa: BLE001
        if channel.asked or isinstance(error, NameError):
            return {"status": "failed", "reason": f"{type(error).__name__} in the setup: {error}"[:300]}
        return {"status": "broken", "reason": f"the question's setup or tests do not run: {error!r}"}
    namespace[entry_point] = channel.remote([entry_point])
    channel.classes = objects.shared_classes(namespace)
    before = channel.asked
    try:
        exec(code, namespace)  # noqa: S102
    except wire.WireError:
        raise
    except Exception as error:  # noqa: BLE001  (any exception fails the test that raised it)
        return {"status": "failed", "reason": _failure(error, tests)}
    if channel.asked == before:
        return {"status": "broken", "reason": "the tests never call the program"}
    return {"status": "passed", "reason": "all tests passed"}


def _used(code: CodeType) -> set[str]:
    inner = [_used(item) for item in code.co_consts if isinstance(item, CodeType)]
    return set(code.co_names).union(*inner)


def _check_cases(function: objects.Remote, cases: list[dict[str, Any]]) -> dict[str, Any]:
    for number, case in enumerate(cases, 1):
        arguments = case["input"]
        shown = _short(", ".join(map(_repr, arguments)))
        where = f"case {number} of {len(cases)}, input ({shown})"
        try:
            value = function(*arguments)
            if not _same(value, case["output"]):
                reason = f"failed: {where}: expected {_short(_repr(case['output']))}, got {_short(_repr(value))}"
                return {"status": "failed", "reason": reason}
        except _Gone as error:
            reason = f"{error.verdict['reason']} in {where}"
            raise _Gone({**error.verdict, "reason": reason}) from None
        except wire.WireError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever the program raises fails the case)
            return {"status": "failed", "reason": f"{type(error).__name__} in {where}: {error}"[:300]}
    return {"status": "passed", "reason": "all cases passed"}


def _same(value: Any, expected: Any) -> bool:
    """Compare as JSON has it: a tuple is a list, and numbers with a fraction may be off by one millionth."""
    if isinstance(expected, list):
        sequence = isinstance(value, list | tuple) and len(value) == len(expected)
        return sequence and all(map(_same, value, expected))
    if isinstance(expected, dict):
        mapping = isinstance(value, dict) and value.keys() == expected.keys()
        return mapping and all(_same(value[key], item) for key, item in expected.items())
    numbers = isinstance(value, int | float) and isinstance(expected, int | float)
    if numbers and (isinstance(value, float) or isinstance(expected, float)):
        try:
            return bool(value == expected or abs(value - expected) <= _TOLERANCE * max(1.0, abs(expected)))
        except OverflowError:  # an integer beyond the range of floats
            return False
    return bool(value == expected)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a number of thousands of digits"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _ended(wait: Any) -> dict[str, Any]:
    if isinstance(wait, int) and 0 <= wait < 2**16 and (os.WIFEXITED(wait) or os.WIFSIGNALED(wait)):
        return {"status": "ended", "wait": wait, "reason": ""}
    return {"status": "died", "reason": "it forged its end"}


def _line(error: BaseException, tests: str, prefix: str = "") -> str:
    """Return the line of the tests that an exception came through, or ""."""
    line, step = "", error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "tests.py":
            line = tests.split("\n")[step.tb_lineno - 1].strip()
        step = step.tb_next
    return f"{prefix}{line}" if line else ""


def _failure(error: Exception, tests: str) -> str:
    line = _line(error, tests)
    if isinstance(error, AssertionError):
        return f"failed: {line}"[:300]
    return f"{type(error).__name__} in: {line}: {error}"[:300]
