"""The bank that ships with smcs: complete, ours, and graded as its recorded answers say."""

from __future__ import annotations

from collections import Counter

import pytest

from smcs.bank import QuestionBank
from smcs.config import open_bank
from smcs.evaluate import SEED_MODELS
from smcs.grading import grade
from smcs.tasks.seed import generate
from smcs.types import Outcome, Question


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> QuestionBank:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMCS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return open_bank("seed")


def graded(bank: QuestionBank) -> list[tuple[Question, Outcome]]:
    questions = {question.id: question for question in bank.questions()}
    return [(questions[outcome.question_id], outcome) for llm in bank.llms for outcome in bank.recorded(llm)]


def test_its_questions_are_those_the_generator_makes(shipped: QuestionBank) -> None:
    assert shipped.questions() == tuple(sorted(generate(), key=lambda question: question.id))


def test_each_model_was_graded_on_every_question(shipped: QuestionBank) -> None:
    assert sorted(shipped.llms) == sorted(SEED_MODELS)
    counts = Counter(outcome.llm for _, outcome in graded(shipped) if outcome.score is not None)
    assert set(counts.values()) == {len(shipped)}


def test_models_differ_and_none_is_best_everywhere(shipped: QuestionBank) -> None:
    rows = [row for row in shipped.info().subjects if row.accuracy is not None]
    best: dict[str | None, tuple[float, str]] = {}
    for row in rows:
        best[row.subject] = max(best.get(row.subject, (0.0, "")), (row.accuracy or 0.0, row.llm))
    assert len({llm for _, llm in best.values()}) > 1


def test_regrading_the_recorded_answers_gives_the_recorded_scores(shipped: QuestionBank) -> None:
    outcomes = [(question, outcome) for question, outcome in graded(shipped) if question.grader != "code"]
    wrong = [o.question_id for question, o in outcomes if grade(question, o.response).score != o.score]
    assert wrong == []


def test_regrading_recorded_programs_gives_the_recorded_scores(shipped: QuestionBank) -> None:
    programs = [(question, outcome) for question, outcome in graded(shipped) if question.grader == "code"][::16]
    assert {outcome.score for _, outcome in programs} == {0.0, 1.0}
    for question, outcome in programs:
        assert grade(question, outcome.response).score == outcome.score


def test_it_is_unpacked_once() -> None:
    with open_bank("seed") as first, pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuestionBank, "create", None)
        with open_bank("seed") as second:
            assert second.url == first.url
            assert second.content_hash == first.content_hash
