r"""Short mathematical texts without a computer algebra system: one spelling for many, and rational numbers.

`spelling` maps texts that differ in markup alone ("\dfrac12", "$\frac{1}{2}$", "\left(1/2\right)") to one, `rational`
reads a number. What the two can settle needs no worker process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

__all__ = ("Rational", "rational", "segments", "spelling")

_SIGNS = {
    "\u2212": "-", "\u2013": "-", "\u00d7": "\\times ", "\u00b7": "\\cdot ", "\u00f7": "/", "\u03c0": "\\pi ",
    "\u221e": "\\infty ", "\u221a": "\\sqrt", "\u00b0": "^\\circ", "\u2264": "\\leq ", "\u2265": "\\geq ",
    "\u2260": "\\neq ", "\u222a": "\\cup ", "\u2229": "\\cap ", "\u2208": "\\in ", "\u00b2": "^2", "\u00b3": "^3",
}  # fmt: skip
_INTEGER = re.compile(r"-?[0-9]{1,60}")
_SIGN = re.compile("|".join(_SIGNS))
_SEGMENT = re.compile(
    r"\$\$?((?:[^$\\]|\\.){1,2000}?)\$\$?|\\\(((?:[^\\]|\\[^()]){1,2000}?)\\\)|\\\[((?:[^\\]|\\[^\[\]]){1,2000}?)\\\]",
)
_BOLD = re.compile(r"\A\*\*(.*)\*\*\Z", re.DOTALL)
_SPACES = re.compile(
    r"(?<!\\)\\[,;:! ]|\\q?quad\b|~|\\(?:left|right|displaystyle|limits|bigl?|bigr|Bigl?|Bigr)(?![a-zA-Z])"
)
_DEGREES = re.compile(r"\^\{?\\circ\}?|\\(?:text|mathrm)?\{?[ ]{0,2}degrees?\}?|\\degree\b|(?<=[0-9])[ ]degrees?\b")
_UNIT = re.compile(
    r"(?<=[0-9})])[ ]{0,3}\\(?:text|textrm|mathrm|mbox|textbf|rm)[ ]?\{[^{}]{0,60}\}(?:\^\{?[0-9]\}?|\\?%|\.)?\Z"
)
_WORDS = re.compile(r"(?<=[0-9])[ ]{1,2}[a-z][a-zA-Z./ -]{1,40}(?:\^\{?[0-9]\}?)?\Z")
_TEXT = re.compile(r"\\(?:text|textrm|textbf|textit|mathrm|mathbf|mathit|mbox|operatorname)[ ]?\{([^{}]*)\}")
_RULES = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\frac[ ]?([0-9a-z])[ ]?([0-9a-z])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac[ ]?([0-9a-z])[ ]?\{"), r"\\frac{\1}{"),
    (re.compile(r"(\\frac\{[^{}]{1,40}\})[ ]?([0-9a-z])"), r"\1{\2}"),
    (re.compile(r"\\sqrt[ ]?([0-9a-z])"), r"\\sqrt{\1}"),
    (re.compile(r"\\(?:cdot|times|ast)(?![a-zA-Z])"), r"\\cdot"),
    (re.compile(r"\\le(?![a-zA-Z])"), r"\\leq"),
    (re.compile(r"\\ge(?![a-zA-Z])"), r"\\geq"),
    (re.compile(r"\\ne(?![a-zA-Z])"), r"\\neq"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\\lbrace(?![a-zA-Z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![a-zA-Z])"), r"\\}"),
    (re.compile(r"(?<![\w.}])([0-9]{1,9})[ ]+([0-9]{1,9})/([0-9]{1,9})(?![\w/])"), r"\1\\frac{\2}{\3}"),
    (re.compile(r"([_^])\{([0-9a-zA-Z])\}"), r"\1\2"),
)
_THOUSANDS = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])")
_RATIONAL = re.compile(
    r"(?P<sign>[-+]?)(?:(?P<whole>[0-9]{1,30}(?:\.[0-9]{0,60})?|\.[0-9]{1,60})?"
    r"(?:\\frac\{(?P<minus>-?)(?P<above>[0-9]{1,30})\}\{(?P<below>[0-9]{1,30})\})?|"
    r"(?P<over>[0-9]{1,30})/(?P<under>[0-9]{1,30}))(?P<percent>\\?%)?"
)


@dataclass(frozen=True, slots=True)
class Rational:
    """A rational number as it was written."""

    value: Fraction
    percent: bool
    """Whether a percent sign followed."""
    decimals: int | None
    """Digits after the decimal point, `None` where it was written as a fraction."""

    def equals(self, other: Rational) -> bool:
        """Say whether two numbers are the same; where one alone has a percent sign, it may be a hundredth of itself."""
        if self.value == other.value:
            return True
        if self.percent == other.percent:
            return False
        mine, others = self.value / (100 if self.percent else 1), other.value / (100 if other.percent else 1)
        return mine == others

    def rounds(self, exact: Fraction | float, *, digits: int = 3) -> bool:
        """Say whether this is a decimal number of so many digits or more that a more exact one rounds to."""
        if self.decimals is None or self.decimals == 0 or abs(self.value) * 10**self.decimals < 10 ** (digits - 1):
            return False
        return 2 * abs(Fraction(exact) - self.value) <= Fraction(1, 10**self.decimals)


def spelling(text: str) -> str:
    """Return a short mathematical text in one spelling, without spaces, units, degrees, currency and final stop."""
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return text
    text = _SIGN.sub(lambda match: _SIGNS[match[0]], text)
    text = _BOLD.sub(r"\1", text)
    for mark in ("\\(", "\\)", "\\[", "\\]", "\\$", "$", "`"):
        text = text.replace(mark, "")
    text = text.replace("{,}", ",").replace("\\!", "")
    text = _SPACES.sub(" ", text).strip().rstrip(".").strip()
    text = _DEGREES.sub("", text).strip()
    text = _WORDS.sub("", _UNIT.sub("", text))
    text = _TEXT.sub(lambda match: match[1].strip(), text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = "".join(text.split())
    return text[1:-1] if re.fullmatch(r"\(\w\)|\{[^{}]*\}", text) else text


def rational(spelled: str) -> Rational | None:
    """Return the number that a text in one spelling is, or `None`: an integer, decimal, fraction or mixed number."""
    match = _RATIONAL.fullmatch(spelled)
    if match is None or not any(match[name] for name in ("whole", "above", "over")):
        return None
    whole, above, below, over, under = (match[name] for name in ("whole", "above", "below", "over", "under"))
    if (
        (below and not int(below))
        or (under and not int(under))
        or (above and whole and (match["minus"] or "." in whole))
    ):
        return None
    value = Fraction(whole) if whole else Fraction(0)
    if above:
        value += Fraction(int(match["minus"] + above), int(below))
    if over:
        value = Fraction(int(over), int(under))
    decimals = None if above or over else len(whole.partition(".")[2])
    return Rational(-value if match["sign"] == "-" else value, bool(match["percent"]), decimals)


def segments(text: str) -> list[str]:
    r"""Return what stands between `$...$`, `\(...\)` and `\[...\]`, in order."""
    return [
        inside.strip() for match in _SEGMENT.finditer(text) for inside in match.groups() if inside and inside.strip()
    ]
