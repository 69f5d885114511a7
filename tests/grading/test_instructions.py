from __future__ import annotations

from typing import Any

import pytest

from helpers_time import cpu_time
from smcs.errors import InputError
from smcs.grading import RULES, grade_instructions
from smcs.grading.instructions import MAX_CHARACTERS
from smcs.types import Question


def score(answer: str, *rules: dict[str, Any]) -> float | None:
    return grade_instructions(Question("q", "?", grader="instructions", check={"rules": list(rules)}), answer).score


EXACTLY_3 = {"kind": "words", "relation": "exactly", "count": 3}
TWO_SENTENCES = {"kind": "sentences", "relation": "exactly", "count": 2}
BULLETS = {"kind": "bullets", "count": 2}
NUMBERED = {"kind": "numbered", "count": 2}
INCLUDE = {"kind": "include", "words": ["sun", "ice cream"]}
EXCLUDE = {"kind": "exclude", "words": ["the"]}
JSON_KEYS = {"kind": "json", "keys": ["a", "b"]}
JSON_VALUES = {"kind": "json", "keys": ["a"], "values": {"a": [1, "x"]}}
LIST = {"kind": "separated", "separator": ",", "count": 3}
SORTED = {"kind": "separated", "separator": ",", "count": 3, "left": "<<", "right": ">>", "sorted": True}

CASES: list[tuple[dict[str, Any], str, float]] = [
    (EXACTLY_3, "one two three", 1.0),
    (EXACTLY_3, " one, two - three! ", 1.0),
    (EXACTLY_3, "it's well-known now", 1.0),
    (EXACTLY_3, "one two", 0.0),
    (EXACTLY_3, "one two three four", 0.0),
    ({**EXACTLY_3, "relation": "at most"}, "one", 1.0),
    ({**EXACTLY_3, "relation": "at most"}, "1 2 3 4", 0.0),
    ({**EXACTLY_3, "relation": "at least"}, "1 2 3 4", 1.0),
    ({**EXACTLY_3, "relation": "at least"}, "one", 0.0),
    (TWO_SENTENCES, "It rains. We wait!", 1.0),
    (TWO_SENTENCES, 'He said "stop!" Then he left', 1.0),
    (TWO_SENTENCES, "It costs 3.50 dollars... Really?!", 1.0),
    (TWO_SENTENCES, "One. Two. Three.", 0.0),
    (TWO_SENTENCES, "Only one", 0.0),
    (BULLETS, "- a\n- b", 1.0),
    (BULLETS, "* a\n\n* b\n", 1.0),
    (BULLETS, "- a\n- b\n- c", 0.0),
    (BULLETS, "Here:\n- a\n- b", 0.0),
    (BULLETS, "-a\n-b", 0.0),
    (NUMBERED, "1. a\n2. b", 1.0),
    (NUMBERED, "1. a\n3. b", 0.0),
    (NUMBERED, "1) a\n2) b", 0.0),
    (NUMBERED, "1. a", 0.0),
    (INCLUDE, "Sun and Ice Cream!", 1.0),
    (INCLUDE, "Sunny ice cream", 0.0),
    (EXCLUDE, "There is other bathe", 1.0),
    (EXCLUDE, "Stop THE car", 0.0),
    ({"kind": "without", "characters": ",e"}, "no such sign", 1.0),
    ({"kind": "without", "characters": ",e"}, "an E", 0.0),
    ({"kind": "lowercase"}, "all small, 2 of them", 1.0),
    ({"kind": "lowercase"}, "Not small", 0.0),
    ({"kind": "lowercase"}, "123", 0.0),
    ({"kind": "uppercase"}, "ALL BIG, 2!", 1.0),
    ({"kind": "uppercase"}, "ALMOST BIg", 0.0),
    ({"kind": "starts_with", "text": "Once in"}, "\nOnce in a while", 1.0),
    ({"kind": "starts_with", "text": "Once in"}, "once in a while", 0.0),
    ({"kind": "ends_with", "text": "The end."}, "It stops. The end.\n", 1.0),
    ({"kind": "ends_with", "text": "The end."}, "The end", 0.0),
    ({"kind": "exact", "text": "a, b"}, " a, b\n", 1.0),
    ({"kind": "exact", "text": "a, b"}, "a,b", 0.0),
    (JSON_KEYS, '{"b": 1, "a": null}', 1.0),
    (JSON_KEYS, '```json\n{"a": 1, "b": 2}\n```', 1.0),
    (JSON_KEYS, '{"a": 1, "b": 2, "c": 3}', 0.0),
    (JSON_KEYS, '{"a": 1}', 0.0),
    (JSON_KEYS, 'Here: {"a": 1, "b": 2}', 0.0),
    (JSON_KEYS, "{'a': 1, 'b': 2}", 0.0),
    (JSON_KEYS, '["a", "b"]', 0.0),
    (JSON_VALUES, '{"a": [1, "x"]}', 1.0),
    (JSON_VALUES, '{"a": ["1", "x"]}', 0.0),
    (LIST, "red, green,blue", 1.0),
    (LIST, "red, green", 0.0),
    (LIST, "red,, blue", 0.0),
    (LIST, "red,\ngreen, blue", 0.0),
    (SORTED, "<<Ant, bee, Cow>>", 1.0),
    (SORTED, "<<bee, ant, cow>>", 0.0),
    (SORTED, "ant, bee, cow", 0.0),
]


@pytest.mark.parametrize(("rule", "answer", "expected"), CASES)
def test_one_rule(rule: dict[str, Any], answer: str, expected: float) -> None:
    assert score(answer, rule) == expected


def test_every_kind_of_rule_is_both_kept_and_broken_above() -> None:
    assert {(rule["kind"], expected) for rule, _, expected in CASES} == {
        (kind, s) for kind in RULES for s in (0.0, 1.0)
    }


def test_all_rules_must_be_kept_and_broken_ones_are_named() -> None:
    question = Question("q", "?", grader="instructions", check={"rules": [EXACTLY_3, {"kind": "lowercase"}, EXCLUDE]})
    assert grade_instructions(question, "all is well").score == 1.0
    graded = grade_instructions(question, "The end is well")
    assert graded.score == 0.0
    assert graded.reason == "4 words instead of exactly 3; is not all lowercase; has 'the'"


def test_an_empty_answer_follows_nothing() -> None:
    graded = grade_instructions(Question("q", "?", grader="instructions", check={"rules": [EXCLUDE]}), " \n ")
    assert (graded.score, graded.reason) == (0.0, "empty answer")


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({}, "needs a list of rules"),
        ({"rules": []}, "needs a list of rules"),
        ({"rules": ["lowercase"]}, "needs a list of rules"),
        ({"rules": [{"kind": "lower"}]}, "Did you mean 'lowercase'"),
        ({"rules": [{}]}, "Unknown instruction rule None"),
        ({"rules": [{"kind": "words", "count": 3}]}, "lacks the parameter 'relation'"),
        ({"rules": [{"kind": "words", "relation": "about", "count": 3}]}, "Unknown relation 'about'"),
    ],
)
def test_bad_rules_are_refused(check: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        grade_instructions(Question("q", "?", grader="instructions", check=check), "text")


@pytest.mark.parametrize("size", [MAX_CHARACTERS, 1_000_000])
@pytest.mark.parametrize("piece", ["a", ".", "[", '{"a":', "- ", "1. ", ",", "the ", "\n", "```\n", '")', "9"])
def test_a_megabyte_of_anything_takes_bounded_time(piece: str, size: int) -> None:
    rules = [rule for rule, _, _ in {str(case[0]): case for case in CASES}.values()]
    with cpu_time() as took:
        assert score(piece * (size // len(piece)), *rules) == 0.0
    assert took() < 1.0
