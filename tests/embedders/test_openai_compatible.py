from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from smcs._network import allow_requests
from smcs.embedders import OpenAICompatibleEmbedder
from smcs.errors import ConfigError, EmbedderError, InputError

Handler = Callable[[dict[str, Any], web.Request], Awaitable[web.StreamResponse] | web.StreamResponse]


def vector(text: str, dimensions: int = 4) -> list[float]:
    """Return something that depends on the text and is not of unit length."""
    return [float(len(text) + 1), *(float(ord(letter)) for letter in text[: dimensions - 1].ljust(dimensions - 1))]


def answer(body: dict[str, Any]) -> web.Response:
    """Answer in the encoding asked for, in reverse order: the index is what counts."""
    items = []
    for index, text in enumerate(body["input"]):
        values = vector(text, body.get("dimensions", 4))
        packed = base64.b64encode(np.array(values, dtype="<f4").tobytes()).decode()
        items.append({"index": index, "embedding": packed if body["encoding_format"] == "base64" else values})
    return web.json_response({"object": "list", "data": items[::-1], "usage": {"prompt_tokens": 3}})


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Serve `/v1/embeddings` on a free loopback port; yields the base URL and the bodies received."""
    bodies: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.json())
        result = handler(bodies[-1], request)
        return await result if isinstance(result, Awaitable) else result

    app = web.Application()
    app.router.add_post("/v1/embeddings", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", bodies
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("encoding", ["base64", "float"])
async def test_vectors_come_back_in_order_and_normalised(encoding: Any) -> None:
    texts = ["one", "three", "", "seventeen", "two"]
    async with (
        serving(lambda body, _: answer(body)) as (url, bodies),
        OpenAICompatibleEmbedder(url + "/", "tiny", encoding=encoding, batch_size=2) as embedder,
    ):
        assert (embedder.name, embedder.dimensions) == ("tiny/native", None)
        vectors = await embedder.embed(texts)
        assert embedder.dimensions == 4
    expected = np.array([vector(text or " ") for text in texts], dtype=np.float32)
    assert np.allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)
    assert vectors.dtype == np.float32
    assert sorted(len(body["input"]) for body in bodies) == [1, 2, 2]
    assert {body["encoding_format"] for body in bodies} == {encoding}
    assert all(body["model"] == "tiny" and "dimensions" not in body for body in bodies)


async def test_shorter_vectors_and_the_key_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_KEY", "s3cret")
    seen: list[str | None] = []

    def handler(body: dict[str, Any], request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return answer(body)

    async with (
        serving(handler) as (url, bodies),
        OpenAICompatibleEmbedder(url, "tiny", dimensions=3, api_key_env="TINY_KEY") as embedder,
    ):
        assert (await embedder.embed(["abc"])).shape == (1, 3)
        assert (embedder.name, embedder.dimensions) == ("tiny/3", 3)
    assert bodies[0]["dimensions"] == 3
    assert seen == ["Bearer s3cret"]


async def test_overload_and_server_errors_are_tried_again() -> None:
    statuses = iter([429, 503, 200])

    def handler(body: dict[str, Any], _: web.Request) -> web.Response:
        status = next(statuses)
        return answer(body) if status == 200 else web.Response(status=status, headers={"Retry-After": "0"})

    async with (
        serving(handler) as (url, bodies),
        OpenAICompatibleEmbedder(url, "tiny", backoff=0) as embedder,
    ):
        assert (await embedder.embed(["a"])).shape == (1, 4)
    assert len(bodies) == 3


async def test_retry_after_is_honoured() -> None:
    times: list[float] = []

    def handler(body: dict[str, Any], _: web.Request) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        return answer(body) if len(times) > 1 else web.Response(status=429, headers={"Retry-After": "0.2"})

    async with serving(handler) as (url, _), OpenAICompatibleEmbedder(url, "tiny", backoff=0) as embedder:
        await embedder.embed(["a"])
    assert times[1] - times[0] >= 0.2


async def test_a_dropped_connection_is_tried_again() -> None:
    calls = 0

    def handler(body: dict[str, Any], request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            assert request.transport is not None
            request.transport.close()
        return answer(body)

    async with serving(handler) as (url, _), OpenAICompatibleEmbedder(url, "tiny", backoff=0) as embedder:
        assert (await embedder.embed(["a"])).shape == (1, 4)
    assert calls == 2


@pytest.mark.parametrize(("status", "calls"), [(500, 3), (400, 1), (401, 1)])
async def test_what_does_not_pass_is_one_error(status: int, calls: int) -> None:
    def handler(body: dict[str, Any], _: web.Request) -> web.Response:
        return web.Response(status=status, text="no such luck")

    async with (
        serving(handler) as (url, bodies),
        OpenAICompatibleEmbedder(url, "tiny", tries=3, backoff=0) as embedder,
    ):
        with pytest.raises(EmbedderError, match=f"HTTP {status}: no such luck"):
            await embedder.embed(["a"])
    assert len(bodies) == calls


async def test_one_failing_batch_fails_the_call_with_its_own_error() -> None:
    def handler(body: dict[str, Any], _: web.Request) -> web.Response:
        return web.Response(status=400, text="too long") if "bad" in body["input"] else answer(body)

    async with serving(handler) as (url, _), OpenAICompatibleEmbedder(url, "tiny", batch_size=1) as embedder:
        with pytest.raises(EmbedderError, match="too long"):
            await embedder.embed(["a", "bad", "b"])


async def test_a_server_that_hangs_is_given_up() -> None:
    async def handler(body: dict[str, Any], _: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return answer(body)

    async with (
        serving(handler) as (url, _),
        OpenAICompatibleEmbedder(url, "tiny", timeout=0.1, tries=2, backoff=0) as embedder,
    ):
        with pytest.raises(EmbedderError, match=r"no answer within 0.1 s \(2 tries\)"):
            await embedder.embed(["a"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("not json", "not an embeddings response"),
        ('{"data": {}}', "not an embeddings response"),
        ('{"data": []}', "asked for 1 vectors"),
        ('{"data": [{"index": 4, "embedding": [1]}]}', "asked for 1 vectors"),
        ('{"data": [{"index": 0, "embedding": [0, 0]}]}', "zero or not finite"),
        ('{"data": [{"index": 0, "embedding": [1e39, 1]}]}', "zero or not finite"),
        ('{"data": [{"index": 0, "embedding": []}]}', "shape"),
        ('{"data": [{"index": 0, "embedding": "%%%"}]}', "not base64"),
        ('{"data": [{"index": 0, "embedding": "AAA="}]}', "not base64"),
    ],
)
async def test_bodies_that_cannot_be_used_are_errors(body: str, message: str) -> None:
    async with (
        serving(lambda *_: web.Response(text=body, content_type="application/json")) as (url, bodies),
        OpenAICompatibleEmbedder(url, "tiny") as embedder,
    ):
        with pytest.raises(EmbedderError, match=message):
            await embedder.embed(["a"])
    assert len(bodies) == 1


async def test_vectors_of_another_size_than_asked_for_are_refused() -> None:
    data = {"data": [{"embedding": [1, 2]}]}
    async with (
        serving(lambda *_: web.Response(text=json.dumps(data))) as (url, _),
        OpenAICompatibleEmbedder(url, "tiny", dimensions=8) as embedder,
    ):
        with pytest.raises(EmbedderError, match="expected 8 dimensions, got 2"):
            await embedder.embed(["a"])


async def test_it_can_be_used_again_after_closing_and_needs_no_server_for_nothing() -> None:
    async with serving(lambda body, _: answer(body)) as (url, _):
        embedder = OpenAICompatibleEmbedder(url, "tiny")
        assert (await embedder.embed([])).shape == (0, 0)
        await embedder.embed(["a"])
        await embedder.close()
        assert (await embedder.embed([])).shape == (0, 4)
        await embedder.embed(["a"])
        await embedder.close()
        await embedder.close()


async def test_no_request_leaves_a_machine_that_may_not_send_one() -> None:
    async with OpenAICompatibleEmbedder("https://example.test/v1", "tiny") as embedder:
        with allow_requests(False), pytest.raises(ConfigError, match=r"example\.test"):
            await embedder.embed(["a"])


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(ConfigError, match="'NO_KEY'"):
        OpenAICompatibleEmbedder("http://x/v1", "tiny", api_key_env="NO_KEY")
    with pytest.raises(ConfigError, match="http://"):
        OpenAICompatibleEmbedder("x/v1", "tiny")
    for wrong in ({"batch_size": 0}, {"tries": 0}, {"concurrency": 0}, {"dimensions": 0}, {"timeout": 0.0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            OpenAICompatibleEmbedder("http://x/v1", "tiny", **wrong)
