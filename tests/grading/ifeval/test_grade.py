from __future__ import annotations

import sys
from typing import Any

import pytest

from smcs.errors import InputError, MissingExtraError
from smcs.grading import InstructionVerdict, grade, grade_ifeval, instruction_verdicts
from smcs.grading.ifeval import INSTRUCTIONS, languages
from smcs.types import Question


def asked(*instructions: tuple[Any, Any], **more: Any) -> Question:
    names, kwargs = [name for name, _ in instructions], [values for _, values in instructions]
    return Question("q7", "?", grader="ifeval", check={"instruction_id_list": names, "kwargs": kwargs, **more})


TITLE: tuple[str, Any] = ("detectable_format:title", {})
NO_COMMA: tuple[str, Any] = ("punctuation:no_comma", {})
WORDS = ("length_constraints:number_words", {"relation": "less than", "num_words": 4})


def test_all_instructions_must_be_followed() -> None:
    question = asked(TITLE, NO_COMMA)
    assert grade(question, "<<Rain>> so it is").score == 1.0
    broken = grade(question, "<<Rain>> so, it is")
    assert (broken.score, broken.extracted) == (0.0, None)
    assert broken.reason == "not followed (strict): punctuation:no_comma"


@pytest.mark.parametrize(
    ("instruction", "answer"),
    [
        (NO_COMMA, "Sure, here it is:\nso be it"),
        (NO_COMMA, "so be it\nI hope, it helps"),
        (NO_COMMA, "Sure, here:\nso be it\nI hope, it helps"),
        (("startend:end_checker", {"end_phrase": "so it is."}), "**so it is.**"),
        (("combination:repeat_prompt", {"prompt_to_repeat": "say hi"}), "Of course:\n*say* hi\nhi"),
    ],
)
def test_loose_forgives_a_first_line_a_last_line_and_stars(instruction: tuple[str, Any], answer: str) -> None:
    assert grade_ifeval(asked(instruction), answer).score == 0.0
    assert grade_ifeval(asked(instruction, mode="loose"), answer).score == 1.0
    assert instruction_verdicts(asked(instruction), answer) == (InstructionVerdict(instruction[0], False, True),)


def test_each_instruction_has_its_own_loose_form() -> None:
    question = asked(NO_COMMA, ("startend:quotation", {}), mode="loose")
    answer = 'Sure, this:\n"a\nb"\n'
    assert grade_ifeval(question, answer).score == 1.0
    assert [verdict.strict for verdict in instruction_verdicts(question, answer)] == [False, False]


@pytest.mark.parametrize("answer", ["", " \n\t"])
def test_a_blank_answer_follows_nothing(answer: str) -> None:
    assert grade_ifeval(asked(WORDS, mode="loose"), answer).score == 0.0
    assert instruction_verdicts(asked(NO_COMMA), answer) == (InstructionVerdict(NO_COMMA[0], False, False),)


def test_nulls_and_parameters_of_other_types_are_ignored_and_whole_floats_count() -> None:
    values = {"relation": "at least", "num_words": 2.0, "keywords": None, "letter": "x"}
    assert grade_ifeval(asked((WORDS[0], values)), "two words").score == 1.0
    assert grade_ifeval(asked(("punctuation:no_comma", None)), "so").score == 1.0


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        (("punctuation:no_coma", {}), r"'q7'.*'punctuation:no_coma'. Did you mean 'punctuation:no_comma'"),
        ((3, {}), "unknown instruction 3"),
        (("punctuation:no_comma", []), "parameters must be an object"),
        ((WORDS[0], {"relation": "at least"}), r"'q7', instruction '.*number_words': `num_words` must be a whole"),
        ((WORDS[0], {"relation": "at least", "num_words": 1.5}), "whole number of at least 0, got 1.5"),
        ((WORDS[0], {"relation": "at least", "num_words": True}), "got True"),
        ((WORDS[0], {"relation": "over", "num_words": 1}), "`relation` must be 'at least' or 'less than', got 'over'"),
        ((WORDS[0], {"relation": None, "num_words": 1}), "`relation`"),
        (("keywords:existence", {"keywords": "rain"}), "`keywords` must be a list of texts"),
        (("keywords:existence", {"keywords": []}), "`keywords`"),
        (("keywords:forbidden_words", {"forbidden_words": ["a", " "]}), "`forbidden_words`"),
        (("keywords:letter_frequency", {"letter": "ab", "let_relation": "at least", "let_frequency": 1}), "one char"),
        (("keywords:letter_frequency", {"letter": None, "let_relation": "at least", "let_frequency": 1}), "`letter`"),
        (("startend:end_checker", {}), "`end_phrase` must be a text that is not blank, got None"),
        (
            (
                "length_constraints:nth_paragraph_first_word",
                {"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "a"},
            ),
            r"`nth_paragraph` must be at most `num_paragraphs` \(2\), got 3",
        ),
        (("language:response_language", {"language": "klingon"}), "`language` must be a language of langdetect"),
    ],
)
def test_what_cannot_be_checked_is_refused_by_name(instruction: tuple[Any, Any], message: str) -> None:
    for judge in (grade_ifeval, instruction_verdicts):
        with pytest.raises(InputError, match=message):
            judge(asked(instruction), "so be it")


@pytest.mark.parametrize(
    "check",
    [
        {},
        {"instruction_id_list": [], "kwargs": []},
        {"instruction_id_list": "punctuation:no_comma", "kwargs": [{}]},
        {"instruction_id_list": ["punctuation:no_comma"]},
        {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}, {}]},
        {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}], "mode": "lose"},
    ],
)
def test_an_incomplete_check_is_refused(check: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="'q7'"):
        grade_ifeval(Question("q7", "?", grader="ifeval", check=check), "so be it")


def test_langdetect_is_asked_for_only_where_a_language_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langdetect", None)
    languages._factory.cache_clear()
    german, capital = (
        asked(("language:response_language", {"language": "de"})),
        asked(("change_case:english_capital", {})),
    )
    assert grade_ifeval(capital, "Not in capitals").score == 0.0
    assert grade_ifeval(asked(TITLE, NO_COMMA), "<<Rain>>").score == 1.0
    for question in (german, capital):
        with pytest.raises(MissingExtraError, match=r"smcs\[grading\]"):
            grade_ifeval(question, "IN CAPITALS")


def test_the_language_of_a_text_is_the_same_every_time() -> None:
    unclear = "no problema amigo, das ist super"
    assert len({languages.detect_language(unclear) for _ in range(30)}) == 1
    assert languages.detect_language("123 456") is None


@pytest.mark.parametrize(
    "part", ["[", "<<", "*", "a.", ". ", "\n", '"', "**a", '{"a":', "A'S ", "a@", ".\u2003\n", "-\n*\n"]
)
def test_long_answers_of_one_pattern_take_no_more_than_linear_time(part: str) -> None:
    """Quadratic checks would run into the time limit of the suite."""
    counted = "words sentences paragraphs placeholders bullets highlights sections"
    names = ["frequency", "let_frequency", "capital_frequency", *(f"num_{name}" for name in counted.split())]
    numbers = dict.fromkeys(names, 10**9)
    texts = dict.fromkeys(("keyword", "first_word", "postscript_marker", "section_spliter", "end_phrase"), "ab")
    relations = dict.fromkeys(("relation", "let_relation", "capital_relation"), "at least")
    lists = {"keywords": ["ab"], "forbidden_words": ["[ab"]}
    others = {"letter": "x", "language": "de", "prompt_to_repeat": "ab", "nth_paragraph": 1}
    values = {**numbers, **texts, **relations, **lists, **others}
    question = asked(*((name, values) for name in INSTRUCTIONS))
    assert len(instruction_verdicts(question, part * (300_000 // len(part)))) == 25


def test_an_answer_beyond_the_limit_follows_nothing() -> None:
    assert grade_ifeval(asked(NO_COMMA), "a" * 1_000_000).score == 1.0
    over = grade_ifeval(asked(NO_COMMA), "a" * 1_000_001)
    assert (over.score, over.reason) == (0.0, "longer than 1,000,000 characters")
    assert not instruction_verdicts(asked(NO_COMMA), "a" * 1_000_001)[0].loose
