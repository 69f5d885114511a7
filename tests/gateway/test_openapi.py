"""Requests made from our own description of the API, right and wrong ones: none may break the server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from helpers_gateway import found_config, gateway, user
from smcs.gateway.app import create_app

POSTS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/estimate", "/v1/feedback")
GETS = ("/v1/models", "/v1/models/{model}", "/v1/runs/{run_id}", "/health", "/ready", "/metrics")
MODELS = ["smcs", "smcs/rps", "smcs/moa", "alpha", "smcs-embedder"]
EXAMPLES = 10


@dataclass
class Running:
    """A gateway in a thread of its own, because hypothesis calls plain functions."""

    url: str
    schema: Any
    session: requests.Session
    row: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("openapi")
    started = threading.Event()
    made: dict[str, Any] = {}

    async def serve() -> None:
        made["loop"], made["stop"] = asyncio.get_running_loop(), asyncio.Event()
        async with gateway(folder) as served:
            made["url"] = served.url
            made["row"] = (await served.chat()).smcs["run_id"]
            started.set()
            await made["stop"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(30)
    try:
        with requests.Session() as session:
            described = session.get(made["url"] + "/openapi.json", timeout=10).json()
            schema = schemathesis.openapi.from_dict(described)
            schema.config.base_url = made["url"]
            yield Running(made["url"], schema, session, made["row"])
    finally:
        made["loop"].call_soon_threadsafe(made["stop"].set)
        thread.join(30)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        *((path, GenerationMode.POSITIVE) for path in (*POSTS, "/v1/runs/{run_id}", "/v1/models/{model}")),
        # a wrong estimate is a wrong chat, and every text may be the name of a model
        *((path, GenerationMode.NEGATIVE) for path in (*POSTS, "/v1/runs/{run_id}") if path != "/v1/estimate"),
    ],
)
def test_no_request_breaks_the_server(running: Running, path: str, mode: GenerationMode) -> None:
    operation = running.schema[path]["POST" if path in POSTS else "GET"]
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.sampled_from([None, *MODELS]), st.integers(0, 2**16))
    def check(case: Any, model: str | None, kept: int) -> None:
        if model is not None and isinstance(case.body, dict):
            case.body = _likely(case.body, {"model": model, "run_id": running.row}, kept)
        response = case.call(session=running.session, timeout=20)
        seen.add(response.status_code)
        assert response.status_code < 500, (case.body, response.text)
        if response.status_code >= 400:
            error = json.loads(response.content)["error"]
            assert set(error) == {"message", "type", "param", "code"}

    check()
    assert 200 in seen or mode is GenerationMode.NEGATIVE or path not in POSTS
    assert running.session.get(f"{running.url}/health", timeout=10).status_code == 200


def _likely(body: dict[str, Any], known: dict[str, str], kept: int) -> dict[str, Any]:
    """Return a body with a model, a run and a last turn that there are, and only some of its other fields."""
    needed = {"model", "messages", "input", "run_id", "verdict"}
    optional = sorted(body.keys() - needed)
    chosen = {optional[kept % len(optional)]} if optional else set()
    likely = {name: value for name, value in body.items() if name in needed | chosen}
    likely |= {name: value for name, value in known.items() if name in body}
    if isinstance(likely.get("messages"), list):
        likely["messages"] = [*likely["messages"], *user()]
    return likely


def test_the_description_is_whole(tmp_path: Path) -> None:
    described = create_app(found_config(tmp_path, "bank: null")).openapi()
    assert set(described["paths"]) == {*POSTS, *GETS}
    assert json.loads(json.dumps(described)) == described
    places = {node["$ref"] for node in _nodes(described) if "$ref" in node}
    assert places
    for place in places:
        node = described
        for step in place.removeprefix("#/").split("/"):
            node = node[step]
    for path in POSTS:
        body = described["paths"][path]["post"]["requestBody"]
        assert body["required"] is True


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _nodes(each)
