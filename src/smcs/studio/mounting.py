"""The studio on the gateway's application."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from fastapi import FastAPI
from nicegui import Client, core, ui
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import ASGIApp, Scope

from smcs.gateway.desk import Desk, OwnDesk
from smcs.gateway.reception import Reception
from smcs.studio.door import Door
from smcs.studio.frame import Download, PageSpec, Studio, show_page
from smcs.studio.lean import keep_signatures
from smcs.studio.pages import DOWNLOADS, PAGES
from smcs.studio.sessions import Sessions
from smcs.studio.viewer import Viewer

__all__ = ("add_studio", "mount")

_RECONNECT_SECONDS: Final = 10.0


def add_studio(app: FastAPI) -> None:
    """Mount the studio at `/` of a gateway's application, whose own routes come first; see `mount`."""
    mount(app, lambda: OwnDesk(app.state.gateway))


def mount(app: FastAPI, desk: Callable[[], Desk]) -> None:
    """Mount the studio at `/` of an application, whose own routes come first.

    NiceGUI has one set of pages for a process, so this is called once in it.

    Args:
        app: Its `state.gateway` is a `Reception` while it runs.
        desk: Returns where pages ask.
    """
    keep_signatures()
    sessions = Sessions()

    def gateway() -> Reception:
        running: Reception = app.state.gateway
        return running

    def studio(viewer: Viewer) -> Studio:
        return Studio(gateway(), viewer, desk())

    paths = re.compile("|".join(_pattern(path) for path in (*(page.path for page in PAGES), *DOWNLOADS)))
    ui.run_with(
        app,
        title="smcs studio",
        dark=None,
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,  # nothing here is bound, and looking costs every viewer
        reconnect_timeout=_RECONNECT_SECONDS,
        show_welcome_message=False,
        gzip_middleware_factory=None,
    )
    mounted = app.router.routes[-1]
    if not isinstance(mounted, Mount):
        raise RuntimeError("NiceGUI did not mount itself last")  # pragma: no cover - another NiceGUI
    door = Door(mounted.app, gateway, lambda path: paths.fullmatch(path) is not None, sessions)
    app.router.routes[-1] = _Behind(door, app.router.routes[:-1])
    for page in PAGES:
        _add_page(page, PAGES, studio, door)
    for path, answer in DOWNLOADS.items():
        _add_download(path, answer, studio)


class _Behind(Mount):
    """What takes every path but those of the API, which says itself that it has one, but not with this method."""

    def __init__(self, app: ASGIApp, api: Sequence[BaseRoute]) -> None:
        super().__init__("/", app)
        self._api = api

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match what the API has not, whatever the method."""
        if any(route.matches(scope)[0] is not Match.NONE for route in self._api):
            return Match.NONE, {}
        return super().matches(scope)


def _add_page(page: PageSpec, menu: Sequence[PageSpec], studio: Callable[[Viewer], Studio], door: Door) -> None:
    async def show(request: Request, client: Client) -> None:
        viewer: Viewer = request.scope["smcs.viewer"]

        async def still_valid() -> bool:
            return await door.viewer(request.headers) is not None

        await show_page(page, menu, studio(viewer), client, request, still_valid)

    ui.page(page.path, title=f"{page.title} · smcs")(show)


def _add_download(path: str, answer: Download, studio: Callable[[Viewer], Studio]) -> None:
    async def send(request: Request) -> Response:
        viewer: Viewer = request.scope["smcs.viewer"]
        return await answer(request, studio(viewer))

    core.app.router.routes.insert(0, Route(path, send, methods=["GET"]))


def _pattern(path: str) -> str:
    """Return what matches the paths of a route."""
    return re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
