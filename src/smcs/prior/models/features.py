"""Numbers that describe a question before it is answered, beside its embedding: its length, form and options."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ("FEATURES", "question_features")

FEATURES = (
    "log length of the text",
    "log length of the options",
    "number of options",
    "log mean length of an option",
    "share of digits in the text",
    "share of digits in the options",
    "log number of digits in the text",
    "share of symbols in the text",
    "share of symbols in the options",
    "has LaTeX",
    "asks for what is not",
    "has a blank to fill",
    "ends with a question mark",
    "refers to what follows",
    "lines",
    "sentences",
    "share of capitals in the text",
    "has numbered statements",
    "has Roman numerals",
    "an option means all or none",
    "share of options of different length",
)
"""What `question_features` counts, in its order."""

_SYMBOLS = frozenset("\\$^_{}=+*/<>()")
_NUMBERED = re.compile(r"\bstatement 1\b", re.IGNORECASE)
_ROMAN = re.compile(r"\bI\b.*\bII\b", re.DOTALL)
_MOST_CHARACTERS = 100_000


def question_features(text: str, choices: Sequence[str] = ()) -> NDArray[np.float64]:
    """Return the `FEATURES` of a question, shape (21,), all finite.

    Args:
        text: The question, without its options.
        choices: Its options, where it has some.
    """
    text = text[:_MOST_CHARACTERS]
    options = " ".join(choices)[:_MOST_CHARACTERS]
    words = text.lower().split()
    end = text.rstrip()
    return np.array(
        [
            math.log1p(len(text)),
            math.log1p(len(options)),
            len(choices),
            math.log1p(sum(map(len, choices)) / max(1, len(choices))),
            _share(text, str.isdigit),
            _share(options, str.isdigit),
            math.log1p(sum(map(str.isdigit, text))),
            _share(text, _SYMBOLS.__contains__),
            _share(options, _SYMBOLS.__contains__),
            "$" in text or "\\" in text or "\\" in options,
            "not" in words or "except" in words,
            "____" in text or end.endswith("_"),
            end.endswith("?"),
            "following" in text.lower(),
            text.count("\n"),
            text.count("."),
            _share(text, str.isupper),
            _NUMBERED.search(text) is not None,
            _ROMAN.search(text) is not None,
            any("none of" in choice.lower() or "all of" in choice.lower() for choice in choices),
            len(set(map(len, choices))) / max(1, len(choices)),
        ],
        dtype=np.float64,
    )


def _share(text: str, is_one: Callable[[str], bool]) -> float:
    return sum(map(is_one, text)) / max(1, len(text))
