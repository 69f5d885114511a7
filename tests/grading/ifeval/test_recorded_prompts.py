"""All published prompts at hand: an answer made to follow is right, an answer made to break one instruction wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers_ifeval import breaking, following, ifeval_questions, instructions_of
from smcs.grading import grade, instruction_verdicts
from smcs.types import Question

SHARED_DATA = Path(os.environ.get("SMCS_DATA", Path(__file__).parents[4] / "shared" / "data"))

CONTRADICTORY = {"ifeval/3369", "ifeval/3371", "ifeval/3718", "ifeval/374"}
"""The prompt to repeat holds itself what the answer must not; no answer can follow."""


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    if not (SHARED_DATA / "benchmarks" / "ifeval.jsonl.gz").is_file():
        pytest.skip("the recorded benchmarks are not here")
    return ifeval_questions(SHARED_DATA)


def test_following_answers_are_right(questions: list[Question]) -> None:
    wrong = {q.id: grade(q, following(instructions_of(q))).reason for q in questions}
    wrong = {name: reason for name, reason in wrong.items() if not reason.startswith("all ")}
    assert set(wrong) <= CONTRADICTORY, wrong


def test_contradictory_prompts_are_contradictory(questions: list[Question]) -> None:
    for question in questions:
        if question.id in CONTRADICTORY:
            prompt = next(v["prompt_to_repeat"] for _, v in instructions_of(question) if "prompt_to_repeat" in v)
            broken = [v.instruction for v in instruction_verdicts(question, prompt) if not v.strict]
            assert set(broken) & {"keywords:frequency", "keywords:forbidden_words", "punctuation:no_comma"}


def test_breaking_any_one_instruction_is_wrong(questions: list[Question]) -> None:
    missed = []
    for question in questions:
        instructions = instructions_of(question)
        answer = following(instructions)
        for i, instruction in enumerate(instructions):
            broken = breaking(instruction, answer)
            if instruction_verdicts(question, broken)[i].strict or grade(question, broken).score != 0.0:
                missed.append((question.id, instruction[0]))
    assert missed == []
