"""What was written on the way: each LLM's own answer, and what was merged of them, as cards that open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from nicegui import ui

from smcs.run import Candidate
from smcs.studio.ask.parts import Tone, chip, hint, plain, say, step, tone_chip
from smcs.studio.ask.state import Call, Progress
from smcs.studio.ask.words import call_line, listed, plural
from smcs.studio.frame import format_count, format_seconds, format_usd
from smcs.studio.text_view import TextView, show_text

__all__ = ("AnswersStep", "MergesStep")

_PREVIEW: Final = 140
_NAME: Final = 120
_CARDS: Final = 24
_MORE: Final = 50
_TONES: Final[dict[str, Tone]] = {
    "running": "accent",
    "ok": "good",
    "error": "bad",
    "timeout": "warn",
    "empty": "warn",
    "cancelled": "warn",
    "skipped": "warn",
}


@dataclass(frozen=True, slots=True)
class _Content:
    """What a card shows."""

    title: str
    status: str
    tone: Tone
    facts: str
    preview: str
    texts: tuple[str, ...]
    live: bool = False
    note: str = ""


class _Card:
    """One text, or several of one call: a line that opens to the whole. A closed card costs a preview."""

    def __init__(self, marker: str) -> None:
        self._shown: _Content | None = None
        self._views: list[TextView] = []
        self._box = ui.expansion(on_value_change=self._fill).classes("smcs-card")
        self._box.props(f"dense data-testid={marker}").style("padding: .2rem .3rem; width: 100%; min-width: 0")
        with self._box.add_slot("header"), ui.element("div").style("flex: 1; min-width: 0; padding: .25rem 0"):
            with ui.element("div").classes("smcs-row").style("gap: .5rem"):
                self._title = plain("", _NAME).style("font-weight: 600")
                self._status = chip("")
                self._facts = ui.label().classes("smcs-muted smcs-small")
            self._preview = plain("").classes("smcs-muted smcs-small")
            self._preview.style("white-space: nowrap; overflow: hidden; text-overflow: ellipsis")
        with self._box:
            self._body = (
                ui.element("div").classes("smcs-stack").style("gap: .6rem; padding: 0 .5rem .5rem; width: 100%")
            )

    def show(self, content: _Content) -> None:
        """Show this."""
        if content == self._shown:
            return
        if self._shown is None or content.title != self._shown.title:
            self._box.props["toggle-aria-label"] = f"Open what {content.title} wrote"
        self._shown = content
        say(self._title, content.title, _NAME)
        tone_chip(self._status, content.status, content.tone)
        say(self._facts, content.facts)
        say(self._preview, content.preview)
        self._fill()

    def _fill(self) -> None:
        content = self._shown
        if content is None or not self._box.value:
            return
        texts = content.texts
        if len(self._views) != len(texts) or not texts:
            self._views.clear()
            self._body.clear()
            with self._body:
                if content.note:
                    plain(content.note)
                for number, _ in enumerate(texts, 1):
                    if len(texts) > 1:
                        ui.label(f"{number} of {len(texts)}").classes("smcs-muted smcs-small")
                    self._views.append(show_text())
        for view, text in zip(self._views, texts, strict=True):
            view.set(text, live=content.live)


class _Cards:
    """Cards by key, of very many the first."""

    def __init__(self, marker: str) -> None:
        self._marker = marker
        self._cards: dict[str, _Card] = {}
        self._box = ui.element("div").classes("smcs-stack").style("gap: .4rem")
        self._more = ui.button(on_click=self._show_more).props(f"flat dense no-caps data-testid=more-{marker}")
        self._more.set_visibility(False)
        self._most = _CARDS
        self._last: Sequence[tuple[str, Callable[[], _Content]]] = ()

    def show(self, contents: Sequence[tuple[str, Callable[[], _Content]]]) -> None:
        """Show these, in the order in which their keys came first; content is made for those that are shown."""
        self._last = contents
        keys = {key for key, _ in contents}
        if any(key not in keys for key in self._cards):
            self._cards.clear()
            self._box.clear()
        for key, content in contents[: self._most]:
            card = self._cards.get(key)
            if card is None:
                with self._box:
                    card = self._cards[key] = _Card(self._marker)
            card.show(content())
        left = len(contents) - self._most
        self._more.set_visibility(left > 0)
        if left > 0:
            self._more.set_text(f"Show {min(left, _MORE)} more of {len(contents):,}")

    def _show_more(self) -> None:
        self._most += _MORE
        self.show(self._last)


class AnswersStep:
    """What each LLM that was asked said."""

    def __init__(self) -> None:
        with step("Their answers", "Each answered alone, without seeing the others. Open one to read it.") as self._box:
            self._box.props("data-testid=step-answers")
            self._cards = _Cards("answer-card")
        self._shown: tuple[Call, ...] = ()

    def show(self, progress: Progress) -> None:
        """Show the answers as far as they are."""
        answers = progress.answers
        if answers == self._shown:
            return
        self._shown = answers
        self._box.set_visibility(bool(answers))
        kept = progress.texts_are_kept
        self._cards.show([(call.key, partial(_of_call, call, kept=kept)) for call in answers])


class MergesStep:
    """What an LLM made of several answers."""

    def __init__(self) -> None:
        explained = "An LLM read some of the answers and wrote a new one of them. Each such text is a candidate."
        with step("Merged answers", explained) as self._box:
            self._box.props("data-testid=step-merges")
            self._subsets = hint("")
            self._cards = _Cards("merge-card")
        self._shown: tuple[object, ...] = ()

    def show(self, progress: Progress) -> None:
        """Show what is merged, being merged, or could not be."""
        now = (progress.merges, progress.candidates, progress.chosen, progress.subsets)
        if now == self._shown:
            return
        self._shown = now
        cards = _merged(progress)
        self._box.set_visibility(bool(cards) or progress.subsets is not None)
        subsets = progress.subsets
        if subsets is not None:
            sizes = sorted({len(subset) for subset in subsets})
            of = " or ".join(map(str, sizes))
            say(self._subsets, f"{plural(len(subsets), 'random subset')} of {of} answers drawn, good LLMs more often.")
        self._subsets.set_visibility(subsets is not None)
        self._cards.show(cards)


def _merged(progress: Progress) -> list[tuple[str, Callable[[], _Content]]]:
    """Return the candidates that were merged, then the calls that gave none."""
    candidates, kept = progress.candidates or (), progress.texts_are_kept
    nobody_else = not any(call.status == "ok" for call in progress.answers)
    shown = [(at, each) for at, each in enumerate(candidates) if each.members or nobody_else]
    written = {(each.llm, each.text) for _, each in shown}
    cards: list[tuple[str, Callable[[], _Content]]] = [
        (f"candidate/{each.draw}", partial(_of_candidate, at, each, progress.chosen, kept=kept)) for at, each in shown
    ]
    cards += [
        (call.key, partial(_of_call, call, kept=kept))
        for call in progress.merges or ()
        if call.status != "ok" or (not shown or _is_reference(call, written, progress))
    ]
    return cards


def _is_reference(call: Call, written: set[tuple[str, str]], progress: Progress) -> bool:
    """Return whether a merge is an answer that was merged again, as in Mixture-of-Agents of several layers."""
    layers = progress.settings.get("layers", 1)
    return isinstance(layers, int) and layers > 1 and not any((call.llm, text) in written for text in call.texts)


def _of_call(call: Call, *, kept: bool) -> _Content:
    running = call.status == "running"
    texts = call.texts if call.has_ended else call.live
    note = call.why
    if call.status == "ok" and not kept:
        texts, note = (), "The text is not kept."
    title = call.llm if call.stage == "reference" or not call.members else f"{call.llm}, from {listed(call.members)}"
    preview = _preview(texts[0], tail=running) if texts else note
    tone = _TONES.get(call.status, "")
    return _Content(title, call_line(call), tone, _facts(call), preview, texts, live=running, note=note)


def _facts(call: Call) -> str:
    if call.status == "waiting" or call.status == "skipped":
        return ""
    if not call.has_ended:
        several = f"{plural(len(call.live), 'text')}, " if len(call.live) > 1 else ""
        return f"{several}{call.written:,} characters" if call.written else ""
    said = [format_seconds(call.seconds)] if call.seconds is not None else []
    if call.status == "ok":
        if len(call.texts) > 1:
            said.append(plural(len(call.texts), "text"))
        written = call.usage.completion_tokens
        said.append(f"{format_count(written)} token{'' if written == 1 else 's'} written")
        said.append(f"cost {format_usd(call.cost_usd)}")
    if call.tries > 1:
        said.append(plural(call.tries, "try").replace("trys", "tries"))
    return " · ".join(said)


def _of_candidate(at: int, candidate: Candidate, chosen: int | None, *, kept: bool) -> _Content:
    from_whom = f", from {listed(candidate.members)}" if candidate.members else ", alone"
    won = at == chosen
    status: tuple[str, Tone] = ("chosen", "good") if won else ("candidate", "")
    texts = (candidate.text,) if kept else ()
    score = "" if candidate.score is None else f"total {candidate.score:.3f}"
    note = "" if kept else "The text is not kept."
    preview = _preview(candidate.text, tail=False) if kept else note
    return _Content(f"{at + 1}. {candidate.llm}{from_whom}", *status, score, preview, texts, note=note)


def _preview(text: str, *, tail: bool) -> str:
    """Return one line of a text: its beginning, or what was written last."""
    cut = text[-2 * _PREVIEW :] if tail else text[: 2 * _PREVIEW]
    line = " ".join(cut.split())
    return f"…{line[-_PREVIEW:]}" if tail and len(line) > _PREVIEW else line[:_PREVIEW]
