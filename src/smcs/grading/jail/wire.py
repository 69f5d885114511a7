"""Frames and values on the sandbox's pipes: length-prefixed JSON, and plain Python data as tagged JSON.

Decoding builds builtin objects only, whatever the other side sent: nothing is imported by name, called or evaluated.
"""

from __future__ import annotations

import builtins
import itertools
import json
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would double the start-up time
    from collections.abc import Callable
    from typing import Any

__all__ = ("MAX_FRAME", "WireError", "decode", "encode", "read_frame", "write_frame")

MAX_FRAME = 16 * 2**20
"""Largest frame accepted, in bytes."""
_MAX_ITEMS = 100_000
_JSON_INT = 2**53


class WireError(Exception):
    """A frame is cut off, too large or not what the protocol allows, or a value is not plain data."""


def write_frame(fd: int, message: dict[str, Any]) -> None:
    """Write one message: four bytes of length, big-endian, then JSON."""
    try:
        body = json.dumps(message).encode()
    except (RecursionError, ValueError) as error:
        raise WireError(f"value cannot be sent: {error}") from error
    if len(body) > MAX_FRAME:
        raise WireError(f"value is larger than {MAX_FRAME} bytes")
    view = memoryview(struct.pack(">I", len(body)) + body)
    while view:
        view = view[os.write(fd, view) :]


def read_frame(fd: int) -> dict[str, Any]:
    """Read one message and not a byte more.

    Raises:
        EOFError: The other side closed the pipe.
        WireError: The frame is too large or not a JSON object.
    """
    (size,) = struct.unpack(">I", _read_exactly(fd, 4))
    if size > MAX_FRAME:
        raise WireError(f"frame of {size} bytes")
    try:
        message = json.loads(_read_exactly(fd, size))
    except (ValueError, RecursionError) as error:
        raise WireError(f"malformed frame: {type(error).__name__}") from error
    if not isinstance(message, dict):
        raise WireError("frame is not an object")
    return message


def _read_exactly(fd: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = os.read(fd, min(size, 2**16))
        if not part:
            raise EOFError("the pipe was closed")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _refuse(value: Any) -> Any:
    raise WireError(f"{type(value).__name__} is not plain data")


def encode(value: Any, other: Callable[[Any], Any] = _refuse) -> Any:
    """Turn plain data into JSON; everything but None, bool, float, str, list and small int is tagged `{type: ...}`.

    Args:
        value: None, a number, text, bytes, or a container, range or iterator of plain data.
        other: Encodes what is not plain data.

    Raises:
        WireError: The value holds something that is not plain data (an object of a class of its own, a function).
    """
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, int):
        return int(value) if -_JSON_INT < value < _JSON_INT else {"int": hex(value)}
    if isinstance(value, list):
        return [encode(item, other) for item in value]
    if isinstance(value, dict):
        return {"dict": [[encode(key, other), encode(item, other)] for key, item in value.items()]}
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [encode(item, other) for item in value]}
    if isinstance(value, bytes | bytearray):
        return {type(value).__name__: value.hex()}
    return _encode_rarer(value, other)


def _encode_rarer(value: Any, other: Callable[[Any], Any]) -> Any:
    kind = type(value)
    name = getattr(value, "__name__", "")
    if kind is type and vars(builtins).get(name) is value:
        return {"type": name}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, range):
        return {"range": [encode(part) for part in (value.start, value.stop, value.step)]}
    match f"{kind.__module__}.{kind.__name__}":
        case "collections.deque":
            return {"deque": [[encode(item, other) for item in value], value.maxlen]}
        case "fractions.Fraction":
            return {"Fraction": [encode(value.numerator), encode(value.denominator)]}
        case "decimal.Decimal":
            return {"Decimal": str(value)}
        case "builtins.dict_keys" | "builtins.dict_values" | "builtins.dict_items":
            return {kind.__name__: [encode(item, other) for item in value]}
    if kind.__module__ == "numpy" and getattr(value, "shape", None) == ():
        return encode(value.item(), other)
    if hasattr(kind, "__next__") or (hasattr(kind, "__iter__") and kind.__module__ == "builtins"):
        return {"iterator": [encode(item, other) for item in itertools.islice(value, _MAX_ITEMS)]}
    return other(value)


def decode(value: Any, other: Callable[[str, Any], Any] | None = None) -> Any:
    """Rebuild what `encode` made, out of builtin types, deque, Fraction and Decimal only.

    Args:
        value: Parsed JSON.
        other: Decodes the tags that `encode`'s `other` wrote.

    Raises:
        WireError: The JSON is not something `encode` writes.
    """
    if isinstance(value, list):
        return [decode(item, other) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise WireError("malformed value")
    ((tag, content),) = value.items()
    try:
        if tag in _SCALARS:
            return _SCALARS[tag](content)
        if tag in _CONTAINERS:
            return _CONTAINERS[tag](decode(content, other))
        if tag in ("dict", "dict_items"):
            mapping = {decode(key, other): decode(item, other) for key, item in map(_pair, content)}
            return mapping if tag == "dict" else mapping.items()
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError(f"malformed value: {error}") from error
    if other is None:
        raise WireError(f"malformed value: unknown tag {tag[:40]!r}")
    return other(tag, content)


def _pair(content: Any) -> Any:
    return content["tuple"] if isinstance(content, dict) else content


def _deque(content: list[Any]) -> Any:
    from collections import deque

    return deque(content[0], content[1])


def _fraction(content: list[Any]) -> Any:
    from fractions import Fraction

    return Fraction(*(decode(part) for part in content))


def _decimal(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def _type(name: str) -> Any:
    kind = getattr(builtins, name)
    if not isinstance(kind, type):
        raise TypeError("not a type")
    return kind


_SCALARS: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "complex": lambda parts: complex(*parts),
    "range": lambda parts: range(*(decode(part) for part in parts)),
    "Fraction": _fraction,
    "Decimal": _decimal,
    "type": _type,
}
_CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "iterator": iter,
    "deque": _deque,
    "dict_keys": lambda items: dict.fromkeys(items).keys(),
    "dict_values": lambda items: dict(enumerate(items)).values(),
}
