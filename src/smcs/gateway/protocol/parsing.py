"""From the bytes of a request to a checked record, or to one line that says what is wrong with it.

Bodies are untrusted: nesting is bounded before anything is built from them, lists stop at their first mistake, and
whatever of a body is repeated in a message is made one printable, short line first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, from_json

from smcs.errors import suggest
from smcs.gateway.errors import GatewayError, invalid_request
from smcs.llms.untrusted import one_line

__all__ = ("MAX_DEPTH", "MAX_VALUES", "Body", "check_shape", "described", "parse")

MAX_DEPTH: Final = 64
"""Most arrays and objects inside one another: room for a JSON schema of some 28 levels in a tool."""

MAX_VALUES: Final = 200_000
"""Most values in a body, about: ten thousand messages have a tenth of it."""

_MAX_ERRORS: Final = 100
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'"{}[],'))
_BRACE, _BRACKET = b"{["

_WANTED: Final = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_GOT: Final[dict[type, str]] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
_TOO_LONG: Final = {"too_long": "array_above_max_length", "string_too_long": "string_above_max_length"}
_TOO_SHORT: Final = {"too_short": "array_below_min_length", "string_too_short": "string_below_min_length"}
_BELOW: Final = {"greater_than_equal": "ge", "greater_than": "gt"}
_ABOVE: Final = {"less_than_equal": "le", "less_than": "lt"}


class Body(BaseModel):
    """A JSON object of the protocol: no type is converted, no unknown field is ignored, numbers are finite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def sent_as(self, body: dict[str, Any]) -> None:
        """Be told of the decoded body, because it holds fields that only an endpoint knows."""


_T = TypeVar("_T", bound=Body)


def check_shape(body: bytes) -> None:
    """Refuse a body that is nested too deep or has too many values, before anything is built from it.

    Costs a microsecond or so for usual bodies, and some 20 ms per megabyte for one that is all brackets.

    Raises:
        GatewayError: 400.
    """
    brackets = body.count(b"[") + body.count(b"{")
    if brackets <= MAX_DEPTH and brackets + body.count(b",") <= MAX_VALUES:
        return
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(body.translate(None, _NOT_STRUCTURE).split(b'"')[::2])
    structure = np.frombuffer(outside, dtype=np.uint8)
    opening = (structure == _BRACE) | (structure == _BRACKET)
    values = int(opening.sum()) + outside.count(b",")
    if values > MAX_VALUES:
        raise invalid_request(f"The body holds about {values:,} values; at most {MAX_VALUES:,} are read.")
    steps = opening.astype(np.int8) - ((structure == _BRACE + 2) | (structure == _BRACKET + 2)).astype(np.int8)
    deepest = int(np.cumsum(steps, dtype=np.int32).max(initial=0))
    if deepest > MAX_DEPTH:
        raise invalid_request(f"The body is nested {deepest} levels deep; at most {MAX_DEPTH} are allowed.")


def parse(model: type[_T], body: bytes, *, passes_through: Callable[[str], bool] | None = None) -> _T:
    """Read a request body.

    Args:
        model: What it must be.
        body: The JSON text, of bounded size.
        passes_through: Whether a request for this model name is handed to an endpoint as it is; such a request may
            hold fields that only that endpoint knows. Fields of our own `smcs` object are always checked.

    Raises:
        GatewayError: 400, with the place as OpenAI writes it (`messages[3].content`) in `param`.
    """
    check_shape(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        wrong = error
    if passes_through is not None and wrong.error_count() <= _MAX_ERRORS:
        details = wrong.errors(include_url=False, include_input=False)
        if all(_may_be_known(each) for each in details):
            sent = from_json(body)
            name = sent.get("model")
            if isinstance(name, str) and passes_through(name):
                return _with_more(model, body, sent)
    raise described(wrong, body, fields=model.model_fields) from wrong


def _with_more(model: type[_T], body: bytes, sent: dict[str, Any]) -> _T:
    try:
        request = model.model_validate_json(body, extra="allow")
    except ValidationError as error:
        raise described(error, sent, fields=model.model_fields) from error
    request.sent_as(sent)
    return request


def described(error: ValidationError, body: bytes | Any, *, fields: Mapping[str, Any]) -> GatewayError:
    """Return what a client is told of a body that failed its checks: the first mistake, in one line.

    Args:
        error: What pydantic found.
        body: The body, as bytes or as decoded JSON.
        fields: Known top-level fields, to suggest one for a misspelt one.
    """
    if error.error_count() > _MAX_ERRORS:
        return invalid_request(f"The body has {error.error_count():,} mistakes: it is not a request of this endpoint.")
    details = error.errors(include_url=False)
    if details[0]["type"] == "json_invalid":
        why = one_line(details[0]["ctx"]["error"])
        return invalid_request(f"The body is not valid JSON: {why}.", code="invalid_json")
    data = from_json(body) if isinstance(body, bytes) else body
    # A field that an endpoint might know is told last: a wrong value is wrong everywhere.
    details.sort(key=_may_be_known)
    places = [(_place(data, each), each) for each in details]
    # A value that fits no member of a union is reported once per member: the one that got furthest says most, and at
    # one place a bound that was passed says more than another member's type.
    prefix = places[0][0]
    deepest = max((place for place, _ in places if place[: len(prefix)] == prefix), key=len)
    there = [each for place, each in places if place == deepest]
    return _told(deepest, [each for each in there if each["type"] not in _WANTED] or there, fields)


def _may_be_known(error: ErrorDetails) -> bool:
    """Return whether it is an unknown field of the protocol, which an endpoint may know, and not one of our own."""
    return error["type"] == "extra_forbidden" and error["loc"][0] != "smcs"


def _place(data: Any, error: ErrorDetails) -> tuple[str | int, ...]:
    """Return where an error is in the body: its location without the names of union members."""
    place: list[str | int] = []
    last = len(error["loc"]) - 1
    for i, step in enumerate(error["loc"]):
        if isinstance(step, int):
            place.append(step)
            data = data[step] if isinstance(data, list) and step < len(data) else None
        elif isinstance(data, dict) and (_ends_here(data, step, error) if i == last else step in data):
            place.append(step)
            data = data.get(step)
    if error["type"].startswith("union_tag"):
        name = str(error.get("ctx", {}).get("discriminator", "")).strip("'")
        place.append("type" if name.endswith("()") else name)
    return tuple(place)


def _ends_here(data: dict[str, Any], step: str, error: ErrorDetails) -> bool:
    """Return whether the last step of a location is a field, and not the name of a union member."""
    if error["type"] == "missing":
        return True
    # NaN, which a body may hold although JSON has none, equals nothing.
    return step in data and (data[step] == error["input"] or data[step] != data[step])


def _written(place: Sequence[str | int]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return one_line(text.removeprefix("."), limit=200)


def _told(place: tuple[str | int, ...], errors: Sequence[ErrorDetails], fields: Mapping[str, Any]) -> GatewayError:
    error = errors[0]
    kind, param = error["type"], _written(place)
    if kind in ("missing", "union_tag_not_found"):
        return invalid_request(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    if kind == "extra_forbidden":
        hint = suggest(str(place[0]), fields).partition("?")[0] if len(place) == 1 else ""
        tail = f"{hint}?" if hint.startswith(" Did you mean") else ""
        return invalid_request(f"Unknown parameter: '{param}'.{tail}", param, "unknown_parameter")
    if kind in _WANTED:
        wanted = " or ".join(dict.fromkeys(_WANTED[each["type"]] for each in errors if each["type"] in _WANTED))
        got = _GOT.get(type(error["input"]), "something else")
        where = f"for '{param}'" if param else "of the body"
        return invalid_request(f"Invalid type {where}: expected {wanted}, got {got}.", param or None, "invalid_type")
    return _bounds(param, error) or _other(param, error)


def _bounds(param: str, error: ErrorDetails) -> GatewayError | None:
    kind, context, got = error["type"], error.get("ctx", {}), error["input"]
    number = "integer" if isinstance(got, int) else "decimal"
    shown = one_line(str(got), limit=40)
    if kind in _BELOW:
        least = "more than" if kind == "greater_than" else "at least"
        what = f"Invalid value for '{param}': {shown}; it must be {least} {context[_BELOW[kind]]}."
        return invalid_request(what, param, f"{number}_below_min_value")
    if kind in _ABOVE:
        most = "less than" if kind == "less_than" else "at most"
        what = f"Invalid value for '{param}': {shown}; it must be {most} {context[_ABOVE[kind]]}."
        return invalid_request(what, param, f"{number}_above_max_value")
    unit = "characters" if kind.startswith("string") else "items"
    if kind in _TOO_LONG:
        what = f"Invalid value for '{param}': more than {context['max_length']:,} {unit}."
        return invalid_request(what, param, _TOO_LONG[kind])
    if kind in _TOO_SHORT:
        what = f"Invalid value for '{param}': fewer than {context['min_length']:,} {unit}."
        return invalid_request(what, param, _TOO_SHORT[kind])
    return None


def _other(param: str, error: ErrorDetails) -> GatewayError:
    context = error.get("ctx", {})
    got = _shown(context.get("tag", error["input"]))
    match error["type"]:
        case "literal_error":
            what = f"got {got}; it must be {context['expected']}."
        case "union_tag_invalid":
            what = f"got {got}; it must be one of {context['expected_tags']}."
        case "string_pattern_mismatch":
            what = f"got {got}; it must match {context['pattern']}."
        case "finite_number":
            what = "it must be a finite number."
        case _:
            what = f"{one_line(error['msg'])}."
    return invalid_request(f"Invalid value for '{param}': {what}", param, "invalid_value")


def _shown(value: Any) -> str:
    """Return a scalar as JSON, of bounded length; of anything else only what it is."""
    if isinstance(value, str | int | float):
        return one_line(msgspec.json.encode(value[:100] if isinstance(value, str) else value).decode(), limit=60)
    return _GOT.get(type(value), "something else")
