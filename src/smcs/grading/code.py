"""Grade programs: find the program in an answer, run it in the sandbox, believe only the tests."""

from __future__ import annotations

import ast
import re

from smcs.errors import InputError
from smcs.grading.sandbox import Limits, check_function
from smcs.types import Grade, Question

__all__ = ("extract_program", "grade_code")

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+.-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
_CODE_START = re.compile(r"^(?:from|import|def|class|async def|@|[A-Za-z_]\w* *=)", re.MULTILINE)
_MAX_TRIMMED_LINES = 200


def extract_program(answer: str, entry_point: str) -> str:
    """Return the program in an answer, or "" if it holds none.

    The last fenced block that defines `entry_point`, else the last fenced block; an answer without fences is taken
    from its first line of code on, without what follows the code.

    Args:
        answer: Text an LLM wrote; a fence cut off at the end counts as closed.
        entry_point: Name of the function that the program must define.
    """
    blocks = [match[2] for match in _FENCE.finditer(answer) if match[1].lower() in ("", "python", "python3", "py")]
    defines = re.compile(rf"^(?:async +)?(?:def|class) +{re.escape(entry_point)}\b|^{re.escape(entry_point)} *=", re.M)
    for block in reversed(blocks):
        if defines.search(block):
            return block
    return blocks[-1] if blocks else _bare_program(answer)


def _bare_program(answer: str) -> str:
    start = _CODE_START.search(answer)
    if start is None:
        return ""
    lines = answer[start.start() :].splitlines()
    for end in range(len(lines), max(len(lines) - _MAX_TRIMMED_LINES, 0), -1):
        program = "\n".join(lines[:end])
        try:
            ast.parse(program)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return program
    return "\n".join(lines)


def grade_code(question: Question, answer: str, *, limits: Limits | None = None) -> Grade:
    """Grade an answer that should be a program: 1 when every test passes, else 0.

    Args:
        question: `check` holds `entry_point` (a function name), `tests` (asserts that call it) and, if needed, `setup`
            (code that runs before the tests and before the program, for instance imports).
        answer: Text an LLM wrote.
        limits: What the program may use.

    Returns:
        The grade; `score` is `None` when the sandbox could not run, and `extracted` is the program.

    Raises:
        InputError: `check` lacks `entry_point` or `tests`.
    """
    entry_point, tests = question.check.get("entry_point"), question.check.get("tests")
    if not (isinstance(entry_point, str) and entry_point.isidentifier() and isinstance(tests, str) and tests.strip()):
        raise InputError(
            f"Question {question.id!r} cannot be graded as code: `check` must hold `entry_point` (a function's name) "
            f"and `tests` (assert lines), got the keys {sorted(question.check)}."
        )
    program = extract_program(answer, entry_point)
    if not program.strip():
        return Grade(0.0, None, "no program in the answer")
    setup = str(question.check.get("setup", ""))
    result = check_function(program, entry_point=entry_point, tests=tests, setup=setup, limits=limits)
    score = None if result.passed is None else float(result.passed)
    return Grade(score, program, result.reason)
