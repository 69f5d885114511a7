"""Which questions ask the same, by their words and by their vectors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.bank.audit.texts import (
    contamination,
    duplicates,
    fingerprint,
    near_duplicates,
    near_pairs,
    ungradable,
)
from smcs.types import Question


def asks(number: int, text: str, *choices: str, gold: str = "A") -> Question:
    return Question(f"q{number}", text, choices=choices, gold=gold, grader="choice", task="t")


def test_case_spacing_punctuation_and_the_order_of_options_change_no_question() -> None:
    first = fingerprint(asks(1, "What is  the capital of France?", "Paris", "Rome", gold="A"))
    second = fingerprint(asks(2, "what is the Capital, of France", "Rome", "paris.", gold="B"))
    assert first == second
    assert first.gold == "paris"


def test_formulas_are_told_apart_by_their_signs() -> None:
    assert fingerprint(asks(1, "1+2=?")).key != fingerprint(asks(2, "1-2=?")).key


def test_equal_questions_with_equal_golds_are_duplicates_and_with_others_contradict() -> None:
    questions = [
        asks(1, "Which one is even?", "2", "3"),
        asks(2, "which one is even", "3", "2", gold="B"),
        asks(3, "Is water wet or dry?", "wet", "dry"),
        asks(4, "Is water wet or dry?", "wet", "dry", gold="B"),
        asks(5, "Something else altogether?"),
    ]
    found = {finding.kind: finding for finding in duplicates(questions, [fingerprint(q) for q in questions])}
    assert found.keys() == {"duplicate", "contradictory_gold"}
    assert found["duplicate"].question_ids == ("q1", "q2")
    assert found["contradictory_gold"].question_ids == ("q3", "q4")
    assert found["contradictory_gold"].severity == "error"


def test_a_near_pair_with_another_number_is_another_question() -> None:
    questions = [asks(1, "Add 2 and 3 pens please"), asks(2, "Add 2 and 4 pens please"), asks(3, "Add 3 pens and 2")]
    pairs = [(0, 1, 0.99), (0, 2, 0.97)]
    (only,) = near_duplicates(questions, [fingerprint(q) for q in questions], pairs)
    assert only.question_ids == ("q1", "q3")
    assert only.value == 0.97


def test_test_questions_in_the_bank_are_found_by_words_and_by_meaning() -> None:
    questions = [asks(1, "Who wrote the book of the sea?"), asks(2, "How tall is the tower in town?")]
    tested = [asks(7, "who wrote the book of the sea"), asks(8, "What height has the tower in town?")]
    prints = [fingerprint(question) for question in questions]
    found = list(contamination(questions, prints, tested, [(0, 0, 1.0), (1, 1, 0.96)]))
    assert [(f.severity, f.question_ids) for f in found] == [("error", ("q1", "q7")), ("warning", ("q2", "q8"))]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (Question("a", "?", grader="choice", choices=("x", "y"), gold="C"), "none of its 2 options"),
        (Question("a", "?", grader="number", gold=" "), "no gold"),
        (Question("a", "?", grader="code", gold="x"), "needs a check"),
        (Question("a", "?", gold="x"), "no grader"),
    ],
)
def test_questions_that_nothing_can_be_graded_against(question: Question, said: str) -> None:
    (finding,) = ungradable([question, Question("b", "?", grader="number", gold="1")])
    assert finding.question_ids == ("a",)
    assert said in finding.message


def plain_pairs(left: list[list[float]], right: list[list[float]] | None, at_least: float) -> set[tuple[int, int]]:
    other = left if right is None else right
    return {
        (i, j)
        for i, a in enumerate(left)
        for j, b in enumerate(other)
        if (right is not None or j > i) and math.fsum(x * y for x, y in zip(a, b, strict=True)) >= at_least
    }


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 7), st.booleans())
def test_near_pairs_are_those_of_the_plain_definition(seed: int, rows: int, others: int, within: bool) -> None:
    rng = np.random.default_rng(seed)
    # Small integers: sums of products are exact, so that no pair depends on rounding.
    left = rng.integers(-2, 3, size=(rows, 3)).astype(np.float32)
    right = None if within else rng.integers(-2, 3, size=(others, 3)).astype(np.float32)
    found = list(near_pairs(left, right, at_least=2.0))
    wanted = plain_pairs(left.tolist(), None if right is None else right.tolist(), 2.0)
    assert len(found) == len(wanted)
    assert {(i, j) for i, j, _ in found} == wanted


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(3).standard_normal((50, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    whole = [(i, j) for i, j, _ in near_pairs(rows, None, at_least=0.8)]
    assert whole
    monkeypatch.setattr("smcs.bank.audit.texts._BLOCK_FLOATS", 120)
    assert [(i, j) for i, j, _ in near_pairs(rows, None, at_least=0.8)] == whole
