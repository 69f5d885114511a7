"""Reading `smcs.yaml`: one clear line for each mistake."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from smcs.config.schema import Config
from smcs.errors import ConfigError, suggest

__all__ = ("load_config", "parse_config")

_QUOTED = re.compile("'([^']+)'")

_MESSAGES = {
    "dict_type": "must be a mapping of keys",
    "missing": "is missing",
    "model_attributes_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
}
"""Our words where pydantic's speak of Python."""


def load_config(path: Path) -> Config:
    """Read and validate a config file; relative paths in it are relative to it.

    Raises:
        ConfigError: The file is missing, not YAML, or holds something it may not.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"There is no config file at {str(path)!r}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The config file {str(path)!r} cannot be read: {error}.") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    return parse_config(data, where=str(path))


def parse_config(data: Any, *, where: str = "config") -> Config:
    """Validate what a config file holds.

    Args:
        data: Parsed YAML.
        where: Named in errors.

    Raises:
        ConfigError: One line per mistake, unknown keys with the nearest known one.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{where} must hold a mapping of keys such as `pool` and `aggregators`, got {data!r:.80}.")
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_lines(error, where))) from error


def _lines(error: ValidationError, where: str) -> list[str]:
    problems = error.errors(include_url=False)
    inside = {problem["loc"][:depth] for problem in problems for depth in range(len(problem["loc"]))}
    # pydantic also reports a list of faulty items as too short
    told = [problem for problem in problems if problem["type"] != "too_short" or problem["loc"] not in inside]
    return [f"{where}: {_line(dict(problem))}" for problem in told]


def _line(problem: dict[str, Any]) -> str:
    steps, allowed = _walk(problem["loc"])
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    if problem["type"] == "extra_forbidden":
        return f"unknown key `{place}`.{suggest(str(steps[-1]), allowed)}"
    if problem["type"] in ("literal_error", "union_tag_invalid"):
        known = problem["ctx"].get("expected_tags") or problem["ctx"]["expected"]
        got = problem["ctx"].get("tag", problem["input"])
        key = place if problem["type"] == "literal_error" else f"{place}.kind"
        return f"`{key}`: unknown value {got!r}.{suggest(str(got), _QUOTED.findall(known))}"
    message = _MESSAGES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    got = problem.get("input")
    shown = "" if isinstance(got, dict | list) or problem["type"] == "missing" else f" (got {got!r:.80})"
    return f"`{place}`: {message}{shown}" if place else message


def _walk(location: tuple[int | str, ...]) -> tuple[list[int | str], list[str]]:
    """Follow an error's location through the schema.

    Returns:
        The steps a user wrote, without the names pydantic adds for the members of a union, and the keys that are
        allowed at the last one.
    """
    steps: list[int | str] = []
    models: list[type[BaseModel]] = [Config]
    allowed: list[str] = []
    for step in location:
        if isinstance(step, int):
            steps.append(step)
            continue
        tagged = [model for model in models if step in _tags(model)]
        if tagged and not any(step in model.model_fields for model in models):
            models = tagged
            continue
        steps.append(step)
        allowed = sorted({name for model in models for name in model.model_fields})
        models = [inner for model in models if step in model.model_fields for inner in _inner(model, step)]
    return steps, allowed


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()


def _inner(model: type[BaseModel], name: str) -> list[type[BaseModel]]:
    """Return the models a field may hold, inside tuples and unions too."""
    found: list[type[BaseModel]] = []
    waiting: list[Any] = [model.model_fields[name].annotation]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
        else:
            waiting.extend(argument for argument in get_args(annotation) if argument is not Ellipsis)
    return found
