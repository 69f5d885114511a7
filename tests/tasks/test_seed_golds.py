"""Every gold against a solver that reads the text alone, over more questions than are shipped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pytest

from helpers_seed import MATHEMATICS, REASONING, solve_code, solve_instructions, solve_mathematics, syllogism
from smcs.grading import grade
from smcs.tasks.seed import generate, level
from smcs.tasks.seed._words import CAPITALS, GROUPS, NEAR_GROUPS, SYMBOLS
from smcs.types import Question

QUESTIONS = generate(count=1200)
CODE = [question for question in QUESTIONS if question.grader == "code"]


def right_option(question: Question) -> str:
    assert question.gold is not None
    return question.choices[ord(question.gold) - ord("A")]


def family(name: str) -> list[Question]:
    found = [question for question in QUESTIONS if question.subject == name]
    assert len(found) == 30
    return found


@pytest.mark.parametrize("name", MATHEMATICS)
def test_mathematics(name: str) -> None:
    for question in family(name):
        assert question.gold is not None
        assert abs(solve_mathematics(question) - Fraction(question.gold)) < Fraction(1, 10**9), question


@pytest.mark.parametrize("name", REASONING)
def test_reasoning(name: str) -> None:
    for question in family(name):
        assert REASONING[name](question.text) == right_option(question), question


def test_syllogisms_hold_in_every_world() -> None:
    for question in family("syllogism"):
        assert syllogism(question.text, question.choices) == right_option(question), question


def test_only_one_is_odd() -> None:
    kinds = [
        (set(members), {word for key in GROUPS for word in GROUPS[key]} - set(members)) for members in GROUPS.values()
    ]
    kinds += [(set(members), set(strangers)) for members, strangers in NEAR_GROUPS]
    for question in family("odd_one_out"):
        gold, options = right_option(question), set(question.choices)
        assert any(options - {gold} <= members and gold in strangers for members, strangers in kinds), question


def test_facts_are_those_of_the_tables() -> None:
    pairs = [pair for group in (*CAPITALS, *SYMBOLS) for pair in group]
    assert max(Counter(word for pair in pairs for word in pair).values()) == 1
    for question in family("facts"):
        gold = right_option(question)
        (other,) = {a if gold == b else b for a, b in pairs if gold in (a, b)}
        assert f" {other}" in question.text, question


def test_number_golds_are_accepted_in_many_renderings_and_others_are_not() -> None:
    for question in QUESTIONS:
        if question.grader != "number" or question.gold is None:
            continue
        gold = question.gold
        value = Fraction(gold)
        latex = f"\\frac{{{value.numerator}}}{{{value.denominator}}}" if "/" in gold else gold
        texts = (
            gold,
            f"Answer: {gold}",
            f"5 + 7 = 12\n**Answer:** {gold}.",
            f"So it is \\boxed{{{latex}}}",
            f"The answer is {gold} km.",
        )
        for text in texts:
            assert grade(question, text).score == 1.0, (question, text)
        for wrong in (value + 1, -value - 1, value * 10 + 3):
            assert grade(question, f"Answer: {wrong}").score == 0.0, (question, wrong)


def test_choice_golds_are_accepted_in_many_renderings_and_others_are_not() -> None:
    for question in QUESTIONS:
        if question.grader != "choice" or question.gold is None:
            continue
        for i, choice in enumerate(question.choices):
            letter = "ABCDE"[i]
            texts = (
                letter,
                f"({letter})",
                f"Answer: {letter}",
                f"It follows.\nAnswer: {letter}. {choice}",
                f"The answer is **{letter}**.",
                f"\\boxed{{{letter}}}",
                f"Answer: {choice}",
                f"{letter}. {choice}",
            )
            for text in texts:
                graded = grade(question, text)
                assert (graded.extracted, graded.score) == (letter, float(letter == question.gold)), (question, text)


def test_instructions_can_be_followed_and_broken() -> None:
    for question in QUESTIONS:
        if question.grader == "instructions":
            text = solve_instructions(question)
            assert grade(question, text).score == 1.0, (question, text, grade(question, text))
            noisy = f"Sure! Here you are:\n{text}\nTHE extra, text. And a second one! {'word ' * 40}"
            assert grade(question, noisy).score == 0.0, question


RUNNER = """
import json, sys
failed = []
for name, source, tests, right in json.load(sys.stdin):
    try:
        exec(source + "\\n" + tests, {})
        passed = True
    except Exception:
        passed = False
    if passed != right:
        failed.append([name, right])
print(json.dumps(failed))
"""


def test_reference_programs_pass_and_mutants_fail() -> None:
    programs = []
    for question in CODE:
        name, source, tests = question.check["entry_point"], solve_code(question), question.check["tests"]
        mutant = f"{source}\n_right = {name}\n{name} = lambda x: [_right(x)]"
        programs += [(question.id, source, tests, True), (question.id, mutant, tests, False)]
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUNNER],
        input=json.dumps(programs),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_the_code_grader_agrees(wanted: int) -> None:
    question = next(question for question in CODE if level(question) == wanted)
    source = solve_code(question)
    assert grade(question, f"```python\n{source}\n```").score == 1.0
    assert grade(question, "```python\ndef other():\n    return 1\n```").score == 0.0
