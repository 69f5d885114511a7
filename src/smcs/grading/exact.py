r"""Was the right word, name or yes/no given?

Texts are compared without case, punctuation, accents' encodings, articles and markup. What counts as the answer is
`\boxed{...}`, else what follows the last "answer", else the last line; a yes or no may also open the text.
"""

from __future__ import annotations

import re
import unicodedata

from smcs.grading._text import accepted, boxed, own_parts, plain, stated
from smcs.types import Grade, Question

__all__ = ("grade_exact", "normal_text", "same_text")

_WORDS = re.compile(r"[^\W_]+|[+#%\u00b0]")
_ARTICLES = frozenset({"a", "an", "the"})
_BINARY = ({"yes", "no"}, {"true", "false"})
_CLAUSE = re.compile(r"[,;:(\u2014]|\.(?:\s|$)|\s(?:because|since|as|which|who|-)\s")
_LENGTH = 2_000


def grade_exact(question: Question, answer: str) -> Grade:
    """Grade an answer against a short text.

    Args:
        question: Its `gold` is a short text; `check["accepted"]` lists others that are right too.
        answer: Free text.

    Returns:
        1 or 0. An answer in which nothing can be read is wrong.

    Raises:
        InputError: There is no gold, or `accepted` is no list of texts.
    """
    golds = accepted(question)
    for part in own_parts(answer, question.text):
        found = _find(part, golds)
        if found:
            right = any(same_text(found, gold) for gold in golds)
            return Grade(float(right), found, "is the gold" if right else f"expected {' or '.join(golds)}")
    return Grade(0.0, None, "empty answer")


def same_text(found: str, gold: str) -> bool:
    """Say whether a text, or its first clause, is the gold but for case, punctuation, articles and markup."""
    wanted = normal_text(gold)
    if not wanted:
        return False
    clause = _CLAUSE.split(found.strip(), maxsplit=1)[0]
    return wanted in (normal_text(found), normal_text(clause)) or _binary(found, wanted) == wanted


def normal_text(text: str) -> str:
    """Return the words of a text in lower case, without articles, in NFKC form, with single spaces between them."""
    words = _WORDS.findall(unicodedata.normalize("NFKC", plain(text[:_LENGTH])).casefold())
    return " ".join([word for word in words if word not in _ARTICLES] or words)


def _find(answer: str, golds: tuple[str, ...]) -> str:
    text = plain(answer)
    for part in [boxed(text), *stated(text)]:
        if part and normal_text(part):
            return part
    lines = [line.strip() for line in text.strip().splitlines() if normal_text(line)]
    if not lines:
        return ""
    opening = normal_text(lines[0]).partition(" ")[0]
    pair = next((pair for pair in _BINARY if opening in pair and normal_text(golds[0]) in pair), set[str]())
    return lines[0] if pair and normal_text(lines[-1]) not in pair else lines[-1]


def _binary(text: str, gold: str) -> str | None:
    """Return the yes or no (true or false) that a sentence says: its first word, or the only one of the two in it."""
    pair = next((pair for pair in _BINARY if gold in pair), None)
    if pair is None:
        return None
    words = normal_text(text).split()
    said = {word for word in words if word in pair}
    return words[0] if words and words[0] in pair else said.pop() if len(said) == 1 else None
