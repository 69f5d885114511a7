"""Arms written as text: `name=strategy:setting=value,setting=value`, ablations, and sweeps over one setting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from smcs.bench.results import ArmSpec
from smcs.errors import InputError, suggest
from smcs.strategies import Guard, Settings, find_strategy

__all__ = ("ablations", "parse_arm", "parse_sweep", "swept")

_LISTS = ("llms", "without")


def parse_arm(text: str) -> ArmSpec:
    """Read an arm.

    Args:
        text: A strategy's name (`moa`), with settings (`smcs:k=5,n=4`), with a name of its own before an equals sign
            (`small=smcs:k=3,llms=a+b+c`). Values are JSON where they can be, lists are joined by `+`.

    Raises:
        ConfigError: The strategy is unknown.
        InputError: A setting is unknown, or the text is not of this form.
    """
    head, _, rest = text.partition(":")
    name, equals, strategy = head.rpartition("=")
    spec = find_strategy(strategy.strip())
    settings: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, given, value = part.partition("=")
        if not given:
            raise InputError(f"Arm {text!r}: {part!r} is no setting. Write `setting=value`, separated by commas.")
        settings[_setting(key.strip())] = _value(key.strip(), value.strip())
    if equals and not name.strip():
        raise InputError(f"Arm {text!r} has no name before its equals sign.")
    return ArmSpec(name.strip() if equals else head.strip() + (f" {rest}" if rest else ""), spec.name, settings)


def parse_sweep(text: str) -> tuple[str, tuple[Any, ...]]:
    """Read a sweep, as in `k=1,3,5`; lists are joined by `+`.

    Raises:
        InputError: The setting is unknown, or no value is given.
    """
    key, _, rest = text.partition("=")
    values = tuple(_value(key.strip(), value.strip()) for value in rest.split(",") if value.strip())
    if not values:
        raise InputError(f"The sweep {text!r} has no values. Write `setting=value,value`, as in `k=1,3,5`.")
    return _setting(key.strip()), values


def swept(arms: Sequence[ArmSpec], sweeps: Sequence[tuple[str, tuple[Any, ...]]]) -> tuple[ArmSpec, ...]:
    """Return the arms with every combination of the swept values, named after them."""
    result = list(arms)
    for key, values in sweeps:
        result = [
            replace(arm, name=f"{arm.name} {key}={_shown(value)}", settings={**arm.settings, key: value})
            for arm in result
            for value in values
        ]
    return tuple(result)


def ablations(arm: ArmSpec) -> tuple[ArmSpec, ...]:
    """Return an SMCS arm and its ablations: each part left out alone, then all of them."""
    parts = ("rps", "prior_drop", "similarity", "perplexity")
    alone = [ArmSpec(f"{arm.name} without {part}", arm.strategy, {**arm.settings, "without": [part]}) for part in parts]
    none = ArmSpec(f"{arm.name} without all", arm.strategy, {**arm.settings, "without": list(parts)})
    return (arm, *alone, none)


def _setting(name: str) -> str:
    own = [field.name for field in fields(Settings) if field.name not in ("seed", "sampling", "guard")]
    known = (*own, "llms", *(f"guard.{field.name}" for field in fields(Guard) if field.name != "shrinkage"))
    if name not in known:
        raise InputError(f"Unknown setting {name!r}.{suggest(name, known)}")
    return name


def _value(name: str, text: str) -> Any:
    if name in _LISTS and not text.isdecimal():
        return [part for part in text.split("+") if part]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shown(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
