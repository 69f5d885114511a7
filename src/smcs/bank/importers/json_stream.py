"""One JSON text of any length, a value at a time: the memory of its largest value, at the speed of `memchr`.

Only the structure is walked here. A value is handed out as bytes, found by counting its own kind of bracket outside
strings; whoever decodes it finds out whether it is well formed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

__all__ = ("JsonStream", "MalformedJsonError", "decode")

_CHUNK = 4 * 2**20
_LARGEST = 256 * 2**20
"""Bytes of one value that are held in memory before the file is refused."""

_CLOSING = {b"{": b"}", b"[": b"]"}
_BLANK = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(rb"[^ \t\r\n,\]}]*")
_NOT_JSON = re.compile(rb"NaN|Infinity")
_WHERE = re.compile(r"\(byte (\d+)\)")
_BOM = b"\xef\xbb\xbf"


class MalformedJsonError(ValueError):
    """What is not JSON; the message says where and what, without the file."""


def decode(raw: bytes) -> Any:
    """Decode one value.

    Raises:
        MalformedJsonError: It is not JSON, not UTF-8, or nested too deep.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedJsonError(f"{_reason(raw, error)}.") from error


def _reason(raw: bytes, error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"it holds bytes that are not UTF-8 (byte {error.start} of it)"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if "utf-8" in str(error).lower():
        return f"it holds bytes that are not UTF-8 ({error})"
    where = _WHERE.search(str(error))
    start = int(where.group(1)) if where else len(raw)
    # Python's own writer puts NaN into a file, which no other reader takes: say it by its name.
    found = _NOT_JSON.search(raw, max(0, start - 1), start + len("Infinity"))
    return f"it holds {found.group().decode()}, which is not a number" if found else str(error).rstrip(".")


class JsonStream:
    """A cursor over a JSON text. Iterate `members` or `elements`; at each step take the value with one of the three.

    Args:
        file: Opened in binary mode, at its start.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self._before = 0
        self._ended = False
        self._fill(_CHUNK)
        if self._buffer.startswith(_BOM):
            self._at = len(_BOM)

    def peek(self) -> bytes:
        """Return the next byte that is not blank, without taking it; empty at the end of the file."""
        while True:
            blank = _BLANK.match(self._buffer, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._buffer) or not self._fill(_CHUNK):
                return self._buffer[self._at : self._at + 1]

    def members(self) -> Iterator[str]:
        """Yield the keys of the object that comes next; each value must be taken before the next key.

        Raises:
            MalformedJsonError: It is no object, or is broken or cut off.
        """
        self._take(b"{")
        if self.peek() == b"}":
            self._at += 1
            return
        while True:
            if self.peek() not in (b'"', b""):
                raise self._fault("a key in double quotes must stand here")
            key = decode(self.value())
            self._take(b":")
            yield key
            if self._take(b",", b"}") == b"}":
                return

    def elements(self) -> Iterator[int]:
        """Yield 0, 1, ... for the elements of the array that comes next; each must be taken before the next one.

        Raises:
            MalformedJsonError: It is no array, or is broken or cut off.
        """
        self._take(b"[")
        if self.peek() == b"]":
            self._at += 1
            return
        index = 0
        while True:
            yield index
            index += 1
            if self._take(b",", b"]") == b"]":
                return

    def value(self) -> bytes:
        """Take the next value whole.

        Raises:
            MalformedJsonError: There is none, it is cut off, or larger than a value may be.
        """
        first = self.peek()
        size = _CHUNK
        while True:
            end = self._end(first)
            if end >= 0:
                value = self._buffer[self._at : end]
                if not value:
                    raise self._fault("a value must stand here")
                self._at = end
                return value
            if len(self._buffer) - self._at > _LARGEST:
                raise self._fault(f"the value that begins here is larger than {_LARGEST >> 20} MiB")
            # Doubling keeps the work linear though the value is walked again from its start.
            if not self._fill(size):
                raise self._fault("the file ends inside the value that begins here: it was cut off")
            size *= 2

    def finish(self) -> None:
        """Check that nothing follows.

        Raises:
            MalformedJsonError: Something does.
        """
        if self.peek():
            raise self._fault("nothing may follow here")

    def _end(self, first: bytes) -> int:
        """Return where the value that starts at the cursor ends, or -1 if that is not in the buffer."""
        if first == b'"':
            return _string_end(self._buffer, self._at) + 1 or -1
        if first in _CLOSING:
            return _container_end(self._buffer, self._at, first, _CLOSING[first])
        scalar = _SCALAR.match(self._buffer, self._at)
        end = scalar.end() if scalar else self._at
        return end if end < len(self._buffer) or self._ended else -1

    def _take(self, *allowed: bytes) -> bytes:
        found = self.peek()
        if found not in allowed:
            wanted = " or ".join(repr(byte.decode()) for byte in allowed)
            if not found:
                raise self._fault(f"the file ends where {wanted} must stand: it was cut off")
            raise self._fault(f"{wanted} must stand here, got {found.decode('latin-1')!r}")
        self._at += 1
        return found

    def _fill(self, size: int) -> bool:
        """Drop what was taken and read on; say whether anything came."""
        chunk = b"" if self._ended else self._file.read(size)
        self._ended = not chunk
        if chunk:
            self._before += self._at
            self._buffer = self._buffer[self._at :] + chunk
            self._at = 0
        return bool(chunk)

    def _fault(self, what: str) -> MalformedJsonError:
        return MalformedJsonError(f"{what} (byte {self._before + self._at:,}).")


def _string_end(buffer: bytes, start: int) -> int:
    """Return the place of the quote that closes the string opened at `start`, or -1."""
    end = buffer.find(b'"', start + 1)
    while end >= 0:
        slashes = end
        while buffer[slashes - 1] == 0x5C:
            slashes -= 1
        if (end - slashes) % 2 == 0:
            return end
        end = buffer.find(b'"', end + 1)
    return -1


def _container_end(buffer: bytes, start: int, opens: bytes, closes: bytes) -> int:
    """Return the place after the bracket that closes the one at `start`, or -1.

    The next quote and the next bracket of either kind are known at any time, so long stretches of numbers cost one
    search each, whatever stands in them.
    """
    size = len(buffer)

    def following(byte: bytes, at: int) -> int:
        found = buffer.find(byte, at)
        return size if found < 0 else found

    depth = 0
    quote, opening, closing = following(b'"', start), start, following(closes, start)
    while closing < size:
        if quote < opening and quote < closing:
            after = _string_end(buffer, quote) + 1
            if not after:
                return -1
            quote = following(b'"', after)
            opening = following(opens, after) if opening < after else opening
            closing = following(closes, after) if closing < after else closing
        elif opening < closing:
            depth += 1
            opening = following(opens, opening + 1)
        else:
            depth -= 1
            if not depth:
                return closing + 1
            closing = following(closes, closing + 1)
    return -1
