"""Requests that no route answers, since there is no such path (404) or not with this method (405): they are counted."""

from __future__ import annotations

import time

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smcs.gateway.state import Gateway

__all__ = ("Unrouted",)


class Unrouted:
    """Middleware around everything; what a route of the gateway answers itself, it counts itself.

    Args:
        app: The application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and look at how it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, outermost = time.perf_counter(), scope["app"]  # a mounted application puts itself there

        async def looking(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (404, 405):
                routes, found = outermost.routes, scope.get("endpoint")
                answered = any(isinstance(route, Route) and route.endpoint is found for route in routes)
                if message["status"] == 405 or not answered:
                    gateway: Gateway = outermost.state.gateway
                    path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
                    gateway.metrics.observe_unrouted(path, message["status"], time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, looking)
