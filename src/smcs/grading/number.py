r"""Was the right number given?

Reads integers, decimals, thousands separators, powers of ten, fractions ("3/4", "\frac{3}{4}"), percent signs,
currencies and units. A number in `\boxed{}` comes first, then the one after the last "answer", then the last of all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from smcs.errors import InputError
from smcs.grading._text import boxed, plain, stated
from smcs.types import Grade, Question

__all__ = ("Number", "find_number", "grade_number")

RELATIVE_TOLERANCE = 1e-9
"""How far an answer may be off, as a share of a gold that is no integer, unless `check` says otherwise."""

_MAX_CHARACTERS = 60
"""Longer strings of digits are no answers; the limit bounds the cost of exact arithmetic."""

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w.)])[-+])?[€£¥]?(?<![\w.])(?P<value>{_DIGITS})"
    r"(?:(?:e|[ ]?(?:\*|x|\u00d7|\\times|\\cdot)[ ]?10(?:\^|\*\*)\{?)(?P<power>[-+]?[0-9]{1,3})\}?)?"
    r"(?:[ ]?/[ ]?(?P<below>[0-9]{1,30})(?![0-9.,]*[0-9/]))?"
    r"(?P<percent>[ ]?\\?%|[ ]percent\b)?",
    re.IGNORECASE,
)
_FRACTION = re.compile(
    r"\\[dt]?frac[ ]{0,2}\{[ ]{0,2}(-?[0-9]{1,30})[ ]{0,2}\}[ ]{0,2}\{[ ]{0,2}([0-9]{1,30})[ ]{0,2}\}"
)
_PREFIX = re.compile(r"\b0[box](?=[0-9]+\b)")
_MIXED = re.compile(r"(?<![\w.,/])([0-9]{1,9})[ ]([0-9]{1,9})/([0-9]{1,9})(?![\w/])")


@dataclass(frozen=True, slots=True)
class Number:
    """A number found in a text."""

    value: Fraction
    percent: bool
    """Whether a percent sign followed; the number may then stand for a hundredth of itself."""
    text: str
    """As it was written."""

    def equals(self, gold: Fraction, *, relative: float, absolute: float) -> bool:
        """Say whether this is the gold within the larger of two tolerances."""
        allowed = max(Fraction(relative) * abs(gold), Fraction(absolute))
        readings = (self.value, self.value / 100) if self.percent else (self.value,)
        return any(abs(value - gold) <= allowed for value in readings)


def grade_number(question: Question, answer: str) -> Grade:
    """Grade an answer against a numeric gold.

    Args:
        question: Its `gold` is a number; `check` may set `relative_tolerance` and `absolute_tolerance`;
            without them an integer must be met exactly.
        answer: Free text.

    Returns:
        1 or 0. An answer without any number is wrong.

    Raises:
        InputError: The gold is missing or no number, or a tolerance is none.
    """
    gold = None if question.gold is None else find_number(question.gold)
    if gold is None:
        raise InputError(f"Question {question.id!r} needs a number as `gold` to be graded, got {question.gold!r}.")
    default = 0.0 if gold.value.denominator == 1 else RELATIVE_TOLERANCE
    relative = _tolerance(question, "relative_tolerance", default)
    absolute = _tolerance(question, "absolute_tolerance", 0.0)
    found = find_number(answer)
    if found is None:
        return Grade(0.0, None, "no number found")
    if found.equals(gold.value, relative=relative, absolute=absolute):
        return Grade(1.0, found.text, "equals the gold")
    return Grade(0.0, found.text, f"expected {question.gold}")


def find_number(text: str) -> Number | None:
    """Return the number a text settles on, or `None`."""
    text = _readable(text)
    inside = boxed(text)
    for part in [*([inside] if inside else []), *stated(text)]:
        if part and (numbers := _numbers(part)):
            equals = part.rfind("=")
            after = _numbers(part[equals + 1 :]) if equals >= 0 else []
            return (after or numbers)[0]
    numbers = _numbers(text)
    return numbers[-1] if numbers else None


def _readable(text: str) -> str:
    """Rewrite the notations that the one pattern for numbers does not know."""
    text = plain(text)
    text = _FRACTION.sub(lambda match: f" {match[1]}/{match[2]} ", text)
    text = _PREFIX.sub("", text)
    return _MIXED.sub(lambda match: f"{int(match[1]) * int(match[3]) + int(match[2])}/{match[3]}", text)


def _numbers(text: str) -> list[Number]:
    numbers = []
    for match in _NUMBER.finditer(text):
        written = match["value"].replace(",", "")
        if len(written) > _MAX_CHARACTERS:
            continue
        value = Fraction(written) * Fraction(10) ** int(match["power"] or 0)
        below = int(match["below"] or 1)
        if below:
            value = (-value if match["sign"] == "-" else value) / below
            numbers.append(Number(value, match["percent"] is not None, match[0].strip()))
    return numbers


def _tolerance(question: Question, name: str, default: float) -> float:
    value = question.check.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise InputError(f"`check[{name!r}]` of question {question.id!r} must be a number from 0, got {value!r}.")
    return float(value)
