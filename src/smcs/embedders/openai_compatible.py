"""Any server that speaks the OpenAI embeddings protocol: `POST {base_url}/embeddings`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import random
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from smcs._network import check_request_allowed
from smcs.embedders._checks import unit_rows
from smcs.embedders.protocol import Vectors
from smcs.errors import ConfigError, EmbedderError, InputError

if TYPE_CHECKING:
    import aiohttp

__all__ = ("OpenAICompatibleEmbedder",)

_LARGEST_BODY = 256 * 2**20
"""Bytes of one response that are read before it is given up: 2,048 vectors of 8,192 dimensions as decimal numbers."""

_LONGEST_WAIT = 30.0
"""Most seconds between two tries, whatever the server asks for."""

_ERROR_EXCERPT = 300


class _Item(msgspec.Struct):
    embedding: str | list[float]
    index: int | None = None


class _Body(msgspec.Struct):
    data: list[_Item]


class _Failure(Exception):  # noqa: N818
    """One try failed; `wait` is the seconds the server asked for, `final` means that trying again is useless."""

    def __init__(self, reason: str, *, final: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.final = final
        self.wait = wait


class OpenAICompatibleEmbedder:
    """Embed through a server, in batches, a few at a time.

    Vectors are normalised here, whatever the server does. Overload (429), server errors (5xx), time-outs and broken
    connections are tried again with growing, jittered waits; anything else fails at once.

    Use it as an async context manager, or call `close`: it keeps connections open between calls. It belongs to one
    event loop at a time.

    Args:
        base_url: Root of the API, e.g. "http://127.0.0.1:8000/v1".
        model: Name the server knows the model by.
        api_key_env: Environment variable that holds the key; `None` sends none.
        dimensions: Shorter vectors, where the model can; `None` takes what the model gives.
        encoding: How vectors are asked for; either is understood in the answer. "base64" is half the size and exact.
        batch_size: Texts per request.
        concurrency: Requests under way at once.
        tries: Most requests sent for one batch.
        timeout: Seconds for one request.
        backoff: Seconds of the first wait between tries; it doubles each time.

    Raises:
        ConfigError: The environment variable is not set, or the URL is not one.
        InputError: A number is out of range.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key_env: str | None = None,
        dimensions: int | None = None,
        encoding: Literal["base64", "float"] = "base64",
        batch_size: int = 64,
        concurrency: int = 4,
        tries: int = 4,
        timeout: float = 60.0,
        backoff: float = 0.5,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(f"`base_url` must begin with http:// or https://, got {base_url!r}.")
        for argument, value in (("batch_size", batch_size), ("concurrency", concurrency), ("tries", tries)):
            if value < 1:
                raise InputError(f"`{argument}` must be at least 1, got {value}.")
        if dimensions is not None and dimensions < 1:
            raise InputError(f"`dimensions` must be at least 1, got {dimensions}.")
        if not (timeout > 0 and backoff >= 0):
            raise InputError(f"`timeout` must be above 0 and `backoff` at least 0, got {timeout} and {backoff}.")
        if encoding not in ("base64", "float"):
            raise InputError(f"`encoding` must be 'base64' or 'float', got {encoding!r}.")
        self._url = base_url.rstrip("/") + "/embeddings"
        self._host = urlsplit(base_url).hostname or ""
        self._model = model
        self._headers = {"Content-Type": "application/json", **_authorization(api_key_env)}
        self._asked = dimensions
        self._seen: int | None = None
        self._encoding = encoding
        self._batch_size = batch_size
        self._concurrency = concurrency
        self._tries = tries
        self._timeout = timeout
        self._backoff = backoff
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def name(self) -> str:
        """Model and dimensions asked for ("native": what the model gives)."""
        return f"{self._model}/{self._asked or 'native'}"

    @property
    def dimensions(self) -> int | None:
        """Length of a vector: what was asked for, or what the first answer had."""
        return self._asked or self._seen

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        session, self._session, self._loop = self._session, None, None
        if session is not None:
            await session.close()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts in their order; returns unit-norm float32 of shape (texts, dimensions)."""
        if not texts:
            return unit_rows([], embedder=self.name, rows=0, dimensions=self.dimensions)
        check_request_allowed(self._host)
        starts = range(0, len(texts), self._batch_size)
        slots = asyncio.Semaphore(self._concurrency)

        async def batch(start: int) -> Vectors:
            async with slots:
                return await self._embed_batch(texts[start : start + self._batch_size])

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(batch(start)) for start in starts]
        except ExceptionGroup as failed:  # the first failure speaks for all: it cancelled the other batches
            error = failed.exceptions[0]
            raise error from error.__cause__
        parts = [task.result() for task in tasks]
        widths = {part.shape[1] for part in parts}
        if len(widths) > 1:
            raise EmbedderError(f"{self.name}: batches came back with {sorted(widths)} dimensions.")
        return np.concatenate(parts)

    async def _embed_batch(self, texts: Sequence[str]) -> Vectors:
        # Servers refuse an empty text; a space says as little.
        request: dict[str, object] = {
            "model": self._model,
            "input": [text or " " for text in texts],
            "encoding_format": self._encoding,
        }
        if self._asked is not None:
            request["dimensions"] = self._asked
        payload = msgspec.json.encode(request)
        for attempt in range(1, self._tries + 1):
            try:
                body = await self._post(payload)
            except _Failure as failure:
                if failure.final or attempt == self._tries:
                    tail = "" if attempt == 1 else f" ({attempt} tries)"
                    raise EmbedderError(f"{self.name} at {self._url}: {failure}{tail}") from failure.__cause__
                wait = self._backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311
                await asyncio.sleep(min(max(wait, failure.wait or 0.0), _LONGEST_WAIT))
            else:
                vectors = unit_rows(
                    self._rows(body, len(texts)), embedder=self.name, rows=len(texts), dimensions=self.dimensions
                )
                self._seen = vectors.shape[1]
                return vectors
        raise AssertionError("unreachable: the last try returns or raises")

    async def _post(self, payload: bytes) -> bytes:
        """Send one request and return the body of a 200; anything else is a `_Failure`."""
        import aiohttp

        try:
            async with self._client().post(self._url, data=payload, headers=self._headers) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > _LARGEST_BODY:
                        raise _Failure(f"the response is larger than {_LARGEST_BODY:,} bytes", final=True)
                if response.status == 200:
                    return bytes(body)
                excerpt = body[:_ERROR_EXCERPT].decode(errors="replace").strip()
                raise _Failure(
                    f"HTTP {response.status}: {excerpt or response.reason}",
                    final=response.status != 429 and response.status < 500,
                    wait=_seconds(response.headers.get("Retry-After")),
                )
        except TimeoutError as error:
            raise _Failure(f"no answer within {self._timeout:g} s") from error
        except aiohttp.ClientError as error:
            raise _Failure(str(error) or type(error).__name__) from error

    def _client(self) -> aiohttp.ClientSession:
        import aiohttp

        loop = asyncio.get_running_loop()
        if self._session is not None and self._loop is not loop:
            raise InputError(
                "This embedder holds connections of another event loop. Close it there before using it here."
            )
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout), cookie_jar=aiohttp.DummyCookieJar()
            )
            self._loop = loop
        return self._session

    def _rows(self, body: bytes, count: int) -> list[NDArray[np.floating]]:
        """Decode a response into its vectors, in the order of the texts."""
        try:
            items = msgspec.json.decode(body, type=_Body).data
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EmbedderError(f"{self.name} at {self._url}: not an embeddings response: {error}") from error
        order = [position if item.index is None else item.index for position, item in enumerate(items)]
        if sorted(order) != list(range(count)):
            raise EmbedderError(
                f"{self.name} at {self._url}: asked for {count} vectors, got those numbered {order[:9]}."
            )
        rows: list[NDArray[np.floating]] = [np.empty(0)] * count
        for position, item in zip(order, items, strict=True):
            rows[position] = self._decode(item.embedding)
        if len({len(row) for row in rows}) > 1:
            raise EmbedderError(f"{self.name} at {self._url}: vectors of one response differ in length.")
        return rows

    def _decode(self, embedding: str | list[float]) -> NDArray[np.floating]:
        if not isinstance(embedding, str):
            return np.array(embedding, dtype=np.float64)
        try:
            return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
        except (binascii.Error, ValueError) as error:
            raise EmbedderError(f"{self.name} at {self._url}: a vector is not base64 of float32 values.") from error


def _authorization(variable: str | None) -> dict[str, str]:
    if variable is None:
        return {}
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"The environment variable {variable!r}, which should hold the embedder's API key, is not set."
        )
    return {"Authorization": f"Bearer {key}"}


def _seconds(header: str | None) -> float | None:
    """Read a Retry-After that is a number of seconds; its other form, a date, is left to the backoff."""
    try:
        value = float(header or "")
    except ValueError:
        return None
    return value if value >= 0 else None
