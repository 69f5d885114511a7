from __future__ import annotations

import pytest

from smcs.errors import InputError
from smcs.grading import code_styles
from smcs.grading.code import grade_code
from smcs.grading.code_extract import extract_function
from smcs.grading.sandbox import CheckResult, ProgramResult
from smcs.types import Question

SQUARE = "def square(x):\n    return x * x"
QUESTION = Question(
    "q1",
    "Write square(x).",
    grader="code",
    check={"entry_point": "square", "tests": "assert square(3) == 9\nassert square(-2) == 4"},
)


@pytest.mark.parametrize(
    "answer",
    [
        SQUARE,
        f"```python\n{SQUARE}\n```",
        f"Sure!\n\n```py\n{SQUARE}\n```\nIt multiplies.",
        f"```\n{SQUARE}\n```",
        f"  ```python\n{SQUARE}\n  ```",
        f"```python\n{SQUARE}",
        f"First try:\n```python\ndef square(x): return x\n```\nBetter:\n```python\n{SQUARE}\n```",
        f"```python\n{SQUARE}\n```\nUse it:\n```python\nprint(square(3))\n```",
        f"```python\n{SQUARE}\n```\nRun:\n```bash\npython square.py\n```",
        f"Here is the function.\n\n{SQUARE}\n\nThis function multiplies x by itself.",
        "```python\nsquare = lambda x: x * x\n```",
        f"```python\r\n{SQUARE}\r\n```".replace("\n", "\r\n").replace("\r\r", "\r"),
    ],
)
def test_the_program_is_found_and_passes(answer: str) -> None:
    grade = grade_code(QUESTION, answer)
    assert grade.score == 1.0
    assert grade.extracted is not None
    assert "```" not in grade.extracted


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("def square(x):\n    return x + x", "failed: assert square(3) == 9"),
        ("```python\ndef sqr(x): return x*x\n```", "defines no function 'square'"),
        ("I do not know.", "no program"),
        ("", "no program"),
        ("```python\ndef square(x)\n    return x*x\n```", "SyntaxError"),
        ("```python\ndef square(x):\n    return undefined\n```", "NameError in: assert square(3) == 9"),
        ("```python\nimport sys\nsys.exit(0)\n```", "SystemExit"),
    ],
)
def test_a_wrong_program_scores_zero_and_says_why(answer: str, reason: str) -> None:
    grade = grade_code(QUESTION, answer)
    assert grade.score == 0.0
    assert reason in grade.reason


def test_an_example_of_use_in_the_same_block_is_no_harm() -> None:
    assert grade_code(QUESTION, f"```python\n{SQUARE}\n\nprint(square(5))\nassert square(1) == 1\n```").score == 1.0


def test_extraction_prefers_the_block_with_the_function() -> None:
    answer = f"```python\n{SQUARE}\n```\n```python\nprint('bye')\n```"
    assert extract_function(answer, "square").strip() == SQUARE
    assert extract_function(answer, "other").strip() == "print('bye')"


def test_setup_is_given_to_program_and_tests() -> None:
    check = {**QUESTION.check, "setup": "import math", "tests": "assert square(math.pi) == math.pi ** 2"}
    question = Question("q2", "", grader="code", check=check)
    assert grade_code(question, "def square(x): return math.pow(x, 2)").score == 1.0


def test_a_broken_sandbox_leaves_the_answer_ungraded(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> CheckResult:
        return CheckResult(None, "no processes left", ProgramResult("unavailable", "", "", seconds=0.0))

    monkeypatch.setattr(code_styles, "check_function", broken)
    grade = grade_code(QUESTION, SQUARE)
    assert grade.score is None
    assert grade.reason == "no processes left"


@pytest.mark.parametrize(
    "check", [{}, {"entry_point": "square"}, {"entry_point": "not a name", "tests": "assert 1"}, {"tests": "assert 1"}]
)
def test_a_question_without_tests_is_a_mistake(check: dict[str, str]) -> None:
    with pytest.raises(InputError, match="entry_point"):
        grade_code(Question("q3", "", grader="code", check=check), SQUARE)
