"""What calls took, added up as a record does it."""

from __future__ import annotations

from collections.abc import Sequence

from smcs.studio.ask.state import LLMUse, Totals
from smcs.types import Attempt, total_usage

__all__ = ("add_up",)


def add_up(attempts: Sequence[Attempt]) -> Totals:
    """Return what the calls that were sent took, in all and by LLM; unknown figures stay unknown."""
    sent = [attempt for attempt in attempts if attempt.status != "skipped"]
    by_llm: dict[str, list[Attempt]] = {}
    for attempt in sent:
        by_llm.setdefault(attempt.llm, []).append(attempt)
    uses = [_use(llm, of_llm) for llm, of_llm in by_llm.items()]
    uses.sort(key=lambda use: (-use.known_cost_usd, use.llm))
    cost, known = _usd(sent)
    usages = [attempt.usage for attempt in sent]
    return Totals(len(sent), total_usage(usages), total_usage(usages, known_only=True), cost, known, tuple(uses))


def _use(llm: str, attempts: Sequence[Attempt]) -> LLMUse:
    usage = total_usage([attempt.usage for attempt in attempts])
    cost, known = _usd(attempts)
    seconds = sum(attempt.seconds for attempt in attempts)
    return LLMUse(llm, len(attempts), usage.prompt_tokens, usage.completion_tokens, cost, known, seconds)


def _usd(attempts: Sequence[Attempt]) -> tuple[float | None, float]:
    costs = [attempt.cost_usd for attempt in attempts]
    known = [cost for cost in costs if cost is not None]
    return (sum(known) if len(known) == len(costs) else None), sum(known)
