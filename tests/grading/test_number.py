from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_time import cpu_time
from smcs.errors import InputError
from smcs.grading import find_number, grade_number
from smcs.types import Question


def value(text: str) -> Fraction | None:
    found = find_number(text)
    return None if found is None else found.value


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("42", "42"),
        ("Answer: 42", "42"),
        ("Answer: 42.", "42"),
        ("Answer: -7", "-7"),
        ("Answer: \u22127", "-7"),
        ("Answer: <42>", "42"),
        ("Answer:\n\n9", "9"),
        ("**Answer:** 12 apples, for 3 people", "12"),
        ("Answer: 12 + 5 = 17", "17"),
        ("Answer: x = 5", "5"),
        ("The answer is $1,234.50 per kg", "1234.5"),
        ("The answer to 5 + 3 is 8.", "8"),
        ("Answer: 8\n\nThis result is what 3 steps give.", "8"),
        ("The result of 5 + 3 is 8", "8"),
        ("\\boxed{8} follows from 3 + 5", "8"),
        ("Answer: $\\frac{3}{4}$", "3/4"),
        ("Answer: \\dfrac{-3}{ 7 }", "-3/7"),
        ("Answer: 3/4", "3/4"),
        ("Answer: 3 / 4.", "3/4"),
        ("Answer: 2 1/2", "5/2"),
        ("Answer: .5", "1/2"),
        ("Answer: 1.5e3", "1500"),
        ("Answer: 5 \\times 10^{3}", "5000"),
        ("Answer: 5 x 10^-2", "1/20"),
        ("Answer: 1{,}000", "1000"),
        ("Answer: 0b1011", "1011"),
        ("1011_2", "1011"),
        ("so 10 - 5 is it: 5", "5"),
        ("we have 10-5", "5"),
        ("3 boxes of 4 give 12 in all", "12"),
        ("€12", "12"),
        ("1,234,567", "1234567"),
    ],
)
def test_finds_the_number_an_answer_settles_on(answer: str, number: str) -> None:
    assert value(answer) == Fraction(number)


@pytest.mark.parametrize(
    "answer", ["", "none", "Answer: seven", "Answer: <number>", "1/0", "9" * 100, "x2 and y3", "\u0664"]
)
def test_no_number_is_wrong_and_not_ungraded(answer: str) -> None:
    graded = grade_number(Question("q", "?", gold="4", grader="number"), answer)
    assert (graded.score, graded.extracted, graded.reason) == (0.0, None, "no number found")


@given(st.fractions(max_denominator=10**6).filter(lambda f: abs(f) < 10**12))
def test_every_fraction_is_read_back(number: Fraction) -> None:
    assert value(f"Answer: {number}") == number


@given(st.integers(-(10**15), 10**15))
def test_every_integer_is_read_back_with_separators(number: int) -> None:
    assert value(f"It must be {number:,} metres.") == number


@pytest.mark.parametrize(
    ("gold", "check", "answer", "score"),
    [
        ("1010001", {}, "1010002", 0.0),
        ("1010001", {}, "1010001.0", 1.0),
        ("0.3", {}, "0.30000000000000004", 1.0),
        ("0.3", {}, "0.31", 0.0),
        ("1/3", {"relative_tolerance": 0.005}, "0.333", 1.0),
        ("1/3", {"relative_tolerance": 0.005}, "0.33", 0.0),
        ("100", {"absolute_tolerance": 0.5}, "100.5", 1.0),
        ("100", {"absolute_tolerance": 0.5}, "100.6", 0.0),
        ("0", {"relative_tolerance": 0.1}, "0.01", 0.0),
        ("25", {}, "25%", 1.0),
        ("0.25", {}, "25%", 1.0),
        ("0.25", {}, "25 percent", 1.0),
        ("25", {}, "0.25%", 0.0),
        ("-4", {}, "4", 0.0),
        ("6/8", {}, "3/4", 1.0),
        ("6/8", {}, "0.75", 1.0),
    ],
)
def test_scores(gold: str, check: dict[str, float], answer: str, score: float) -> None:
    question = Question("q", "?", gold=gold, grader="number", check=check)
    assert grade_number(question, f"Answer: {answer}").score == score


@pytest.mark.parametrize(
    "question",
    [
        Question("q", "?", grader="number"),
        Question("q", "?", gold="many", grader="number"),
        Question("q", "?", gold="1", grader="number", check={"relative_tolerance": -1}),
        Question("q", "?", gold="1", grader="number", check={"absolute_tolerance": "1"}),
        Question("q", "?", gold="1", grader="number", check={"absolute_tolerance": float("nan")}),
    ],
)
def test_a_question_that_cannot_be_graded_is_refused(question: Question) -> None:
    with pytest.raises(InputError, match="'q'"):
        grade_number(question, "1")


PIECES = ["9", "1,", "1/", "1/1", "1/1,", "-", "1e9", "\\frac{", "\\frac{1}{", "answer is ", "answer: 1 ", "\\boxed{1"]
PIECES += ["1 1/1 ", "$", "1 ", ".", "1e999 "]


@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_of_anything_takes_bounded_time(piece: str) -> None:
    with cpu_time() as took:
        find_number(piece * (1_000_000 // len(piece)))
    assert took() < 1.0


FINQA = {"percent": True, "rounded": True}


@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("0.1234", "12.34%", 1),
        ("0.1234", "12.3%", 1),
        ("0.1234", "0.123", 1),
        ("0.1234", "12.4%", 0),
        ("0.1234", "13.34%", 0),
        ("12.34", "0.1234", 1),
        ("-0.052", "a decrease of 5.2%", 1),
        ("-0.052", "sales fell by 5.2 percent", 1),
        ("-0.052", "5.2%", 0),
        ("0.052", "-5.2%", 0),
        ("-12.3", "(12.3)", 1),
        ("-12.3", "minus 12.3", 1),
        ("688", "$688 million", 1),
        ("4575515", "$4.58 million", 1),
        ("4575515", "4575516", 0),
        ("1400", "$1.4 billion", 1),
        ("995", "996", 0),
        ("688", "688.4", 1),
        ("0.2", "0.2049", 0),
        ("0.1", "0.12", 0),
        ("2349", "2350", 0),
        ("127.4", "in 2017 the average was 127.4 per card", 1),
    ],
)
def test_reports_with_percent_and_rounding(gold: str, answer: str, score: float) -> None:
    question = Question("q", "?", gold=gold, grader="number", check=FINQA)
    assert grade_number(question, f"The answer is {answer}.").score == score


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=10**4), st.integers(1, 4))
def test_rounding_is_accepted_as_plain_arithmetic_says(gold: Fraction, decimals: int) -> None:
    exact = round(gold, 5)
    question = Question("q", "?", gold=f"{float(exact):.5f}", grader="number", check={"rounded": True})
    written = f"{float(exact):.{decimals}f}"
    near = abs(Fraction(written) - exact) <= abs(exact) / 100 and abs(Fraction(written)) * 10**decimals >= 10
    expected = float(near or Fraction(written) == exact)
    if abs(exact) * 10**5 >= 10:
        assert grade_number(question, f"Answer: {written}").score == expected


def test_accepted_numbers_and_flags() -> None:
    question = Question("q", "?", gold="80", grader="number", check={"accepted": ["81"]})
    assert [grade_number(question, str(n)).score for n in (80, 81, 82)] == [1, 1, 0]
    with pytest.raises(InputError, match="rounded"):
        grade_number(Question("q", "?", gold="80", grader="number", check={"rounded": "yes"}), "80")


def test_an_invented_next_question_is_not_part_of_the_answer() -> None:
    assert value("The answer is 7.\n\nQuestion: What is 2 + 2?\nThe answer is 4.") == 7
