"""A streamed chat completion: server-sent events in, pieces out while they arrive, one completion at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from smcs.errors import LLMError
from smcs.llms.failures import malformed, server_message
from smcs.llms.protocol import DeltaSink
from smcs.llms.reasoning import ReasoningSplitter
from smcs.llms.untrusted import one_line
from smcs.llms.wire import WireMessage, make_choice, make_completion, without_nan
from smcs.types import Choice, Completion, Delta

__all__ = ("EventParser", "StreamAssembler")

_NULL = msgspec.Raw(b"null")


class _ChunkChoice(msgspec.Struct):
    index: int = 0
    delta: WireMessage | None = None
    finish_reason: str | None = None
    logprobs: msgspec.Raw = _NULL


class _Chunk(msgspec.Struct):
    choices: list[_ChunkChoice] | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


_chunk_decoder = msgspec.json.Decoder(_Chunk)


class EventParser:
    """Cut a byte stream into the data of its server-sent events (WHATWG HTML, section 9.2)."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that this chunk completed."""
        if b"\n" not in chunk:
            self._line.append(chunk)
            return []
        *lines, rest = b"".join([*self._line, chunk]).split(b"\n")
        self._line = [rest]
        return [event for line in lines for event in self._take(line)]

    def close(self) -> list[bytes]:
        """Return the data of a last event whose closing blank line is missing."""
        return [*self._take(b"".join(self._line)), *self._take(b"")]

    def _take(self, line: bytes) -> list[bytes]:
        line = line.rstrip(b"\r")
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            event, self._data = b"\n".join(self._data), []
            return [event]
        return []


@dataclass
class _Partial:
    """One choice of which parts are still to come."""

    splitter: ReasoningSplitter = field(default_factory=ReasoningSplitter)
    thoughts: list[str] = field(default_factory=list[str])
    logprobs: list[msgspec.Raw] = field(default_factory=list[msgspec.Raw])
    finish: str | None = None


class StreamAssembler:
    """Collect the events of one streamed response and hand every piece on as it arrives."""

    def __init__(self, llm: str, on_delta: DeltaSink, *, n: int = 1, secrets: Sequence[str] = ()) -> None:
        """Args as `decode_completion`; `on_delta` gets answer and reasoning pieces of the first `n` choices."""
        self._llm = llm
        self._on_delta = on_delta
        self._n = n
        self._secrets = secrets
        self._partials: dict[int, _Partial] = {}
        self._usage = _NULL
        self.done = False
        """Whether the server has said that nothing more will come."""

    def feed(self, event: bytes) -> None:
        """Take the data of one event.

        Raises:
            LLMError: It is malformed, or the server reports an error.
        """
        if self.done:
            return
        if event.strip() == b"[DONE]":
            self.done = True
            return
        try:
            chunk = _decode_chunk(event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise malformed(self._llm, str(error), event, secrets=self._secrets) from error
        if bytes(chunk.error) != b"null":
            message = one_line(server_message(chunk.error), secrets=self._secrets)
            raise LLMError(f"the server broke off the stream: {message}", llm=self._llm, retryable=True)
        if bytes(chunk.usage) != b"null":
            self._usage = chunk.usage
        for choice in chunk.choices or ():
            if 0 <= choice.index < self._n:
                self._take(choice)

    def finish(self) -> Completion:
        """Return the completion once the body has ended.

        Raises:
            LLMError: The stream was cut before the server said it was complete, or holds no text.
        """
        finished = all(partial.finish is not None for partial in self._partials.values())
        if not self._partials or not (self.done or finished):
            raise LLMError("the stream ended before the answer was complete", llm=self._llm, retryable=True)
        choices = [self._choice(index, partial) for index, partial in sorted(self._partials.items())]
        return make_completion(self._llm, choices, self._usage)

    def _take(self, choice: _ChunkChoice) -> None:
        partial = self._partials.setdefault(choice.index, _Partial())
        partial.finish = choice.finish_reason or partial.finish
        if bytes(choice.logprobs) != b"null":
            partial.logprobs.append(choice.logprobs)
        if choice.delta is None:
            return
        thought = choice.delta.thought()
        if thought:
            partial.thoughts.append(thought)
        text = choice.delta.text()
        answer, inline = partial.splitter.feed(text) if text else ("", "")
        self._hand_on(answer, thought + inline, choice.index)

    def _choice(self, index: int, partial: _Partial) -> Choice:
        self._hand_on(*partial.splitter.close(), index)
        answer, inline = partial.splitter.split
        return make_choice(self._llm, answer, ("".join(partial.thoughts), inline), partial.finish, partial.logprobs)

    def _hand_on(self, text: str, reasoning: str, index: int) -> None:
        if text or reasoning:
            self._on_delta(Delta(text, reasoning, index))


def _decode_chunk(event: bytes) -> _Chunk:
    try:
        return _chunk_decoder.decode(event)
    except msgspec.DecodeError:
        if b"NaN" not in event and b"Infinity" not in event:
            raise
    return _chunk_decoder.decode(without_nan(event))
