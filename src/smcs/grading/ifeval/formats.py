"""`detectable_content:*` and `detectable_format:*`: placeholders, lists, highlights, sections, titles, JSON.

Every check reads the text once: unclosed brackets and stars cannot make it slow.
"""

from __future__ import annotations

import json
import re

from smcs.grading.ifeval.parameters import Check, Parameters

__all__ = (
    "constrained_response",
    "json_format",
    "multiple_sections",
    "number_bullet_lists",
    "number_highlighted_sections",
    "number_placeholders",
    "postscript",
    "title",
)

_VERDICTS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_ITALIC = re.compile(r"\*([^*\n]*)\*")
_BOLD = re.compile(r"\*\*([^*\n]*)\*\*")
_OPENED = re.compile(r"\[[^\]\n]*")
_TITLE = re.compile(r"<<[^\n]*")
_POSTSCRIPTS = {"p.p.s": re.compile(r"p\.\s?p\.\s?s"), "p.s.": re.compile(r"p\.\s?s\.")}


def number_placeholders(parameters: Parameters) -> Check:
    """Build the check for at least `num_placeholders` pairs of square brackets, each inside one line."""
    wanted = parameters.count("num_placeholders")

    def check(text: str) -> bool:
        opened = _OPENED.finditer(text)
        return sum(text.startswith("]", match.end()) for match in opened) >= wanted

    return check


def postscript(parameters: Parameters) -> Check:
    """Build the check for a postscript that begins with `postscript_marker`; "P.S." and "P.P.S" may be spaced."""
    marker = parameters.text("postscript_marker").lower()
    pattern = _POSTSCRIPTS.get(marker) or re.compile(re.escape(marker))
    return lambda text: pattern.search(text.lower()) is not None


def number_bullet_lists(parameters: Parameters) -> Check:
    """Build the check for exactly `num_bullets` lines that begin with "-" or one "*".

    A line of one star alone takes the next line as its text, as published.
    """
    wanted = parameters.count("num_bullets")

    def check(text: str) -> bool:
        lines = [line.lstrip() for line in text.split("\n")]
        found, taken = sum(line.startswith("-") for line in lines), False
        for i, line in enumerate(lines):
            if taken:
                taken = False
            elif line == "*" and i + 1 < len(lines):
                found, taken = found + 1, True
            elif line[:1] == "*" and line[1:2] not in ("", "*"):
                found += 1
        return found == wanted

    return check


def constrained_response(parameters: Parameters) -> Check:
    """Build the check that the answer holds "My answer is yes.", "... no." or "... maybe."; no parameters."""
    del parameters
    return lambda text: any(verdict in text for verdict in _VERDICTS)


def number_highlighted_sections(parameters: Parameters) -> Check:
    """Build the check for at least `num_highlights` stretches *so* or **so** marked, not blank and on one line."""
    wanted = parameters.count("num_highlights")

    def check(text: str) -> bool:
        marked = (match[1] for pattern in (_ITALIC, _BOLD) for match in pattern.finditer(text))
        return sum(bool(inside.strip()) for inside in marked) >= wanted

    return check


def multiple_sections(parameters: Parameters) -> Check:
    """Build the check for at least `num_sections` headings: `section_spliter` (sic) and a number."""
    wanted = parameters.count("num_sections")
    heading = re.compile(rf"{re.escape(parameters.text('section_spliter'))}\s?\d+")
    return lambda text: sum(1 for _ in heading.finditer(text)) >= wanted


def json_format(parameters: Parameters) -> Check:
    """Build the check that the whole answer is one JSON value, perhaps inside a Markdown fence; no parameters."""
    del parameters

    def check(text: str) -> bool:
        text = text.strip()
        for opening in ("```json", "```Json", "```JSON", "```"):
            text = text.removeprefix(opening)
        try:
            json.loads(text.removesuffix("```").strip())
        except (ValueError, RecursionError):
            return False
        return True

    return check


def title(parameters: Parameters) -> Check:
    """Build the check for a title in <<double angular brackets>>, not blank and on one line; no parameters."""
    del parameters
    return lambda text: any(_titled(match[0]) for match in _TITLE.finditer(text))


def _titled(line: str) -> bool:
    end = line.rfind(">>")
    return end > 2 and bool(line[:end].strip("<>").strip())
