"""Grade programs: find the program in an answer, run it in the sandbox, believe only the tests."""

from __future__ import annotations

from smcs.grading.code_extract import defines, extract_function, extract_script, without_examples
from smcs.grading.code_styles import CodeCheck
from smcs.grading.limits import Limits
from smcs.types import Grade, Question

__all__ = ("grade_code",)


def grade_code(question: Question, answer: str, *, limits: Limits | None = None) -> Grade:
    """Grade an answer that should be a program: 1 when every test passes, else 0.

    Args:
        question: `check["style"]` says how it is tested. "asserts" (the default) and "class" need `entry_point` and
            `tests`: asserts that use it, or a function `check(candidate)`, which is called with it if the tests do not
            do so; "class" names a class, or `Class().method`. "call" needs `entry_point` and `cases`
            (`{"input": [arguments], "output": value}`), "stdin" `cases` of texts. Every style takes `setup` (code that
            runs before the program and before the tests), all but "stdin" `prefix` (code that an answer may continue;
            what stands before the entry point there serves every answer).
        answer: Text an LLM wrote.
        limits: What the program may use; `None` for what suits the style.

    Returns:
        The grade: `extracted` is the program, `reason` names the first test that failed or the limit that was hit.
        `score` is `None` when the sandbox could not run or the question's own code is broken.

    Raises:
        InputError: `check` lacks what its style needs.
    """
    check = CodeCheck.of(question)
    program = _program(check, answer)
    if not program.strip():
        return Grade(0.0, None, "no program in the answer")
    runnable = program if check.style == "stdin" else without_examples(program, check.defined)
    result = check.run(runnable, limits)
    score = None if result.passed is None else float(result.passed)
    return Grade(score, program, result.reason)


def _program(check: CodeCheck, answer: str) -> str:
    if check.style == "stdin":
        return extract_script(answer)
    program = extract_function(answer, check.defined, check.prefix)
    if check.style == "call" and not defines(program, check.defined):
        return extract_function(answer, "Solution", check.prefix)
    return program
