r"""Was the right number given?

Reads integers, decimals, thousands separators, powers of ten, fractions ("3/4", "\frac{3}{4}"), percent signs,
currencies, units, scale words ("million") and the ways in which a report says "negative" ("(12.3)", "a decrease of
12.3"). A number in `\boxed{}` comes first, then the one after the last "answer", then the last of all.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from functools import lru_cache

from smcs.errors import InputError
from smcs.grading._text import accepted, boxed, own_parts, plain, stated
from smcs.types import Grade, Question

__all__ = ("Number", "find_number", "grade_number", "stated_number")

RELATIVE_TOLERANCE = 1e-9
"""How far an answer may be off, as a share of a gold that is no integer, unless `check` says otherwise."""

ROUNDING_LIMIT = Fraction(1, 100)
"""Most that rounding may change a number, as a share of the gold, under `check["rounded"]`."""

_MAX_CHARACTERS = 60
"""Longer strings of digits are no answers; the limit bounds the cost of exact arithmetic."""

_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "mn": 6, "billion": 9, "bn": 9, "trillion": 12}
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w.)])[-+])?[€£¥]?(?<![\w.])(?P<value>{_DIGITS})"
    r"(?:(?:e|[ ]?(?:\*|x|\u00d7|\\times|\\cdot)[ ]?10(?:\^|\*\*)\{?)(?P<power>[-+]?[0-9]{1,3})\}?)?"
    r"(?:[ ]?/[ ]?(?P<below>[0-9]{1,30})(?![0-9.,]*[0-9/]))?"
    r"(?P<percent>[ ]?\\?%|[ ](?:percent|per[ ]cent)\b)?"
    rf"(?:[ -]?(?P<scale>{'|'.join(_SCALES)})s?\b)?",
    re.IGNORECASE,
)
_FRACTION = re.compile(
    r"\\[dt]?frac[ ]{0,2}\{[ ]{0,2}(-?[0-9]{1,30})[ ]{0,2}\}[ ]{0,2}\{[ ]{0,2}([0-9]{1,30})[ ]{0,2}\}"
)
_PREFIX = re.compile(r"\b0[box](?=[0-9]+\b)")
_MIXED = re.compile(r"(?<![\w.,/])([0-9]{1,9})[ ]([0-9]{1,9})/([0-9]{1,9})(?![\w/])")
_CUE = re.compile(
    r"(?:\b(?:is|was|are|were|be|equals|by|approximately|about|around|roughly|nearly)|[=\u2248])[ ]?[€£¥(]?\Z"
)
_MINUS = re.compile(r"\b(?:minus|negative)[ ]?[€£¥]?\Z", re.IGNORECASE)
_FALL = re.compile(
    r"\b(?:decreas\w{1,3}|declin\w{1,3}|fell|falls?|fallen|drop(?:s|ped)?|reduc\w{1,5}|loss(?:es)?|lost|lower|negative|"
    r"shr[au]nk|down|less)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number found in a text."""

    value: Fraction
    percent: bool
    """Whether a percent sign followed; the number may then stand for a hundredth of itself."""
    text: str
    """As it was written."""
    _: KW_ONLY
    step: Fraction = Fraction(0)
    """What one more in the last digit printed would add; 0 where the number is a fraction."""
    scale: int = 0
    """Power of ten of the word that followed: 6 for "million"."""
    fall: bool = False
    """Whether the words around it, or brackets, may mean that it is negative."""

    def equals(
        self,
        gold: Fraction,
        *,
        relative: float,
        absolute: float,
        percent: bool = False,
        gold_step: Fraction | None = None,
    ) -> bool:
        """Say whether this is the gold within the larger of two tolerances.

        Args:
            gold: The right value.
            relative: Tolerance as a share of the gold.
            absolute: Tolerance in the unit of the gold.
            percent: Whether a hundred times or a hundredth of the gold is right too.
            gold_step: One in the last printed digit of the gold. Unless `None`, a number counts that rounds to the
                gold, or to which the gold rounds, where that changes it by at most `ROUNDING_LIMIT`; what is
                printed with a single digit must be exact.
        """
        if self.value == gold:
            return True
        allowed = max(Fraction(relative) * abs(gold), Fraction(absolute))
        if gold_step is not None and abs(gold) < 10 * gold_step:
            gold_step = Fraction(0)
        for factor in self._factors(percent=percent):
            value, step = self.value * factor, self.step * abs(factor)
            difference = abs(value - gold)
            if difference <= allowed:
                return True
            if gold_step is not None and difference <= ROUNDING_LIMIT * abs(gold):
                coarse = step if abs(value) >= 10 * step else Fraction(0)
                if 2 * difference <= max(coarse, gold_step):
                    return True
        return False

    def _factors(self, *, percent: bool) -> list[Fraction]:
        """Return what the number as written may have to be multiplied by: what a reader may take it for."""
        factors = [Fraction(10) ** power for power in (0, *range(3, self.scale, 3), *([self.scale] * (self.scale > 0)))]
        if self.percent or percent:
            factors += [factor / 100 for factor in factors]
        if percent:
            factors.append(Fraction(100))
        return factors + [-factor for factor in factors] if self.fall else factors


def grade_number(question: Question, answer: str) -> Grade:
    """Grade an answer against a numeric gold.

    Args:
        question: Its `gold` is a number. Without anything in `check` an integer must be met exactly, and any other
            number to `RELATIVE_TOLERANCE`. `check` may set `relative_tolerance`, `absolute_tolerance`, `percent` (true:
            the value times or over 100 is right too), `rounded` (true: see `Number.equals`) and `accepted`.
        answer: Free text.

    Returns:
        1 or 0. An answer without any number is wrong.

    Raises:
        InputError: A gold is missing or no number, or a value in `check` is not what it must be.
    """
    golds = [_gold(question, gold) for gold in accepted(question)]
    percent, rounded = _flag(question, "percent"), _flag(question, "rounded")
    absolute = _tolerance(question, "absolute_tolerance", 0.0)
    found = find_number(answer, question=question.text)
    if found is None:
        return Grade(0.0, None, "no number found")
    for gold in golds:
        exact = rounded or gold.value.denominator == 1
        relative = _tolerance(question, "relative_tolerance", 0.0 if exact else RELATIVE_TOLERANCE)
        step = gold.step if rounded else None
        if found.equals(gold.value, relative=relative, absolute=absolute, percent=percent, gold_step=step):
            return Grade(1.0, found.text, "equals the gold")
    return Grade(0.0, found.text, f"expected {' or '.join(accepted(question))}")


def find_number(text: str, *, question: str = "") -> Number | None:
    """Return the number a text settles on, or `None`.

    Args:
        text: Free text; what follows the answer, such as a next question that the LLM invents, is left out.
        question: What was asked, to recognise where the text repeats it.
    """
    return next((number for part in own_parts(text, question) if (number := _find(_readable(part)))), None)


def _find(text: str) -> Number | None:
    inside = boxed(text)
    for part in [*([inside] if inside else []), *stated(text)]:
        if part and (number := stated_number(part)):
            return number
    matches = _matches(text)
    return _number(matches[-1]) if matches else None


def stated_number(statement: str) -> Number | None:
    """Return the number that what follows "the answer is" gives, or `None`."""
    matches, equals = _matches(statement), statement.rfind("=")
    after = [match for match in matches if match.start() > equals >= 0]
    return _number(after[0] if after else _settled(matches)) if matches else None


def _settled(matches: list[re.Match[str]]) -> re.Match[str]:
    """Return the number that opens a statement, else the last after a word like "is" or "by", else the first."""
    before = matches[0].string[: matches[0].start()]
    if any(c.isalnum() for c in before):
        for match in reversed(matches):
            if _CUE.search(match.string[max(0, match.start() - 16) : match.start()]):
                return match
    return matches[0]


def _readable(text: str) -> str:
    """Rewrite the notations that the one pattern for numbers does not know."""
    text = plain(text)
    if "frac" in text:
        text = _FRACTION.sub(lambda match: f" {match[1]}/{match[2]} ", text)
    text = _PREFIX.sub("", text)
    return _MIXED.sub(lambda match: f"{int(match[1]) * int(match[3]) + int(match[2])}/{match[3]}", text)


def _matches(text: str) -> list[re.Match[str]]:
    return [
        match
        for match in _NUMBER.finditer(text)
        if len(match["value"]) <= _MAX_CHARACTERS and (match["below"] is None or int(match["below"]))
    ]


def _number(match: re.Match[str]) -> Number:
    written, text = match["value"].replace(",", ""), match.string
    power, below = int(match["power"] or 0), int(match["below"] or 1)
    value = Fraction(written)
    if power or below != 1:
        value = value * Fraction(10) ** power / below
    before, after = text[max(0, match.start() - 60) : match.start()], text[match.end() : match.end() + 30]
    if match["sign"] == "-" or _MINUS.search(before):
        value = -value
    brackets = before.endswith("(") and after.startswith(")")
    return Number(
        value,
        match["percent"] is not None,
        match[0].strip(),
        step=Fraction(10) ** (power - len(written.partition(".")[2])) if below == 1 else Fraction(0),
        scale=_SCALES[match["scale"].lower()] if match["scale"] else 0,
        fall=value > 0 and (brackets or _FALL.search(before + "|" + after.partition(".")[0]) is not None),
    )


_cached_number = lru_cache(maxsize=4096)(find_number)


def _gold(question: Question, text: str) -> Number:
    gold = _cached_number(text)
    if gold is None:
        raise InputError(f"Question {question.id!r} needs a number as `gold` to be graded, got {text!r}.")
    return gold


def _flag(question: Question, name: str) -> bool:
    value = question.check.get(name, False)
    if not isinstance(value, bool):
        raise InputError(f"`check[{name!r}]` of question {question.id!r} must be true or false, got {value!r}.")
    return value


def _tolerance(question: Question, name: str, default: float) -> float:
    value = question.check.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise InputError(f"`check[{name!r}]` of question {question.id!r} must be a number from 0, got {value!r}.")
    return float(value)
