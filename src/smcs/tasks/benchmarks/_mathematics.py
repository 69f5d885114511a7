r"""What the mathematics benchmarks share."""

from __future__ import annotations

import re

from smcs.errors import InputError

__all__ = ("integer_text", "is_prose", "last_boxed")

_INTEGER = re.compile(r"[+-]?[0-9]+")
_PROSE = re.compile(r"[A-Za-z]{2,}(?:[ ,'\u2019-]+[A-Za-z]+)*\.?")


def last_boxed(solution: str) -> str:
    r"""Return what stands in the last `\boxed{...}` (or `\boxed 5`, `\fbox{...}`) of a solution.

    Raises:
        InputError: There is none, or its braces do not close.
    """
    start, tag = max((solution.rfind(tag), tag) for tag in ("\\boxed", "\\fbox"))
    if start < 0:
        raise InputError("the solution boxes no answer")
    rest = solution[start + len(tag) :].lstrip()
    if not rest.startswith("{"):
        words = rest.replace("$", " ").split()
        if not words:
            raise InputError("the solution boxes no answer")
        return words[0].rstrip(".,")
    depth = 0
    for end, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[1:end].strip()
    raise InputError("the braces of the boxed answer do not close")


def integer_text(answer: str | None) -> str:
    """Return an integer in its plain form: no leading zeros, separators or spaces.

    Raises:
        InputError: It is none.
    """
    text = (answer or "").replace(",", "").strip()
    if not _INTEGER.fullmatch(text):
        raise InputError(f"`answer` must be an integer, got {answer!r:.40}")
    return str(int(text))


def is_prose(answer: str) -> bool:
    """Say whether a gold is words alone ("Yes", "The first player"), which no checker of formulas could match."""
    return _PROSE.fullmatch(answer.strip()) is not None
