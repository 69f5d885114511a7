from __future__ import annotations

import pytest

from helpers_time import cpu_time
from smcs.errors import InputError
from smcs.grading import grade_exact
from smcs.types import Question


@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("yes", "Yes", 1),
        ("yes", "**Yes.**", 1),
        ("yes", "Answer: no", 0),
        ("yes", "The answer is yes, because sales rose.", 1),
        ("yes", "Sales rose.\n\nSo yes, they did.", 1),
        ("yes", "Yes, they rose.\nThe table says so.", 1),
        ("no", "Yes, they rose.\nNo cost fell.", 0),
        ("no", "It is either yes or no", 0),
        ("true", "Answer: TRUE", 1),
        ("Equal", "\\boxed{\\text{equal}}", 1),
        ("Equal", "They are compared.\nAnswer: not equal", 0),
        ("the Eiffel Tower", "Answer: Eiffel tower!", 1),
        ("Paris", "The answer is Paris, which lies on the Seine.", 1),
        ("Paris", "The answer is not Paris", 0),
        ("caf\u00e9", "cafe\u0301", 1),
        ("C", "C++", 0),
        ("A", "Answer: A", 1),
        ("yes", "", 0),
    ],
)
def test_scores(gold: str, answer: str, score: float) -> None:
    result = grade_exact(Question("q", "?", gold=gold, grader="exact"), answer)
    assert result.score == score
    assert result.reason


def test_accepted_alternatives() -> None:
    question = Question("q", "?", gold="colour", grader="exact", check={"accepted": ["color"]})
    assert [grade_exact(question, word).score for word in ("Colour", "Color", "Collar")] == [1, 1, 0]


def test_an_invented_next_question_is_not_part_of_the_answer() -> None:
    question = Question("q", "?", gold="yes", grader="exact")
    assert grade_exact(question, "Answer: yes\n\nQuestion: And now?\nAnswer: no").score == 1


def test_a_question_without_gold_is_refused() -> None:
    with pytest.raises(InputError, match="gold"):
        grade_exact(Question("q", "?", grader="exact"), "yes")


@pytest.mark.parametrize("piece", ["yes ", "the ", "\n", "answer is ", "(", "\\boxed{", "a, ", "\u0301"])
def test_a_megabyte_of_anything_takes_bounded_time(piece: str) -> None:
    with cpu_time() as took:
        grade_exact(Question("q", "?", gold="yes", grader="exact"), piece * (1_000_000 // len(piece)))
    assert took() < 1.0
