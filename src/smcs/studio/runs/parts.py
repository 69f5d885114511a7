"""Small parts that the pages about runs share."""

from __future__ import annotations

from collections.abc import Iterable

from nicegui import ui

from smcs.gateway.entries import RunStatus
from smcs.studio.runs.rows import STATUS_VIEWS
from smcs.studio.text import printable

__all__ = ("download_link", "notes", "plain_box", "status_chip", "text_button")


def notes(said: Iterable[str]) -> None:
    """Show what could not be used of an address, if anything."""
    lines = tuple(dict.fromkeys(said))
    if not lines:
        return
    with ui.element("div").props("role=status data-testid=notes").classes("smcs-notice"):
        ui.icon("info").props("aria-hidden=true")
        with ui.element("div"):
            for line in lines:
                ui.label(printable(line)).props("dir=auto")


def text_button(text: str, icon: str) -> ui.button:
    """Return a quiet button with a word and an icon."""
    return ui.button(text).props(f"outline no-caps dense padding='0.25rem 0.7rem' icon={icon}")


def status_chip(status: RunStatus) -> ui.element:
    """Show how a run ended, with a word, an icon and a colour."""
    shown = STATUS_VIEWS[status]
    with ui.element("span").classes(f"smcs-chip smcs-chip-{shown.tone}").props("data-testid=run-status") as chip:
        ui.icon(shown.icon).props("aria-hidden=true")
        ui.label(shown.word)
        ui.tooltip(shown.hint)
    return chip


def plain_box(text: str, *, rem: int) -> ui.label:
    """Show an untrusted text as it is, in a box of its own that scrolls from a height on.

    Args:
        text: The text.
        rem: Most height, in the size of the page's letters.
    """
    style = f"white-space: pre-wrap; overflow-wrap: anywhere; max-height: {rem}rem; overflow-y: auto"
    return ui.label(printable(text)).props("dir=auto").style(style)


def download_link(text: str, path: str) -> ui.link:
    """Return a link that downloads a file, which looks like a button."""
    with ui.link(target=path).classes("smcs-link-button smcs-row").style("text-decoration: none") as link:
        ui.icon("download").props("aria-hidden=true")
        ui.label(text)
    return link.props("download")
