"""An LLM that says what a script says: for tests, benchmarks, demonstrations and configs without a key.

Nothing is drawn from outside: latencies and log-probabilities follow from the seed and the request, so that a run
repeats exactly, in whatever order its calls arrive.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from random import Random
from typing import Any, Literal, get_args

import msgspec

from smcs.errors import ConfigError, InputError, LLMError, suggest
from smcs.llms.protocol import DeltaSink
from smcs.llms.scripted_wire import Said, completion_body, completion_events, read_request, wants_tools, words
from smcs.types import Choice, Completion, Delta, FinishReason, Request, Usage

__all__ = ("Failure", "Latency", "Replies", "Reply", "ScriptedLLM", "ScriptedReply")

Failure = Literal["error", "refused", "disconnect", "cut", "timeout", "hang", "malformed", "empty", "nan"]
"""What goes wrong: HTTP 500 (may be retried), HTTP 400, a dropped connection, one dropped after half of the answer, a
time-out reported at once, a call that never returns, a body that is no JSON, an answer without text, log-probabilities
that are no numbers (text stays)."""

_MESSAGES: Mapping[str, str] = {
    "error": "HTTP 500: scripted failure",
    "refused": "HTTP 400: scripted refusal",
    "disconnect": "the scripted connection was dropped before the answer was complete",
    "cut": "the scripted stream ended before the answer was complete",
    "timeout": "no answer in time: scripted time-out",
    "malformed": "malformed response: scripted",
    "empty": "the answer holds no text",
}
_HTTP_STATUS = {"error": 500, "refused": 400}
_KINDS = {"timeout": "timeout", "empty": "empty"}


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds a call takes: lognormal around `median`, or exactly `median` for a `sigma` of 0."""

    median: float = 0.0
    sigma: float = 0.0
    """Standard deviation of the logarithm; 0.6 to 0.9 is usual for hosted LLMs."""

    def seconds(self, random: Random) -> float:
        """Draw one latency."""
        return self.median * random.lognormvariate(0.0, self.sigma) if self.sigma else self.median


class ScriptedReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text with what surrounds it."""

    text: str
    reasoning: str = ""
    finish_reason: FinishReason = "stop"
    logprobs: tuple[float, ...] | None = None
    """Instead of the LLM's own, one per word of the text or any other number of tokens."""
    tool_calls: tuple[tuple[str, str], ...] = ()
    """Names and JSON arguments of the tools it calls, where a forwarded request offers any."""


Reply = str | ScriptedReply
Replies = Sequence[Reply] | Mapping[str, Reply] | Callable[[Request, int], Reply]
"""A list, repeated from its start when used up; regular expressions, of which the first one found in the last message
decides; or a function of the request and the number of the choice (counted over all calls)."""


class _Config(msgspec.Struct, forbid_unknown_fields=True):
    replies: list[Reply] | dict[str, Reply] = msgspec.field(default_factory=lambda: list[Reply](["A scripted answer."]))
    latency: float | Latency = 0.0
    failures: Failure | list[Failure | None] = msgspec.field(default_factory=list[Failure | None])
    logprob: float | None = -0.1
    spread: float = 0.0
    max_n: int = 64
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Call:
    """One call that goes well, or breaks in the middle of its answer."""

    number: int
    said: tuple[Said, ...]
    usage: Usage
    seconds: float
    cut: bool


@dataclass
class ScriptedLLM:
    """See the module. Log-probabilities are per word: `logprob`, less up to `spread`."""

    name: str
    replies: Replies = ("A scripted answer.",)
    _: KW_ONLY
    latency: float | Latency = 0.0
    """Seconds per call."""
    failures: Failure | Sequence[Failure | None] = ()
    """What happens to the first call, the second, ...; `None` and all after the end go well. One word: every call."""
    logprob: float | None = -0.1
    """Natural log-probability of each word, at most 0; `None`: this LLM has none."""
    spread: float = 0.0
    """Each log-probability is lowered by up to this much, drawn from the seed and the text."""
    max_n: int = 64
    """More choices are refused with HTTP 400."""
    seed: int = 0
    history: deque[Request] = field(default_factory=lambda: deque[Request](maxlen=10_000), init=False, repr=False)
    """The last 10,000 requests, oldest first."""
    bodies: deque[Mapping[str, Any]] = field(
        default_factory=lambda: deque[Mapping[str, Any]](maxlen=1_000), init=False, repr=False
    )
    """The last 1,000 bodies that were forwarded to it, oldest first."""
    calls: int = field(default=0, init=False)
    """Requests so far."""

    def __post_init__(self) -> None:
        if not callable(self.replies) and not self.replies:
            raise InputError(f"{self.name}: `replies` is empty. Give at least one.")
        if self.logprob is not None and not -1e3 < self.logprob <= 0:
            raise InputError(f"{self.name}: `logprob` must be from -1000 to 0, got {self.logprob!r}.")
        names = get_args(Failure)
        for failure in [self.failures] if isinstance(self.failures, str) else self.failures:
            if failure is not None and failure not in names:
                raise InputError(f"{self.name}: unknown failure {failure!r}.{suggest(failure, names)}")
        self._latency = self.latency if isinstance(self.latency, Latency) else Latency(self.latency)
        if self._latency.median < 0 or self._latency.sigma < 0:
            raise InputError(f"{self.name}: a latency cannot be negative, got {self.latency!r}.")
        self._patterns: list[tuple[re.Pattern[str], Reply]] = []
        if isinstance(self.replies, Mapping):
            try:
                self._patterns = [(re.compile(pattern), text) for pattern, text in self.replies.items()]
            except re.error as error:
                raise InputError(f"{self.name}: {error.pattern!r} is no regular expression: {error}.") from error
        self._choices = 0
        self._seen: Counter[bytes] = Counter()

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any]) -> ScriptedLLM:
        """Build one from plain values, as they stand in a config file.

        Args:
            name: Pool name.
            config: `replies` (a list, or regular expressions with their answers, each a text or the fields of
                `ScriptedReply`), `latency` (seconds, or `median` and `sigma`), `failures` (a list of words and nulls,
                or one word), `logprob`, `spread`, `max_n`, `seed`.

        Raises:
            ConfigError: A key is unknown or a value is of the wrong type or out of range.
        """
        for key in config:
            if key not in _Config.__struct_fields__:
                raise ConfigError(f"{name}: unknown key {key!r}.{suggest(str(key), _Config.__struct_fields__)}")
        try:
            return cls(name, **msgspec.structs.asdict(msgspec.convert(dict(config), _Config)))
        except (msgspec.ValidationError, InputError) as error:
            raise ConfigError(f"{name}: {error}") from error

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer as the script says; see `LLM.complete`."""
        call = await self._begin(request)
        choices = tuple(said.choice for said in call.said)
        if on_delta is not None:
            await self._stream(choices, call, on_delta)
        else:
            await asyncio.sleep(call.seconds)
        if call.cut:
            raise self._error("cut")
        usable = tuple(choice for choice in choices if choice.text.strip())
        if not usable:
            raise self._error("empty")
        return Completion(usable, call.usage)

    async def forward(self, body: Mapping[str, Any]) -> bytes:
        """Answer a raw request as the script says; see `Forwarding.forward`."""
        call = await self._begin_raw(body)
        await asyncio.sleep(call.seconds)
        if call.cut:
            raise self._error("cut")
        return completion_body(self.name, call.number, call.said, call.usage)

    async def forward_stream(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Answer a raw request as the script says, in the events of a stream; see `Forwarding.forward_stream`."""
        call = await self._begin_raw(body)
        events = completion_events(self.name, call.number, call.said, call.usage)
        for event in events[: len(events) // 2] if call.cut else events:
            await asyncio.sleep(call.seconds / len(events))
            yield event
        if call.cut:
            raise self._error("cut")

    async def _begin_raw(self, body: Mapping[str, Any]) -> _Call:
        self.bodies.append(body)
        return await self._begin(read_request(body), tools=wants_tools(body))

    async def _begin(self, request: Request, *, tools: bool = False) -> _Call:
        """Count a call and decide what is said; a failure but "nan" and "cut" happens here."""
        failure = self._next_failure()
        self.calls += 1
        number = self.calls
        self.history.append(request)
        random = self._random(request)
        first = self._choices
        self._choices += request.n
        seconds = self._latency.seconds(random)
        if failure == "hang":
            await asyncio.Event().wait()
        if failure not in (None, "nan", "cut"):
            await asyncio.sleep(seconds)
            raise self._error(failure)
        if request.n > self.max_n:
            raise LLMError(f"HTTP 400: `n` must be at most {self.max_n}", llm=self.name, http_status=400)
        wanted = random if request.logprobs and failure != "nan" else None
        said = []
        for i in range(request.n):
            reply = self._reply(request, first + i)
            said.append(Said(self._choice(reply, wanted), reply.tool_calls if tools else ()))
        read = sum(len(message.content.split()) for message in request.messages)
        written = sum(one.choice.completion_tokens or 0 for one in said)
        return _Call(number, tuple(said), Usage(read, written, 0), seconds, failure == "cut")

    def _next_failure(self) -> Failure | None:
        if isinstance(self.failures, str):
            return self.failures
        return self.failures[self.calls] if self.calls < len(self.failures) else None

    def _random(self, request: Request) -> Random:
        """Return a generator set by the seed, the request and how often it was sent, not by the order of calls."""
        shape = request.sampling.response_format  # not in the repr
        key = hashlib.sha256(repr((self.name, self.seed, request, *filter(None, [shape]))).encode()).digest()
        self._seen[key] += 1
        return Random(key + self._seen[key].to_bytes(8, "big"))  # noqa: S311 a script, not a secret

    def _choice(self, reply: ScriptedReply, random: Random | None) -> Choice:
        count = max(1, len(reply.text.split()))
        logprobs = reply.logprobs
        if logprobs is None and self.logprob is not None and random is not None:
            logprobs = tuple(self.logprob - random.uniform(0.0, self.spread) for _ in range(count))
        return Choice(
            reply.text,
            reasoning=reply.reasoning,
            finish_reason=reply.finish_reason,
            logprobs=logprobs if random is not None else None,
            completion_tokens=count + len(reply.reasoning.split()),
        )

    def _reply(self, request: Request, number: int) -> ScriptedReply:
        reply: Reply
        if callable(self.replies):
            reply = self.replies(request, number)
        elif isinstance(self.replies, Mapping):
            question = request.messages[-1].content
            found = (answer for pattern, answer in self._patterns if pattern.search(question))
            reply = next(found, "")
        else:
            reply = self.replies[number % len(self.replies)]
        return ScriptedReply(reply) if isinstance(reply, str) else reply

    async def _stream(self, choices: Sequence[Choice], call: _Call, on_delta: DeltaSink) -> None:
        pieces = [Delta("", choice.reasoning, index) for index, choice in enumerate(choices) if choice.reasoning]
        for index, choice in enumerate(choices):
            pieces += [Delta(word, "", index) for word in words(choice.text)]
        for piece in pieces[: len(pieces) // 2] if call.cut else pieces:
            await asyncio.sleep(call.seconds / len(pieces))
            on_delta(piece)

    def _error(self, failure: Failure) -> LLMError:
        status = _HTTP_STATUS.get(failure)
        message, kind = _MESSAGES[failure], "server_error" if status == 500 else "invalid_request_error"
        said = {"error": {"message": message, "type": kind, "param": None, "code": None}}
        return LLMError(
            message,
            llm=self.name,
            kind=_KINDS.get(failure, "error"),
            http_status=status,
            retryable=failure in ("error", "disconnect", "cut"),
            body=None if status is None else msgspec.json.encode(said),
        )
