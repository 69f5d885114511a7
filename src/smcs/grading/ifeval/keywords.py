"""`keywords:*`: words and letters that an answer must hold, or must not.

Keywords are found in any case and inside longer words; forbidden words only as whole words. They are taken literally:
the published checker reads them as regular expressions, which an imported question could abuse.
"""

from __future__ import annotations

import re

from smcs.grading.ifeval.parameters import Check, Parameters

__all__ = ("existence", "forbidden_words", "frequency", "letter_frequency")


def existence(parameters: Parameters) -> Check:
    """Build the check that each of `keywords` occurs."""
    patterns = [re.compile(re.escape(keyword), re.IGNORECASE) for keyword in parameters.texts("keywords")]
    return lambda text: all(pattern.search(text) for pattern in patterns)


def frequency(parameters: Parameters) -> Check:
    """Build the check that `keyword` occurs "at least" or "less than" `frequency` times."""
    pattern = re.compile(re.escape(parameters.text("keyword")), re.IGNORECASE)
    enough = parameters.comparison("relation", "frequency")
    return lambda text: enough(sum(1 for _ in pattern.finditer(text)))


def forbidden_words(parameters: Parameters) -> Check:
    """Build the check that none of `forbidden_words` occurs as a word."""
    patterns = [re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE) for word in parameters.texts("forbidden_words")]
    return lambda text: not any(pattern.search(text) for pattern in patterns)


def letter_frequency(parameters: Parameters) -> Check:
    """Build the check that `letter` occurs "at least" or "less than" `let_frequency` times, in any case.

    Any single character is counted. The published checker puts a random letter in the place of one that is not from
    a to z; two of its prompts ask for "#" and "!", so its verdict on these is chance. Here the character that the
    prompt asks for is counted.

    Raises:
        InputError: `letter` is missing or longer than one character.
    """
    letter = parameters.text("letter").lower()
    if len(letter) != 1:
        raise parameters.error("letter", "one character")
    enough = parameters.comparison("let_relation", "let_frequency")
    return lambda text: enough(text.lower().count(letter))
