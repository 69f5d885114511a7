"""How one request will be answered, decided before anything is called: by whom, with what parameters, which way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from smcs.config.schema import LimitsConfig
from smcs.errors import suggest
from smcs.gateway.errors import invalid_request, unsupported
from smcs.gateway.forward import Wire, raw_members
from smcs.gateway.models import PassThrough, VirtualModel
from smcs.gateway.protocol import (
    ChatRequest,
    check_collaborative,
    check_pass_through,
    check_routed,
    query_of,
    retrieval_text,
    text_of,
)
from smcs.gateway.service import Service
from smcs.llms import Member, forwarding
from smcs.run import Query
from smcs.strategies import Resources, Settings, StrategySpec, check_strategy, find_strategy
from smcs.types import Message, Role

__all__ = ("Plan", "Way", "plan_request")

Way = Literal["collaboration", "routed", "pass-through"]
"""Several LLMs and one answer; one LLM that is chosen for the question; one LLM that was asked by its name."""

_ROUTERS: Final = frozenset({"single", "rps", "simple_router"})
"""Strategies whose answer is one LLM's own, so that the client's request can be handed to it as it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that can be run."""

    way: Way
    model: str
    """As it was asked for."""
    spec: StrategySpec
    settings: Settings
    query: Query
    resources: Resources
    answers: int = 1
    """Choices wanted."""
    final: tuple[StrategySpec, Resources] | None = None
    """Who writes the text that ends a conversation with tools, where that is a collaboration."""

    def over(self, wire: Wire) -> Plan:
        """Return the plan with the client's own request sent to whichever LLM is asked."""
        raw = raw_members(self.resources.pool, wire)
        return replace(self, resources=replace(self.resources, pool={**self.resources.pool, **raw}))

    @property
    def strategy(self) -> str:
        """What a response says of how it was answered, as far as that is known beforehand."""
        return "pass_through" if self.way == "pass-through" else self.spec.name

    @property
    def forwards(self) -> bool:
        """Whether every LLM that may be asked takes the client's own request."""
        one_llm = self.way != "collaboration"
        return one_llm and all(forwarding(member.llm) is not None for member in self.resources.pool.values())


def plan_request(request: ChatRequest, service: Service) -> Plan:
    """Decide how a request is answered.

    Args:
        request: What was asked.
        service: Models, pool and settings in force.

    Raises:
        GatewayError: The model is unknown (404), or it cannot do what is asked (400).
        UserError: A strategy, profile or parameter that was asked for is wrong.
    """
    model = service.models.find(request.model)
    if isinstance(model, PassThrough):
        return _pass_through(request, model, service)
    return _virtual(request, model, service)


def _pass_through(request: ChatRequest, model: PassThrough, service: Service) -> Plan:
    if request.smcs is not None:
        check_pass_through(request)
    member = model.member
    for need, capable in (("tools", member.capabilities.tools), ("image", member.capabilities.vision)):
        if need in request.needs and capable is False:
            raise unsupported(
                "tools" if need == "tools" else "messages", f"{model.name!r} is declared as not capable of {need}s."
            )
    resources = Resources(pool={model.name: member}, aggregators=(model.name,), embedder=service.resources.embedder)
    caps = _caps(request.options.settings(), service.config.limits)
    settings = Settings(llm=model.name, sampling=request.sampling(), seed=request.run_seed, **caps)
    plan = Plan(
        "pass-through",
        model.name,
        find_strategy("single"),
        settings,
        _plain_query(request),
        resources,
        request.answers,
    )
    if not plan.forwards:
        check_routed(request)
        _refuse_needs(request, f"{model.name!r} answers from a recording")
    return plan


def _virtual(request: ChatRequest, model: VirtualModel, service: Service) -> Plan:
    options = request.options
    spec = model.spec if options.strategy is None else find_strategy(options.strategy)
    options.check_ablations(spec)
    base = model.settings
    if options.profile is not None:
        chosen = service.config.settings(options.profile)
        base = replace(chosen, **_caps(_caps_of(chosen), base))
    settings = _settings(request, base)
    together = spec.name not in _ROUTERS
    if request.needs:
        together &= service.config.gateway.collaborate_on_tool_answers and request.needs == {"tools"}
    resources = _narrowed(request, service.resources, merges=together and "aggregator" in spec.needs)
    if request.needs:
        return _with_needs(request, model, settings, resources, spec, together=together)
    query = query_of(request.messages)
    routed = spec.name in _ROUTERS
    if routed:
        check_routed(request)
    else:
        check_collaborative(request)
    check_strategy(spec, resources, settings)
    return Plan("routed" if routed else "collaboration", model.name, spec, settings, query, resources, request.answers)


def _with_needs(
    request: ChatRequest,
    model: VirtualModel,
    settings: Settings,
    resources: Resources,
    spec: StrategySpec,
    *,
    together: bool,
) -> Plan:
    """Tools are called, and images seen, by the one LLM that is best for the question among those that can.

    Args:
        request: What was asked.
        model: Of whom.
        settings: Its parameters.
        resources: Its LLMs.
        spec: Its strategy.
        together: Whether that strategy, which is no router, writes the text that ends a conversation with tools.
    """
    check_routed(request)
    pool = {name: member for name, member in resources.pool.items() if forwarding(member.llm) is not None}
    if "image" in request.needs:
        pool = {name: member for name, member in pool.items() if member.capabilities.vision}
        if not pool:
            raise unsupported(
                "messages",
                "The messages hold images, and no LLM of the pool is declared as able to see "
                "(`capabilities: {vision: true}`). Send text, or ask a model that sees.",
            )
    tools = "tools" in request.needs
    if tools:
        declared = {name: member for name, member in pool.items() if member.capabilities.tools}
        pool = declared or {name: member for name, member in pool.items() if member.capabilities.tools is None}
        if not pool:
            raise unsupported(
                "tools",
                "No LLM of the pool can call tools. Declare it where it can (`capabilities: {tools: true}`).",
            )
    if together:
        check_collaborative(request.model_copy(update={"tools": None, "tool_choice": None}))
        check_strategy(spec, resources, settings)
    return Plan(
        "routed",
        model.name,
        spec if spec.name in _ROUTERS else find_strategy("rps"),
        settings,
        query_of(request.messages) if together else _plain_query(request),
        replace(resources, pool=pool, aggregators=tuple(pool)[:1], mergers={}),
        request.answers,
        (spec, resources) if together else None,
    )


def _plain_query(request: ChatRequest) -> Query:
    """Return the query of a conversation that one LLM is sent as it is; images and the like are only in that."""
    roles: dict[str, Role] = {"system": "system", "developer": "system", "assistant": "assistant"}
    turns = tuple(Message(roles.get(message.role, "user"), text_of(message)) for message in request.messages)
    return Query(retrieval_text(request.messages) or "(no text)", turns)


def _settings(request: ChatRequest, base: Settings) -> Settings:
    """Return the parameters of a request; caps can only be lowered."""
    given = request.options.settings()
    given |= _caps(given, base)
    sampling = request.sampling().over(base.sampling)
    if request.max_output_tokens is not None and base.sampling.max_tokens is not None:
        sampling = replace(sampling, max_tokens=min(request.max_output_tokens, base.sampling.max_tokens))
    seed: dict[str, Any] = {} if request.run_seed is None else {"seed": request.run_seed}
    return replace(base, **given, **seed, sampling=replace(sampling, seed=None))


def _caps(given: Mapping[str, Any], base: Settings | LimitsConfig) -> dict[str, Any]:
    """Return the caps of a request: what is given can only lower those of the settings it is laid over."""
    caps: dict[str, Any] = {}
    for name, configured in _caps_of(base).items():
        wanted = given.get(name)
        caps[name] = configured if wanted is None else wanted if configured is None else min(wanted, configured)
    return caps


def _caps_of(settings: Settings | LimitsConfig) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("max_usd", "max_seconds", "max_calls")}


def _narrowed(request: ChatRequest, resources: Resources, *, merges: bool) -> Resources:
    """Return the resources with only the LLMs that the request allows.

    Args:
        request: What was asked.
        resources: What is there.
        merges: Whether an LLM that may merge must be left; where none merges, any stands in its place.
    """
    options = request.options
    pool = resources.pool
    everyone = {**pool, **resources.mergers}
    for field, names in (("include", options.include), ("exclude", options.exclude)):
        _check_known(f"smcs.{field}", names or (), everyone)
    if options.include is not None:
        pool = {name: member for name, member in pool.items() if name in options.include}
    if options.exclude is not None:
        pool = {name: member for name, member in pool.items() if name not in options.exclude}
    if not pool:
        raise invalid_request("`smcs.include` and `smcs.exclude` leave no LLM to ask.", "smcs.include")
    aggregators = resources.aggregators
    if options.include is not None:
        aggregators = tuple(name for name in aggregators if name in options.include) or tuple(pool)
    if options.aggregator is not None:
        _check_known("smcs.aggregator", (options.aggregator,), everyone)
        aggregators = (options.aggregator, *(name for name in aggregators if name != options.aggregator))
    aggregators = tuple(name for name in aggregators if name not in (options.exclude or ()))
    if not aggregators and not merges:
        aggregators = tuple(pool)[:1]
    if not aggregators:
        raise invalid_request("`smcs.exclude` leaves no LLM to merge with.", "smcs.exclude")
    merge_only = {name: everyone[name] for name in aggregators if name not in pool}
    return replace(resources, pool=pool, mergers={**resources.mergers, **merge_only}, aggregators=aggregators)


def _check_known(param: str, names: Iterable[str], known: Mapping[str, Member]) -> None:
    for name in names:
        if name not in known:
            raise invalid_request(f"`{param}`: the pool has no LLM {name!r}.{suggest(name, known)}", param)


def _refuse_needs(request: ChatRequest, why: str) -> None:
    for field, asked in (("tools", "tools" in request.needs), ("messages", "image" in request.needs)):
        if asked:
            raise unsupported(field, f"Neither tools nor images are possible here: {why}.")
    if request.logprobs:
        raise unsupported("logprobs", f"No log-probabilities can be handed on: {why}.")
    if request.answers > 1:
        raise unsupported("n", f"Only one choice is possible: {why}.")
