"""`change_case:*` and `language:*`: capitals, small letters and the language of an answer."""

from __future__ import annotations

import re

from smcs.errors import suggest
from smcs.grading.ifeval.languages import detect_language, known_languages
from smcs.grading.ifeval.parameters import Check, Parameters

__all__ = ("capital_word_frequency", "english_capital", "english_lowercase", "response_language")

_APART = re.compile(
    r"[;@#$%&?!*()\[\]{}<>\"`\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u2013\u2014]|[:,](?!\d)|\.{2,}|-{2,}|''|(?<=[^.\s])\.(?=\s|\Z)"
)
_LONE_QUOTED = re.compile(r"'(?!re|ve|ll|m|t|s|d|n)(?=\w\b)", re.IGNORECASE)
_CLITIC = re.compile(r"(?<=[^\s'])(?=(?:'[sSmMdD]|'ll|'LL|'re|'RE|'ve|'VE|n't|N'T)(?!\S))")
_JOINED = re.compile(
    r"\b(can(?=not\b)|d(?='ye\b)|gim(?=me\b)|gon(?=na\b)|got(?=ta\b)|lem(?=me\b)|more(?='n\b)|wan(?=na\b))", re.I
)


def capital_words(text: str) -> int:
    """Count the words in capitals, "I" and "U.S." among them.

    Words are taken apart as the Penn Treebank does: punctuation stands alone except inside numbers and after dots,
    hyphens and slashes join, "CAN'T" and "CANNOT" are two words.
    """
    if not any(map(str.isupper, text)):
        return 0
    for pattern, parted in ((_APART, " "), (_LONE_QUOTED, "' "), (_CLITIC, " "), (_JOINED, r"\1 ")):
        text = pattern.sub(parted, text)
    return sum(map(str.isupper, text.split()))


def capital_word_frequency(parameters: Parameters) -> Check:
    """Build the check that "at least" or "less than" `capital_frequency` words are in capitals."""
    enough = parameters.comparison("capital_relation", "capital_frequency")
    return lambda text: enough(capital_words(text))


def english_capital(parameters: Parameters) -> Check:
    """Build the check for English without small letters; no parameters.

    The language is that of the text in small letters. langdetect leaves all but the first letters of words in capitals
    out, so the published checker, which shows it the capitals, takes every twentieth long English answer for another
    language, and every fifth short one.
    """
    del parameters
    return lambda text: text.isupper() and detect_language(text.lower()) in ("en", None)


def english_lowercase(parameters: Parameters) -> Check:
    """Build the check for English without capital letters; no parameters."""
    del parameters
    return lambda text: text.islower() and detect_language(text) in ("en", None)


def response_language(parameters: Parameters) -> Check:
    """Build the check that the answer is in `language` (ISO 639-1); a text without a language follows, as published.

    Raises:
        InputError: langdetect does not know the language.
        MissingExtraError: langdetect is not installed.
    """
    language = parameters.text("language")

    def check(text: str) -> bool:
        if language not in known_languages():
            raise parameters.error("language", f"a language of langdetect.{suggest(language, known_languages())}")
        return detect_language(text) in (language, None)

    return check
