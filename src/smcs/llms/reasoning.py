"""Keep what an LLM thought apart from what it answered.

Servers return reasoning in a field of its own or inline in `<think>` blocks. Inline blocks are cut out here, from whole
texts and from streams whose pieces cut a tag in two.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ("ReasoningSplitter", "Split", "split_reasoning")

_TAG = re.compile(r"<(/?)think(?:ing)?>")
_TAGS = ("<think>", "</think>", "<thinking>", "</thinking>")


class Split(NamedTuple):
    """A text, or a piece of one, in two parts."""

    answer: str
    reasoning: str


def split_reasoning(text: str) -> Split:
    """Split a whole text into answer and reasoning.

    An opening tag that is never closed makes all that follows reasoning (the token limit cut the thought, so there is
    no answer). A closing tag without an opening one makes all that precedes it reasoning: the opening tag then stood in
    the prompt template. White space between a block and the answer is dropped.
    """
    if "<think" not in text and "</think" not in text:
        return Split(text, "")
    splitter = ReasoningSplitter()
    splitter.feed(text)
    splitter.close()
    return splitter.split


class ReasoningSplitter:
    """`split_reasoning` for a text that arrives in pieces.

    Feed every piece, then `close`; each call returns what may be shown already. A closing tag without an opening one is
    the one case in which pieces handed out as answer turn out to be reasoning; `split` has them in the right place.
    """

    def __init__(self) -> None:
        self._answer: list[str] = []
        self._reasoning: list[str] = []
        self._held = ""
        self._inside = False
        self._seen_block = False

    @property
    def split(self) -> Split:
        """All that was fed so far, in two parts; complete once closed."""
        return Split("".join(self._answer), "".join(self._reasoning))

    def feed(self, piece: str) -> Split:
        """Take the next piece and return what is now certain to be no part of a tag."""
        text = self._held + piece
        self._held = ""
        if "<" not in text:
            return self._emit(text)
        answer, reasoning = [], []
        position = 0
        for tag in _TAG.finditer(text):
            if tag.start() < position:
                continue
            done = self._emit(text[position : tag.start()])
            answer.append(done.answer)
            reasoning.append(done.reasoning)
            position = tag.end()
            if tag[1]:
                self._close_block()
            elif self._inside:
                reasoning.append(self._emit(tag[0]).reasoning)
            else:
                self._inside = self._seen_block = True
        rest = text[position:]
        self._held = _possible_tag(rest)
        done = self._emit(rest[: len(rest) - len(self._held)])
        return Split("".join(answer) + done.answer, "".join(reasoning) + done.reasoning)

    def close(self) -> Split:
        """End the text and return what was held back because it might have become a tag."""
        held, self._held = self._held, ""
        return self._emit(held)

    def _close_block(self) -> None:
        if not self._inside:
            self._reasoning += self._answer
            self._answer = []
        self._inside = False
        self._seen_block = True

    def _emit(self, text: str) -> Split:
        if self._inside:
            if text:
                self._reasoning.append(text)
            return Split("", text)
        if self._seen_block and not self._answer:
            text = text.lstrip()
        if text:
            self._answer.append(text)
        return Split(text, "")


def _possible_tag(text: str) -> str:
    """Return the end of `text` that may be the beginning of a tag."""
    start = text.rfind("<")
    if start < 0:
        return ""
    tail = text[start:]
    return tail if any(tag.startswith(tail) for tag in _TAGS) else ""
