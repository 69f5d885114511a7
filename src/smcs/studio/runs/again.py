"""A recorded question asked again: which settings a run had, which can be changed, and the request that asks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from smcs.errors import InputError
from smcs.gateway.inside import build_request
from smcs.gateway.models import PassThrough, VirtualModel
from smcs.gateway.protocol import ChatRequest, SmcsOptions
from smcs.run import Run
from smcs.strategies import STRATEGIES
from smcs.studio.ask.words import ablations_of
from smcs.types import Ablation, Sampling

__all__ = ("Again", "Knob", "cannot_be_asked", "knobs", "of_run", "read_form", "to_request")

Knob = Literal["strategy", "k", "n", "rps", "similarity", "perplexity", "prior_drop"]
"""Something beside temperature and seed that can be set."""

_REFERENCERS: Final = frozenset({"smcs", "smcs_guarded", "prior_vote", "symbolic_moe"})
_SUBSETS: Final = frozenset({"smcs", "smcs_guarded"})
_MOST_DIGITS: Final = 20
_PASSED_ON: Final = ("top_p", "max_tokens", "stop", "response_format")
_PENALTIES: Final = ("presence_penalty", "frequency_penalty")


@dataclass(frozen=True, slots=True)
class Again:
    """How a question shall be asked again."""

    model: str
    strategy: str = ""
    """Empty: the model's own."""
    k: int | None = None
    """LLMs that answer; `None` as the model is configured."""
    n: int | None = None
    """Candidates; `None` as the model is configured."""
    temperature: float | None = None
    seed: int | None = None
    """`None` draws one."""
    without: tuple[Ablation, ...] = ()
    """Parts of the method to leave out."""


def cannot_be_asked(run: Run | None) -> str:
    """Return why a run's question cannot be asked again; empty where it can."""
    if run is None:
        return "The conversation was not kept with this run, so it cannot be asked again."
    if not any(message.content.strip() for message in run.query.messages):
        return "The texts of this run were not kept, so it cannot be asked again."
    if run.query.messages[-1].role != "user":
        return "The conversation does not end with a user, so it cannot be asked again."
    return ""


def of_run(run: Run, model: str) -> Again:
    """Return the settings that a run had, as far as they can be asked for; its strategy is the model's unless changed.

    The seed is the one it drew where none was given, so that the same subsets are drawn again.

    Args:
        run: The record.
        model: What was asked for then.
    """
    sampling = run.settings.get("sampling")
    seed = _whole(run.settings.get("seed"))
    temperature = sampling.get("temperature") if isinstance(sampling, Mapping) else None
    return Again(
        model,
        k=_whole(run.settings.get("k")),
        n=_whole(run.settings.get("n")),
        temperature=float(temperature) if isinstance(temperature, int | float) else None,
        seed=_whole(run.settings.get("subset_seed")) if seed is None else seed,
        without=ablations_of(run.settings),
    )


def knobs(model: VirtualModel | PassThrough | None, strategy: str) -> frozenset[Knob]:
    """Return what has a meaning for a model under a strategy; an LLM that is asked by name has none of it."""
    if not isinstance(model, VirtualModel):
        return frozenset()
    name = strategy or model.spec.name
    found: set[Knob] = {"strategy"}
    found |= {"k"} if name in _REFERENCERS else set()
    found |= {"n"} if name in _SUBSETS else set()
    return frozenset(found | {*STRATEGIES[name].ablations} if name in STRATEGIES else found)


def read_form(values: Mapping[str, str], without: tuple[Ablation, ...] = ()) -> Again:
    """Return what was written into the form.

    Args:
        values: Texts of the fields: model, strategy, k, n, temperature, seed; empty ones leave it to the server.
        without: Parts of the method to leave out.

    Raises:
        InputError: A number is none.
    """
    return Again(
        values.get("model", ""),
        values.get("strategy", ""),
        _number(values, "k", "The number of LLMs that answer (K)"),
        _number(values, "n", "The number of candidates (n)"),
        _decimal(values, "temperature", "The temperature"),
        _number(values, "seed", "The seed"),
        without,
    )


def to_request(run: Run, again: Again, model: VirtualModel | PassThrough | None) -> ChatRequest:
    """Return the request that asks a recorded question again; what has no meaning for the model is left out.

    Args:
        run: The record, with its texts.
        again: How to ask.
        model: The model it names; `None` where there is none of this name any more.

    Raises:
        GatewayError: A value is out of bounds, or the conversation is not valid.
    """
    usable = knobs(model, again.strategy)
    wanted = {
        "strategy": (again.strategy or None) if "strategy" in usable else None,
        "k": again.k if "k" in usable else None,
        "n": again.n if "n" in usable else None,
        # Also where nothing is left out: the model may be configured to leave out a part.
        "without": [part for part in again.without if part in usable] if usable & {*get_args(Ablation)} else None,
    }
    given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    # Bounds are checked once, by the request's own rules, which name the field.
    options = SmcsOptions.model_construct(_fields_set=set(given), **given) if given else None
    sampling = replace(
        _recorded(run, penalties=isinstance(model, VirtualModel)), temperature=again.temperature, seed=again.seed
    )
    return build_request(again.model, run.query.messages, options, sampling=sampling)


def _recorded(run: Run, *, penalties: bool) -> Sampling:
    """Return the sampling parameters of a record, so that only what was changed differs.

    Penalties are a profile's, and many endpoints refuse them: an LLM that is asked by name gets none.
    """
    recorded = run.settings.get("sampling")
    if not isinstance(recorded, Mapping):
        return Sampling()
    names = (*_PASSED_ON, *(_PENALTIES if penalties else ()))
    known = {name: recorded[name] for name in names if recorded.get(name) is not None}
    if "stop" in known:
        known["stop"] = tuple(known["stop"])
    return Sampling(**known)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(values: Mapping[str, str], name: str, what: str) -> int | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    if not text.lstrip("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > _MOST_DIGITS:
        raise InputError(f"{what} is a whole number, got {text!r:.40}.")
    return int(text)


def _decimal(values: Mapping[str, str], name: str, what: str) -> float | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{what} is a number such as 0.7, got {text!r:.40}.")
    return value
