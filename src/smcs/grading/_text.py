"""What the graders share: finding the part of a text that states the answer, in bounded time."""

from __future__ import annotations

import re
from collections.abc import Iterator

from smcs.errors import InputError
from smcs.types import Question

__all__ = ("TAIL", "accepted", "boxed", "own_parts", "plain", "stated")

TAIL = 20_000
"""Characters at the end of an answer that are read; what an LLM settles on stands there."""

_SCAN = 100_000
"""Characters at the beginning of a text in which a next question is looked for."""

_SHORT_HEAD = 60
"""A text this short before an invented question is taken for an answer without any words around it."""

_IS = r"(?:[ \t]{0,3}[:=]|[^.\n:=]{0,60}?\b(?:is|are|was|be)\b[ \t]{0,3}:?)"
_STRONG = re.compile(rf"\banswer\b{_IS}|^[ \t#>]{{0,6}}(?:final[ ])?answer\b", re.IGNORECASE | re.MULTILINE)
_WEAK = re.compile(rf"\b(?:answers|result|solution|total|option|choice|conclusion)\b{_IS}", re.IGNORECASE)
_TURN = re.compile(
    r"<\|(?:im_start|im_end|eot_id|end_of_text|endoftext|start_header_id|user|end)\|>|</s>|\[/?INST\]"
    r"|<(?:start|end)_of_turn>"
)
_NEXT = re.compile(
    r"\n[ \t>*#]{0,8}(?:(?:(?:next|new)[ ])?(?:question|problem|exercise|q)\b[ ]{0,2}(?:no\.?[ ])?\#?[0-9]{0,4}[ ]{0,2}"
    r"\*{0,2}[:.)]|(?:user|human|instruction)[ ]?\*{0,2}:|\#{2,4}[ ]?(?:instruction|question|input)\b"
    r"|[^\n]{0,30}\b(?:summari[sz]|combin|list|recap)(?:e|ing)?\b[^\n]{0,12}\ball\b[^\n]{0,12}\banswers\b"
    r"|[^\n]{0,30}\u603b\u7ed3[^\n]{0,12}\u7b54\u6848)",
    re.IGNORECASE,
)
_LATEX_SPACE = re.compile(r"(?<!\\)\\[,;:! ]|\\q?quad\b|~")
_LATEX_WORD = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boldsymbol|operatorname)[ ]{0,2}(?=\{)")


def own_parts(answer: str, question: str = "") -> Iterator[str]:
    r"""Yield the part of a text that answers this question, then all of it, until a grader finds something.

    Reasoning in front of a closing `</think>` is not part of an answer. What follows the answer is not either: a next
    question (base LLMs invent some), this question told again, a recap of all the answers, a turn of a chat. A next
    question counts as one only where something stands in front that may be an answer: words that state one,
    `\boxed{...}`, or so little text that it can be nothing else.

    Args:
        answer: Free text of any length.
        question: What was asked, to recognise where it is repeated.

    Yields:
        One to three texts; none is empty unless the answer is.
    """
    answer = answer.rpartition("</think>")[2]
    turns = (match.start() for match in _TURN.finditer(answer))
    end = next((start for start in turns if answer[:start].strip()), len(answer))
    answer = answer[:end]
    for cut in _next_questions(answer, question.strip()[:200]):
        yield answer[:cut]
    yield answer


def _next_questions(answer: str, question: str) -> list[int]:
    """Return where a next question may begin, the likeliest place first."""
    starts = [match.start() for match in _NEXT.finditer(answer, 0, _SCAN)]
    cuts = [start for start in starts[:1] if 0 < len(answer[:start].strip()) <= _SHORT_HEAD]
    if len(question) >= 40 and (again := answer.find(question, 1)) >= 0:
        starts = sorted([*starts, again])
    if starts:
        settled, box = _STRONG.search(answer, 0, _SCAN), answer.find("\\boxed{")
        earliest = min(settled.end() if settled else len(answer), box if box >= 0 else len(answer))
        cuts += [start for start in starts if start > earliest][:1]
    return cuts


def plain(text: str) -> str:
    """Return the end of a text without markup that only formats: bold marks, code marks, LaTeX spaces and fonts."""
    text = text[-TAIL:].replace("{,}", ",").replace("\u2212", "-")
    if "\\" in text or "~" in text:
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
            return text[start:i].strip()
    return None


def stated(text: str, length: int = 200) -> list[str]:
    """Return what is stated as the answer, the best statement first.

    Args:
        text: A text, usually after `plain`.
        length: Most characters returned per statement.

    Returns:
        The rest of the line after each "Answer:", "the answer ... is" and the like, last one first, then after each
        "answers", "result", "option", ...; the next line that is not empty where such words end their line.
    """
    found = []
    for pattern in (_STRONG, _WEAK):
        for marker in reversed(list(pattern.finditer(text))):
            rest = text[marker.end() : marker.end() + length].lstrip()
            if rest:
                found.append(rest.splitlines()[0].strip())
    return found


def accepted(question: Question) -> tuple[str, ...]:
    """Return the gold and every further gold of `check["accepted"]`.

    Raises:
        InputError: There is no gold, or `accepted` is no list of texts or numbers.
    """
    further = question.check.get("accepted", ())
    if not isinstance(further, list | tuple) or not all(isinstance(gold, str) for gold in further):
        raise InputError(f"`check['accepted']` of question {question.id!r} must be a list of texts, got {further!r}.")
    if question.gold is None or not question.gold.strip():
        raise InputError(f"Question {question.id!r} needs a `gold` to be graded, got {question.gold!r}.")
    return (question.gold, *further)
