"""The members of a collaboration, and the guarded call that turns whatever happens into an `Attempt`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from smcs.errors import ConfigError, LLMError, suggest
from smcs.llms.protocol import LLM, DeltaSink
from smcs.llms.retry import count_tries
from smcs.llms.untrusted import one_line
from smcs.types import Attempt, AttemptStatus, Capabilities, Completion, Message, Price, Request, Sampling, Stage, Usage

__all__ = ("Closeable", "Member", "Pool", "attempt", "member_body", "member_request")

_log = logging.getLogger(__name__)

_UNCHANGED = Sampling()
_SAMPLING_NAMES = tuple(field.name for field in fields(Sampling))
_STATUS_OF_KIND: Mapping[str, AttemptStatus] = {"timeout": "timeout", "empty": "empty", "skipped": "skipped"}


@runtime_checkable
class Closeable(Protocol):
    """Anything that holds connections or processes."""

    async def close(self) -> None:
        """Give them back; harmless when called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """An LLM under the name, price and settings it has in a pool."""

    name: str
    llm: LLM
    _: KW_ONLY
    sampling: Sampling = Sampling()
    """Laid over the sampling of every request."""
    system_prompt: str | None = None
    """Put before the system message of every request."""
    price: Price | None = None
    """`None` is unknown, never free."""
    context_window: int | None = None
    """Tokens of prompt and answer together."""
    capabilities: Capabilities = Capabilities()
    tags: tuple[str, ...] = ()


class Pool(Mapping[str, Member]):
    """Members by name, in the order given; closes what they hold.

    Use it as `async with pool:`, in the event loop that makes the calls.
    """

    def __init__(self, members: Iterable[Member], *, resources: Iterable[Closeable] = ()) -> None:
        """Collect members.

        Args:
            members: At least one, with different names.
            resources: What several members share (an `HttpSession`, a local server), closed after them.

        Raises:
            ConfigError: There is no member, or two have one name.
        """
        self._members: dict[str, Member] = {}
        for member in members:
            if member.name in self._members:
                raise ConfigError(f"Two members of the pool are called {member.name!r}. Give each a name of its own.")
            self._members[member.name] = member
        if not self._members:
            raise ConfigError("The pool has no members. Name at least one LLM.")
        self._resources = tuple(resources)

    def __getitem__(self, name: str) -> Member:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"Pool({', '.join(self._members)})"

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def member(self, name: str) -> Member:
        """Return a member.

        Raises:
            ConfigError: There is none of that name; the message suggests one.
        """
        if name not in self._members:
            raise ConfigError(f"The pool has no LLM {name!r}.{suggest(name, self._members)}")
        return self._members[name]

    async def close(self) -> None:
        """Close every member that can be closed, inside its wrappers too, then the shared resources.

        Raises:
            ExceptionGroup: Some could not be closed; all others were.
        """
        held = (part for member in self.values() for part in _layers(member.llm))
        unique = {id(part): part for part in (*held, *self._resources) if isinstance(part, Closeable)}
        errors: list[Exception] = []
        for part in unique.values():
            try:
                await part.close()
            except Exception as error:  # noqa: BLE001 one that fails must not keep the others open; all are raised below
                errors.append(error)
        if errors:
            raise ExceptionGroup("some LLMs could not be closed", errors)


def member_request(member: Member, request: Request) -> Request:
    """Return a request as this member is sent it: its sampling laid over, its system prompt put first."""
    if not member.system_prompt and member.sampling == _UNCHANGED:
        return request
    messages = request.messages
    if member.system_prompt:
        first = messages[0] if messages and messages[0].role == "system" else None
        merged = member.system_prompt if first is None else f"{member.system_prompt}\n\n{first.content}"
        messages = (Message("system", merged), *(messages if first is None else messages[1:]))
    return replace(request, messages=messages, sampling=member.sampling.over(request.sampling))


def member_body(member: Member, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a client's raw chat-completion body as this member is forwarded it.

    Its system prompt is put first, as in `member_request`. Its sampling is laid *under* the body: a client that passes
    through to one LLM gets what it asked for. Null values count as not given.

    Args:
        member: Who is asked.
        body: See `Forwarding`; it is not changed.
    """
    own = {name: getattr(member.sampling, name) for name in _SAMPLING_NAMES}
    declared = {name: list(v) if isinstance(v, tuple) else v for name, v in own.items() if v not in (None, ())}
    given = {name: value for name, value in body.items() if value is not None}
    if "max_completion_tokens" in given:
        declared.pop("max_tokens", None)
    merged = {**declared, **given}
    if member.system_prompt:
        merged["messages"] = _under_prompt(member.system_prompt, given.get("messages") or ())
    return merged


def _under_prompt(prompt: str, messages: Sequence[Any]) -> list[Any]:
    first = messages[0] if messages else None
    if not isinstance(first, Mapping) or first.get("role") not in ("system", "developer"):
        return [{"role": "system", "content": prompt}, *messages]
    content = first.get("content") or ""
    parts = isinstance(content, list)
    merged = [{"type": "text", "text": prompt}, *content] if parts else f"{prompt}\n\n{content}"
    return [{**first, "content": merged}, *messages[1:]]


async def attempt(
    member: Member,
    request: Request,
    *,
    stage: Stage,
    clock: Callable[[], float],
    on_delta: DeltaSink | None = None,
    deadline: float | None = None,
) -> Attempt:
    """Call a member once and record how it went; only cancellation escapes.

    Args:
        member: Who is asked.
        request: What; the member's own sampling and system prompt are laid over it.
        stage: What the call is for.
        clock: Seconds since the run began.
        on_delta: Listener, if the answer is to be streamed.
        deadline: Time on `clock` by which the call must have ended; if it has passed, nothing is sent ("skipped").

    Returns:
        The record. "ok" holds only choices with a text; tokens and cost of any other status but "skipped" are unknown.
        A call that its LLM refuses to send (a circuit is open) is "skipped", unless an earlier try of it was sent.
    """
    started = clock()
    remaining = None if deadline is None else deadline - started
    if remaining is not None and remaining <= 0:
        return _unsent(member, stage, "the deadline had passed before the call", started)
    completion: Completion | None = None
    status: AttemptStatus
    error: str | None = None
    http_status: int | None = None
    with count_tries() as counter:
        try:
            completion = await _complete(member, member_request(member, request), on_delta, remaining)
            status = "ok"
        except LLMError as failure:
            status, error, http_status = _STATUS_OF_KIND.get(failure.kind, "error"), failure.reason, failure.http_status
        except Exception as failure:  # noqa: BLE001 an LLM may be anyone's code; one that breaks must not end the run
            _log.debug("%s broke", member.name, exc_info=True)
            status, error = "error", f"{type(failure).__name__}: {failure}"
    tries = 1 + counter.extra
    if status == "skipped":
        if tries == 1:
            return _unsent(member, stage, error or "", started)
        status, tries = "error", tries - 1
    usage = completion.usage if completion else Usage()
    recorded = completion.recorded_seconds if completion else None
    return Attempt(
        member.name,
        stage,
        status,
        choices=completion.choices if completion else (),
        error=error if error is None else one_line(error, limit=500),
        http_status=http_status,
        started=started,
        seconds=clock() - started if recorded is None else recorded,
        tries=tries,
        usage=usage,
        cost_usd=member.price.cost(usage) if member.price else None,
    )


def _unsent(member: Member, stage: Stage, why: str, started: float) -> Attempt:
    """Return the record of a call that was not sent: it took nothing."""
    nothing = Usage(0, 0, 0)
    told = one_line(why, limit=500)
    return Attempt(member.name, stage, "skipped", error=told, started=started, tries=0, usage=nothing, cost_usd=0.0)


async def _complete(member: Member, request: Request, on_delta: DeltaSink | None, seconds: float | None) -> Completion:
    timer = asyncio.timeout(seconds)
    try:
        async with timer:
            completion = await member.llm.complete(request, on_delta=on_delta)
    except TimeoutError as error:
        limit = f"its deadline of {seconds:.3g} s" if timer.expired() else "a time-out of its own"
        raise LLMError(f"no answer within {limit}", llm=member.name, kind="timeout") from error
    choices = tuple(choice for choice in completion.choices if choice.text.strip())
    if not choices:
        raise LLMError("the answer holds no text", llm=member.name, kind="empty")
    return completion if len(choices) == len(completion.choices) else replace(completion, choices=choices)


def _layers(llm: LLM) -> Iterator[LLM]:
    """Yield an LLM and everything it wraps, from the outside in."""
    layer: LLM | None = llm
    while layer is not None:
        yield layer
        layer = getattr(layer, "inner", None)
