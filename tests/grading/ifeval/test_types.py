"""What each of the 25 types takes for followed, at its edges."""

from __future__ import annotations

from typing import Any

import pytest

from smcs.grading import instruction_verdicts
from smcs.grading.ifeval import INSTRUCTIONS
from smcs.types import Question

DE = "Der alte Mann ging mit seinem Sohn auf den Markt und kaufte dort Brot und Käse."
EN = "the old man went to the market with his son and they bought some bread there."
AT_LEAST_2 = {"relation": "at least", "keyword": "Rain", "frequency": 2}
LESS_THAN_2 = {**AT_LEAST_2, "relation": "less than"}

CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["Cat", "rain"]}, ["a CAT in the rain", "concatenate rainbows"], ["a cat"]),
    ("keywords:existence", {"keywords": ["c++", "(x"]}, ["C++ (X"], ["c and x"]),
    ("keywords:frequency", AT_LEAST_2, ["rain, RAINBOW"], ["rain"]),
    ("keywords:frequency", LESS_THAN_2, ["rain", "sun"], ["rain, rain"]),
    ("keywords:forbidden_words", {"forbidden_words": ["can", "ride"]}, ["a pecan, pride"], ["Can we", "a ride."]),
    (
        "keywords:letter_frequency",
        {"let_relation": "at least", "letter": "Q", "let_frequency": 2},
        ["q and Q"],
        ["a queue"],
    ),
    ("keywords:letter_frequency", {"let_relation": "less than", "letter": "e", "let_frequency": 1}, ["cat"], ["Eel"]),
    ("keywords:letter_frequency", {"let_relation": "at least", "letter": "#", "let_frequency": 2}, ["#a #b"], ["#a"]),
    ("keywords:letter_frequency", {"let_relation": "at least", "letter": "!", "let_frequency": 2}, ["a!!"], ["a!"]),
    ("language:response_language", {"language": "de"}, [DE, "12345"], [EN]),
    (
        "length_constraints:number_sentences",
        {"relation": "at least", "num_sentences": 2},
        ["One is. Two are!", 'He said "no." She left.'],
        ["Mr. Smith left", "It was 3.5 metres long."],
    ),
    ("length_constraints:number_sentences", {"relation": "less than", "num_sentences": 2}, ["One."], ["One. Two."]),
    (
        "length_constraints:number_words",
        {"relation": "at least", "num_words": 3},
        ["one two three", "it's so"],
        ["well-known", "- * !", "हिन्दी लिखो", "un cafe\u0301"],
    ),
    ("length_constraints:number_words", {"relation": "less than", "num_words": 3}, ["one two"], ["one two three"]),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["a\n***\nb", "***\na\n\nb***c", "a *** b ***"],
        ["a\n\nb", "a\n***\n***\nb", "a***b***c"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Elm"},
        ["a\n\nElm trees", "a\n\n'elm, too", 'a\n\n"ELM" is'],
        ["a\n\nElms", "elm\n\na", "a\n\nelm\n\nb", "\n\na\n\nelm", "a\nelm"],
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        ["[name], [address]", "[[a]] []"],
        ["[name]", "[a\nb] [c]", "[[name"],
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["x\nP.S. y", "p. s. y"], ["PS y", "P.S y"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P.P.S. y", "p. p. s y"], ["P.S. y"]),
    ("detectable_content:postscript", {"postscript_marker": "N.B."}, ["n.b. y"], ["nxbx y"]),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["* a\n- b", "  - a\n\n\t* b\n**c**", "*\na\n- b"],
        ["* a", "- a\n- b\n- c", "+ a\n+ b", "- a\n*"],
    ),
    (
        "detectable_format:constrained_response",
        {},
        ["My answer is yes.", "So: My answer is maybe. Or not."],
        ["My answer is yes", "my answer is no."],
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["*a* **b**", "**a** and **b**"],
        ["*a*", "** ** *b*", "*a\nb* *c*", "****"],
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Day", "num_sections": 2},
        ["Day 1\na\nDay 2\nb", "Day1 Day\n2"],
        ["Day 1\na", "day 1\nday 2", "Day one\nDay two"],
    ),
    (
        "detectable_format:json_format",
        {},
        ['{"a": [1]}', '```json\n{"a": 1}\n```', '```\n["a"]\n```', "3"],
        ["Sure: {}", "{'a': 1}", '{"a": 1', "```json\n{}\n``` done", "[" * 100_000],
    ),
    (
        "detectable_format:title",
        {},
        ["<<rain>>\nso", "a <<<rain>>>"],
        ["<rain>", "<<>>", "<< >>", "<<rain\n>>", ">>rain<<", "<<>"],
    ),
    (
        "combination:two_responses",
        {},
        ["a\n******\nb", "******a******b******"],
        ["a\n******\na", "a", "a******b******c", "a************b", "a*****b"],
    ),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi. "}, [" SAY HI.\nHi!"], ["Sure. Say hi."]),
    (
        "startend:end_checker",
        {"end_phrase": "So it is."},
        ["x. so it is.\n", '"So it is."'],
        ["So it is. Yes", "it is."],
    ),
    ("startend:quotation", {}, ['"a"', '\n"a" or "b" ', '""'], ['"', '"a', "'a'", "\u201ca\u201d", 'x "a"']),
    (
        "change_case:capital_word_frequency",
        {"capital_relation": "at least", "capital_frequency": 2},
        ["I said NO", "CAN'T", "(STOP),\u2014GO", "CANNOT", "WE'LL", "**ONE** U.S.", "A:B"],
        ["SO-CALLED", "Iphone AND", "1,000 AND/OR", "O'CLOCK", "No More"],
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_relation": "less than", "capital_frequency": 1},
        ["Nothing here, i say", "1 2 3"],
        ["I say"],
    ),
    ("change_case:english_capital", {}, [EN.upper(), "THE RAIN CAME IN THE NIGHT."], [EN, DE.upper(), "123"]),
    ("change_case:english_lowercase", {}, [EN], [EN.upper(), DE.lower(), "The rain came in the night.", "123"]),
    ("punctuation:no_comma", {}, ["so; it is", "\u060c"], ["1,000"]),
]


@pytest.mark.parametrize(("name", "kwargs", "followed", "broken"), CASES)
def test_a_type_tells_followed_from_broken(
    name: str, kwargs: dict[str, Any], followed: list[str], broken: list[str]
) -> None:
    question = Question("q", "?", grader="ifeval", check={"instruction_id_list": [name], "kwargs": [kwargs]})
    assert [text for text in followed if not instruction_verdicts(question, text)[0].strict] == []
    assert [text for text in broken if instruction_verdicts(question, text)[0].strict] == []


def test_all_25_types_are_there_and_tested() -> None:
    assert len(INSTRUCTIONS) == 25
    assert {name for name, *_ in CASES} == set(INSTRUCTIONS)
