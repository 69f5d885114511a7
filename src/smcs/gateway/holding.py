"""What a request may take at most: bounded before it is sent, and held for its key before it runs.

Where an LLM gets the client's own body, more is in it than the texts a strategy sees: several choices, tools, images.
That is added here, once, so that neither a key's limits nor the caps of a request can be passed with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from smcs.errors import BudgetExceededError
from smcs.gateway.ledger import Hold
from smcs.gateway.plan import Plan
from smcs.gateway.protocol import ChatRequest
from smcs.strategies import CallEstimate, Settings, estimate
from smcs.strategies.budget import BYTES_PER_TOKEN
from smcs.strategies.tokens import ASSUMED_LIMIT, token_limit
from smcs.types import Usage

__all__ = ("Bounded", "bounded")

_IMAGE_TOKENS: Final = 4_096
"""Taken for one image; most endpoints read fewer from one."""

_READ: Final = ("tools", "functions", "response_format")
"""Fields beside the messages that an LLM reads."""

_LEAST_USD: Final = 1e-12
"""A cap of a run is above 0."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """A plan that cannot take more than what was estimated of it."""

    plan: Plan
    estimate: CallEstimate

    @property
    def hold(self) -> Hold:
        """What must be held for it."""
        most = self.estimate
        return Hold(most.most_usd, most.most_prompt_tokens + most.most_completion_tokens)


async def bounded(plan: Plan, request: ChatRequest, *, priced: bool) -> Bounded:
    """Estimate a request without calling an LLM, and cap it where money matters.

    Args:
        plan: How it will be answered.
        request: What was asked.
        priced: Whether the run must not cost more than the estimate says.

    Raises:
        BudgetExceededError: The request's cap on money is used up by what is in its body.
        ConfigError: The strategy cannot be used with these resources.
        BankError: The bank cannot be searched.
    """
    settings = plan.settings
    if (priced or settings.max_usd is not None) and settings.sampling.max_tokens is None:
        windows = (member.context_window for member in plan.resources.pool.values())
        limit = min([ASSUMED_LIMIT, *(window // 2 for window in windows if window is not None)])
        settings = replace(settings, sampling=replace(settings.sampling, max_tokens=max(limit, 1)))
    beside = _beside(plan, request, settings)
    settings = _without(settings, beside)
    expected = await estimate(plan.spec, plan.query, plan.resources, settings)
    if plan.final is not None:
        spec, resources = plan.final
        expected = _either(expected, await estimate(spec, plan.query, resources, settings), settings)
    if priced and settings.max_usd is None and expected.most_usd is not None:
        settings = replace(settings, max_usd=max(expected.most_usd, _LEAST_USD))
    return Bounded(replace(plan, settings=settings), beside.added_to(expected))


@dataclass(frozen=True, slots=True)
class _Beside:
    """What one call of a forwarded request takes at most, beside its texts and one answer."""

    prompt_tokens: int
    completion_tokens: int
    usd: float | None

    def added_to(self, expected: CallEstimate) -> CallEstimate:
        usd = None if self.usd is None or expected.most_usd is None else expected.most_usd + self.usd
        return replace(
            expected,
            most_prompt_tokens=expected.most_prompt_tokens + self.prompt_tokens,
            most_completion_tokens=expected.most_completion_tokens + self.completion_tokens,
            most_usd=usd,
        )


def _beside(plan: Plan, request: ChatRequest, settings: Settings) -> _Beside:
    if not plan.forwards:
        return _Beside(0, 0, 0.0)
    read = _unseen(request.body())
    members = plan.resources.pool.values()
    written = (plan.answers - 1) * max(token_limit(member, settings.sampling) for member in members)
    if not read and not written:
        return _Beside(0, 0, 0.0)
    costs = [None if member.price is None else member.price.cost(Usage(read, written)) for member in members]
    known = [cost for cost in costs if cost is not None]
    return _Beside(read, written, max(known) if len(known) == len(costs) else None)


def _unseen(body: dict[str, Any]) -> int:
    """Return the prompt tokens at most of what is no text of a message: tools and calls of them, images, files."""
    tokens = 0
    size = sum(len(msgspec.json.encode(body[name])) for name in _READ if body.get(name))
    for message in body["messages"]:
        size += len(msgspec.json.encode(message.get("tool_calls"))) if message.get("tool_calls") else 0
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part.get("type") == "image_url":
                tokens += _IMAGE_TOKENS
            elif part.get("type") != "text":
                size += len(msgspec.json.encode(part))
    return tokens + math.ceil(size / BYTES_PER_TOKEN)


def _without(settings: Settings, beside: _Beside) -> Settings:
    """Return the settings with what no strategy knows of taken off the cap on money."""
    if settings.max_usd is None or not beside.usd:
        return settings
    if beside.usd >= settings.max_usd:
        raise BudgetExceededError(
            f"max_usd={settings.max_usd:g}: the choices, tools and images that are asked for may cost {beside.usd:.6f} "
            "beside the answer. Raise it, or ask for fewer."
        )
    return replace(settings, max_usd=settings.max_usd - beside.usd)


def _either(first: CallEstimate, then: CallEstimate, settings: Settings) -> CallEstimate:
    """Return the estimate of a call that may be all there is, and of the collaboration that may follow it."""
    most_usd = None if first.most_usd is None or then.most_usd is None else first.most_usd + then.most_usd
    calls = first.most_calls + then.most_calls
    return replace(
        first,
        most_calls=calls if settings.max_calls is None else min(calls, settings.max_calls),
        most_prompt_tokens=first.most_prompt_tokens + then.most_prompt_tokens,
        most_completion_tokens=first.most_completion_tokens + then.most_completion_tokens,
        most_usd=most_usd if most_usd is None or settings.max_usd is None else min(most_usd, settings.max_usd),
    )
