"""`length_constraints:*`: how many words, sentences and paragraphs an answer has."""

from __future__ import annotations

import re

from smcs.grading.ifeval.parameters import Check, Parameters
from smcs.grading.ifeval.sentences import count_sentences

__all__ = ("nth_paragraph_first_word", "number_paragraphs", "number_sentences", "number_words")

_MARKS = (
    "\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"
    "\u0900-\u0963\u0966-\u096f\u0971-\u0df3\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u17b4-\u17d3\u200c\u200d"
)
"""Vowel signs, accents and joiners, which belong to words but which `\\w` leaves out (the whole of Indic blocks)."""
_WORD = re.compile(rf"[\w{_MARKS}]+")
_DIVIDER = re.compile(r"\s?\*{3}\s?")
_WORD_END = re.compile(r"[.,?!'\"]")


def number_words(parameters: Parameters) -> Check:
    """Build the check on the number of words: runs of letters with their marks, digits and underscores."""
    enough = parameters.comparison("relation", "num_words")
    return lambda text: enough(sum(1 for _ in _WORD.finditer(text)))


def number_sentences(parameters: Parameters) -> Check:
    """Build the check on the number of sentences."""
    enough = parameters.comparison("relation", "num_sentences")
    return lambda text: enough(count_sentences(text))


def number_paragraphs(parameters: Parameters) -> Check:
    """Build the check for exactly `num_paragraphs` paragraphs divided by `***`; only the outermost may be blank."""
    wanted = parameters.count("num_paragraphs")

    def check(text: str) -> bool:
        paragraphs = _DIVIDER.split(text)
        blank = [not paragraph.strip() for paragraph in paragraphs]
        return not any(blank[1:-1]) and len(paragraphs) - sum(blank) == wanted

    return check


def nth_paragraph_first_word(parameters: Parameters) -> Check:
    """Build the check that there are `num_paragraphs` paragraphs and the `nth_paragraph` begins with `first_word`.

    Paragraphs are divided by two line breaks. Blank ones are not counted, but keep their place, as published: after
    one of them, "the second paragraph" is the blank one and the instruction is not followed. The first word ends
    before punctuation.

    Raises:
        InputError: A parameter is missing, or `nth_paragraph` is above `num_paragraphs`.
    """
    wanted, nth = parameters.count("num_paragraphs", least=1), parameters.count("nth_paragraph", least=1)
    first_word = parameters.text("first_word").lower()
    if nth > wanted:
        raise parameters.error("nth_paragraph", f"at most `num_paragraphs` ({wanted})")

    def check(text: str) -> bool:
        paragraphs = [paragraph.strip() for paragraph in text.split("\n\n")]
        if sum(map(bool, paragraphs)) != wanted or not paragraphs[nth - 1]:
            return False
        word = paragraphs[nth - 1].split(maxsplit=1)[0].lstrip("'").lstrip('"')
        return _WORD_END.split(word, maxsplit=1)[0].lower() == first_word

    return check
