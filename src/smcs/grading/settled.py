"""What a text settles on when nobody says what kind of answer it is: a number, a formula, a word or a name."""

from __future__ import annotations

import re

from smcs.grading._text import boxed, own_parts, plain, stated
from smcs.grading.number import find_number

__all__ = ("settled",)

_SHORT = 80
"""A text of one line this long may be the answer itself, without words around it."""

_CLAUSE = re.compile(r"[;\u2014]|[.,!?](?:\s|$)|\s(?:because|since|as|which)\s")


def settled(answer: str) -> str | None:
    r"""Return the short answer in a text, or `None` if it is only prose.

    Args:
        answer: Free text.

    Returns:
        What stands in the last `\boxed{...}`, else what follows the last "answer", cut to its number or first clause,
        else the whole text where it is one short line.
    """
    for part in own_parts(answer):
        text = plain(part)
        inside = boxed(text)
        if inside:
            return inside.strip()
        for statement in stated(text):
            if found := _short(statement):
                return found
        whole = text.strip()
        if whole and "\n" not in whole and len(whole) <= _SHORT:
            return _short(whole)
    return None


def _short(statement: str) -> str | None:
    statement = statement.strip(" \"'*_`")
    number = find_number(statement)
    if number is not None and statement.startswith(number.text):
        return number.text
    clause = _CLAUSE.split(statement, maxsplit=1)[0].strip(" \"'*_`.")
    return clause if clause and len(clause) <= _SHORT else None
