"""The door of the studio: who comes in, what a page may load, and that nothing else is served behind it."""

from __future__ import annotations

import html
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smcs.errors import SmcsError
from smcs.gateway.errors import GatewayError, not_found
from smcs.gateway.http import error_response
from smcs.gateway.reception import Reception
from smcs.studio.sessions import COOKIE, SESSION_SECONDS, Sessions, cookie_of
from smcs.studio.viewer import Viewer

__all__ = ("Door",)

_log = logging.getLogger(__name__)

_ASSETS: Final = ("/_nicegui/",)
_SOCKET: Final = "/_nicegui_ws/"
_STATIC: Final = "/studio/static/"
_SIGN_IN: Final = "/sign-in"
_SIGN_OUT: Final = "/sign-out"
_LOCAL_PATH: Final = re.compile(r"/(?![/\\])[\w\-./?=&%+:,~]{0,500}", re.ASCII)
_SCRIPT: Final = re.compile(rb"<script(?=[\s>])")
_MOST_FORM: Final = 4_096

_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""NiceGUI compiles Vue templates in the browser, which is `eval` to a policy, and sets styles of elements inline."""

_FORM_POLICY: Final = (
    "default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Door:
    """The ASGI application around NiceGUI's.

    Args:
        inner: NiceGUI's application.
        gateway: Returns what knows keys and config.
        is_page: Whether a path is one of the studio's pages or downloads.
        sessions: Who is signed in.
    """

    def __init__(
        self, inner: ASGIApp, gateway: Callable[[], Reception], is_page: Callable[[str], bool], sessions: Sessions
    ) -> None:
        self._inner = inner
        self._gateway = gateway
        self._is_page = is_page
        self._sessions = sessions
        self._static = StaticFiles(directory=str(files("smcs.studio") / "static"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    async def viewer(self, headers: Headers) -> Viewer | None:
        """Return who sends a request; `None` if they have to sign in first.

        Raises:
            LedgerUnavailableError: The database failed.
        """
        gateway = self._gateway()
        if not await gateway.needs_key():
            return Viewer(None)
        key_id = self._sessions.key_id(cookie_of(headers.get("cookie", "")))
        key = None if key_id is None else await gateway.ledger.key(key_id)
        return None if key is None else Viewer(key)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request, scope, receive, send)
        except GatewayError as error:
            response = error_response(error)
        except SmcsError as error:
            _log.warning("a page of the studio could not be shown: %s", error)
            response = PlainTextResponse(f"This page cannot be shown now: {error}", status_code=503)
        if response is not None:
            await response(scope, receive, send)

    async def _answer(self, request: Request, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """Return a response, or `None` where one was sent."""
        path: str = scope["path"]
        gateway = self._gateway()
        if path.startswith(_STATIC):
            await self._send_file(path.removeprefix(_STATIC), scope, receive, send)
            return None
        if path.startswith(_ASSETS):
            await self._inner(scope, receive, send)
            return None
        if path not in (_SIGN_IN, _SIGN_OUT) and not path.startswith(_SOCKET) and not self._is_page(path):
            raise not_found(f"There is no {request.method} {path!r:.200} here.", code="not_found")
        if not await gateway.needs_key():
            gateway.check_host(request)
        if path == _SIGN_IN:
            return await self._sign_in(request)
        if path == _SIGN_OUT:
            return self._sign_out(request)
        viewer = await self.viewer(request.headers)
        if viewer is None:
            if path.startswith(_SOCKET):
                return PlainTextResponse("Sign in first.", status_code=401)
            here = path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{_SIGN_IN}?next={quote(here, safe='')}", status_code=303)
        if path.startswith(_SOCKET):
            if not _same_origin(request.headers):
                return PlainTextResponse("Another site's page may not do that.", status_code=403)
            await self._inner(scope, receive, send)
            return None
        scope["smcs.viewer"] = viewer
        await self._inner(_plain(scope), receive, _with_policy(send))
        return None

    async def _send_file(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._static({**scope, "path": f"/{name}", "root_path": ""}, receive, send)
        except HTTPException as error:
            raise not_found(f"There is no file {name!r:.200} here.", code="not_found") from error

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a page's live connection in: from this site only, and signed in."""
        headers = Headers(scope=scope)
        try:
            if not await self._gateway().needs_key():
                self._gateway().check_host(HTTPConnection(scope))
            welcome = scope["path"].startswith(_SOCKET) and _same_origin(headers)
            welcome = welcome and await self.viewer(headers) is not None
        except GatewayError:
            welcome = False
        except SmcsError as error:
            _log.warning("a page of the studio could not be connected: %s", error)
            welcome = False
        if welcome:
            await self._inner(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 1008})

    async def _sign_in(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD"):
            return _form(_next(request.query_params.get("next")))
        if request.method != "POST":
            return PlainTextResponse("Use GET or POST.", status_code=405, headers={"Allow": "GET, POST"})
        if not _same_origin(request.headers):
            return PlainTextResponse("Another site's page may not sign you in.", status_code=403)
        sent = await _read_form(request)
        where = _next(sent.get("next"))
        key = await self._gateway().ledger.authenticate(sent.get("key", "").strip())
        if key is None:
            return _form(where, "This key is not valid, or it was revoked.", status=401)
        response = RedirectResponse(where, status_code=303)
        response.set_cookie(
            COOKIE,
            self._sessions.open(key.id),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    def _sign_out(self, request: Request) -> Response:
        if request.method != "POST" or not _same_origin(request.headers):
            return PlainTextResponse("Signing out takes a POST from the studio.", status_code=405)
        self._sessions.close(cookie_of(request.headers.get("cookie", "")))
        response = RedirectResponse(_SIGN_IN, status_code=303)
        response.delete_cookie(COOKIE)
        return response


def _same_origin(headers: Headers) -> bool:
    """Return whether a request was sent by one of this server's own pages, or by no page at all.

    A browser names the page's origin in every POST and socket; what has none is not a browser.
    """
    origin = headers.get("origin")
    return origin is None or origin.lower().partition("://")[2] == headers.get("host", "").lower()


def _next(path: str | None) -> str:
    """Return where to go after signing in: a page of this server, never another site."""
    return path if path is not None and _LOCAL_PATH.fullmatch(path) else "/"


async def _read_form(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_FORM:
            raise GatewayError(413, "This is more than a key.", code="request_too_large")
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=8)
    return {name: values[0] for name, values in fields.items()}


def _form(where: str, wrong: str = "", *, status: int = 200) -> Response:
    page = (files("smcs.studio") / "static" / "sign-in.html").read_text(encoding="utf-8")
    note = f'<p role="alert" class="wrong">{html.escape(wrong)}</p>' if wrong else ""
    body = page.replace("{{next}}", html.escape(where)).replace("{{wrong}}", note)
    # Without a referrer a browser calls the form's origin "null", which any site's page may have.
    headers = {"content-security-policy": _FORM_POLICY, "cache-control": "no-store", "referrer-policy": "same-origin"}
    return HTMLResponse(body, status_code=status, headers=headers)


def _plain(scope: Scope) -> Scope:
    """Return a request whose page comes uncompressed, so that its scripts can be marked as the server's own.

    A prefix that a client sends would be repeated in the page's scripts.
    """
    unwanted = (b"accept-encoding", b"x-forwarded-prefix")
    return {**scope, "headers": [each for each in scope["headers"] if each[0] not in unwanted]}


def _with_policy(send: Send) -> Callable[[Message], Awaitable[None]]:
    """Return a `send` that adds a content security policy to a page and its nonce to the page's scripts.

    No text of a model or user is in a page's first HTML (frames fill themselves once they are connected), so every
    script in it is the framework's.
    """
    start: Message | None = None
    pieces: list[bytes] = []

    async def sending(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            if not kind.startswith("text/html"):
                await send(message)
                return
            start = message
            return
        if start is None:
            await send(message)
            return
        pieces.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        nonce = secrets.token_urlsafe(16)
        body = _SCRIPT.sub(f'<script nonce="{nonce}"'.encode(), b"".join(pieces))
        kept = [each for each in start["headers"] if each[0].lower() != b"content-length"]
        policy = _PAGE_POLICY.format(nonce=nonce).encode()
        own = [
            (b"content-length", str(len(body)).encode()),
            (b"content-security-policy", policy),
            (b"referrer-policy", b"same-origin"),  # else the origin of the form that signs out would be "null"
        ]
        await send({**start, "headers": [*kept, *own]})
        await send({"type": "http.response.body", "body": body})

    return sending
