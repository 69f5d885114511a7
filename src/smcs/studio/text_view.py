"""An untrusted text on a page: plain while it streams, rendered when it is complete, with a way to copy it."""

from __future__ import annotations

import asyncio
from typing import Final

from nicegui import background_tasks, ui
from nicegui.elements.mixins.text_element import TextElement

from smcs.studio.text import ALLOWED_ATTRIBUTES, ALLOWED_TAGS, printable, to_html

__all__ = ("TextView", "show_text")

_COLLAPSED: Final = 8_000
"""Characters above which a text is shown in part, until its reader asks for all of it."""
_LONGEST: Final = 1_000_000
"""Characters above which even all of a text is cut; copying gives the rest."""
_PIECE: Final = 1_000
_PAUSE: Final = 0.1
"""Seconds between two updates of a streaming text."""
_COPY_SECONDS: Final = 5.0


def show_text(text: str = "", *, live: bool = False) -> TextView:
    """Show an untrusted text.

    Args:
        text: Of a model, a user or a file.
        live: Whether more of it is coming: it is then shown plain until `TextView.set` is told otherwise.
    """
    return TextView(text, live=live)


class TextView(ui.element):
    """A text with a bar of buttons below it: copy, show the source, show all of it."""

    def __init__(self, text: str = "", *, live: bool = False) -> None:
        super().__init__("div")
        self.classes("smcs-text-view").props("data-testid=text")
        self._whole = ""
        self._is_live = False
        self._shows_source = False
        self._shows_all = False
        self._flush: asyncio.TimerHandle | None = None
        self._flushed_at = float("-inf")
        self._version = 0
        with self:
            self._rendered = _Rendered()
            self._stream = _Stream()
            self._source = ui.label().classes("smcs-text-source smcs-text-source-code")
            self._source.props("dir=auto tabindex=0 data-testid=text-source")
            self._cut = ui.label().classes("smcs-muted smcs-small")
            with ui.element("div").classes("smcs-text-bar") as self._bar:
                copy = ui.button("Copy", icon="content_copy", color=None, on_click=self._copy)
                self._source_button = ui.button(icon="code", color=None, on_click=self._switch_source)
                self._all_button = ui.button(color=None, on_click=self._switch_all)
        copy.props("flat dense no-caps data-testid=text-copy")
        self._source_button.props("flat dense no-caps data-testid=text-source-switch")
        self._all_button.props("flat dense no-caps data-testid=text-all")
        self._arrange()
        self.set(text, live=live)

    def set(self, text: str, *, live: bool | None = None) -> None:
        """Replace the text.

        It costs little to call this with each token of a growing text while it is live: only what was added is sent,
        at most ten times a second.

        Args:
            text: All of it.
            live: Whether more is coming; as before where it is not given.
        """
        live = self._is_live if live is None else live
        if text == self._whole and live == self._is_live:
            return
        self._whole, self._is_live = text, live
        if live:
            self._show_stream_soon()
        else:
            self._show_complete()

    def _show_stream_soon(self) -> None:
        if self._flush is not None:
            return
        loop = asyncio.get_running_loop()
        due = self._flushed_at + _PAUSE
        if loop.time() >= due:
            self._show_stream()
        else:
            self._flush = loop.call_at(due, self._show_stream)

    def _show_stream(self) -> None:
        self._flush = None
        if self.is_deleted:
            return
        self._flushed_at = asyncio.get_running_loop().time()
        self._version += 1
        self._stream.grow(self._whole)
        self._arrange()

    def _show_complete(self) -> None:
        """Render what is to be seen, and leave what is there until that is done."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        self._version += 1
        background_tasks.create(self._render(self._shown(), self._version), name="render a text")

    async def _render(self, shown: str, version: int) -> None:
        html = await asyncio.to_thread(to_html, shown)
        if version == self._version and not self.is_deleted:
            self._rendered.set_html(html)
            self._arrange()

    def _shown(self) -> str:
        """Return the part of the text that is to be seen, which ends with a paragraph or line where one does."""
        limit = _LONGEST if self._shows_all else _COLLAPSED
        if len(self._whole) <= limit:
            return self._whole
        end = max(self._whole.rfind(mark, limit // 2, limit) for mark in ("\n\n", "\n"))
        return self._whole[: end if end > 0 else limit]

    def _arrange(self) -> None:
        """Let what is asked for be seen, and name the buttons by what they do now."""
        shown, length = self._shown(), len(self._whole)
        shows_source = self._shows_source and not self._is_live
        self._stream.set_visibility(self._is_live)
        if not self._is_live:
            self._stream.clear_text()
        self._rendered.set_visibility(not self._is_live and not shows_source)
        self._source.set_visibility(shows_source)
        self._source.set_text(printable(shown) if shows_source else "")
        is_cut = not self._is_live and self._shows_all and len(shown) < length
        self._cut.set_visibility(is_cut)
        self._cut.set_text(f"The first {len(shown):,} of {length:,} characters; Copy gives all of them." * is_cut)
        self._bar.set_visibility(not self._is_live and bool(self._whole.strip()))
        self._source_button.set_text("Show formatted" if shows_source else "Show source")
        self._all_button.set_visibility(length > _COLLAPSED)
        self._all_button.set_text("Show less" if self._shows_all else f"Show all ({length:,} characters)")
        self._all_button.props(f"icon={'unfold_less' if self._shows_all else 'unfold_more'}")

    def _switch_source(self) -> None:
        self._shows_source = not self._shows_source
        self._arrange()

    def _switch_all(self) -> None:
        self._shows_all = not self._shows_all
        self._show_complete()

    async def _copy(self) -> None:
        if await self._rendered.copy(self._whole):
            ui.notify("Copied")
        else:
            ui.notify("Your browser does not let this page copy. Show the source and select it.", type="warning")


class _Rendered(ui.element, component="text_view.js"):
    """Sanitised HTML.

    `ui.html` trusts one sanitiser: the server's or, by its default, DOMPurify in the browser, which drops `target` and
    lets through whatever is safe in general, such as images from elsewhere. This element takes what is sanitised on the
    server, and has DOMPurify check it against the same lists, MathML included.
    """

    def __init__(self) -> None:
        super().__init__()
        self._props["html"] = ""
        self._props["tags"] = ALLOWED_TAGS
        self._props["attributes"] = ALLOWED_ATTRIBUTES
        self.classes("smcs-text").props("data-testid=text-rendered")

    def set_html(self, html: str) -> None:
        """Show the output of `to_html`."""
        if html != self._props["html"]:
            self._props["html"] = html
            self.update()

    async def copy(self, text: str) -> bool:
        """Put a text into the clipboard of the browser, and return whether it went there."""
        text = text.encode("utf-8", "replace").decode()
        try:
            return bool(await self.run_method("copy", text, timeout=_COPY_SECONDS))
        except TimeoutError:
            return False


class _Piece(TextElement):
    """A piece of plain text within a line."""

    def __init__(self, text: str) -> None:
        super().__init__(tag="span", text=text)


class _Stream(ui.element):
    """A growing plain text in pieces, of which only the last is sent again; what is far above its end goes away."""

    def __init__(self) -> None:
        super().__init__("div")
        self.classes("smcs-text-source").props("dir=auto data-testid=text-live")
        self._settled = ""
        self._pieces: list[tuple[_Piece, int]] = []
        self._last: _Piece | None = None
        self._hidden: ui.label | None = None
        self._hidden_length = 0

    def clear_text(self) -> None:
        """Show nothing."""
        if self._settled or self._last is not None:
            self.clear()
            self._settled, self._pieces, self._last = "", [], None
            self._hidden, self._hidden_length = None, 0

    def grow(self, text: str) -> None:
        """Show a text that is what is shown and more; of another text, its end."""
        if not text.startswith(self._settled):
            self.clear_text()
        if len(text) - len(self._settled) > 2 * _COLLAPSED:
            self._skip(text)
        rest = text[len(self._settled) :]
        while len(rest) > _PIECE:
            end = max(rest.rfind(" ", 1, _PIECE), rest.rfind("\n", 1, _PIECE)) + 1 or _PIECE
            self._show_last(rest[:end])
            self._settle(rest[:end])
            rest = rest[end:]
        self._show_last(rest)

    def _show_last(self, text: str) -> None:
        if self._last is None:
            with self:
                self._last = _Piece(printable(text))
        else:
            self._last.set_text(printable(text))

    def _settle(self, text: str) -> None:
        if self._last is None:
            return
        self._settled += text
        self._pieces.append((self._last, len(text)))
        self._last = None
        while len(self._pieces) * _PIECE > _COLLAPSED:
            piece, length = self._pieces.pop(0)
            piece.delete()
            self._hide(length)

    def _skip(self, text: str) -> None:
        """Begin near the end of a text of which little has been shown."""
        self.clear_text()
        self._settled = text[: len(text) - _COLLAPSED // 2]
        self._hide(len(self._settled))

    def _hide(self, length: int) -> None:
        self._hidden_length += length
        if self._hidden is None:
            with self:
                self._hidden = ui.label().classes("smcs-muted smcs-small")
                self._hidden.move(target_index=0)
        self._hidden.set_text(f"{self._hidden_length:,} characters above are shown when the text is complete.")
