"""HTTP as the endpoints need it: bounded bodies, keys, streams, and noticing at once that a client has left."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from smcs.gateway.errors import GatewayError, invalid_request, too_large
from smcs.gateway.protocol import KEEP_ALIVE

__all__ = (
    "ClientGoneError",
    "EventStream",
    "StreamWriter",
    "bearer",
    "error_response",
    "json_response",
    "read_body",
    "while_connected",
)

_T = TypeVar("_T")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


class ClientGoneError(Exception):
    """The client closed the connection before it was answered; there is nobody to tell."""


def json_response(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response; bytes are taken as JSON that is encoded already."""
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Response(body, status_code=status, media_type="application/json", headers=dict(headers or {}))


def error_response(error: GatewayError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response of an error."""
    own = dict(error.headers)
    if error.retry_after is not None:
        own["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return json_response(error.body(), status=error.status, headers={**(headers or {}), **own})


async def read_body(request: Request, *, limit: int) -> bytes:
    """Read a JSON body of at most `limit` bytes.

    Raises:
        ClientGoneError: The client left while it was sending.
        GatewayError: It is larger (413), or declared as something else than JSON (415).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise GatewayError(
            415, f"The body must be application/json, got {kind[:100]!r}.", code="unsupported_media_type"
        )
    declared = request.headers.get("content-length", "")
    if _LENGTH.fullmatch(declared) and int(declared) > limit:
        raise too_large(f"The body has {int(declared):,} bytes; at most {limit:,} are read.")
    pieces: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise too_large(f"The body has more than {limit:,} bytes, which is the most that is read.")
        more = message.get("more_body", False)
    body = b"".join(pieces)
    if not body:
        raise invalid_request("The body is empty. Send a JSON object.")
    return body


def bearer(request: Request) -> str | None:
    """Return the API key of a request: `Authorization: Bearer`, else `X-API-Key`; `None` where there is none."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key") or None


async def while_connected(receive: Receive, work: Awaitable[_T]) -> _T:
    """Wait for `work`, and cancel it as soon as the client closes the connection.

    Raises:
        ClientGoneError: The client left; the work has ended.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGoneError
    finally:
        for each in (task, gone):
            if not each.done():
                each.cancel()
        await asyncio.wait({task, gone})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class StreamWriter:
    """What a producer of a stream writes to."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self.last = self._loop.time()
        """Time on the loop's clock of the last bytes."""
        self.has_reader = True
        """Whether the client is still there."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the client does not read."""
        self.last = self._loop.time()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})


class EventStream(Response):
    """A stream of server-sent events (WHATWG HTML, section 9.2).

    Args:
        produce: Writes the events, and must not raise. It is cancelled as soon as the client leaves, and when the
            server stops; then, with a reader still there, it may write how the stream ends.
        keep_alive: Seconds of silence after which a comment is sent, so that nobody between takes the line for dead.
        headers: Further headers.
    """

    def __init__(
        self,
        produce: Callable[[StreamWriter], Awaitable[None]],
        *,
        keep_alive: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status_code=200, headers={**_STREAM_HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._produce = produce
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head, then whatever is produced.

        Only a stopping server cancels a response: that ends the stream, and goes no further.
        """
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        writer = StreamWriter(send)
        producing = asyncio.ensure_future(self._produce(writer))
        gone = asyncio.create_task(_until_gone(receive))
        with suppress(asyncio.CancelledError):
            await self._watch(producing, gone, writer)
        writer.has_reader = not gone.done()
        for task in (producing, gone):
            if not task.done():
                task.cancel()
        await asyncio.wait({producing, gone})
        if not producing.cancelled():
            producing.result()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, producing: asyncio.Future[None], gone: asyncio.Future[None], writer: StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            silence = writer.last + self._keep_alive - loop.time()
            done, _ = await asyncio.wait(
                {producing, gone}, timeout=max(0.0, silence), return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                return
            if loop.time() >= writer.last + self._keep_alive:
                await writer.write(KEEP_ALIVE)
