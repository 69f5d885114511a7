"""What of a run's events a client that streams is shown, and as what: thoughts, pieces of the answer, or nothing."""

from __future__ import annotations

from smcs.gateway.plan import Way
from smcs.gateway.protocol import stage_line
from smcs.gateway.voices import Voice
from smcs.run import AnswerBegins, Event, TextArrived

__all__ = ("Teller",)


class Teller:
    """Turns events into bytes.

    While several LLMs work together, what they do is shown at once. Where one LLM answers, lines wait for its first
    word: until then a failure can still be told with a status of its own. Nothing is shown once the answer has begun.

    Args:
        voice: How it is said.
        way: Who answers.
        thinking: Whether what happens is shown.
    """

    def __init__(self, voice: Voice, way: Way, *, thinking: bool) -> None:
        self._voice = voice
        self._thinking = thinking and way != "pass-through"
        self._waits = way != "collaboration"
        self._lines: list[str] = []
        self._live: tuple[str, str] | None = None
        self._begun = False

    def say(self, item: Event | bytes) -> bytes:
        """Return what is sent for an event of the run, or for one of an endpoint that is handed through."""
        if isinstance(item, bytes):
            self._begun = True
            return self._begin() + self._voice.raw(item)
        if isinstance(item, AnswerBegins):
            self._live, self._begun = (item.llm, item.stage), True
            return self._begin()
        if isinstance(item, TextArrived):
            mine = self._live == (item.llm, item.stage) and bool(item.text)
            return self._voice.piece(item.text) if mine else b""
        line = stage_line(item) if self._thinking and not self._begun else None
        if line is None:
            return b""
        if self._waits:
            self._lines.append(line)
            return b""
        return self._voice.thought(line)

    def rest(self) -> bytes:
        """Return the lines that still wait."""
        return self._begin()

    def _begin(self) -> bytes:
        lines, self._lines = self._lines, []
        self._waits = False
        return b"".join(self._voice.thought(line) for line in lines)
