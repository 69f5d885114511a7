"""The untrusted half: load the program, and answer what the tests ask of it with plain data."""

from __future__ import annotations

import contextlib
import sys

from . import objects, wire

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would double the start-up time
    from typing import Any

__all__ = ("run_script", "serve")

_MUTABLE = (list, dict, set, bytearray)
_MAX_NAMES = 5_000


def run_script(source: str, setup: str) -> int:
    """Run a program as `__main__` and return its exit status, as the interpreter would.

    Args:
        source: The program.
        setup: Code that runs before it, in the same module.
    """
    namespace = _module("__main__")
    try:
        if setup:
            exec(compile(setup, "setup.py", "exec", dont_inherit=True), namespace)  # noqa: S102
        exec(compile(source, "program.py", "exec", dont_inherit=True), namespace)  # noqa: S102
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


def _module(name: str) -> dict[str, Any]:
    """Return the namespace of a new module: dataclasses and others look their own module up."""
    module = type(sys)(name)
    sys.modules[name] = module
    sys.argv = ["program.py"]
    vars(module)["__builtins__"] = __builtins__
    return vars(module)


def serve(order: dict[str, Any], calls: int, results: int) -> None:
    """Load a program, then answer each request frame with `{value, args, kwargs, nodes}`, `{callable}` or `{raised}`.

    The first frame written says whether the program loaded and defines a callable `entry_point`. What the program does
    after that definition (examples, tests of its own) may fail: the function is what counts.

    Args:
        order: `source`, `setup`, `entry_point`; `solution_class` where that may be a method of a class `Solution`.
        calls: Pipe that gives requests.
        results: Pipe that takes replies.
    """
    namespace, entry_point = _module("solution"), order["entry_point"]
    with contextlib.suppress(Exception):  # the tests run it too, and judge it: it may need names of the program
        exec(compile(order["setup"], "setup.py", "exec", dont_inherit=True), namespace)  # noqa: S102
    known = objects.shared_classes(namespace)
    names = {kind: name for name, kind in known.items()}
    trouble: BaseException | None = None
    try:
        exec(compile(order["source"], "solution.py", "exec", dont_inherit=True), namespace)  # noqa: S102
    except BaseException as error:  # noqa: BLE001
        trouble = error
    _find_method(namespace, order)
    if not callable(namespace.get(entry_point)):
        kind = "class" if entry_point[:1].isupper() else "function"
        reason = f"the program defines no {kind} {entry_point!r}" if trouble is None else _describe(trouble)
        wire.write_frame(results, {"loaded": False, "reason": reason})
        return
    again = objects.shared_classes(namespace)
    classes = {name: again.get(name, kind) for name, kind in known.items()}
    names.update({kind: name for name, kind in classes.items()})
    public = [name for name, item in namespace.items() if callable(item) and isinstance(name, str)][:_MAX_NAMES]
    modules = [name for name, item in namespace.items() if item is sys.modules.get(name)]
    wire.write_frame(results, {"loaded": True, "names": public, "modules": modules[:_MAX_NAMES]})
    program = _Program(namespace, names, classes)
    while True:
        try:
            request = wire.read_frame(calls)
        except EOFError:
            return
        wire.write_frame(results, program.answer(request))


def _find_method(namespace: dict[str, Any], order: dict[str, Any]) -> None:
    """Make a method of a class `Solution` the entry point, as judges that call functions do."""
    solution = namespace.get("Solution")
    if order.get("solution_class") and not callable(namespace.get(order["entry_point"])) and callable(solution):
        try:
            namespace[order["entry_point"]] = getattr(solution(), order["entry_point"])
        except Exception:  # noqa: BLE001  (then the program has no entry point, and that is what is reported)
            return


class _Program:
    """The loaded program, and the objects of its own that the tests hold."""

    def __init__(self, namespace: dict[str, Any], names: dict[type, str], classes: dict[str, type]) -> None:
        self._namespace = namespace
        self._names = names
        self._classes = classes
        self._held: list[Any] = []
        self._index: dict[int, int] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what one request asks for: call, get or set."""
        try:
            unpacker = objects.Unpacker(self._classes, self._held.__getitem__, request["nodes"])
            target = self._target(request["on"])
            arguments: list[Any] = [unpacker.decode(item) for item in request["args"]]
            keywords: dict[str, Any] = {name: unpacker.decode(item) for name, item in request["kwargs"].items()}
            if request["do"] == "call":
                value = target(*arguments, **keywords)
            elif request["do"] == "get":
                value = getattr(target, *arguments)
                if callable(value) and type(value) not in self._names:
                    return {"callable": True}
            else:
                setattr(target, *arguments)
                value, arguments = None, []
            packer = objects.Packer(self._names, self._hold, unpacker.nodes)
            return {
                "value": packer.encode(value),
                "args": [packer.encode(item) if isinstance(item, _MUTABLE) else None for item in arguments],
                "kwargs": {name: packer.encode(item) for name, item in keywords.items() if isinstance(item, _MUTABLE)},
                "nodes": packer.table(),
            }
        except BaseException as error:  # noqa: BLE001
            return {"raised": type(error).__name__, "message": _describe(error)}

    def _target(self, path: list[Any]) -> Any:
        start, *attributes = path
        target = self._namespace[start] if isinstance(start, str) else self._held[start]
        for name in attributes:
            target = getattr(target, name)
        return target

    def _hold(self, value: Any) -> Any:
        if id(value) not in self._index:
            self._index[id(value)] = len(self._held)
            self._held.append(value)
        return {"object": self._index[id(value)]}


def _describe(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception_only(error)).strip()[-500:]
