from __future__ import annotations

import pytest

from helpers_time import cpu_time
from smcs.errors import InputError
from smcs.grading import find_choice, grade_choice
from smcs.types import Question

ANIMALS = ("a red dog", "a cat", "a dog", "a blue bird")
ASKED = "Which of these four animals is known to purr when petted?"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("Answer: B", "B"),
        ("answer: b)", "B"),
        ("Answer:\n\nB", "B"),
        ("Answer: Option C", "C"),
        ("Answer: [D]", "D"),
        ("Answer: <letter>\nAnswer: C", "C"),
        ("The answer is **B**.", "B"),
        ("The correct answer to this question is therefore (C).", "C"),
        ("The correct option is (c).", "C"),
        ("B. a cat", "B"),
        ("B) a cat", "B"),
        ("Reason first.\nC", "C"),
        ("so $\\boxed{B}$", "B"),
        ("so \\boxed{\\text{B}}", "B"),
        ("so \\boxed{\\textbf{(B)}} and not A", "B"),
        ("Answer: A because it barks", "A"),
        ("A is correct", "A"),
        ("I choose option D here, not that A is wrong.", "D"),
        ("It is a cat.", "B"),
        ("Answer: a blue bird", "D"),
        ("The answer is a cat", "B"),
        ("It is a red dog", "A"),
        ("Answer: a dog", "C"),
    ],
)
def test_finds_what_an_answer_settles_on(answer: str, letter: str) -> None:
    assert find_choice(answer, ANIMALS) == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("Answer: A\nWait, I was wrong.\nAnswer: D", "D"),
        ("The answer is A. No, the answer is B.", "B"),
        ("\\boxed{A} ... so finally \\boxed{C}", "C"),
        ("I think A. No wait, D", "D"),
        ("A. a red dog\nB. a cat\nC. a dog\nD. a blue bird\nAnswer: C", "C"),
    ],
)
def test_the_last_statement_counts(answer: str, letter: str) -> None:
    assert find_choice(answer, ANIMALS) == letter


@pytest.mark.parametrize(
    "answer",
    ["", "   ", "I do not know.", "Answer: E", "Answer: <letter>", "This is a hard one", "Z", "12", "\\boxed{"],
)
def test_nothing_to_find_is_wrong_and_not_ungraded(answer: str) -> None:
    graded = grade_choice(Question("q", "?", choices=ANIMALS, gold="A", grader="choice"), answer)
    assert (graded.score, graded.extracted) == (0.0, None)
    assert graded.reason


def test_a_letter_must_be_one_of_the_questions() -> None:
    assert find_choice("Answer: C", ("yes", "no")) is None
    assert find_choice("Answer: J", tuple(f"option {i}" for i in range(10))) == "J"


def test_i_and_a_as_words_are_no_options() -> None:
    ten = tuple(f"thing{i}" for i in range(10))
    assert find_choice("I think it could be C", ten) == "C"
    assert find_choice("A good guess would be D", ten) == "D"


@pytest.mark.parametrize(("answer", "score"), [("Answer: B", 1.0), ("Answer: A", 0.0)])
def test_scores(answer: str, score: float) -> None:
    graded = grade_choice(Question("q", "?", choices=("x", "y"), gold="B", grader="choice"), answer)
    assert graded.score == score
    assert graded.extracted == answer[-1]


@pytest.mark.parametrize(
    "question",
    [
        Question("q", "?", gold="A", grader="choice"),
        Question("q", "?", choices=("x", "y"), grader="choice"),
        Question("q", "?", choices=("x", "y"), gold="C", grader="choice"),
        Question("q", "?", choices=("x", "y"), gold="", grader="choice"),
        Question("q", "?", choices=tuple("x" * i for i in range(1, 28)), gold="A", grader="choice"),
    ],
)
def test_a_question_that_cannot_be_graded_is_refused(question: Question) -> None:
    with pytest.raises(InputError, match="'q' needs"):
        grade_choice(question, "A")


@pytest.mark.parametrize(
    "piece",
    ["a", "(", "answer ", "answer is ", "\\boxed{", "A. ", "* ", "\n", "Answer: <", "[B ", " ", "$", "option ", "_"],
)
def test_a_megabyte_of_anything_takes_bounded_time(piece: str) -> None:
    with cpu_time() as took:
        find_choice(piece * (1_000_000 // len(piece)), ANIMALS)
    assert took() < 1.0


@pytest.mark.parametrize(
    "answer",
    [
        "The answer is (B).\n\nQuestion:\nWhat else?\nOptions:\nA. one\nB. two\nAnswer: The answer is (C).",
        "B\n\nQ: What else?\nA: C",
        "Answer: B<|im_end|>\n<|im_start|>user\nAnswer: C",
        "</s>Answer: B</s>Answer: C",
        "The answer is (B).\n\nUser: Thanks\nAssistant: The answer is (C).",
        "**Answer:** B\n\n### Question 2:\nThe answer is A",
        "The answer is (B).\n\nNow, let's summarize all the answers:\nThe answer is A\nThe answer is C",
        f"The answer is (B).\n{ASKED}\nThe answer is (A).",
        "<think>The answer is A</think>The answer is B",
        f"Well. {ASKED} The answer is (B).\n\nQuestion:\nWhat else?\nThe answer is (A).",
    ],
)
def test_what_follows_the_answer_to_this_question_is_not_part_of_it(answer: str) -> None:
    assert find_choice(answer, ANIMALS, question=ASKED) == "B"


@pytest.mark.parametrize(
    "answer",
    [
        "Question: Which animal purrs?\nAnswer: B",
        "Let me tell the problem again.\n\nProblem: which animal purrs?\n\nThe answer is B.",
        "The answer is A?\nWait, the question says that it purrs.\nThe answer is B.",
    ],
)
def test_a_question_told_before_the_answer_is_kept(answer: str) -> None:
    assert find_choice(answer, ANIMALS) == "B"


def test_capitals_in_a_long_derivation_are_no_answer() -> None:
    derivation = "We set V and T so that the energy of C is at most that of D, and so on. " * 20
    assert find_choice(derivation + "Then E = V / D", ANIMALS) is None


def test_accepted_letters() -> None:
    question = Question("q", "?", choices=ANIMALS, gold="A", grader="choice", check={"accepted": ["B"]})
    assert [grade_choice(question, letter).score for letter in "ABC"] == [1, 1, 0]
