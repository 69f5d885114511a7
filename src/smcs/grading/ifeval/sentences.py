"""How many sentences a text has, after Kiss & Strunk (2006), "Unsupervised Multilingual Sentence Boundary Detection".

The published checker counts with NLTK's Punkt, whose trained model is downloaded at run time. This counter has the same
rules (a period ends a sentence unless it belongs to an abbreviation, an initial, an ellipsis or an ordinal before a
small letter; what follows may overrule that), with short lists of our own in the place of the model; only which single
letters count as abbreviations is taken from it. "e.g.", "i.e." and "etc." end a sentence, as they do there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ("count_sentences",)

_QUOTES = "\u2018\u2019\u201c\u201d\u00ab\u00bb"
_APART = rf")\"';}}\]*:@({{\[!?{_QUOTES}"
_END = re.compile(rf"[.?!](?=[{_APART}]|\s)")
_CLOSING = re.compile(rf"[\"')\]}}{_QUOTES}]+?(?:\s+|(?=--)|\Z)")
_WORD = re.compile(rf"[^\s{_APART}]*\Z")
_SPACE = re.compile(r"\s")
_NEXT = re.compile(r"\s*([^\W\d_]?\w*(?:'\w+)?)")
_NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*\Z")
_DOTTED = re.compile(r"(?!(?:e\.g|i\.e|p\.s|p\.p\.s)\Z)(?:[^\W\d_]\.)+[^\W\d_]\Z")
_LONGEST_WORD = 40

_INITIALS = frozenset("cdefghklmnprstvw")
"""Single letters that never end a sentence: those that Punkt's English model has. Others (I, x) may, before no name."""
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms messrs dr prof rep sen gen col lt sgt capt gov adm st mt ft ave jr sr ph.d co corp inc ltd bros vs
    jan feb mar apr aug sep sept oct nov dec mon tues wed thurs fri
    ala ariz calif colo conn fla ga kan ky mich minn okla ore tenn va vt wash wis
    """.split()  # noqa: SIM905  (a list of strings would be three times as long)
)
_SMALL_WORDS = frozenset(
    """
    a about after all also although an and another any are as at be because been before both but by can could did do
    does during each even every few first for from had has have he her here his how however if in indeed instead into
    is it its just last let like many may meanwhile more moreover most much my nevertheless no nor not now of often on
    once one only or other others our perhaps please several she should since so some still such than that the their
    them then there therefore these they this those though through thus to today together under unless until upon was
    we well were what when where whether which while who why will with within without would yes yet you your
    """.split()  # noqa: SIM905
)


def count_sentences(text: str) -> int:
    """Return the number of sentences; 0 for a blank text."""
    text = text.strip()
    found, begin = 0, 0
    for end in _boundaries(text):
        found, begin = found + 1, end
    rest = text[begin:].lstrip()
    closing = _CLOSING.match(rest)
    return found + bool(rest[closing.end() :] if closing else rest)


def _boundaries(text: str) -> Iterator[int]:
    """Yield where sentences end: after the last mark of a stretch without white space, if one of them ends one."""
    last, ends = 0, False
    for match in _END.finditer(text):
        if ends and _SPACE.search(text, last, match.start()):
            yield last
            ends = False
        last = match.end()
        ends = ends or _ends(text, match.start())
    if ends:
        yield last


def _ends(text: str, at: int) -> bool:
    """Tell whether the mark at an index ends a sentence."""
    if text[at] != "." or at == 0 or text[at - 1].isspace():
        return True
    word = _word_before(text, at)
    following = _NEXT.match(text, at + 1)
    then = following[1] if following else ""
    if word.endswith(".") or word.rpartition("-")[2] in _ABBREVIATIONS or _DOTTED.match(word):
        return then[:1].isupper() and then.lower() in _SMALL_WORDS
    if word in _INITIALS:
        return False
    if len(word) == 1 and word.isalpha():
        return then.lower() in _SMALL_WORDS if then[:1].isupper() else not then[:1].islower()
    return not (then[:1].islower() and _NUMBER.match(word))


def _word_before(text: str, at: int) -> str:
    found = _WORD.search(text, max(0, at - _LONGEST_WORD), at)
    return found[0].lstrip("`&#-,").lower() if found else ""
