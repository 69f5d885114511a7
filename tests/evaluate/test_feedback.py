"""Feedback on a run becomes a bank question with outcomes; nothing is overwritten, and it can be taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder, Vectors
from smcs.errors import BankError, EmbedderError, InputError
from smcs.evaluate import Feedback, add_question, guess_grader, learn
from smcs.run import Query, Run
from smcs.types import Attempt, Choice, Question, Usage

TEXT = "A shop sells pens at 4 dollars each. What do 6 pens cost?"
EMBEDDER = HashingEmbedder(64)


def reference(llm: str, text: str) -> Attempt:
    return Attempt(llm, "reference", "ok", choices=(Choice(text),), usage=Usage(9, 3), cost_usd=0.01, seconds=2.0)


def run(text: str = TEXT) -> Run:
    return Run(
        id="run-1",
        strategy="smcs",
        created="2026-01-01T00:00:00Z",
        query=Query.of(text),
        settings={},
        answer="They cost 24 dollars.\nAnswer: 24",
        answered_by="c",
        seconds=1.0,
        attempts=(
            reference("a", "6 times 4 is 24. Answer: 24"),
            reference("b", "Answer: 22"),
            Attempt("d", "reference", "timeout", error="too late"),
            replace(reference("c", "Answer: 24"), stage="aggregation"),
        ),
    )


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[QuestionBank]:
    monkeypatch.setenv("SMCS_CACHE_DIR", str(tmp_path / "cache"))
    with QuestionBank.create(tmp_path / "bank.db") as made:
        yield made


def scores(bank: QuestionBank, llm: str) -> dict[str, float | None]:
    return {outcome.question_id: outcome.score for outcome in bank.recorded(llm)}


async def test_the_correct_answer_grades_every_reference_and_undo_takes_it_back(bank: QuestionBank) -> None:
    before = bank.content_hash
    grown = await learn(bank, run(), Feedback(gold="24", author="kim", note="seen in chat"), EMBEDDER)
    assert grown.is_new
    assert {outcome.llm: outcome.score for outcome in grown.outcomes} == {"a": 1.0, "b": 0.0}
    assert grown.left_out == {"d": "its call gave no answer (timeout)"}
    (question,) = bank.questions()
    assert (question.text, question.gold, question.grader, question.task) == (TEXT, "24", "number", "feedback")
    assert bank.llms == ("a", "b")
    assert bank.missing_embeddings(EMBEDDER.name) == ()
    (kept,) = bank.recorded("a")
    assert (kept.response, kept.usage, kept.cost_usd, kept.seconds) == (
        "6 times 4 is 24. Answer: 24",
        Usage(9, 3),
        0.01,
        2.0,
    )
    (change,) = bank.history()
    assert (change.id, change.kind, change.author, change.note, change.run_id) == (
        grown.change,
        "feedback",
        "kim",
        "seen in chat",
        "run-1",
    )
    bank.undo(change.id)
    assert bank.content_hash == before
    assert len(bank) == 0
    assert not bank.llms


async def test_right_makes_the_answer_the_gold(bank: QuestionBank) -> None:
    await learn(bank, run(), Feedback(right=True), EMBEDDER)
    assert bank.questions()[0].gold == "24"
    assert (list(scores(bank, "a").values()), list(scores(bank, "b").values())) == ([1.0], [0.0])


async def test_wrong_says_nothing_about_who_answered_otherwise(bank: QuestionBank) -> None:
    grown = await learn(bank, run(), Feedback(right=False), EMBEDDER)
    assert {outcome.llm: outcome.score for outcome in grown.outcomes} == {"a": 0.0}
    assert "not known" in grown.left_out["b"]
    (question,) = bank.questions()
    assert (question.gold, question.grader) == (None, None)
    assert bank.llms == ("a",)


async def test_the_correct_answer_may_come_after_the_verdict_wrong(bank: QuestionBank) -> None:
    first = await learn(bank, run(), Feedback(right=False), EMBEDDER)
    before = bank.content_hash
    second = await learn(bank, run(), Feedback(gold="22"), EMBEDDER)
    assert (second.question_id, second.is_new) == (first.question_id, False)
    (question,) = bank.questions()
    assert (question.gold, question.grader) == ("22", "number")
    assert scores(bank, "a") == {question.id: 0.0}
    assert scores(bank, "b") == {question.id: 1.0}
    assert bank.missing_embeddings(EMBEDDER.name) == ()
    assert second.change is not None
    bank.undo(second.change)
    assert bank.content_hash == before


async def test_a_question_the_bank_has_is_not_added_again_and_nothing_is_overwritten(bank: QuestionBank) -> None:
    first = await learn(bank, run(), Feedback(gold="24"), EMBEDDER)
    again = replace(run(TEXT.upper()), attempts=(reference("a", "Answer: 1"), reference("e", "Answer: 24")))
    second = await learn(bank, again, Feedback(gold="24"), EMBEDDER)
    assert (second.question_id, second.is_new) == (first.question_id, False)
    assert second.left_out == {"a": "the bank has its outcome already"}
    assert len(bank) == 1
    assert scores(bank, "a") == {first.question_id: 1.0}
    assert scores(bank, "e") == {first.question_id: 1.0}
    third = await learn(bank, again, Feedback(gold="24"), EMBEDDER)
    assert (third.change, third.outcomes) == (None, ())


async def test_another_number_is_another_question(bank: QuestionBank) -> None:
    await learn(bank, run(), Feedback(gold="24"), EMBEDDER)
    other = await learn(bank, run(TEXT.replace("6 pens", "7 pens")), Feedback(gold="28"), EMBEDDER, same=0.5)
    assert other.is_new
    assert len(bank) == 2


async def test_feedback_that_contradicts_the_bank_changes_nothing(bank: QuestionBank) -> None:
    await learn(bank, run(), Feedback(gold="24"), EMBEDDER)
    before = bank.content_hash
    with pytest.raises(BankError, match="with the gold '24', not '25'"):
        await learn(bank, run(), Feedback(gold="25"), EMBEDDER)
    assert bank.content_hash == before


@pytest.mark.parametrize(
    ("feedback", "said"),
    [
        (Feedback(), "either"),
        (Feedback(right=True, gold="24"), "either"),
        (Feedback(gold="  "), "empty"),
        (Feedback(gold="E", choices=("x", "y")), "from A to B"),
    ],
)
async def test_feedback_that_cannot_be_used(bank: QuestionBank, feedback: Feedback, said: str) -> None:
    with pytest.raises(InputError, match=said):
        await learn(bank, run(), feedback, EMBEDDER)
    assert bank.history() == ()


async def test_prose_cannot_be_said_to_be_right(bank: QuestionBank) -> None:
    prose = replace(run(), answer="There are many ways to look at this. " * 5)
    with pytest.raises(InputError, match="Say what the correct answer is"):
        await learn(bank, prose, Feedback(right=True), EMBEDDER)


async def test_a_failing_embedder_changes_nothing(bank: QuestionBank) -> None:
    class Broken(HashingEmbedder):
        async def embed(self, texts: Sequence[str]) -> Vectors:
            raise EmbedderError("down")

    with pytest.raises(EmbedderError):
        await learn(bank, run(), Feedback(gold="24"), Broken(64))
    assert bank.history() == ()


async def test_options_are_graded_by_letter(bank: QuestionBank) -> None:
    asked = replace(run("Which is even?"), attempts=(reference("a", "Answer: B"), reference("b", "Answer: A")))
    grown = await learn(bank, asked, Feedback(gold="B", choices=("3", "4")), EMBEDDER)
    assert {outcome.llm: outcome.score for outcome in grown.outcomes} == {"a": 1.0, "b": 0.0}
    assert bank.questions()[0].choices == ("3", "4")


async def test_adding_a_question(bank: QuestionBank) -> None:
    question = Question("", "What is the capital of France?", gold="Paris")
    grown = await add_question(bank, question, EMBEDDER, author="kim")
    assert grown.is_new
    assert bank.questions()[0].grader == "exact"
    assert not (await add_question(bank, replace(question, text="What is the capital of france"), EMBEDDER)).is_new
    with pytest.raises(InputError, match="number"):
        await add_question(bank, Question("n", "How many?", gold="many", grader="number"), EMBEDDER)
    with pytest.raises(InputError, match="empty"):
        await add_question(bank, Question("n", " ", gold="1"), EMBEDDER)
    assert len(bank) == 1


@pytest.mark.parametrize(
    ("gold", "choices", "grader"),
    [
        ("B", ("x", "y"), "choice"),
        ("12.5", (), "number"),
        ("\\frac{1}{2}", (), "math"),
        ("x = 3", (), "math"),
        ("Paris", (), "exact"),
        ("3 apples", (), "exact"),
    ],
)
def test_the_grader_that_fits_a_gold(gold: str, choices: tuple[str, ...], grader: str) -> None:
    assert guess_grader(gold, choices) == grader
