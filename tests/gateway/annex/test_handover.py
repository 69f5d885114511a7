"""Connections that go from one process to the other and back, while their clients notice nothing."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from helpers_gateway import ManualServer
from smcs.gateway.annex import sockets
from smcs.gateway.annex.handover import Place, SortingProtocol, is_api, target_of
from smcs.gateway.annex.sockets import listen

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]


def reference_target(data: bytes) -> str:
    """Return the path of a request line that is whole, read in another way than the code does."""
    line = data.lstrip(b"\r\n").split(b"\r\n")[0].decode("latin-1")
    target = line.split(" ")[1]
    if "://" in target and not target.startswith("/"):
        after = target.split("://", 1)[1]
        target = after[after.index("/") :] if "/" in after else "/"
    return target.split("?")[0]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b"GET / HTTP/1.1\r\n", b"/"),
        (b"GET /runs?x=/v1/models HTTP/1.1\r\nHost: a\r\n", b"/runs"),
        (b"\r\nPOST /v1/chat/completions HTTP/1.1\r\n", b"/v1/chat/completions"),
        (b"GET http://host:80/v1/models HTTP/1.1\r\n", b"/v1/models"),
        (b"GET http://host HTTP/1.1\r\n", b"/"),
        (b"GET /%761/models HTTP/1.1\r\n", b"/v1/models"),
        (b"OPTIONS * HTTP/1.1\r\n", b""),
        (b"PRI * HTTP/2.0\r\n", b""),
        (b"nonsense\r\n", b""),
        (b"\x16\x03\x01" + b"x" * 20_000, b""),
        (b"GET ", None),
        (b"GET /v1/mod", None),
        (b"", None),
    ],
)
def test_the_path_of_a_request(line: bytes, path: bytes | None) -> None:
    assert target_of(line) == path


segments = st.text("abcv1/._-~?=&:", max_size=30)


@given(
    st.sampled_from(["GET", "POST", "HEAD"]), segments, st.sampled_from(["", "http://h", "https://h:1"]), st.integers(0)
)
def test_a_request_that_comes_in_pieces_is_waited_for(method: str, rest: str, origin: str, at: int) -> None:
    data = f"{method} {origin}/{rest} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    whole = target_of(data)
    assert whole == reference_target(data).encode()
    piece = data[: at % len(data)]
    assert target_of(piece) in (None, whole)
    assert (target_of(piece) is None) == (piece.count(b" ") < 2)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/x", "/health", "/ready", "/metrics", "/openapi.json", "", "*"])
def test_what_is_the_apis(path: str) -> None:
    assert is_api(path.encode())


@pytest.mark.parametrize("path", ["/", "/runs", "/v12", "/v1x/models", "/healthy", "/_nicegui/x", "/sign-in", "//v1"])
def test_what_is_a_page(path: str) -> None:
    assert not is_api(path.encode())


@dataclass
class Side:
    """One of the two servers."""

    name: str
    served: int = 0

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Say who answers what, and how long its body was."""
        if scope["type"] == "lifespan":
            return
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        self.served += 1
        body = f"{self.name} {scope['path']} {size} {scope['client'][0]}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(app: Side, place: Place, *sockets: socket.socket) -> AsyncIterator[ManualServer]:
    protocol: Any = partial(SortingProtocol, place)
    server = ManualServer(uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve(sockets=list(sockets)))
    while not server.started:  # noqa: ASYNC110 uvicorn tells nobody
        await asyncio.sleep(0.005)
    try:
        yield server
    finally:
        place.close()
        server.told_to_stop.set()
        await task


@dataclass
class House:
    """Two servers behind one port."""

    api: Side
    pages: Side
    address: tuple[str, int]

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="smcs-test-") as name:  # pytest's own are too long for a socket's path
        yield Path(name)


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """Serve the API, and pages in what would be another process."""
    (folder / "pages").mkdir()
    pages, api = Side("pages"), Side("api")
    listening = listen(folder / "studio.sock")
    outer = socket.create_server(("127.0.0.1", 0))
    there = Place(None, folder / "pages", serves_api=False)
    here = Place(folder / "studio.sock", folder, serves_api=True)
    async with serving(pages, there) as inner, serving(api, here, outer):
        there.take_from(listening, lambda: SortingProtocol(there, inner.config, inner.server_state, {}))
        yield House(api, pages, outer.getsockname())


async def test_one_connection_reaches_both_as_often_as_it_likes(folder: Path) -> None:
    paths = ["/v1/models", "/", "/runs", "/v1/models", "/health", "/bank?x=1", "/metrics", "/"]
    async with (
        house(folder) as both,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
    ):
        said = []
        for path in paths:
            async with session.get(both.url + path) as answer:
                said.append((await answer.text()).split()[:2])
                assert answer.connection is None or answer.headers.get("connection") != "close"
    assert said == [
        ["api" if is_api(path.partition("?")[0].encode()) else "pages", path.partition("?")[0]] for path in paths
    ]
    assert (both.api.served, both.pages.served) == (4, 4)


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
async def test_a_body_arrives_whole_wherever_it_goes(size: int, folder: Path) -> None:
    async with house(folder) as both, aiohttp.ClientSession() as session:
        for path in ("/sign-in", "/v1/feedback", "/sign-in"):
            async with session.post(both.url + path, data=io.BytesIO(b"x" * size)) as answer:
                who = "api" if path.startswith("/v1") else "pages"
                assert await answer.text() == f"{who} {path} {size} 127.0.0.1"


async def test_a_request_line_may_come_byte_by_byte(folder: Path) -> None:
    async with house(folder) as both:
        for path, who in (("/runs", "pages"), ("/v1/models", "api")):
            reader, writer = await asyncio.open_connection(*both.address)
            for byte in f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode():
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            assert (await reader.read()).endswith(f"{who} {path} 0 127.0.0.1".encode())
            writer.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_what_comes_behind_a_head_stays_behind_it(
    run: Callable[[Coroutine[Any, Any, None]], None], folder: Path
) -> None:
    """Servers run on uvloop, which reads on before a task gets its turn."""

    async def scenario() -> None:
        async with asyncio.timeout(30), house(folder) as both:
            reader, writer = await asyncio.open_connection(*both.address)
            for size in (10, 1_000, 1_000_000) * 10:
                for path, who in (("/sign-in", "pages"), ("/v1/feedback", "api")):
                    writer.write(f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n".encode())
                    await asyncio.sleep(0)
                    writer.write(b"GET /v1/x HTTP/1.1\r\n\r\n".ljust(size, b"x")[:size])
                    said = f"{who} {path} {size} 127.0.0.1".encode()
                    assert (await reader.readuntil(said)).startswith(b"HTTP/1.1 200")
            writer.close()
            await writer.wait_closed()

    run(scenario())


async def test_many_at_once(folder: Path) -> None:
    paths = ["/v1/models" if number % 3 == 0 else f"/runs/{number}" for number in range(200)]
    async with house(folder) as both, aiohttp.ClientSession() as session:

        async def one(number: int) -> str:
            async with session.post(both.url + paths[number], data=b"x" * number) as answer:
                return await answer.text()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number)) for number in range(200)]
    assert [task.result() for task in tasks] == [
        f"{'api' if number % 3 == 0 else 'pages'} {path} {number} 127.0.0.1" for number, path in enumerate(paths)
    ]


async def test_without_anybody_there_the_client_is_told(folder: Path) -> None:
    async with house(folder) as both, aiohttp.ClientSession() as session:
        (folder / "studio.sock").unlink()
        async with session.get(both.url + "/runs") as answer:
            assert answer.status == 503
            assert "The server's log says why" in await answer.text()
        async with session.get(both.url + "/v1/models") as answer:
            assert answer.status == 200


async def test_an_api_that_is_gone_is_told_apart_from_pages_that_are(folder: Path) -> None:
    async with house(folder) as both, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        async with session.get(both.url + "/runs") as answer:
            assert answer.status == 200
        (folder / f"back-{os.getpid()}.sock").unlink()
        async with session.get(both.url + "/v1/models") as answer:
            assert answer.status == 503
            assert "Send the request again" in await answer.text()
        async with session.get(both.url + "/v1/models") as answer:
            assert (answer.status, await answer.text()) == (200, "api /v1/models 0 127.0.0.1")


async def test_what_comes_behind_an_unanswered_request_stays(folder: Path) -> None:
    """Pipelined requests (RFC 9112, section 9.3.2) of both kinds: nothing is lost, and nothing is mixed up."""
    async with house(folder) as both:
        reader, writer = await asyncio.open_connection(*both.address)
        writer.write(
            b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\nGET /runs HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        )
        said = await reader.read()
        writer.close()
    assert said.index(b"api /v1/models") < said.index(b"api /runs")


class Full(socket.socket):
    """A listening socket of a process that has too many files open, for a moment."""

    refused = 0

    def accept(self) -> tuple[socket.socket, Any]:
        if self.refused < 2:
            self.refused += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def test_with_too_many_open_files_connections_wait(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("smcs.gateway.annex.handover._PAUSE", 0.05)
    full: list[Full] = []

    def listening(path: Path) -> socket.socket:
        plain = sockets.listen(path)
        full.append(Full(fileno=plain.detach()))
        return full[0]

    monkeypatch.setattr(sys.modules[__name__], "listen", listening)
    async with house(folder) as both, aiohttp.ClientSession() as session, session.get(both.url + "/runs") as answer:
        assert answer.status == 200
    assert full[0].refused == 2
    assert len([one for one in caplog.records if "Too many open files" in one.message]) == 2


async def test_what_arrives_broken_is_dropped_and_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with house(folder) as both, aiohttp.ClientSession() as session:
        for data in (b"", b"\x00"):
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(folder / "studio.sock"))
                line.sendall(data)
        async with session.get(both.url + "/runs") as answer:
            assert answer.status == 200
    assert len([one for one in caplog.records if "did not arrive" in one.message]) == 2
