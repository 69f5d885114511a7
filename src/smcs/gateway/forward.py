"""One LLM answers a client's request as the client wrote it: tools, images, log-probabilities and all.

To a strategy a member wrapped in `RawLLM` is an LLM like any other, so routing, failing over, caps and the record are
the same as for every run. Only that what it sends is the client's own body, and that what comes back goes to the
client as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from smcs.errors import LLMError
from smcs.gateway.protocol import Said, SaidCompletion, read_said
from smcs.llms import DeltaSink, Member, forwarding, member_body
from smcs.llms.protocol import require_forwarding
from smcs.types import Choice, Completion, Delta, Request, Usage

__all__ = ("RawLLM", "Wire", "raw_members")

_ANOTHER_BEGAN: Final = "not asked: another LLM's answer had begun"
"""Why an LLM cannot take over, as it stands in the attempt that was none."""

_JSON_ERRORS = (msgspec.DecodeError, UnicodeDecodeError)
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
_WORDLESS = "(no text)"
"""Stands in the record for an answer without one, which a token limit or a filter may leave."""


@dataclass
class _Whole:
    """What one choice says, put together from its pieces."""

    text: list[str] = field(default_factory=list[str])
    thought: list[str] = field(default_factory=list[str])
    calls: dict[int, tuple[list[str], list[str]]] = field(default_factory=dict[int, tuple[list[str], list[str]]])

    def take(self, said: Said) -> tuple[str, str]:
        """Add a piece; return the text and the reasoning in it."""
        text, thought = said.text, said.thought
        if text:
            self.text.append(text)
        if thought:
            self.thought.append(thought)
        for index, call in said.calls():
            name, arguments = self.calls.setdefault(index, ([], []))
            name.append(call.name)
            arguments.append(call.arguments)
        return text, thought

    def choice(self) -> Choice:
        """Return it as a record; calls of tools stand in for a text, as JSON."""
        text = "".join(self.text)
        if self.calls:
            calls = [{"name": "".join(n), "arguments": "".join(a)} for _, (n, a) in sorted(self.calls.items())]
            text = "\n".join(filter(None, (text, msgspec.json.encode({"tool_calls": calls}).decode())))
        return Choice(text, reasoning="".join(self.thought))


@dataclass
class Wire:
    """A client's request on its way to whichever LLM answers it, and what came back.

    Args:
        body: The request of `POST /chat/completions` in plain JSON values.
        sink: Gets the data of each event of a stream; `None`: the response is not streamed.
        keep_text: Whether a text is kept back, because it may not be the answer yet; calls of tools never are.
        max_tokens: Most tokens per choice; a lower limit of the body's or the LLM's own stands.
        as_is: Whether an answer without a text is one too, as for a client who asked for this LLM by its name.
    """

    body: Mapping[str, Any]
    sink: Callable[[bytes], None] | None = None
    keep_text: bool = False
    max_tokens: int | None = None
    as_is: bool = False
    response: bytes | None = field(default=None, init=False)
    """The body of the response, if it was not streamed."""
    begun: bool = field(default=False, init=False)
    """Whether the client has seen a part of the answer, so that no other LLM may give one."""
    called_tools: bool = field(default=False, init=False)
    """Whether the answer calls tools."""
    failure: LLMError | None = field(default=None, init=False)
    """The last failed call: if it is the client's mistake, the server's own words are shown."""
    kept: list[bytes] = field(default_factory=list[bytes], init=False)
    """Events kept back."""

    def start(self) -> None:
        """Forget what an LLM said that failed."""
        self.response, self.called_tools = None, False
        self.kept.clear()

    def take(self, event: bytes, *, says: bool, tools: bool) -> None:
        """Hand an event on, or keep it until it is known that it may be.

        Args:
            event: Its data.
            says: Whether there is anything in it that a client would show. Until there is, another LLM can take over.
            tools: Whether it calls tools.
        """
        if tools:
            self.called_tools = True
        if not self.called_tools and (self.keep_text or not (says or self.begun)):
            self.kept.append(event)
            return
        self.release()
        if self.sink is not None:
            self.begun = True
            self.sink(event)

    def release(self) -> None:
        """Hand on what was kept back."""
        kept, self.kept = self.kept, []
        for event in kept:
            if self.sink is not None:
                self.begun = True
                self.sink(event)


class RawLLM:
    """An LLM that is sent the client's own request, whatever it is asked.

    Sampling that the client says nothing of is that of the LLM, else that of the run.

    Args:
        member: The LLM, with what the pool lays under every request of it.
        wire: The request.
    """

    def __init__(self, member: Member, wire: Wire) -> None:
        self._name = member.name
        self._member = member
        self._llm = require_forwarding(member.llm)
        self._wire = wire

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Pass the request through; see `LLM.complete`. A call of tools counts as a text: its JSON."""
        wire = self._wire
        if wire.begun:
            raise LLMError(_ANOTHER_BEGAN, llm=self._name, kind="skipped")
        wire.start()
        body = self._body(request)
        try:
            if wire.sink is None:
                wire.response = await self._llm.forward(body)
                return self._whole(wire.response)
            return await self._stream(wire, body, on_delta)
        except LLMError as error:
            wire.failure = error
            raise

    def _body(self, request: Request) -> dict[str, Any]:
        """Return the client's body over the sampling of a request, in which the LLM's own is laid over the run's."""
        body = member_body(replace(self._member, sampling=request.sampling), self._wire.body)
        return _limited(body, self._wire.max_tokens, self._member.sampling.max_tokens)

    def _whole(self, body: bytes) -> Completion:
        response = self._decode(body)
        said: list[_Whole] = []
        for choice in response.choices or ():
            said.append(_Whole())
            if choice.message is not None:
                said[-1].take(choice.message)
        self._wire.called_tools = any(each.calls for each in said)
        return _completion(said, response.tokens_used() or Usage(), as_is=self._wire.as_is)

    async def _stream(self, wire: Wire, body: Mapping[str, Any], on_delta: DeltaSink | None) -> Completion:
        said: dict[int, _Whole] = {}
        usage = Usage()
        async with aclosing(self._llm.forward_stream(body)) as events:
            async for event in events:
                chunk = self._decode(event)
                usage = chunk.tokens_used() or usage
                says = tools = False
                for choice in chunk.choices or ():
                    if choice.delta is None:
                        continue
                    text, thought = said.setdefault(choice.place, _Whole()).take(choice.delta)
                    says = says or bool(text or thought)
                    tools = tools or bool(choice.delta.tool_calls)
                    if on_delta is not None and (text or thought) and choice.place == 0 and not wire.keep_text:
                        on_delta(Delta(text, thought))
                wire.take(event, says=says, tools=tools)
        return _completion([said[index] for index in sorted(said)], usage, as_is=wire.as_is)

    def _decode(self, body: bytes) -> SaidCompletion:
        try:
            return read_said(body)
        except _JSON_ERRORS as error:
            raise LLMError(f"malformed response: {error}", llm=self._name) from error


def raw_members(pool: Mapping[str, Member], wire: Wire) -> dict[str, Member]:
    """Return those members that take raw requests, each sending this one."""
    return {
        name: replace(member, llm=RawLLM(member, wire))
        for name, member in pool.items()
        if forwarding(member.llm) is not None
    }


def _limited(body: dict[str, Any], *limits: int | None) -> dict[str, Any]:
    """Return a body whose token limit is not above any of those given."""
    known = [limit for limit in limits if limit is not None]
    if not known:
        return body
    most = min(known)
    given = {name: body[name] for name in _TOKEN_LIMITS if isinstance(body.get(name), int)} or {"max_tokens": most}
    return {**body, **{name: min(limit, most) for name, limit in given.items()}}


def _completion(said: list[_Whole], usage: Usage, *, as_is: bool) -> Completion:
    choices = tuple(each.choice() for each in said)
    if as_is and not any(choice.text.strip() for choice in choices):
        choices = (Choice(_WORDLESS, reasoning=choices[0].reasoning if choices else ""),)
    return Completion(choices, usage)
