r"""Which answers say the same: compared as the task's grader would, not as strings.

Texts come from LLMs and are compared with one another, so untrusted text stands in a gold's place. Algebra is done in
the graders' killable processes, and never on what is too long, too deep or too large to evaluate. An expression that
overwhelms a process twice is compared by its spelling from then on, and so are all when the time for one call is over.
"""

from __future__ import annotations

import ast
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from smcs.grading.choice import find_choice
from smcs.grading.code_extract import extract_script
from smcs.grading.exact import normal_text
from smcs.grading.latex import spelling
from smcs.grading.mathematics import absurd, find_expression, grade_math
from smcs.grading.number import RELATIVE_TOLERANCE, Number, find_number
from smcs.grading.settled import settled
from smcs.types import GraderName, Question

__all__ = ("same_answers",)

_T = TypeVar("_T")

_SPACE = re.compile(r"\s+")
_LETTERS = ("",) * 26
_SECONDS = 30.0
"""By the clock, for all algebra of one call: past it, expressions are compared by their spelling."""

_STRIKES = 2
"""Comparisons in which an expression may overwhelm the worker before it is compared by its spelling alone."""


def same_answers(
    texts: Sequence[str], *, grader: GraderName | None = None, choices: tuple[str, ...] = (), question: str = ""
) -> tuple[int, ...]:
    """Number the distinct answers among some texts.

    Numbers and formulas are the same if the grader would accept one for the other. Programs, and texts that follow
    instructions, are the same only if they are equal but for layout, comments and docstrings: whether two programs do
    the same cannot be told. Blocking: "math" may take seconds, so call it in a thread from an event loop.

    Args:
        texts: Free texts that answer one question.
        grader: How answers to it are graded; `None` compares the short answers the texts settle on.
        choices: Its options, if it has some.
        question: What was asked, to recognise where a text repeats it.

    Returns:
        One number per text: equal numbers give the same answer, counted from 0 in the order of first appearance, and
        -1 is a text in which no answer was found.

    Raises:
        MissingExtraError: A symbolic comparison is needed and math-verify is not installed.
    """
    if grader == "math":
        return _grouped([find_expression(text, question=question) for text in texts], _Algebra().same)
    if grader == "number":
        return _grouped([find_number(text, question=question) for text in texts], _same_number)
    key = _key(grader, choices, question)
    numbers: dict[Hashable, int] = {}
    found = [key(text) for text in texts]
    return tuple(-1 if answer is None else numbers.setdefault(answer, len(numbers)) for answer in found)


def _key(grader: GraderName | None, choices: tuple[str, ...], question: str) -> Callable[[str], Hashable | None]:
    """Return what tells answers apart where that is a matter of one text alone."""
    if grader == "choice" or (choices and grader is None):
        return lambda text: find_choice(text, choices or _LETTERS, question=question)
    if grader == "code":
        return _program
    if grader in ("instructions", "ifeval"):
        return _layout
    return _short


def _grouped(found: Sequence[_T | None], same: Callable[[_T, _T], bool]) -> tuple[int, ...]:
    """Compare each answer with the first of every group; what equals none begins a group of its own."""
    heads: list[_T] = []
    numbers: list[int] = []
    for answer in found:
        if answer is None:
            numbers.append(-1)
            continue
        group = next((number for number, head in enumerate(heads) if same(head, answer)), len(heads))
        if group == len(heads):
            heads.append(answer)
        numbers.append(group)
    return tuple(numbers)


def _same_number(a: Number, b: Number) -> bool:
    return any(
        one.equals(other.value, relative=RELATIVE_TOLERANCE, absolute=0.0, gold_step=other.step)
        for one, other in ((a, b), (b, a))
    )


class _Algebra:
    """Compares expressions for one call of `same_answers`, and remembers which ones are trouble."""

    def __init__(self) -> None:
        self._until = time.monotonic() + _SECONDS
        self._strikes = Counter[str]()

    def same(self, a: str, b: str) -> bool:
        """Say whether two expressions are equal, either of them taken for the gold."""
        if a == b or absurd(a) or absurd(b):
            return a == b
        return spelling(a) == spelling(b) or any(self._accepts(gold, answer) for gold, answer in ((a, b), (b, a)))

    def _accepts(self, gold: str, answer: str) -> bool:
        patient = time.monotonic() < self._until
        if not patient or not gold.strip() or any(self._strikes[text] >= _STRIKES for text in (gold, answer)):
            return False
        grade = grade_math(Question("agreement", "", gold=gold, grader="math"), f"\\boxed{{{answer}}}")
        if grade.score is None:
            self._strikes.update((gold, answer))
        return grade.score == 1.0


def _short(text: str) -> Hashable | None:
    answer = settled(text)
    if answer is None:
        return None
    number = find_number(answer)
    if number is not None and answer == number.text:
        return number.value
    return normal_text(answer) or None


def _program(text: str) -> Hashable | None:
    source = extract_script(text)
    if not source.strip():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                node.body = _undocumented(node.body)
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _layout(source)


def _undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return body[1:] if told else body


def _layout(text: str) -> Hashable | None:
    return _SPACE.sub(" ", text).strip() or None
