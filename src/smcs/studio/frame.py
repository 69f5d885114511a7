"""What every page of the studio has: its landmarks and menu, and the small parts that pages are made of."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from nicegui import Client, ui
from starlette.requests import Request
from starlette.responses import Response

from smcs.errors import SmcsError
from smcs.gateway.desk import Desk
from smcs.gateway.reception import Reception
from smcs.gateway.service import Service
from smcs.studio.viewer import Viewer

__all__ = (
    "Download",
    "Page",
    "PageSpec",
    "Studio",
    "breathe",
    "busy",
    "empty_state",
    "figure",
    "format_count",
    "format_seconds",
    "format_usd",
    "let_paint",
    "link_to",
    "problem",
    "section",
    "show_page",
)

_log = logging.getLogger(__name__)

_HEAD: Final = (
    '<link rel="stylesheet" href="/studio/static/studio.css">'
    '<link rel="stylesheet" href="/studio/static/text.css">'
    '<link rel="icon" href="/studio/static/icon.svg" type="image/svg+xml">'
)
_THEME: Final = "smcs_theme"
_THEMES: Final[Mapping[str, bool]] = {"dark": True, "light": False}
_NEXT_THEME: Final[Mapping[bool | None, bool | None]] = {None: True, True: False, False: None}
_THEME_WORDS: Final[Mapping[bool | None, tuple[str, str]]] = {
    None: ("brightness_auto", "Colours follow your system; switch to dark"),
    True: ("dark_mode", "Dark colours; switch to light"),
    False: ("light_mode", "Light colours; follow your system"),
}
_BREATH_SECONDS: Final = 0.005
"""About as long as a part of a page takes."""

_PAINT_SECONDS: Final = 0.06
"""A few frames of a browser on a slow machine."""

_STILL_VALID_SECONDS: Final = 5.0
"""How often an open page asks whether its viewer may still see it."""


@dataclass(frozen=True, slots=True)
class Studio:
    """What a page or download works with."""

    gateway: Reception
    viewer: Viewer
    desk: Desk

    def service(self) -> Service:
        """Return what answers new requests: pool, bank, models under the config in force."""
        return self.gateway.service


Page = Callable[[Studio, Mapping[str, str]], Awaitable[None]]
"""Fills a page; gets the path's and query's parameters as text that anybody may have written."""


Download = Callable[[Request, Studio], Awaitable[Response]]
"""Answers a request for a file with what the viewer may have."""


@dataclass(frozen=True, slots=True)
class PageSpec:
    """A page of the studio."""

    path: str
    """Route, with `{name}` where it takes a parameter."""
    title: str
    icon: str
    """Name of a Material icon."""
    build: Page
    in_menu: bool = True


async def show_page(
    spec: PageSpec,
    menu: Sequence[PageSpec],
    studio: Studio,
    client: Client,
    request: Request,
    still_valid: Callable[[], Awaitable[bool]],
) -> None:
    """Show a page: its frame at once, and what is in it as soon as the browser is connected.

    Args:
        spec: The page.
        menu: All pages.
        studio: What it works with.
        client: The browser's tab.
        request: Its request.
        still_valid: Whether the viewer may still see it.
    """
    ui.add_head_html(_HEAD)
    ui.query(".nicegui-content").classes("smcs-page")
    ui.query(".q-page").props("role=none")  # a `main` around header and content; ours below is the one
    ui.link("Skip to the content", "#content").classes("smcs-skip")
    _header(spec, menu, studio.viewer, request.cookies.get(_THEME))
    await breathe()
    with ui.element("main").props("id=content tabindex=-1").classes("smcs-main"):
        with ui.element("h1"):
            ui.label(spec.title)
        body = ui.element("div").classes("smcs-stack")
        with body, ui.row().props("role=status").classes("smcs-muted") as waiting:
            ui.spinner(size="sm")
            ui.label("Loading …")
    await client.connected()
    if client.is_deleted:  # nobody came: what asked for the page is no browser
        return
    with body:
        await _fill(spec, studio, {**request.query_params, **request.path_params})
        waiting.delete()

    async def check() -> None:
        if not await still_valid():
            body.clear()
            ui.navigate.to("/sign-in")

    if studio.viewer.key is not None:
        ui.timer(_STILL_VALID_SECONDS, check)


async def _fill(spec: PageSpec, studio: Studio, parameters: Mapping[str, str]) -> None:
    try:
        await spec.build(studio, parameters)
    except SmcsError as error:
        problem(str(error))
    except Exception:  # noqa: BLE001 - whatever broke, the viewer is told and the log has it
        _log.exception("the page %s broke", spec.path)
        problem("This page broke. What happened is in the server's log.")


async def breathe() -> None:
    """Let what else waits on this event loop go first: await it between the parts of a page."""
    await asyncio.sleep(_BREATH_SECONDS)


async def let_paint() -> None:
    """Let the browser show what it has: await it before a page's first plot, whose library holds the browser up."""
    await asyncio.sleep(_PAINT_SECONDS)


def _header(spec: PageSpec, menu: Sequence[PageSpec], viewer: Viewer, theme: str | None) -> None:
    with ui.element("header").classes("smcs-header"):
        with ui.link(target="/").classes("smcs-brand").props("aria-label='smcs studio, to the first page'"):
            ui.element("img").props("src=/studio/static/icon.svg alt='' width=26 height=26")
            ui.label("smcs").classes("smcs-brand-name")
        with ui.element("nav").props("aria-label=Pages").classes("smcs-nav"):
            for page in menu:
                if not page.in_menu:
                    continue
                with ui.link(target=page.path).classes("smcs-nav-link") as link:
                    ui.icon(page.icon).props("aria-hidden=true")
                    ui.label(page.title)
                if page.path == spec.path or (page.path != "/" and spec.path.startswith(page.path)):
                    link.props("aria-current=page")
        with ui.element("div").classes("smcs-header-end"):
            _theme_button(None if theme is None else _THEMES.get(theme))
            if viewer.key is not None:
                ui.label(viewer.name).classes("smcs-muted smcs-who").props("dir=auto")
                form = ui.element("form").props("method=post action=/sign-out")
                with form, ui.element("button").props("type=submit data-testid=sign-out").classes("smcs-link-button"):
                    ui.label("Sign out")


def _theme_button(value: bool | None) -> None:
    mode = ui.dark_mode(value)

    def change() -> None:
        mode.value = _NEXT_THEME[mode.value]
        name = {True: "dark", False: "light", None: "system"}[mode.value]
        ui.run_javascript(f"document.cookie = '{_THEME}={name}; path=/; max-age=31536000; samesite=lax'")
        button.props(f"icon={_THEME_WORDS[mode.value][0]} aria-label='{_THEME_WORDS[mode.value][1]}'")

    icon, words = _THEME_WORDS[mode.value]
    button = ui.button(on_click=change).props(
        f"flat round dense color=none icon={icon} aria-label='{words}' data-testid=theme"
    )
    button.classes("smcs-icon-button")


@contextmanager
def section(title: str, *, hint: str = "") -> Iterator[ui.element]:
    """Open a card under a heading of its own.

    Args:
        title: Of the heading.
        hint: One sentence for who does not know the word.
    """
    with ui.element("section").classes("smcs-card") as card:
        with ui.element("div").classes("smcs-card-head"):
            with ui.element("h2"):
                ui.label(title)
            if hint:
                ui.label(hint).classes("smcs-muted smcs-hint")
        yield card


def empty_state(what: str, how: str) -> ui.element:
    """Say what would be here, and how it gets here."""
    with ui.element("div").classes("smcs-empty") as box:
        ui.icon("inbox").props("aria-hidden=true").classes("smcs-empty-icon")
        ui.label(what).classes("smcs-empty-what")
        ui.label(how).classes("smcs-muted")
    return box


def problem(message: str) -> ui.element:
    """Say what went wrong."""
    with ui.element("div").props("role=alert").classes("smcs-problem") as box:
        ui.icon("error_outline").props("aria-hidden=true")
        ui.label(message).props("dir=auto")
    return box


@contextmanager
def busy(text: str) -> Iterator[None]:
    """Show that something is being worked on while the block runs."""
    with ui.row().props("role=status").classes("smcs-muted smcs-busy") as row:
        ui.spinner(size="sm")
        ui.label(text)
    try:
        yield
    finally:
        row.delete()


def figure(value: str, label: str, hint: str = "") -> ui.element:
    """Show a number with what it counts."""
    with ui.element("div").classes("smcs-figure") as tile:
        ui.label(value).classes("smcs-figure-value smcs-num")
        ui.label(label).classes("smcs-muted")
        if hint:
            ui.label(hint).classes("smcs-muted smcs-small")
    return tile


def link_to(text: str, path: str) -> ui.link:
    """Return a link to another page of the studio."""
    return ui.link(text, path).classes("smcs-link")


def format_usd(usd: float | None, known: float = 0.0) -> str:
    """Return an amount of money; where it is unknown, what is known of it."""
    if usd is None:
        return f"unknown, at least {_dollars(known)}" if known else "unknown"
    return _dollars(usd)


def _dollars(usd: float) -> str:
    if usd == 0:
        return "$0"
    if usd >= 1:
        return f"${usd:,.2f}"
    places = max(4, 1 - math.floor(math.log10(usd)))
    return f"${usd:.{places}f}"


def format_seconds(seconds: float | None) -> str:
    """Return a duration."""
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min"


def format_count(count: int | None) -> str:
    """Return a whole number."""
    return "unknown" if count is None else f"{count:,}"
