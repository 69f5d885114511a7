"""Were the instructions followed to the letter?

`check` is `{"rules": [{"kind": ..., ...}, ...]}`. A rule looks at form only, never at what the answer says. All or
nothing: one broken rule scores 0. White space around the answer is ignored.

| kind | parameters | the answer |
|---|---|---|
| words, sentences | relation ("exactly", "at most", "at least"), count | has that many words / sentences |
| bullets | count | is that many lines that start with "- ", "* " or "• " |
| numbered | count | is that many lines "1. ...", "2. ...", in order |
| include, exclude | words | has all / none of the words, in any case |
| without | characters | has none of the characters, in any case |
| lowercase, uppercase | | has no capital / no small letter, but some letter |
| starts_with, ends_with | text | begins / ends with the text |
| exact | text | is the text |
| json | keys; values (optional) | is a JSON object with these keys alone, and these values |
| separated | separator, count; left, right, sorted (optional) | is one line of entries, enclosed, from a to z |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from smcs.errors import InputError, suggest
from smcs.types import Grade, Question

__all__ = ("RULES", "grade_instructions")

Rule = Mapping[str, Any]

MAX_CHARACTERS = 100_000
"""A longer answer follows no instructions; the limit bounds the time a rule can take."""

_SENTENCE_END = re.compile(r"[.!?]+[\"')\]]{0,3}(?=\s|$)")
_FENCE = re.compile(r"\A```[a-zA-Z]{0,10}\n(.*)\n```\Z", re.DOTALL)


def grade_instructions(question: Question, answer: str) -> Grade:
    """Grade an answer by the rules of a question.

    Args:
        question: `check["rules"]` lists at least one rule.
        answer: Free text.

    Returns:
        1 if every rule is kept, else 0 with the broken ones as reason.

    Raises:
        InputError: A rule is unknown or lacks a parameter, or there are none.
    """
    rules = question.check.get("rules")
    if not isinstance(rules, list) or not rules or not all(isinstance(rule, Mapping) for rule in rules):
        raise InputError(f"Question {question.id!r} needs a list of rules in `check['rules']`, got {rules!r}.")
    text = answer.strip()
    if len(text) > MAX_CHARACTERS:
        return Grade(0.0, None, f"longer than {MAX_CHARACTERS:,} characters")
    broken = [problem for rule in rules if (problem := _problem(rule, text)) is not None]
    if not text:
        return Grade(0.0, None, "empty answer")
    return Grade(0.0, None, "; ".join(broken)) if broken else Grade(1.0, None, "every rule kept")


def _problem(rule: Rule, text: str) -> str | None:
    """Return what is wrong with a text under one rule, or `None`."""
    kind = rule.get("kind")
    if not isinstance(kind, str) or kind not in RULES:
        raise InputError(f"Unknown instruction rule {kind!r}.{suggest(str(kind), RULES)}")
    try:
        return RULES[kind](rule, text)
    except KeyError as missing:
        raise InputError(f"Instruction rule {kind!r} lacks the parameter {missing}.") from None


def _count(rule: Rule, found: int, what: str) -> str | None:
    relation, count = rule["relation"], rule["count"]
    kept = {"exactly": found == count, "at most": found <= count, "at least": found >= count}
    if relation not in kept:
        raise InputError(f"Unknown relation {relation!r}.{suggest(str(relation), kept)}")
    return None if kept[relation] else f"{found} {what} instead of {relation} {count}"


def _words(rule: Rule, text: str) -> str | None:
    return _count(rule, sum(any(c.isalnum() for c in item) for item in text.split()), "words")


def _sentences(rule: Rule, text: str) -> str | None:
    pieces = _SENTENCE_END.split(text)
    return _count(rule, sum(any(c.isalnum() for c in piece) for piece in pieces), "sentences")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _bullets(rule: Rule, text: str) -> str | None:
    lines = _lines(text)
    if not all(line.startswith(("- ", "* ", "• ")) for line in lines):
        return "a line is no bullet point"
    return None if len(lines) == rule["count"] else f"{len(lines)} bullet points instead of {rule['count']}"


def _numbered(rule: Rule, text: str) -> str | None:
    lines = _lines(text)
    if not all(line.startswith(f"{i}. ") for i, line in enumerate(lines, 1)):
        return "a line has not the right number"
    return None if len(lines) == rule["count"] else f"{len(lines)} lines instead of {rule['count']}"


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def _include(rule: Rule, text: str) -> str | None:
    missing = [word for word in rule["words"] if not _has_word(text, word)]
    return f"lacks {', '.join(map(repr, missing))}" if missing else None


def _exclude(rule: Rule, text: str) -> str | None:
    present = [word for word in rule["words"] if _has_word(text, word)]
    return f"has {', '.join(map(repr, present))}" if present else None


def _without(rule: Rule, text: str) -> str | None:
    present = sorted(set(rule["characters"].lower()) & set(text.lower()))
    return f"has {', '.join(map(repr, present))}" if present else None


def _lowercase(rule: Rule, text: str) -> str | None:
    return None if text.islower() else "is not all lowercase"


def _uppercase(rule: Rule, text: str) -> str | None:
    return None if text.isupper() else "is not all uppercase"


def _starts_with(rule: Rule, text: str) -> str | None:
    return None if text.startswith(rule["text"]) else f"does not start with {rule['text']!r}"


def _ends_with(rule: Rule, text: str) -> str | None:
    return None if text.endswith(rule["text"]) else f"does not end with {rule['text']!r}"


def _exact(rule: Rule, text: str) -> str | None:
    return None if text == rule["text"] else f"is not {rule['text']!r}"


def _json(rule: Rule, text: str) -> str | None:
    fenced = _FENCE.match(text)
    try:
        value = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return "is not JSON"
    if not isinstance(value, dict) or set(value) != set(rule["keys"]):
        return f"is not an object with the keys {', '.join(rule['keys'])}"
    wrong = [key for key, wanted in rule.get("values", {}).items() if value[key] != wanted]
    return f"has other values for {', '.join(wrong)}" if wrong else None


def _separated(rule: Rule, text: str) -> str | None:
    left, right = rule.get("left", ""), rule.get("right", "")
    if "\n" in text:
        return "is not one line"
    if not (text.startswith(left) and text.endswith(right) and len(text) >= len(left) + len(right)):
        return f"is not enclosed in {left} and {right}"
    entries = [entry.strip() for entry in text[len(left) : len(text) - len(right)].split(rule["separator"])]
    if not all(any(c.isalnum() for c in entry) for entry in entries):
        return "has an empty entry"
    if len(entries) != rule["count"]:
        return f"{len(entries)} entries instead of {rule['count']}"
    folded = [entry.casefold() for entry in entries]
    return "is not in alphabetical order" if rule.get("sorted", False) and folded != sorted(folded) else None


RULES: Mapping[str, Callable[[Rule, str], str | None]] = {
    "words": _words,
    "sentences": _sentences,
    "bullets": _bullets,
    "numbered": _numbered,
    "include": _include,
    "exclude": _exclude,
    "without": _without,
    "lowercase": _lowercase,
    "uppercase": _uppercase,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "exact": _exact,
    "json": _json,
    "separated": _separated,
}
"""Rule kind -> (rule, stripped answer) -> what is wrong, or `None`."""
