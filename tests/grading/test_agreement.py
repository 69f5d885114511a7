import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.grading import agreement, same_answers

pytest.importorskip("math_verify")

OPTIONS = ("one", "two", "three", "four")


@given(st.lists(st.sampled_from("ABCD?"), max_size=8))
def test_letters_are_numbered_in_the_order_they_appear(letters: list[str]) -> None:
    texts = ["I cannot tell." if letter == "?" else f"So the answer is ({letter})." for letter in letters]
    seen: list[str] = []
    expected = []
    for letter in letters:
        if letter != "?" and letter not in seen:
            seen.append(letter)
        expected.append(-1 if letter == "?" else seen.index(letter))
    assert same_answers(texts, grader="choice", choices=OPTIONS) == tuple(expected)


@given(st.lists(st.integers(-30, 30), max_size=8))
def test_whole_numbers_are_told_apart(values: list[int]) -> None:
    first = list(dict.fromkeys(values))
    texts = [f"After some work we get the answer: {value}" for value in values]
    assert same_answers(texts, grader="number") == tuple(first.index(value) for value in values)
    assert same_answers(texts) == tuple(first.index(value) for value in values)


@pytest.mark.parametrize(
    ("texts", "grader", "groups"),
    [
        (["Answer: B", "**two** is right, so B", "\\boxed{C}", ""], "choice", (0, 0, 1, -1)),
        (["The answer is 1,200.", "\\boxed{1200}", "It is 1.2 thousand", "1201"], "number", (0, 0, 0, 1)),
        (["12.35%", "0.1235", "answer: 13", "nothing"], "number", (0, 0, 1, -1)),
        (
            ["\\boxed{\\frac{1}{2}}", "The answer is $0.5$.", "\\boxed{\\frac{2}{4}}", "\\boxed{2}"],
            "math",
            (0, 0, 0, 1),
        ),
        (["\\boxed{(x+1)^2}", "\\boxed{x^2+2x+1}", "\\boxed{x^2+1}"], "math", (0, 0, 1)),
        (["\\boxed{3}", "I give up.\nThere is no way of knowing this.", "3"], "math", (0, -1, 0)),
        (["Paris", "The answer is: Paris.", "**paris**", "Rome"], "exact", (0, 0, 0, 1)),
        (["Answer: 7", "The answer is 7.", "Answer: seven"], None, (0, 0, 1)),
        (["one  two\n", "one two", "one, two"], "ifeval", (0, 0, 1)),
    ],
)
def test_what_the_grader_takes_for_the_same_is_the_same(
    texts: list[str], grader: str | None, groups: tuple[int, ...]
) -> None:
    choices = OPTIONS if grader == "choice" else ()
    assert same_answers(texts, grader=grader, choices=choices) == groups  # type: ignore[arg-type]


def test_a_choice_without_its_options_is_still_a_letter() -> None:
    assert same_answers(["The answer is (C).", "C", "D"], grader="choice") == (0, 0, 1)
    assert same_answers(["The answer is (C).", "four"], choices=("a1", "b1", "c1", "four")) == (0, 1)


def test_programs_are_compared_by_what_python_reads() -> None:
    plain = "def f(x):\n    return x + 1"
    texts = [
        f"```python\n{plain}\n```",
        'Here:\n```python\ndef f(x):\n    """Add one."""\n\n    return (x+1)  # done\n```',
        "```python\ndef f(y):\n    return y + 1\n```",
        "I would rather not write a program for this.",
        "```python\ndef f(x:\n```",
    ]
    assert same_answers(texts, grader="code") == (0, 0, 1, -1, 2)


def test_the_order_of_two_math_answers_does_not_matter() -> None:
    texts = ["\\boxed{\\pi}", "\\boxed{3.14159}"]
    assert same_answers(texts, grader="math") == same_answers(texts[::-1], grader="math") == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{" + "(" * 500 + ")" * 500 + "}",
        "\\boxed{9^{9^{9^{9}}}}",
        "\\boxed{" + "9" * 50_000 + "}",
        "\\boxed{" + "x+" * 900 + "1}",
        "\\boxed{\\frac{}{}\\sqrt{}}",
        "answer is " * 5_000,
        "\ud800\\boxed{\\int}",
    ],
)
@pytest.mark.parametrize("grader", ["math", "code", "number", "choice", None])
def test_hostile_texts_cost_little_and_harm_no_other(text: str, grader: str | None) -> None:
    begun = time.monotonic()
    groups = same_answers([text, "The answer is 4.", "\\boxed{4}", text], grader=grader)  # type: ignore[arg-type]
    assert groups[0] == groups[3]
    if grader in ("math", "number", None):
        assert groups[1] == groups[2]
    assert time.monotonic() - begun < 60


def test_an_expression_that_overwhelms_the_worker_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def overwhelmed(question, answer):  # type: ignore[no-untyped-def]
        asked.append((question.gold, answer))
        return agreement_grade(None if "w" in question.gold + answer.removeprefix("\\boxed") else 0.0)

    monkeypatch.setattr(agreement, "grade_math", overwhelmed)
    texts = [f"\\boxed{{{name}}}" for name in ("w", "a", "b", "c", "d")]
    assert same_answers(texts, grader="math") == (0, 1, 2, 3, 4)
    assert sum("w" in gold + answer for gold, answer in asked) == 2


def agreement_grade(score: float | None):  # type: ignore[no-untyped-def]
    from smcs.types import Grade

    return Grade(score)


def test_when_the_time_is_up_spelling_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_SECONDS", -1.0)
    texts = ["\\boxed{(x+1)^2}", "\\boxed{x^2+2x+1}", "\\boxed{( x+1 )^2}"]
    assert same_answers(texts, grader="math") == (0, 1, 0)
