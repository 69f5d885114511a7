"""The server as an ASGI application: routes, what surrounds them, and their description in OpenAPI."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smcs import __version__
from smcs.config import FoundConfig, find_config
from smcs.gateway.endpoints import Endpoints
from smcs.gateway.errors import GatewayError, broken
from smcs.gateway.feedback import FeedbackRequest
from smcs.gateway.http import error_response
from smcs.gateway.models import PassThrough
from smcs.gateway.protocol import (
    ChatRequest,
    EmbeddingsRequest,
    ResponsesRequest,
    parse_chat,
    parse_responses,
    system_fingerprint,
)
from smcs.gateway.replying import Asked, Reply
from smcs.gateway.service import Service
from smcs.gateway.state import Gateway
from smcs.gateway.unrouted import Unrouted
from smcs.gateway.voices import ChatVoice, ResponseVoice

__all__ = ("create_app", "surround")

Handler = Callable[[Request], Awaitable[Response]]

_CHAT: Final = "/v1/chat/completions"
_RESPONSES: Final = "/v1/responses"
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def create_app(
    config: FoundConfig | str | Path | None = None,
    *,
    database: str | None = None,
    public: bool = False,
    read_again: Callable[[], FoundConfig] | None = None,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """Return the gateway as an ASGI application.

    Nothing is opened before its lifespan begins. `app.state.gateway` is the shared state while it runs.

    Args:
        config: A config, or the path of one; `None` takes what `find_config` finds.
        database: Another database for keys and runs than the config's; see `settings.database_of`.
        public: Whether other machines can reach it, so that everybody needs a key.
        read_again: Reads the config anew when the process gets SIGHUP; `None` reads the same file.
        clock: Unix seconds, by which keys use up their limits; can be replaced so tests see no window end.

    Raises:
        ConfigError: The config is wrong.
    """
    found = config if isinstance(config, FoundConfig) else find_config(config)
    source = None if isinstance(config, FoundConfig) else config
    reread = read_again or (lambda: find_config(source) if source is not None or not found.is_file else found)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        gateway = app.state.gateway = Gateway(found, database=database, public=public, clock=clock)
        try:
            await gateway.start()
            with _reloading(gateway, reread):
                yield
        finally:
            await gateway.close()

    app = FastAPI(
        title="smcs gateway",
        version=__version__,
        summary="Many LLMs as one model, in the OpenAI protocol.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    _add_routes(app)
    surround(app)
    app.add_middleware(Unrouted)
    return app


def surround(app: FastAPI) -> None:
    """Have an application say in the API's words what it cannot answer, and put headers on every response."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)
    app.add_middleware(_Surrounding)


def _add_routes(app: FastAPI) -> None:
    def on(name: str) -> Handler:
        async def handler(request: Request) -> Response:
            work: Handler = getattr(Endpoints(request.app.state.gateway), name)
            return await work(request)

        handler.__name__, handler.__doc__ = name, getattr(Endpoints, name).__doc__
        return handler

    digits = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    run_id = [{"name": "run_id", "in": "path", "required": True, "schema": digits}]
    model = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
    _route(app, "POST", _CHAT, _chat, body=ChatRequest)
    _route(app, "POST", _RESPONSES, _responses, body=ResponsesRequest)
    _route(app, "POST", "/v1/embeddings", on("embeddings"), body=EmbeddingsRequest)
    _route(app, "POST", "/v1/estimate", on("estimate"), body=ChatRequest)
    _route(app, "POST", "/v1/feedback", on("feedback"), body=FeedbackRequest)
    _route(app, "GET", "/v1/models", on("models"))
    _route(app, "GET", "/v1/models/{model:path}", on("model"), parameters=model)
    _route(app, "GET", "/v1/runs/{run_id}", on("run"), parameters=run_id)
    for path in ("health", "ready", "metrics"):
        _route(app, "GET", f"/{path}", on(path))


def _route(
    app: FastAPI,
    method: str,
    path: str,
    handler: Handler,
    *,
    body: type[BaseModel] | None = None,
    parameters: list[dict[str, Any]] | None = None,
) -> None:
    """Add a handler that reads its own body, described as OpenAPI wants it."""
    told: dict[str, Any] = {} if parameters is None else {"parameters": parameters}
    if body is not None:
        _described_bodies(app).append(body)
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}},
        }
    # FastAPI describes the path; Starlette's own route, which is found first, answers it in half the time.
    app.router.routes.insert(0, Route(path, handler, methods=[method]))
    app.add_api_route(
        path,
        handler,
        methods=[method],
        response_class=Response,
        response_model=None,
        openapi_extra=told,
        responses={"4XX": {"description": "An error object of the OpenAI API."}},
    )


def _described_bodies(app: FastAPI) -> list[type[BaseModel]]:
    """Return the bodies that the description of the app holds; it is made when somebody asks for it."""
    if not hasattr(app.state, "bodies"):
        app.state.bodies = []
        plain = app.openapi

        def described() -> dict[str, Any]:
            whole = plain()
            schemas = whole.setdefault("components", {}).setdefault("schemas", {})
            for body in app.state.bodies:
                if body.__name__ not in schemas:
                    place = f"#/components/schemas/{body.__name__}/$defs/{{model}}"
                    schemas[body.__name__] = body.model_json_schema(ref_template=place)
            return whole

        app.openapi = described  # type: ignore[method-assign]
    bodies: list[type[BaseModel]] = app.state.bodies
    return bodies


async def _chat(request: Request) -> Response:
    """Answer a chat."""

    def read(body: bytes, service: Service, run_id: str, created: int) -> Asked:
        asked = parse_chat(body, passes_through=lambda name: isinstance(service.models.get(name), PassThrough))
        fingerprint = system_fingerprint(service.version)
        return Asked(asked, ChatVoice(asked, run_id, created=created, fingerprint=fingerprint))

    return await Reply(request.app.state.gateway, request, _CHAT).respond(read)


async def _responses(request: Request) -> Response:
    """Answer in the form of the Responses API."""

    def read(body: bytes, service: Service, run_id: str, created: int) -> Asked:
        asked = parse_responses(body)
        return Asked(asked.to_chat(), ResponseVoice(asked, run_id, created=created))

    return await Reply(request.app.state.gateway, request, _RESPONSES).respond(read)


async def _http_error(request: Request, error: Exception) -> Response:
    """Say in the API's words that there is no such path, or not with this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers: Mapping[str, str] = (error.headers or {}) if isinstance(error, HTTPException) else {}
    path = request.scope["path"]
    if status == 405:
        message = f"{path!r:.200} takes {Headers(headers).get('allow', 'another method')}, got {request.method!r:.20}."
    else:
        message = f"There is no {path!r:.200} here."
    code = "not_found" if status == 404 else "method_not_allowed" if status == 405 else None
    return error_response(GatewayError(status, message, code=code, headers=dict(headers)))


async def _bug(request: Request, error: Exception) -> Response:
    """Tell a client of a failure nobody foresaw, without a word of what it was; Starlette logs it."""
    return error_response(broken())


class _Surrounding:
    """Headers on every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in _HEADERS if each[0] not in said)]
            await send(message)

        await self._app(scope, receive, with_headers)


@contextmanager
def _reloading(gateway: Gateway, reread: Callable[[], FoundConfig]) -> Iterator[None]:
    """Read the config again at SIGHUP, where this process may listen to signals."""
    loop = asyncio.get_running_loop()
    listens = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGHUP")
    if listens:
        loop.add_signal_handler(signal.SIGHUP, gateway.reload_from, reread)
    try:
        yield
    finally:
        if listens:
            loop.remove_signal_handler(signal.SIGHUP)
