"""Small parts that the Bank pages share. All text may come from anywhere and is shown as plain text."""

from __future__ import annotations

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from smcs.studio.frame import link_to

__all__ = ("command", "notice", "percent", "points", "turning")


def command(line: str | None) -> None:
    """Show a command for the shell, with a button that copies it; nothing where there is none."""
    if line is None:
        return
    with ui.element("div").classes("smcs-row").style("flex-wrap: nowrap; gap: .25rem; min-width: 0"):
        box = ui.element("div").classes("smcs-scroll").props("tabindex=0 role=region aria-label=Command")
        box.style("min-width: 0; padding: .2rem .55rem; border-radius: 6px; background: var(--smcs-sunken)")
        box.style("white-space: pre-wrap")
        with box:
            TextElement(tag="code", text=line).props("dir=ltr data-testid=bank-command")
        copy = ui.button(icon="content_copy", on_click=lambda: ui.clipboard.write(line))
        copy.props("flat dense round size=sm aria-label='Copy the command'")


def notice(*lines: str) -> ui.element:
    """Show something worth knowing."""
    with ui.element("div").classes("smcs-notice") as box:
        ui.icon("info").props("aria-hidden=true")
        with ui.element("div").style("min-width: 0"):
            for line in lines:
                ui.label(line).props("dir=auto")
    return box


def turning(page: int, pages: int, before: str, after: str, what: str) -> None:
    """Show where in a list one is, and links to the pages beside; nothing where there is only one.

    Args:
        page: Counts from 1.
        pages: How many there are.
        before: Address of the page before.
        after: Address of the page after.
        what: What the pages are of, a constant.
    """
    if pages < 2:
        return
    with ui.element("nav").classes("smcs-row") as box:
        box.props["aria-label"] = f"Pages of {what}"
        if page > 1:
            link_to("← Previous", before).props("rel=prev data-testid=bank-previous")
        ui.label(f"Page {page:,} of {pages:,}").classes("smcs-muted")
        if page < pages:
            link_to("Next →", after).props("rel=next data-testid=bank-next")


def percent(share: float | None) -> str:
    """Return a share as people read it."""
    return "unknown" if share is None else f"{100 * share:.1f}%"


def points(difference: float) -> str:
    """Return a difference of two shares, in percentage points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "\u2212")
