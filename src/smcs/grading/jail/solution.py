"""The untrusted half: load the program, and answer calls to its function with plain data."""

from __future__ import annotations

import sys

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would double the start-up time
    from typing import Any

__all__ = ("run_script", "serve")

_MUTABLE = (list, dict, set, bytearray)


def run_script(source: str) -> int:
    """Run a program as `__main__` and return its exit status, as the interpreter would."""
    try:
        exec(compile(source, "program.py", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})  # noqa: S102
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001  (whatever the program raises is its own failure)
        import traceback

        traceback.print_exc()
        return 1
    return 0


def serve(source: str, entry_point: str, calls: int, results: int) -> None:
    """Load a program, then answer each call frame `{args, kwargs}` with `{value, args}` or `{raised, message}`.

    The first frame written says whether the program loaded and defines a callable `entry_point`.
    """
    namespace: dict[str, Any] = {"__name__": "solution", "__builtins__": __builtins__}
    try:
        exec(compile(source, "solution.py", "exec"), namespace)  # noqa: S102
    except BaseException as error:  # noqa: BLE001
        wire.write_frame(results, {"loaded": False, "reason": _describe(error)})
        return
    function = namespace.get(entry_point)
    if not callable(function):
        wire.write_frame(results, {"loaded": False, "reason": f"the program defines no function {entry_point!r}"})
        return
    wire.write_frame(results, {"loaded": True})
    while True:
        try:
            call = wire.read_frame(calls)
        except EOFError:
            return
        wire.write_frame(results, _answer(function, call))


def _answer(function: Any, call: dict[str, Any]) -> dict[str, Any]:
    arguments: list[Any] = [wire.decode(item) for item in call["args"]]
    keywords: dict[str, Any] = {name: wire.decode(item) for name, item in call["kwargs"].items()}
    try:
        value = wire.encode(function(*arguments, **keywords))
        after = [wire.encode(item) if isinstance(item, _MUTABLE) else None for item in arguments]
    except BaseException as error:  # noqa: BLE001
        return {"raised": type(error).__name__, "message": _describe(error)}
    return {"value": value, "args": after}


def _describe(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception_only(error)).strip()[-500:]
