"""Requests that no route answers are counted, once, and no path becomes a label."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router

from helpers_gateway import CHAT, Served, gateway


async def responses(served: Served) -> dict[tuple[str, str], float]:
    """Return how often each HTTP status was sent, by endpoint and status; 200 is left out."""
    text = (await served.get("/metrics")).body.decode()
    found = re.findall(r'smcs_responses_total\{code="(\d+)",endpoint="([^"]*)"\} (\S+)', text)
    return {(endpoint, code): float(count) for code, endpoint, count in found if code != "200"}


async def test_paths_and_methods_that_are_not_there(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        for path in ("/", "/v1/nothing", "/%22%7d%0aevil", "/v1/runs"):
            assert (await served.get(path)).status == 404
        wrong = await served.get(CHAT)
        assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
        assert wrong.error["message"] == f"'{CHAT}' takes POST, got 'GET'."
        assert (await served.send("DELETE", "/v1/runs/x")).status == 405
        counted = await responses(served)
        metrics = (await served.get("/metrics")).body.decode()
    assert counted == {("other", "404"): 3, ("/v1/runs", "404"): 1, (CHAT, "405"): 1, ("/v1/runs", "405"): 1}
    assert "evil" not in metrics
    assert 'smcs_refusals_total{reason="not_found"} 4.0' in metrics


async def test_what_a_route_says_is_not_there_is_counted_once(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        assert (await served.chat("nope")).status == 404
        assert (await served.get("/v1/models/nope")).status == 404
        assert (await served.get("/v1/runs/" + "0" * 32)).status == 404
        assert await responses(served) == {(CHAT, "404"): 1, ("/v1/models", "404"): 1, ("/v1/runs", "404"): 1}


async def test_what_pages_beside_the_api_do_not_have_is_counted_too(tmp_path: Path) -> None:
    async def page(request: Request) -> Response:
        if request.path_params["name"] != "there":
            raise HTTPException(404)
        return PlainTextResponse("here")

    async with gateway(tmp_path) as served:
        served.app.router.routes.append(Mount("/", Router([Route("/pages/{name}", page)])))
        assert [(await served.get(f"/pages/{name}")).status for name in ("there", "gone")] == [200, 404]
        assert (await served.get("/nowhere")).status == 404
        assert await responses(served) == {("other", "404"): 2}
