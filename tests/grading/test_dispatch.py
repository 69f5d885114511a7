from __future__ import annotations

import subprocess
import sys

import pytest

from smcs.errors import InputError
from smcs.grading import grade
from smcs.types import Question


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        (Question("q", "?", choices=("x", "y"), gold="B", grader="choice"), "Answer: B", "Answer: A"),
        (Question("q", "?", gold="7", grader="number"), "Answer: 7", "Answer: 8"),
        (Question("q", "?", gold="\\frac{1}{2}", grader="math"), "\\boxed{0.5}", "\\boxed{0.6}"),
        (Question("q", "?", gold="yes", grader="exact"), "Answer: yes", "Answer: no"),
        (Question("q", "?", grader="instructions", check={"rules": [{"kind": "lowercase"}]}), "yes", "NO"),
        (
            Question("q", "?", grader="code", check={"entry_point": "f", "tests": "assert f(1) == 2"}),
            "```python\ndef f(x):\n    return x + 1\n```",
            "```python\ndef f(x):\n    return x\n```",
        ),
    ],
)
def test_each_grader_is_reached(question: Question, right: str, wrong: str) -> None:
    assert grade(question, right).score == 1.0
    assert grade(question, wrong).score == 0.0


@pytest.mark.parametrize("grader", [None, "numbr"])
def test_an_unknown_grader_is_refused(grader: str | None) -> None:
    with pytest.raises(
        InputError, match="Choose one of: 'choice', 'code', 'exact', 'ifeval', 'instructions', 'math', 'number'"
    ):
        grade(Question("q", "?", grader=grader), "x")  # type: ignore[arg-type]


def test_importing_the_room_does_not_load_the_sandbox() -> None:
    probe = "import sys, smcs.grading; sys.exit('smcs.grading.sandbox' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
