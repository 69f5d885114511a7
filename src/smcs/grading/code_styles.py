"""The four ways a program is tested: asserts, asserts on a class, calls with given arguments, and whole runs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args

from smcs.errors import InputError
from smcs.grading.code_extract import preamble
from smcs.grading.limits import Limits
from smcs.grading.sandbox import CheckResult, check_cases, check_function, run_program
from smcs.types import Question

__all__ = ("CodeCheck", "CodeStyle", "same_output")

CodeStyle = Literal["asserts", "class", "call", "stdin"]
"""How a program is tested."""

# Computing is bounded by CPU seconds, so that a busy machine fails nobody; the wall clock is for what waits or hangs.
_LIMITS = {
    "asserts": Limits(wall_seconds=60.0, case_seconds=40.0, cpu_seconds=12),
    "class": Limits(wall_seconds=240.0, case_seconds=120.0, cpu_seconds=60),
    "call": Limits(wall_seconds=240.0, case_seconds=120.0, cpu_seconds=60),
    "stdin": Limits(wall_seconds=120.0, output_bytes=8 * 2**20),
}
_ENTRY = re.compile(r"([A-Za-z_]\w*)(?:\(\)\.([A-Za-z_]\w*))?")
_TOLERANCE = Decimal("1e-6")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """What a program must do, read from a question's `check`."""

    style: CodeStyle
    name: str
    """Function, class or method that is tested; "" for whole programs."""
    defined: str
    """What an answer must define: `name`, or the class of a method."""
    tests: str
    """Asserts, for "asserts" and "class"."""
    cases: tuple[Mapping[str, Any], ...]
    """`{"input", "output"}`, for "call" and "stdin"."""
    setup: str
    """Runs before the program and before the tests."""
    prefix: str
    """Code that an answer may continue."""

    @classmethod
    def of(cls, question: Question) -> CodeCheck:
        """Read and check a question's `check`.

        Raises:
            InputError: A key is missing or of the wrong kind.
        """
        check = question.check
        style, entry = check.get("style", "asserts"), check.get("entry_point", "")
        problem = _problem(style, check)
        if problem:
            raise InputError(
                f"Question {question.id!r} cannot be graded as code: {problem}; got the keys {sorted(check)}."
            )
        match = _ENTRY.fullmatch(entry) if style != "stdin" else None
        name, method = (match[1], match[2]) if match else ("", None)
        prefix = str(check.get("prefix", ""))
        parts = [str(check.get("setup", "")), preamble(prefix, name) if name else ""]
        tests = _with_call(str(check.get("tests", "")), f"{name}().{method}" if method else name)
        wanted = method if style == "call" and method else name
        cases = tuple(check.get("cases", ()))
        return cls(style, wanted, name, tests, cases, "\n".join(part for part in parts if part.strip()), prefix)

    def run(self, program: str, limits: Limits | None = None) -> CheckResult:
        """Run a program against its tests.

        Args:
            program: Python source, not trusted.
            limits: What it may use; `None` for what suits the style.
        """
        limits = limits or _LIMITS[self.style]
        if self.style == "stdin":
            return _check_output(program, self.cases, setup=self.setup, limits=limits)
        if self.style == "call":
            return check_cases(program, entry_point=self.name, cases=self.cases, setup=self.setup, limits=limits)
        return check_function(program, entry_point=self.name, tests=self.tests, setup=self.setup, limits=limits)


def _problem(style: Any, check: Mapping[str, Any]) -> str:
    if style not in get_args(CodeStyle):
        return f"`style` is {style!r}, it must be one of {', '.join(get_args(CodeStyle))}"
    entry = check.get("entry_point")
    if style != "stdin" and not (isinstance(entry, str) and _ENTRY.fullmatch(entry)):
        return "`check` must hold `entry_point` (a function's or class's name, or `Class().method`)"
    if style in ("asserts", "class"):
        tests = check.get("tests")
        if not (isinstance(tests, str) and tests.strip()):
            return "`check` must hold `entry_point` and `tests` (assert lines)"
        return ""
    cases = check.get("cases")
    if not (isinstance(cases, Sequence) and cases and all(_is_case(case, style) for case in cases)):
        kind = "texts" if style == "stdin" else "a list of arguments and a value"
        return f"`check` must hold `cases`, at least one, each with `input` and `output` ({kind})"
    return ""


def _is_case(case: Any, style: CodeStyle) -> bool:
    if not (isinstance(case, Mapping) and "input" in case and "output" in case):
        return False
    if style == "stdin":
        return isinstance(case["input"], str) and isinstance(case["output"], str)
    return isinstance(case["input"], list | tuple)


def _with_call(tests: str, entry: str) -> str:
    """Return tests that call `check(candidate)` where they define it and leave the call to the harness."""
    defined = re.search(r"^def +check *\(", tests, re.MULTILINE)
    called = re.search(r"^check *\(", tests, re.MULTILINE)
    return f"{tests}\ncheck({entry})\n" if defined and not called else tests


def _check_output(program: str, cases: Sequence[Mapping[str, Any]], *, setup: str, limits: Limits) -> CheckResult:
    """Run a program once per case, until one goes wrong or the time for all of them is up."""
    end = time.monotonic() + limits.wall_seconds
    for number, case in enumerate(cases, 1):
        where = f"case {number} of {len(cases)}, input {_short(case['input'])}"
        seconds = min(max(end - time.monotonic(), 0.1), limits.case_seconds)
        run = run_program(program, stdin=case["input"], setup=setup, limits=replace(limits, wall_seconds=seconds))
        if run.status == "unavailable":
            return CheckResult(None, run.reason, run)
        if run.status != "ok":
            last = run.stderr.strip().splitlines()[-1:] if run.status == "error" else []
            return CheckResult(False, f"{run.status} in {where}: {''.join(last) or run.reason}"[:300], run)
        if not same_output(run.stdout, case["output"]):
            got = f"expected {_short(case['output'])}, got {_short(run.stdout)}"
            return CheckResult(False, f"failed: {where}: {got}", run)
        if time.monotonic() > end and number < len(cases):
            return CheckResult(False, f"timeout: not done after {limits.wall_seconds:g} s, behind {where}", run)
    return CheckResult(True, "all cases passed", run)


def same_output(printed: str, expected: str) -> bool:
    """Compare printed text as LiveCodeBench does: line by line, without the white space around, numbers as numbers.

    Args:
        printed: What a program printed.
        expected: What it should print; where it has a number with a fraction, 1e-6 more or less is the same (relative
            above 1); whole numbers must be equal, however they are written.
    """
    ours, theirs = printed.strip().split("\n"), expected.strip().split("\n")
    if len(ours) != len(theirs):
        return False
    return all(_same_line(mine.split(), wanted.split()) for mine, wanted in zip(ours, theirs, strict=True))


def _same_line(printed: list[str], expected: list[str]) -> bool:
    return len(printed) == len(expected) and all(map(_same_word, printed, expected))


def _same_word(printed: str, expected: str) -> bool:
    if printed == expected:
        return True
    if len(printed) > 100 or len(expected) > 100:
        return False
    try:
        value, wanted = Decimal(printed), Decimal(expected)
        if not (value.is_finite() and wanted.is_finite()):
            return False
        fraction = "." in expected or "e" in expected.lower()
        return value == wanted or (fraction and abs(value - wanted) <= _TOLERANCE * max(Decimal(1), abs(wanted)))
    except (InvalidOperation, ArithmeticError):
        return False


def _short(text: str) -> str:
    shown = repr(text.strip())
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
