"""Objects that are not plain data, on both sides of the wire.

Instances of classes that both sides know (the question's setup defines them, for instance `ListNode`) travel by value,
as a table of nodes, so that shared references and cycles survive. Objects of the program's own classes stay where they
are; the tests hold a `Remote` that forwards attribute access and calls. What decides a comparison is never forwarded:
a `Remote` equals itself only.
"""

from __future__ import annotations

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would double the start-up time
    from collections.abc import Callable
    from typing import Any

__all__ = ("Packer", "Remote", "Unpacker", "shared_classes")


def shared_classes(namespace: dict[str, Any]) -> dict[str, type]:
    """Return the classes that a namespace's own code defined and whose instances are nothing but their attributes."""
    own = namespace.get("__name__")
    classes: dict[str, Any] = {name: item for name, item in namespace.items() if isinstance(item, type)}
    return {
        name: kind
        for name, kind in classes.items()
        if kind.__module__ == own and kind.__new__ is object.__new__ and kind.__dictoffset__
    }


class Packer:
    """Encodes the values of one message; `nodes` fills with the instances of shared classes met on the way."""

    def __init__(self, names: dict[type, str], handle: Callable[[Any], Any], nodes: list[Any] | None = None) -> None:
        self.nodes: list[Any] = [] if nodes is None else nodes
        self._names = names
        self._handle = handle
        self._index = {id(node): position for position, node in enumerate(self.nodes)}

    def encode(self, value: Any) -> Any:
        """Return a value as JSON."""
        return wire.encode(value, self._other)

    def _other(self, value: Any) -> Any:
        if type(value) not in self._names:
            return self._handle(value)
        if id(value) not in self._index:
            self._index[id(value)] = len(self.nodes)
            self.nodes.append(value)
        return {"node": self._index[id(value)]}

    def table(self) -> list[Any]:
        """Return all nodes with their attributes; call last, when every value of the message is encoded."""
        rows: list[Any] = []
        while len(rows) < len(self.nodes):
            node = self.nodes[len(rows)]
            attributes = {str(name): self.encode(item) for name, item in vars(node).items()}
            rows.append([self._names.get(type(node), ""), attributes])
        return rows


class Unpacker:
    """Decodes the values of one message; instances that `nodes` already holds are updated, not made anew."""

    def __init__(
        self, classes: dict[str, type], handle: Callable[[Any], Any], table: Any, nodes: list[Any] | None = None
    ) -> None:
        self.nodes: list[Any] = [] if nodes is None else nodes
        self._handle = handle
        if not isinstance(table, list):
            raise wire.WireError("malformed table of nodes")
        try:
            for name, _ in table[len(self.nodes) :]:
                self.nodes.append(object.__new__(classes[name]))
            for node, (_, attributes) in zip(self.nodes, table, strict=True):
                decoded = {str(name): self.decode(item) for name, item in attributes.items()}
                vars(node).clear()
                vars(node).update(decoded)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise wire.WireError(f"malformed table of nodes: {error}") from error

    def decode(self, value: Any) -> Any:
        """Return the value that JSON stands for."""
        return wire.decode(value, self._other)

    def _other(self, tag: str, content: Any) -> Any:
        if tag == "object":
            return self._handle(content)
        if tag != "node" or not isinstance(content, int) or not 0 <= content < len(self.nodes):
            raise wire.WireError("malformed value")
        return self.nodes[content]


class Remote:
    """Stands in the tests for an object, a class or a function of the program; equal to itself only."""

    __slots__ = ("_smcs_ask", "_smcs_path")

    def __init__(self, ask: Callable[..., Any], path: list[Any]) -> None:
        object.__setattr__(self, "_smcs_ask", ask)
        object.__setattr__(self, "_smcs_path", path)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call what this stands for in the program."""
        return self._smcs_ask("call", self._smcs_path, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._smcs_ask("get", self._smcs_path, (name,), {})

    def __setattr__(self, name: str, value: Any) -> None:
        self._smcs_ask("set", self._smcs_path, (name, value), {})

    def __reduce__(self) -> Any:
        raise TypeError("an object of the program cannot be copied")
