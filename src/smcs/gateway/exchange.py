"""From a plan to a record: the run itself, with the client's request handed through where one LLM answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, replace

from smcs.errors import SmcsError
from smcs.gateway.errors import GatewayError, from_error, rate_limited
from smcs.gateway.forward import Wire
from smcs.gateway.plan import Plan
from smcs.gateway.protocol import ChatRequest
from smcs.llms import LLM, DeltaSink
from smcs.run import Event, Run, Trace
from smcs.strategies import Settings
from smcs.types import Attempt, Completion, Request, total_usage

__all__ = ("Exchange", "Listener", "Outcome")

_SHOWN_STATUSES = frozenset({400, 404, 408, 409, 413, 415, 422, 429})
"""What an endpoint says with these about a request that was handed through is the client's to read."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of a run while it goes on."""

    event: Callable[[Event], None]
    """Every event of the run, pieces of text too. Called on the event loop; it must not block."""
    raw: Callable[[bytes], None] | None = None
    """Data of each server-sent event of an endpoint whose answer is handed through, whose text is then told here alone;
    `None` has it told as `TextArrived` like any other."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended."""

    run: Run | None
    """The record, also of a run that failed; `None` if nothing had begun."""
    _: KW_ONLY
    response: bytes | None = None
    """The endpoint's own response, where one was handed through and not streamed."""
    handed: bool = False
    """Whether the answer was an endpoint's own, streamed as it came."""
    error: GatewayError | None = None
    """What the client is told where there is no answer."""

    @property
    def is_whole(self) -> bool:
        """Whether it is a full answer that can be given again."""
        return self.error is None and self.run is not None and not self.run.degraded and not self.handed


@dataclass
class Exchange:
    """One request being answered.

    Args:
        plan: How.
        request: What was asked.
        run_id: Id of the run.
        listener: Who hears of it; `None` where nothing is streamed.
    """

    plan: Plan
    request: ChatRequest
    run_id: str
    listener: Listener | None = None
    _trace: Trace | None = field(default=None, init=False)
    _before: tuple[Attempt, ...] = field(default=(), init=False)
    _routed: _SaidLLM | None = field(default=None, init=False)

    @property
    def so_far(self) -> Run | None:
        """The record as it stands, for a request that is given up."""
        return None if self._trace is None or not self._trace.is_open else self._whole(self._trace.so_far())

    async def run(self) -> Outcome:
        """Answer; failures are in the outcome, and only cancellation escapes."""
        plan = self.plan
        wire: Wire | None = None
        if plan.forwards:
            wire = Wire(
                self.request.body(),
                None if self.listener is None else self.listener.raw or _to_nobody,
                keep_text=plan.final is not None,
                max_tokens=plan.settings.sampling.max_tokens,
                as_is=plan.way == "pass-through",
            )
            plan = plan.over(wire)
        try:
            run = await self._answer(plan, live=wire is None or self._tells_text)
            if wire is None:
                return Outcome(run)
            if plan.final is not None and not wire.called_tools:
                return await self._write_final(plan, run)
            wire.release()
        except SmcsError as error:
            return Outcome(self.so_far, error=_told(error, wire, plan))
        handed = wire.sink is not None
        return Outcome(run, response=wire.response, handed=handed)

    @property
    def _tells_text(self) -> bool:
        """Whether pieces of a text that is handed through are events too; beside calls of tools they are no answer."""
        return self.listener is not None and self.listener.raw is None and not self.request.needs

    async def _answer(self, plan: Plan, *, live: bool) -> Run:
        """Run a strategy; pieces of text are only told where they are not handed through anyway."""
        watch = None if self.listener is None else self.listener.event
        wants_text = live and self.listener is not None
        trace = self._trace = Trace(watch, wants_text=wants_text, run_id=self.run_id)
        return await plan.spec.run(plan.query, plan.resources, plan.settings, trace)

    async def _write_final(self, plan: Plan, routed: Run) -> Outcome:
        """Let the collaboration write the text that ends a conversation with tools; what was said already counts."""
        if plan.final is None:
            return Outcome(routed)
        spec, resources = plan.final
        said = next(attempt for attempt in reversed(routed.attempts) if attempt.status == "ok")
        self._before = routed.attempts
        if said.llm in resources.pool:
            member = resources.pool[said.llm]
            self._routed = _SaidLLM(said, member.llm, plan.query.messages[-1].content)
            resources = replace(resources, pool={**resources.pool, said.llm: replace(member, llm=self._routed)})
        settings = _what_is_left(plan.settings, routed)
        final = replace(plan, spec=spec, resources=resources, settings=settings, way="collaboration", final=None)
        run = self._whole(await self._answer(final, live=True))
        return Outcome(
            replace(
                run,
                degraded=(*routed.degraded, *(why for why in run.degraded if why not in routed.degraded)),
                notes={**run.notes, "tools": {"routed_to": said.llm, "called": False}},
                seconds=routed.seconds + run.seconds,
            )
        )

    def _whole(self, run: Run) -> Run:
        """Return a record of the calls that were made, those before it included.

        An answer that was used in it counts once.
        """
        used = None if self._routed is None or not self._routed.was_used else self._routed.said
        attempts = tuple(attempt for attempt in (*self._before, *run.attempts) if attempt is not used)
        if attempts == run.attempts:
            return run
        sent = [attempt for attempt in attempts if attempt.status != "skipped"]
        known = [attempt.cost_usd for attempt in sent if attempt.cost_usd is not None]
        return replace(
            run,
            attempts=attempts,
            calls=len(sent),
            usage=total_usage([attempt.usage for attempt in sent]),
            known_usage=total_usage([attempt.usage for attempt in sent], known_only=True),
            cost_usd=sum(known) if len(known) == len(sent) else None,
            known_cost_usd=sum(known),
        )


def _to_nobody(data: bytes) -> None:
    """Take data that nobody wants, so that an endpoint streams."""


class _SaidLLM:
    """An LLM that has answered the question already, and is not asked for that answer again.

    Args:
        said: The answer.
        llm: Who is asked for everything else.
        question: The last turn of the conversation it answers.
    """

    def __init__(self, said: Attempt, llm: LLM, question: str) -> None:
        self.said = said
        self.inner = llm
        self._question = question
        self.was_used = False
        """Whether the answer was taken as one of the run's."""

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Return what was said, the first time the question is asked."""
        same = request.n == 1 and not request.logprobs and request.messages[-1].content == self._question
        if self.was_used or not same:
            return await self.inner.complete(request, on_delta=on_delta)
        self.was_used = True
        return Completion(self.said.choices, self.said.usage, self.said.seconds)


def _what_is_left(settings: Settings, routed: Run) -> Settings:
    """Return the settings with the caps lowered by what the first call took; one that is used up stays above 0."""
    left: dict[str, float | int] = {}
    if settings.max_usd is not None:
        left["max_usd"] = max(settings.max_usd - routed.known_cost_usd, 1e-12)
    if settings.max_seconds is not None:
        left["max_seconds"] = max(settings.max_seconds - routed.seconds, 1e-3)
    if settings.max_calls is not None:
        left["max_calls"] = max(settings.max_calls - routed.calls, 1)
    return replace(settings, **left)  # type: ignore[arg-type]


def _told(error: SmcsError, wire: Wire | None, plan: Plan) -> GatewayError:
    """Return what the client is told; an endpoint's own words about a request that was handed through to it alone."""
    failure = None if wire is None else wire.failure
    if plan.way == "pass-through" and failure is not None and failure.http_status in _SHOWN_STATUSES:
        if failure.http_status == 429:
            return rate_limited(failure.reason, failure.retry_after, "upstream_rate_limited")
        return GatewayError(failure.http_status, failure.reason, code="upstream_refused")
    return from_error(error)
