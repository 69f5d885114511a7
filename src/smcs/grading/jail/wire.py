"""Frames and values on the sandbox's pipes: length-prefixed JSON, and plain Python data as tagged JSON.

Decoding builds builtin objects only, whatever the other side sent: nothing is imported, called or evaluated.
"""

from __future__ import annotations

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


def encode(value: Any) -> Any:
    """Turn plain data into JSON; everything but None, bool, float, str, list and small int is tagged `{type: ...}`.

    Raises:
        WireError: The value holds something that is not plain data (an object of a class of its own, a function).
    """
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, int):
        return int(value) if -_JSON_INT < value < _JSON_INT else {"int": hex(value)}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [encode(item) for item in value]}
    if isinstance(value, bytes | bytearray):
        return {type(value).__name__: value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, range):
        return {"range": [encode(part) for part in (value.start, value.stop, value.step)]}
    if hasattr(value, "__next__"):
        return {"iterator": [encode(item) for item in itertools.islice(value, _MAX_ITEMS)]}
    if hasattr(value, "__iter__") and type(value).__module__ == "builtins":
        return {"iterator": [encode(item) for item in value]}
    raise WireError(f"{type(value).__name__} is not plain data")


def decode(value: Any) -> Any:
    """Rebuild what `encode` made, out of builtin types only.

    Raises:
        WireError: The JSON is not something `encode` writes.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise WireError("malformed value")
    try:
        return next(_DECODERS[tag](content) for tag, content in value.items())
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"malformed value: {error}") from error


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "dict": lambda pairs: {decode(key): decode(item) for key, item in pairs},
    "tuple": lambda items: tuple(decode(item) for item in items),
    "set": lambda items: {decode(item) for item in items},
    "frozenset": lambda items: frozenset(decode(item) for item in items),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "complex": lambda parts: complex(*parts),
    "range": lambda parts: range(*(decode(part) for part in parts)),
    "iterator": lambda items: iter([decode(item) for item in items]),
}
