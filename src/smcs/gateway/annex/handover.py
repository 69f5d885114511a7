"""A client's connection given from one process to another, with what was read of its next request.

Both processes serve HTTP with `SortingProtocol`. Between two requests it looks at the path of the next one; where that
is the other process's, it passes the open socket on (SCM_RIGHTS, unix(7)) and forgets it. So a request costs the
process it passes through some microseconds, whatever it leads to, and a proxy may mix requests for both on one
connection.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from smcs.gateway.annex.sockets import listen

__all__ = ("Adopter", "Place", "SortingProtocol", "is_api", "target_of")

_log = logging.getLogger(__name__)

_API: Final = (b"/v1", b"/health", b"/ready", b"/metrics", b"/openapi.json")
_USUAL: Final = (b"POST /v1/", b"GET /v1/")
_LONGEST_LINE: Final = 16_384
"""Bytes of a request line after which it is not waited for any more."""

_SECONDS: Final = 5.0
"""How long the rest of a message from the other process may take."""

_PAUSE: Final = 1.0

_HEAD: Final = struct.Struct("!IQ")
"""Lengths of the path to hand back to, and of the bytes that were read."""

_NO_PAGES: Final = b"The studio's pages cannot be shown now: their process does not run. The server's log says why.\n"
_NO_API: Final = b"The process that answered on this connection has ended. Send the request again.\n"
_UNAVAILABLE: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: 5\r\n"
    b"x-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
)


def target_of(data: bytes) -> bytes | None:
    """Return the path of the request that begins with these bytes; `None` where more of them are needed.

    What is no request is not waited for: its path is empty.
    """
    line, end, _ = data.lstrip(b"\r\n").partition(b"\r\n")
    parts = line.split(b" ", 2)
    if len(parts) < 3:
        return b"" if end or len(data) > _LONGEST_LINE else None
    target = parts[1]
    if not target.startswith(b"/"):
        _, scheme, rest = target.partition(b"://")
        target = b"/" + rest.partition(b"/")[2] if scheme else b""
    path = target.partition(b"?")[0]
    return unquote_to_bytes(path) if b"%" in path else path


def is_api(path: bytes) -> bool:
    """Return whether a path is the API's; one that cannot be read is, too."""
    return not path or path == b"*" or any(path == each or path.startswith(each + b"/") for each in _API)


class Place:
    """One of the two kinds of processes, and where it and the other one take connections.

    Args:
        there: Socket on which the other process takes connections; `None` where all come from it, which says where.
        folder: Where this process makes its own socket, once it has handed a connection over that may come back.
        serves_api: Which kind it is.
    """

    def __init__(self, there: Path | None, folder: Path, *, serves_api: bool) -> None:
        self.there = there
        self.serves_api = serves_api
        self._folder = folder
        self._adopter: Adopter | None = None

    def is_here(self, path: bytes) -> bool:
        """Return whether this process answers a request."""
        return is_api(path) is self.serves_api

    def take_from(self, listening: socket.socket, make: Callable[[], SortingProtocol]) -> Path:
        """Take connections on a socket, in the running event loop.

        Args:
            listening: A listening Unix socket.
            make: Makes the protocol of a connection.

        Returns:
            Where others reach it.
        """
        self._adopter = Adopter(listening, make)
        return self._adopter.path

    def back(self, make: Callable[[], SortingProtocol]) -> Path:
        """Return where this process takes connections back, which it does from now on; see `take_from`."""
        if self._adopter is None:
            return self.take_from(listen(self._folder / f"back-{os.getpid()}.sock"), make)
        return self._adopter.path

    def close(self) -> None:
        """Take no more."""
        if self._adopter is not None:
            self._adopter.close()
            self._adopter = None


class SortingProtocol(HttpToolsProtocol):
    """HTTP of a process that answers one kind of request."""

    def __init__(
        self,
        place: Place,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._place = place
        self._between = True
        self._held = b""
        self._sending: asyncio.Task[None] | None = None
        self.begun = b""
        """What was read of the first request by whoever handed this connection over."""
        self.back: Path | None = None
        """Where they take it back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with what was read before; some event loops read on before anybody else gets a turn."""
        super().connection_made(transport)  # type: ignore[arg-type]
        begun, self.begun = self.begun, b""
        if begun:
            self.data_received(begun)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request, or pass the connection on with them."""
        if self._between and (self._held or not (self._place.serves_api and data.startswith(_USUAL))):
            data, self._held = self._held + data, b""
            path = target_of(data)
            if path is None:
                self._held = data
                return
            if not self._place.is_here(path) and self._is_quiet():
                self._pass_on(data)
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """End a request; what comes next begins another one."""
        self._between = True
        super().on_message_complete()

    def _is_quiet(self) -> bool:
        """Whether everything asked before was answered whole, and is on its way."""
        cycle: RequestResponseCycle | None = self.cycle
        return (cycle is None or cycle.response_complete) and not self.transport.get_write_buffer_size()

    def _pass_on(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        there = self._place.there if self.back is None else self.back
        try:
            if there is None:
                raise OSError("nobody said where to")
            make = partial(SortingProtocol, self._place, self.config, self.server_state, self.app_state)
            back = self._place.back(make)
            line, rest = _begin(there, self.transport.get_extra_info("socket").fileno(), back, data)
        except OSError as error:
            _log.warning("a connection could not be handed over: %s", error)
            why = _NO_PAGES if self._place.serves_api else _NO_API
            self.transport.write(_UNAVAILABLE % (len(why), why))
            self.transport.close()
            return
        if rest:
            self.transport.pause_reading()
            self._sending = self.loop.create_task(self._finish(line, rest))
        else:
            line.close()
            self.transport.abort()

    async def _finish(self, line: socket.socket, rest: bytes) -> None:
        """Send what did not fit at once, without holding anybody up."""
        try:
            async with asyncio.timeout(_SECONDS):
                await self.loop.sock_sendall(line, rest)
        except (OSError, TimeoutError) as error:
            _log.warning("a connection was lost while it was handed over: %s", error)
        finally:
            line.close()
            self.transport.abort()

    def shutdown(self) -> None:
        """End with the server, which takes no connections back any more."""
        self._place.close()
        super().shutdown()


def _begin(there: Path, number: int, back: Path, data: bytes) -> tuple[socket.socket, bytes]:
    """Send a connection's file descriptor with what was read of it, as far as that fits at once.

    Returns:
        The line to the other process, and what is to be sent on it before it is closed.

    Raises:
        OSError: Nobody listens there, or too many wait already.
    """
    name = os.fsencode(back)
    whole = _HEAD.pack(len(name), len(data)) + name + data
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.setblocking(False)
        line.connect(os.fspath(there))
        sent = socket.send_fds(line, [whole], [number])
    except OSError:
        line.close()
        raise
    return line, whole[sent:]


async def _receive(loop: asyncio.AbstractEventLoop, line: socket.socket) -> tuple[socket.socket, Path, bytes]:
    """Return what was sent.

    Raises:
        OSError: It did not come whole.
    """
    with line:
        line.setblocking(False)
        piece, numbers = await _first(loop, line)
        if not numbers:
            raise OSError("no connection came")
        try:
            pieces = [piece]
            while piece := await loop.sock_recv(line, 1 << 16):
                pieces.append(piece)
            back, data = _parts(b"".join(pieces))
            return socket.socket(fileno=numbers[0]), back, data
        except BaseException:
            os.close(numbers[0])
            raise


async def _first(loop: asyncio.AbstractEventLoop, line: socket.socket) -> tuple[bytes, list[int]]:
    """Return the first bytes that arrive, and the file descriptors beside them."""
    while True:
        try:
            piece, numbers, _, _ = socket.recv_fds(line, 1 << 16, 1)
            return piece, numbers
        except BlockingIOError:
            arrived = loop.create_future()
            loop.add_reader(line.fileno(), arrived.set_result, None)
            try:
                await arrived
            finally:
                loop.remove_reader(line.fileno())


def _parts(whole: bytes) -> tuple[Path, bytes]:
    """Return where a connection may be handed back, and what was read of it."""
    if len(whole) >= _HEAD.size:
        named, size = _HEAD.unpack_from(whole)
        start = _HEAD.size + named
        if len(whole) == start + size:
            return Path(os.fsdecode(whole[_HEAD.size : start])), whole[start:]
    raise OSError("it came without all of its request")


class Adopter:
    """Takes connections that the other process hands over, on the event loop it is made in.

    Args:
        listening: A listening Unix socket, which is closed at the end.
        make: Makes the protocol of a connection.
    """

    def __init__(self, listening: socket.socket, make: Callable[[], SortingProtocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._make = make
        self._tasks: set[asyncio.Task[None]] = set()
        self.path = Path(os.fsdecode(listening.getsockname()))
        """Of the socket."""
        listening.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Take no more."""
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()

    def _listen(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            line, _ = self._listening.accept()
        except BlockingIOError:
            return
        except OSError as error:  # too many open files: waiting is all that helps
            _log.warning("no connection can be taken over for %g s: %s", _PAUSE, error)
            self._loop.remove_reader(self._listening.fileno())
            self._loop.call_later(_PAUSE, self._listen)
            return
        task = self._loop.create_task(self._adopt(line))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _adopt(self, line: socket.socket) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                connection, back, data = await _receive(self._loop, line)
        except (OSError, TimeoutError) as error:
            _log.warning("a connection that was handed over did not arrive: %s", error)
            return
        protocol = self._make()
        protocol.back, protocol.begun = back, data
        connection.setblocking(False)
        await self._loop.connect_accepted_socket(lambda: protocol, connection)
