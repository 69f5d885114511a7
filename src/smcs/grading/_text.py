"""What the graders share: finding the part of a text that states the answer, in bounded time."""

from __future__ import annotations

import re

__all__ = ("TAIL", "boxed", "plain", "stated")

TAIL = 20_000
"""Characters at the end of an answer that are read; what an LLM settles on stands there."""

_IS = r"(?:[ \t]{0,3}[:=]|[^.\n:=]{0,60}?\b(?:is|are|was|be)\b[ \t]{0,3}:?)"
_STRONG = re.compile(rf"\banswers?\b{_IS}|^[ \t#>]{{0,6}}(?:final[ ])?answer\b", re.IGNORECASE | re.MULTILINE)
_WEAK = re.compile(rf"\b(?:result|solution|total|option|choice|conclusion)\b{_IS}", re.IGNORECASE)
_LATEX_SPACE = re.compile(r"\\[,;:! ]|\\q?quad\b|~")
_LATEX_WORD = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boldsymbol|operatorname)[ ]{0,2}(?=\{)")


def plain(text: str) -> str:
    """Return the end of a text without markup that only formats: bold marks, code marks, LaTeX spaces and fonts."""
    text = text[-TAIL:].replace("{,}", ",").replace("\u2212", "-")
    text = _LATEX_WORD.sub("", _LATEX_SPACE.sub("", text))
    for mark in ("**", "__", "`", "\\(", "\\)", "\\[", "\\]", "$"):
        text = text.replace(mark, "")
    return text


def boxed(text: str) -> str | None:
    r"""Return what stands in the last closed `\boxed{...}` or `\fbox{...}`, or `None`."""
    starts = [(at, at + len(tag)) for tag in ("\\boxed{", "\\fbox{") if (at := text.rfind(tag)) >= 0]
    if not starts:
        return None
    start, depth = max(starts)[1], 1
    for i in range(start, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return text[start:i].strip("{} ")
    return None


def stated(text: str, length: int = 200) -> list[str]:
    """Return what is stated as the answer, the best statement first.

    Args:
        text: A text, usually after `plain`.
        length: Most characters returned per statement.

    Returns:
        The rest of the line after each "Answer:", "the answer ... is" and the like, last one first, then after each
        "result", "option", ...; the next line that is not empty where such words end their line.
    """
    found = []
    for pattern in (_STRONG, _WEAK):
        for marker in reversed(list(pattern.finditer(text))):
            rest = text[marker.end() : marker.end() + length].lstrip()
            if rest:
                found.append(rest.splitlines()[0].strip())
    return found
