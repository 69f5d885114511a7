"""The small parts that the view of a run is made of: plain texts, headings, chips, tables whose rows are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal

from nicegui import ui

from smcs.studio.text import printable

__all__ = ("NO_FIGURE", "Figures", "Tone", "chip", "heading", "hint", "plain", "say", "step")

Tone = Literal["", "good", "bad", "warn", "accent"]

NO_FIGURE: Final = "\N{EN DASH}"
"""Stands where there is no figure."""

_MAX_NAME: Final = 120
_TONES: Final = "smcs-chip-good smcs-chip-bad smcs-chip-warn smcs-chip-accent"


def plain(text: str, most: int | None = None) -> ui.label:
    """Show an untrusted text as it is, cut to so many characters where that is asked."""
    return ui.label(shortened(text, most)).props("dir=auto").style("overflow-wrap: anywhere; min-width: 0")


def shortened(text: str, most: int | None = None) -> str:
    """Return a text that can be shown, of at most so many characters."""
    cut = text if most is None or len(text) <= most else f"{text[: most - 1]}…"
    return printable(cut)


def say(label: ui.label, text: str, most: int | None = None) -> None:
    """Change what a label shows; the same text costs nothing."""
    shown = shortened(text, most)
    if label.text != shown:
        label.set_text(shown)


def heading(text: str, level: Literal[2, 3, 4] = 3) -> ui.element:
    """Show a heading of ours."""
    with ui.element(f"h{level}") as made:
        ui.label(text)
    return made


def hint(text: str) -> ui.label:
    """Explain something in a line."""
    return ui.label(text).classes("smcs-muted smcs-small")


def chip(text: str, tone: Tone = "") -> ui.label:
    """Show a word or two."""
    made = ui.label(shortened(text, _MAX_NAME)).classes("smcs-chip")
    return made.classes(f"smcs-chip-{tone}") if tone else made


def tone_chip(made: ui.label, text: str, tone: Tone) -> None:
    """Change a chip."""
    if made.text != text:
        made.set_text(text)
        made.classes(remove=_TONES, add=f"smcs-chip-{tone}" if tone else "")


@contextmanager
def step(title: str, explained: str) -> Iterator[ui.element]:
    """Open a step of how the answer was found, under a heading of its own; it is hidden until it has something to show.

    Args:
        title: Of the heading.
        explained: What it means, for who sees it for the first time.
    """
    with ui.element("section").style("min-width: 0") as box:
        heading(title)
        hint(explained).style("margin-bottom: .5rem")
        yield box
    box.set_visibility(False)


class Figures:
    """A table whose rows are made once and then changed cell by cell.

    Args:
        columns: Headings; the first column is text, a `True` beside a heading means figures.
        caption: What it is a table of, for screen readers.
    """

    def __init__(self, columns: Sequence[tuple[str, bool]], caption: str) -> None:
        self._numeric = [numeric for _, numeric in columns]
        self._rows: dict[str, list[ui.label]] = {}
        with ui.element("div").classes("smcs-scroll").props("tabindex=0 role=group") as box:
            box.props["aria-label"] = caption
            with ui.element("table").classes("smcs-table"):
                with ui.element("thead"), ui.element("tr"):
                    for name, numeric in columns:
                        with ui.element("th").props("scope=col").classes("smcs-num" if numeric else ""):
                            ui.label(name)
                self._body = ui.element("tbody")

    def set(self, key: str, cells: Sequence[str]) -> None:
        """Show a row, the one of that key if there is one."""
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = []
            with self._body, ui.element("tr"):
                for at, numeric in enumerate(self._numeric):
                    head = ui.element("th").props("scope=row") if at == 0 else ui.element("td")
                    with head.classes("smcs-num" if numeric else ""):
                        label = ui.label().props("dir=auto")
                        row.append(label if numeric else label.style("min-width: 5.5rem; overflow-wrap: break-word"))
        for label, text in zip(row, cells, strict=True):
            say(label, text)

    def clear(self) -> None:
        """Take all rows away."""
        self._rows.clear()
        self._body.clear()
