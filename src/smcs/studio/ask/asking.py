"""What can be asked here, with what options, what it will take, and what went wrong: the page without its elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from smcs.errors import InputError, SmcsError
from smcs.gateway.errors import GatewayError
from smcs.gateway.models import PassThrough, VirtualModel
from smcs.gateway.protocol import SmcsOptions
from smcs.strategies import CallEstimate
from smcs.studio.ask.words import plural
from smcs.studio.frame import Studio, format_count, format_seconds, format_usd

__all__ = ("Model", "estimate_line", "failure_words", "models_for", "options_of", "steers")

Model = VirtualModel | PassThrough

_ROUTERS: Final = frozenset({"single", "rps", "simple_router"})
_FIELDS: Final[Mapping[str, str]] = {
    "k": "LLMs asked",
    "n": "Merged answers",
    "max_usd": "Most US dollars",
    "max_seconds": "Most seconds",
}


def models_for(studio: Studio) -> dict[str, Model]:
    """Return what the viewer's key may ask for and the pool can do, by name, virtual models first."""
    return {model.name: model for model in studio.gateway.usable_models(studio.viewer.key)}


def steers(model: Model | None) -> bool:
    """Return whether the number of LLMs and of merged answers means anything to a model."""
    return isinstance(model, VirtualModel) and model.spec.name not in _ROUTERS


def options_of(model: Model | None, values: Mapping[str, float | None]) -> SmcsOptions | None:
    """Return the options of a request, those left out that mean nothing to the model; `None` where none is set.

    Args:
        model: Who is asked.
        values: `k`, `n`, `max_usd` and `max_seconds`, where they are given.

    Raises:
        InputError: One is out of bounds; the message names it in the page's words.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if not steers(model):
        given = {name: value for name, value in given.items() if name not in ("k", "n")}
    if not given:
        return None
    try:
        return SmcsOptions.model_validate(
            {name: int(value) if name in ("k", "n") and value == int(value) else value for name, value in given.items()}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        wrong = first["msg"].lower().removeprefix("input ").replace("a valid integer", "a whole number")
        raise InputError(f"{_FIELDS.get(name, name)} {wrong}, got {first['input']}.") from error


def estimate_line(name: str, estimate: CallEstimate) -> str:
    """Return what a question will take in one sentence."""
    most = "" if estimate.most_calls == estimate.calls else f" (at most {estimate.most_calls:,})"
    cost = format_usd(estimate.cost_usd, estimate.known_cost_usd)
    bound = "" if estimate.most_usd is None or estimate.most_usd == 0 else f" (at most {format_usd(estimate.most_usd)})"
    read, written = format_count(estimate.prompt_tokens), format_count(estimate.completion_tokens)
    tokens = f"{read} tokens read, {written} written"
    return f"{name}: about {plural(estimate.calls, 'call')}{most}, {tokens}, cost {cost}{bound}."


def failure_words(error: SmcsError) -> str:
    """Return why there is no answer, and what can be done."""
    if not isinstance(error, GatewayError):
        return str(error)
    match error.code:
        case "model_not_allowed":
            advice = "Choose another model, or ask whoever runs this server for a key that may use it."
        case "insufficient_quota":
            advice = "The budget of your key is used up."
        case "upstream_failed":
            advice = "The page LLMs says which of them respond."
        case "budget_exceeded":
            advice = "Raise the limits under Options."
        case _:
            advice = ""
    wait = f"Try again in {format_seconds(error.retry_after)}." if error.retry_after else ""
    return " ".join(part for part in (error.message, advice, wait) if part)
