from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from nicegui import ui
from nicegui.testing import User
from nicegui.testing.user_simulation import user_simulation

from smcs.studio import text_view
from smcs.studio.text_view import TextView, show_text

_LONG = "".join(f"**{n}** is a number.\n\n" for n in range(1_000))


@pytest.fixture
async def page() -> AsyncIterator[User]:
    """A page on which the test builds what it looks at."""

    def root() -> None:
        ui.label("a page")

    async with user_simulation(root) as user:
        await user.open("/")
        yield user


async def settled(is_done: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not is_done():  # noqa: ASYNC110 - what is waited for is no event
            await asyncio.sleep(0.01)


def shown(user: User, text: str = "", *, live: bool = False) -> TextView:
    with user:
        return show_text(text, live=live)


def html_of(view: TextView) -> str:
    return str(view._rendered.props["html"])


def streamed(view: TextView) -> str:
    return "".join(str(piece.text) for piece in view._stream.descendants() if isinstance(piece, text_view._Piece))


def press(view: TextView, name: str) -> None:
    """Press the button of a name that begins so."""
    buttons = [item for item in view.descendants() if isinstance(item, ui.button) and item.visible]
    (button,) = [item for item in buttons if item.text.startswith(name)]
    for listener in button._event_listeners.values():
        if listener.type == "click" and listener.handler is not None:
            listener.handler(None)


async def test_renders_what_is_complete(page: User) -> None:
    view = shown(page, "**a** <script>alert(1)</script>")
    await settled(lambda: bool(html_of(view)))
    assert html_of(view) == '<p dir="auto"><strong>a</strong> &lt;script&gt;alert(1)&lt;/script&gt;</p>\n'
    assert view._rendered.visible
    assert view._bar.visible
    assert not view._stream.visible
    assert not view._all_button.visible


async def test_an_empty_text_has_no_buttons(page: User) -> None:
    assert not shown(page, " \n")._bar.visible
    assert not shown(page)._bar.visible


async def test_a_live_text_is_plain_and_sends_only_what_is_new(page: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_view, "_PAUSE", 0.0)
    rendered: list[str] = []

    def render(text: str) -> str:
        rendered.append(text)
        return text

    monkeypatch.setattr(text_view, "to_html", render)
    view = shown(page, "**a** <b> ", live=True)
    assert streamed(view) == "**a** <b> "
    text = "**a** <b> " + "word " * 500
    for end in range(10, len(text), 25):
        view.set(text[:end])
        await asyncio.sleep(0)
    view.set(text)
    await settled(lambda: streamed(view) == text)
    assert (
        max(len(str(item.text)) for item in view._stream.descendants() if isinstance(item, text_view._Piece)) <= 1_000
    )
    assert rendered == []
    assert not view._rendered.visible
    assert not view._bar.visible
    view.set(text, live=False)
    await settled(lambda: view._rendered.visible)
    assert rendered == [text]
    assert streamed(view) == ""


async def test_tokens_are_shown_together(page: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_view, "_PAUSE", 1.0)
    view = shown(page, "a", live=True)
    grown: list[str] = []
    monkeypatch.setattr(view._stream, "grow", grown.append)
    for length in range(2, 50):
        view.set("a" * length)
    assert grown == []
    await settled(lambda: bool(grown))
    assert grown == ["a" * 49]


async def test_the_beginning_of_a_long_stream_goes_away(page: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_view, "_PAUSE", 0.0)
    view = shown(page, live=True)
    text = "word " * 10_000
    for end in (4_000, 12_000, 50_000):
        view.set(text[:end])
        await asyncio.sleep(0.05)
        assert text[:end].endswith(streamed(view))
        assert 0 < len(streamed(view)) <= 10_000
        assert view._stream._hidden_length + len(streamed(view)) == end
    assert view._stream._hidden is not None
    assert view._stream._hidden.text.startswith("46,000 characters above")


async def test_another_stream_replaces_the_first(page: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_view, "_PAUSE", 0.0)
    view = shown(page, "a " * 2_000, live=True)
    view.set("b")
    await settled(lambda: streamed(view) == "b")


async def test_controls_are_written_out(page: User) -> None:
    view = shown(page, "a\u202eb\ud800", live=True)
    assert streamed(view) == "a⟦U+202E⟧b\ufffd"
    view.set("a\u202eb\ud800", live=False)
    await settled(lambda: view._rendered.visible)
    press(view, "Show source")
    assert view._source.text == "a⟦U+202E⟧b\ufffd"


async def test_a_long_text_is_shown_in_part_until_all_of_it_is_asked_for(page: User) -> None:
    view = shown(page, _LONG)
    await settled(lambda: bool(html_of(view)))
    assert "<strong>0</strong>" in html_of(view)
    assert html_of(view).endswith(" is a number.</p>\n")
    assert "<strong>999</strong>" not in html_of(view)
    press(view, f"Show all ({len(_LONG):,} characters)")
    await settled(lambda: "<strong>999</strong>" in html_of(view))
    press(view, "Show less")
    await settled(lambda: "<strong>999</strong>" not in html_of(view))


async def test_even_all_of_a_huge_text_has_an_end(page: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_view, "_LONGEST", 10_000)
    view = shown(page, _LONG)
    await settled(lambda: bool(html_of(view)))
    press(view, "Show all")
    await settled(lambda: view._cut.visible)
    assert view._cut.text.startswith("The first 9,9")


async def test_source(page: User) -> None:
    view = shown(page, "**a** <b>")
    await settled(lambda: bool(html_of(view)))
    press(view, "Show source")
    assert (view._source.visible, view._rendered.visible, view._source.text) == (True, False, "**a** <b>")
    press(view, "Show formatted")
    assert (view._source.visible, view._rendered.visible, view._source.text) == (False, True, "")


async def test_a_slow_rendering_does_not_overtake_a_newer_one(page: User, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def render(text: str) -> str:
        if text == "old":
            go_on.wait(10)
        return text

    monkeypatch.setattr(text_view, "to_html", render)
    view = shown(page, "old")
    await asyncio.sleep(0)
    view.set("new")
    await settled(lambda: html_of(view) == "new")
    go_on.set()
    await asyncio.sleep(0.05)
    assert html_of(view) == "new"


async def test_copies_the_whole_text(page: User, monkeypatch: pytest.MonkeyPatch) -> None:
    view = shown(page, _LONG + "\ud800")
    copied: list[tuple[object, ...]] = []
    answers = iter([True, None])

    async def run_method(name: str, *args: object, **_: float) -> object:
        copied.append((name, *args))
        return next(answers)

    monkeypatch.setattr(view._rendered, "run_method", run_method)
    with page:
        await view._copy()
        await page.should_see("Copied")
        await view._copy()
        await page.should_see("does not let this page copy")
    assert copied == [("copy", _LONG + "?")] * 2


async def test_a_view_that_is_gone_is_left_alone(page: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_view, "_PAUSE", 0.02)
    live, done = shown(page, "a", live=True), shown(page, "b")
    live.set("ab")
    live.delete()
    done.delete()
    await asyncio.sleep(0.1)
    assert live._stream._settled == ""
    assert html_of(done) == ""
