r"""Was the right mathematical object given?

The answer is `\boxed{...}`, else what follows the last "answer", else the last formula, else the last number. What one
spelling or rational arithmetic settles is settled here; the rest goes to math-verify in a process that is killed when
it takes too long. Golds that are prose are compared as texts, and the reason says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from smcs.errors import InputError
from smcs.grading._text import TAIL, accepted, boxed, own_parts, stated
from smcs.grading._workers import compare
from smcs.grading.exact import grade_exact, same_text
from smcs.grading.latex import Rational, rational, segments, spelling
from smcs.grading.number import find_number, stated_number
from smcs.types import Grade, Question

__all__ = ("absurd", "find_expression", "grade_math")

MAX_CHARACTERS = 2_000
"""A longer expression is no answer."""
MAX_DEPTH = 30
"""Most brackets inside one another."""

_TEXT_ONLY = "only text comparison was possible"
_SENTENCE = re.compile(r"(?<=[^\s.])\.(?:\s|\Z)(?!\d)")
_DISPLAY = re.compile(r"\\\[(?:[^\\]|\\[^\[\]]){1,2000}?\\\]|\$\$[^$]{1,2000}\$\$")
_SHORT = 150
_BASE = re.compile(r"([0-9A-Z]{1,60})_(?:\{(?=[0-9]{1,2}\}))?([0-9]{1,2})\}?")
_NAME = re.compile(r"(?:[a-zA-Z]|\\[a-zA-Z]{1,12}|[a-zA-Z]\([a-zA-Z]\))(?:_\w)?\s?(?:=|\\in(?![a-zA-Z]))")
_PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{4,}")
_FUNCTIONS = re.compile(
    r"\b(?:frac|sqrt|cup|cap|infty|left|right|pmatrix|bmatrix|matrix|begin|end|cases|arccos|arcsin|arctan|sinh|cosh|tanh|"
    r"text|mathrm|mathbb|binom|array|vmatrix|aligned|align)\b"
)
_HUGE = re.compile(
    r"\^[{( ]{0,4}-?[0-9]{5,}|[0-9][)} ]{0,3}\^[{( ]{0,4}[0-9]+[)} ]{0,3}\^[{( ]{0,4}[0-9]"
    r"|[0-9]{4,}[)} ]{0,3}!|!\)?!|[0-9]{200}"
)


def grade_math(question: Question, answer: str) -> Grade:
    """Grade an answer against a mathematical gold.

    Args:
        question: Its `gold` is LaTeX or plain text. `check["accepted"]` lists further golds; `check["integer"]` says
            that the gold is an integer, so that the number an answer in words states is enough.
        answer: Free text of any length.

    Returns:
        1 or 0; `None` only when the comparison took too long or its process gave way. An answer in which nothing can
        be read as mathematics, or that is too long or too deeply nested to be an answer, is wrong.

    Raises:
        InputError: There is no gold, or `check` is malformed.
        MissingExtraError: A symbolic comparison is needed and math-verify is not installed.
    """
    golds = accepted(question)
    integer = question.check.get("integer", False)
    if not isinstance(integer, bool):
        raise InputError(f"`check['integer']` of question {question.id!r} must be true or false, got {integer!r}.")
    found = find_expression(answer, question=question.text)
    if found is None:
        return Grade(0.0, None, "no answer found")
    if problem := absurd(found, golds):
        return Grade(0.0, found[:200], problem)
    verdict = _cheap(found, golds)
    if verdict is None and integer:
        verdict = _integer(found, golds)
    if verdict is not None:
        return Grade(float(verdict), found, "equals the gold" if verdict else _expected(golds))
    prose = [gold for gold in golds if _is_prose(gold)]
    if prose and (text := grade_exact(replace(question, gold=prose[0], check={"accepted": prose[1:]}), answer)).score:
        return replace(text, reason=f"the same text as the gold; {_TEXT_ONLY}")
    formulas = [gold for gold in golds if gold not in prose]
    return _symbolic(found, formulas) if formulas else Grade(0.0, found, f"{_expected(golds)}; {_TEXT_ONLY}")


def find_expression(answer: str, *, question: str = "") -> str | None:
    r"""Return the text of the expression an answer settles on, or `None`.

    Args:
        answer: Free text; what follows the answer, such as a next question that the LLM invents, is left out.
        question: What was asked, to recognise where the answer repeats it.
    """
    return next((found for part in own_parts(answer, question) if (found := _find(part))), None)


def _find(text: str) -> str | None:
    text = _DISPLAY.sub(lambda match: " ".join(match[0].split()), text[-TAIL:])
    inside = boxed(text)
    if inside:
        return _several(text, inside)
    for statement in stated(text, MAX_CHARACTERS + 1)[:3]:
        if statement.strip("*$:. "):
            return _expression(statement)
    line = text.strip(" .*\n")
    if line and "\n" not in line and len(line) <= _SHORT:
        return _expression(line)
    if formulas := segments(text):
        return formulas[-1]
    number = find_number(text)
    return number.text if number else None


def _expression(statement: str) -> str:
    """Return the formulas of a statement that is nothing else, or its last one, or its first sentence."""
    formulas = segments(statement)
    if formulas:
        return formulas[-1] if _is_prose(statement) else ", ".join(formulas)
    return _SENTENCE.split(statement.strip("* "), maxsplit=1)[0].strip()


def _several(text: str, last: str) -> str:
    r"""Return all boxes of the line that holds the last, so that "\boxed{1} and \boxed{2}" is both."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    line = text[text.rfind("\n", 0, start) + 1 : start]
    boxes = [last]
    while len(boxes) < 10 and (inside := boxed(line)) is not None:
        boxes.insert(0, inside)
        line = line[: max(line.rfind("\\boxed{"), line.rfind("\\fbox{"))]
    return last if len({spelling(box[:MAX_CHARACTERS]) for box in boxes}) == 1 else ", ".join(boxes)


def absurd(found: str, golds: tuple[str, ...] = ()) -> str | None:
    """Say why algebra should not be tried on an expression, or return `None`; a huge gold allows huge answers."""
    if len(found) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS:,} characters"
    depth = deepest = 0
    for character in found:
        depth += (character in "{([") - (character in "})]")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        return f"more than {MAX_DEPTH} brackets inside one another"
    huge = found.replace("**", "^")
    if _HUGE.search(huge) and not any(_HUGE.search(gold) or spelling(gold) == spelling(huge) for gold in golds):
        return "a number too large to evaluate"
    return None


def _cheap(found: str, golds: tuple[str, ...]) -> bool | None:
    """Return a verdict where no algebra is needed, else `None`."""
    mine = _forms(found)
    numbers = [number for form in mine if (number := rational(form))]
    settled = bool(numbers)
    for gold in golds:
        theirs = _gold_forms(gold)
        same = _same_digits(mine, theirs)
        if same or any(form and form in theirs for form in mine):
            return True
        others = [number for form in theirs if (number := rational(form))]
        if any(_same_number(a, b) for a in numbers for b in others):
            return True
        settled = (settled and bool(others)) or same is False
    return False if settled else None


def _same_number(found: Rational, gold: Rational) -> bool:
    if found.equals(gold):
        return True
    more_exact = found.decimals is None or (gold.decimals is not None and found.decimals > gold.decimals)
    return more_exact and gold.rounds(found.value, digits=3 if found.decimals is None else 4)


def _forms(text: str) -> list[str]:
    """Return the spellings that stand for a text: as it is, without "x =" in front."""
    forms = [spelling(text)]
    if len(formulas := segments(text)) > 1:
        forms.append(spelling(", ".join(formulas)))
    if "=" in forms[0] or "\\in" in forms[0]:
        name = _NAME.match(forms[0])
        rest = forms[0][name.end() :] if name else ""
        if rest and "=" not in rest and "," not in rest:
            forms.append(rest)
        elif not name and not re.search(r"(?<!\\)\b[a-zA-Z]|,", forms[0]):
            forms.append(forms[0].rpartition("=")[2])
    return forms


_gold_forms = lru_cache(maxsize=4096)(_forms)


def _same_digits(found: list[str], gold: list[str]) -> bool | None:
    """Say whether two texts are the same number in a base that one names at least, or `None` if none does."""
    a, b = _BASE.fullmatch(found[-1]), _BASE.fullmatch(gold[-1])
    if a and b:
        return a.groups() == b.groups()
    if not a and not b:
        return None
    return True if (a[1] if a else found[-1]) == (b[1] if b else gold[-1]) else None


def _integer(found: str, golds: tuple[str, ...]) -> bool | None:
    """Settle what words say about an integer ("12 apples", "m + n = 45"), and leave formulas to algebra."""
    text = found.replace("$", "").replace("\\(", "").replace("\\)", "")
    last = rational(spelling(text.rpartition("=")[2]))
    numbers = [rational(spelling(gold)) for gold in golds]
    if last is not None:
        return any(number is not None and last.equals(number) for number in numbers)
    if re.search(r"\\[a-zA-Z]|[\^!*/+_]", text):
        return None
    number = stated_number(text)
    if number is None:
        return None
    return any(gold is not None and number.value == gold.value for gold in numbers)


def _symbolic(found: str, golds: Sequence[str]) -> Grade:
    result = compare([_readable(gold) for gold in golds], _readable(found))
    if result.failure:
        return Grade(None, found, result.failure)
    if result.equal:
        return Grade(1.0, found, "equals the gold")
    numbers = [rational(spelling(gold)) for gold in golds]
    if result.value is not None and any(number and number.rounds(result.value) for number in numbers):
        return Grade(1.0, found, "rounds to the gold")
    if result.golds_read:
        return Grade(0.0, found, _expected(golds) if result.answer_read else "cannot be read as mathematics")
    if any(same_text(found, gold) for gold in golds):
        return Grade(1.0, found, f"the same text as the gold; {_TEXT_ONLY}")
    return Grade(0.0, found, f"{_expected(golds)}; {_TEXT_ONLY}")


def _is_prose(text: str) -> bool:
    return _PROSE.search(_FUNCTIONS.sub("", text)) is not None


def _readable(text: str) -> str:
    """Rewrite what math-verify stumbles over: units, degrees, several formulas in a row, signs outside ASCII."""
    return spelling(", ".join(segments(text)) or text)


def _expected(golds: Sequence[str]) -> str:
    return f"expected {' or '.join(golds)}"
