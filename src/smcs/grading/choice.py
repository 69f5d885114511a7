r"""Was the right option chosen?

A letter counts only if it is one of the question's. Places are tried from the clearest to the vaguest: `\boxed{B}`,
what follows the last "answer", what else is boxed, "option B", a line that is only a letter, a line that opens with one
("B. text"), the last letter in brackets, the text of exactly one option, the last capital that stands alone (in a short
text only: in a long one it is a variable or an initial, right no more often than a guess).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from smcs.errors import InputError
from smcs.grading._text import accepted, boxed, own_parts, plain, stated
from smcs.types import Grade, Question

__all__ = ("find_choice", "grade_choice")

_LETTER = r"(?:(?:option|choice|letter|statement)[ ]{0,2})?"
_LEAD = re.compile(rf"[^\w]{{0,4}}{_LETTER}[(\[{{<\"']?([A-Za-z])(?![\w'])[)\]}}>\"']?", re.I)
_CHOOSE = re.compile(r"\b(?:option|choice)[ ]{0,2}[(\[\"']?([A-Z])\b(?!')")
_ALONE = re.compile(r"^[^\w\n]{0,4}([A-Za-z])[^\w\n]{0,4}$", re.MULTILINE)
_OPENS = re.compile(r"^[ \t>*#-]{0,6}[(\[]?([A-Z])[.):\]][ \t]", re.MULTILINE)
_BRACKETS = re.compile(r"(?<![\w\\)}\]])[(\[{]([A-Z])[)\]}](?![\w({\[^])")
_CAPITAL = re.compile(r"(?<![\w'.-])([A-Z])(?![\w'-])")
_SHORT = 300
_ARTICLE = re.compile(r"[ ](?!(?:is|was|are|must|because|since|as|and|or)\b)[a-z]")


def grade_choice(question: Question, answer: str) -> Grade:
    """Grade an answer to a question with options.

    Args:
        question: With `choices`, and the letter of the right one as `gold`; `check["accepted"]` lists further letters.
        answer: Free text.

    Returns:
        1 or 0. An answer in which no option can be found is wrong.

    Raises:
        InputError: There are no choices, more than 26, or the gold is not the letter of one.
    """
    letters = _letters(question.choices)
    if not letters or question.gold is None or question.gold not in tuple(letters):
        raise InputError(
            f"Question {question.id!r} needs 1 to 26 choices and the letter of one as `gold` to be graded, "
            f"got {len(question.choices)} choices and gold {question.gold!r}."
        )
    golds = accepted(question)
    found = find_choice(answer, question.choices, question=question.text)
    if found is None:
        return Grade(0.0, None, "no option found")
    if found in golds:
        return Grade(1.0, found, "is the gold" if found == question.gold else "is accepted")
    return Grade(0.0, found, f"expected {' or '.join(golds)}")


def find_choice(answer: str, choices: tuple[str, ...], *, question: str = "") -> str | None:
    """Return the letter an answer settles on, or `None`.

    Args:
        answer: Free text. The last statement counts if several differ; what follows the answer to this question, such
            as a next question that the LLM invents, is left out.
        choices: Texts of the options A, B, ...
        question: What was asked, to recognise where an answer repeats it.
    """
    letters = _letters(choices)
    return next((letter for part in own_parts(answer, question) if (letter := _find(part, choices, letters))), None)


def _find(answer: str, choices: tuple[str, ...], letters: str) -> str | None:
    text = plain(answer)
    inside = boxed(text)
    bare = inside is not None and len(re.findall(r"\w", inside)) == 1
    parts = [inside, *stated(text)] if bare else [*stated(text), inside]
    for part in parts:
        if part and (letter := _leading(part, choices, letters)):
            return letter
    finders: tuple[Callable[[str], str | None], ...] = (
        lambda text: _last(_CHOOSE, text, letters),
        lambda text: _last(_ALONE, text, letters),
        lambda text: _only(_OPENS, text, letters),
        lambda text: _last(_BRACKETS, text, letters),
        lambda text: _by_text(text.strip().rpartition("\n")[2], choices, letters),
        lambda text: _by_text(text, choices, letters),
        lambda text: _last_capital(text, letters) if len(text) <= _SHORT else None,
    )
    return next((letter for find in finders if (letter := find(text))), None)


def _letters(choices: tuple[str, ...]) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(choices)] if len(choices) <= 26 else ""


def _leading(part: str, choices: tuple[str, ...], letters: str) -> str | None:
    """Read a letter, or an option's text, at the beginning of what was stated as the answer."""
    match = _LEAD.match(part)
    letter = match[1].upper() if match else ""
    if match and letter in letters and not _is_word(match, part, choices):
        return letter
    return _by_text(part, choices, letters)


def _is_word(match: re.Match[str], part: str, choices: tuple[str, ...]) -> bool:
    """Tell "a", "A" and "I" as words of a sentence from letters of options."""
    if not part[match.end() - 1].isalpha() or not _ARTICLE.match(part, match.end()):
        return False
    if match[1] == "A":
        return any(choice.lower().startswith("a ") and _normal(choice) in _normal(part) for choice in choices)
    return match[1] == "I" or match[1].islower()


def _last(pattern: re.Pattern[str], text: str, letters: str) -> str | None:
    found = [match[1].upper() for match in pattern.finditer(text) if match[1].upper() in letters]
    return found[-1] if found else None


def _only(pattern: re.Pattern[str], text: str, letters: str) -> str | None:
    """Several different letters are the options told again, not an answer."""
    found = {match[1] for match in pattern.finditer(text) if match[1] in letters}
    return found.pop() if len(found) == 1 else None


def _last_capital(text: str, letters: str) -> str | None:
    found = [
        match[1]
        for match in _CAPITAL.finditer(text)
        if match[1] in letters and not (match[1] in "AI" and _ARTICLE.match(text, match.end()))
    ]
    return found[-1] if found else None


def _by_text(text: str, choices: tuple[str, ...], letters: str) -> str | None:
    """Return the option whose text occurs, if it is the only one; those inside longer ones are not counted."""
    text = _normal(text)
    options = {letter: _normal(choice) for letter, choice in zip(letters, choices, strict=True)}
    present = {letter: option for letter, option in options.items() if option.strip() and option in text}
    kept = [
        letter
        for letter, option in present.items()
        if not any(option != other and option in other for other in present.values())
    ]
    return kept[0] if len(kept) == 1 else None


def _normal(text: str) -> str:
    """Return lowercase words with single spaces around each, so that only whole words are found in them."""
    return f" {' '.join(re.findall(r'[a-z0-9]+', plain(text).lower()))} "
