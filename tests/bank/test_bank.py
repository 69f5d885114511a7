from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers_bank import EMBEDDER, Place, outcome, question, small_bank
from smcs.bank import QuestionBank
from smcs.errors import BankError, EmbedderError, InputError, RunError
from smcs.types import Outcome, Question, Usage


@pytest.fixture
def bank(place: Place) -> QuestionBank:
    return place.create()


def test_questions_come_back_as_they_were_sorted_by_id(bank: QuestionBank) -> None:
    asked = [question(3), question(1, choices=(), gold=None, grader=None, check={}), question(2, subject="")]
    assert bank.add_questions(asked) == 3
    assert bank.questions() == tuple(sorted(asked, key=lambda item: item.id))
    assert bank.questions(["q0003", "q0001"]) == (asked[0], asked[1])
    assert len(bank) == 3
    with pytest.raises(BankError, match="no question 'q9'"):
        bank.questions(["q9"])


def test_adding_again_is_nothing_new(bank: QuestionBank) -> None:
    bank.add_questions([question(1)])
    before = bank.content_hash
    assert bank.add_questions([question(1), question(2)]) == 1
    assert bank.add_questions([question(1), question(2)]) == 0
    assert bank.add_llm("a") is True
    assert bank.add_llm("a") is False
    assert bank.content_hash != before


def test_a_taken_id_is_refused_or_replaced(bank: QuestionBank) -> None:
    bank.add_questions([question(1), question(2)])
    bank.add_llm("a")
    bank.record([outcome(1, "a", 1.0), outcome(2, "a", 0.0)])
    relabelled = question(1, subject="other")
    regolded = question(2, gold="B")
    with pytest.raises(BankError, match="'q0001' is already in the bank with another content"):
        bank.add_questions([question(7), relabelled])
    assert len(bank) == 2
    assert bank.add_questions([relabelled, regolded], replace=True) == 0
    assert bank.questions() == (relabelled, regolded)
    assert bank.answered("a") == {"q0001"}, "a label changes no outcome, another gold does"


def test_outcomes_are_kept_whole_and_the_last_one_counts(bank: QuestionBank) -> None:
    bank.add_questions([question(1), question(2), question(3)])
    bank.add_llm("b")
    bank.add_llm("a")
    first = [outcome(1, "a", 1.0, "long " * 500), outcome(2, "a", None), outcome(1, "b", 0.5)]
    assert bank.record(first) == 3
    once = bank.content_hash
    assert bank.record(iter(first)) == 0
    assert bank.content_hash == once
    assert bank.recorded("a") == (first[0], first[1])
    assert bank.answered("a") == {"q0001", "q0002"}
    assert bank.record([outcome(1, "a", 0.0), outcome(1, "a", 0.25)]) == 1
    matrix = bank.outcomes()
    assert matrix.llms == ("a", "b")
    assert matrix.question_ids == ("q0001", "q0002", "q0003")
    np.testing.assert_array_equal(matrix.scores, np.array([[0.25, 0.5], [np.nan] * 2, [np.nan] * 2]))
    assert matrix.scores.dtype == np.float32


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (outcome(9, "a", 1.0), "Question 'q0009' is not in this bank"),
        (outcome(1, "aa", 1.0), "LLM 'aa' is not in this bank.*Did you mean 'a'"),
        (outcome(1, "a", 1.5), "from 0 to 1"),
        (outcome(1, "a", float("nan")), "from 0 to 1"),
        (dataclasses.replace(outcome(1, "a", 1.0), cost_usd=-1.0), "cost_usd"),
        (dataclasses.replace(outcome(1, "a", 1.0), seconds=float("inf")), "seconds"),
        (dataclasses.replace(outcome(1, "a", 1.0), samples=0), "samples"),
        (dataclasses.replace(outcome(1, "a", 1.0), samples=1.5), "samples.* whole number"),  # type: ignore[arg-type]
        (dataclasses.replace(outcome(1, "a", 1.0), usage=Usage(2**31, 1)), "prompt_tokens.* whole number up to"),
        (dataclasses.replace(outcome(1, "a", 1.0), usage=Usage(1, -1)), "completion_tokens"),
    ],
)
def test_one_bad_outcome_records_none(bank: QuestionBank, bad: Outcome, message: str) -> None:
    bank.add_questions([question(1), question(2)])
    bank.add_llm("a")
    before = bank.content_hash
    with pytest.raises((BankError, InputError), match=message):
        bank.record([outcome(2, "a", 1.0), bad])
    assert bank.answered("a") == set()
    assert bank.content_hash == before


def test_text_no_database_holds(bank: QuestionBank) -> None:
    bank.add_questions([question(1)])
    bank.add_llm("a")
    bank.record([outcome(1, "a", 1.0, "x\0y\ud800z")])
    assert bank.recorded("a")[0].response == "x\ufffdy\ufffdz"
    for bad in (
        question(2, check={"x": float("nan")}),
        Question("q\0", "?"),
        Question("", "?"),
        Question("q", "\ud800"),
    ):
        with pytest.raises(InputError):
            bank.add_questions([bad])
    with pytest.raises(InputError):
        bank.add_llm(" ")


def test_the_content_hash_follows_content_alone(place: Place) -> None:
    outcomes = [outcome(i, llm, i % 2) for i in range(5) for llm in "ab"]
    with place.create("one") as one, place.create("two") as two:
        empty = one.content_hash
        assert two.content_hash == empty
        one.add_questions(question(i) for i in range(5))
        for i in reversed(range(5)):
            two.add_questions([question(i)])
        for one_llm, two_llm in zip("ab", "ba", strict=True):
            one.add_llm(one_llm)
            two.add_llm(two_llm)
        one.record(outcomes)
        for item in reversed(outcomes):
            two.record([dataclasses.replace(item, score=0.5)])
            two.record([item])
        assert one.content_hash == two.content_hash
        two.record([outcome(0, "a", 0.5)])
        assert one.content_hash != two.content_hash
        two.remove_llm("a")
        two.remove_llm("b")
        assert two.remove_questions(["q0000", "q0001", "q0002", "q0003", "q0004", "nobody"]) == 5
        assert two.content_hash == empty


def test_removing_takes_outcomes_and_vectors_along(place: Place) -> None:
    with small_bank(place.url()) as bank:
        bank.remove_questions(["q0000", "q0001"])
        bank.remove_llm("llm000")
        info = bank.info()
        assert (info.questions, len(info.llms), info.embedders[0].embedded) == (58, 2, 58)
        assert "q0000" not in bank.answered("llm001")
        with pytest.raises(BankError, match="not in this bank"):
            bank.remove_llm("llm000")
        with pytest.raises(BankError, match="not in this bank"):
            bank.recorded("llm000")


class Counting:
    """An embedder whose vectors are one-hot in the length of the text."""

    name = "counting"
    dimensions = 64

    def __init__(self, spoil: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None) -> None:
        self.batches: list[int] = []
        self._spoil = spoil

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.batches.append(len(texts))
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        vectors[np.arange(len(texts)), [len(text) % self.dimensions for text in texts]] = 1
        return vectors if self._spoil is None else self._spoil(vectors)


async def test_embed_fills_what_is_missing_or_stale(bank: QuestionBank) -> None:
    embedder = Counting()
    bank.add_questions(question(i) for i in range(5))
    assert await bank.embed(embedder, batch=2) == 5
    assert embedder.batches == [2, 2, 1]
    assert await bank.embed(embedder) == 0
    bank.add_questions([question(5), question(0, choices=("new", "text"))], replace=True)
    assert [item.id for item in bank.missing_embeddings("counting")] == ["q0000", "q0005"]
    assert bank.info().embedders[0].stale == 1
    bank.add_llm("a")
    assert "q0000" not in bank.search(np.ones(64), base=400).question_ids, "a stale vector is not searched"
    assert await bank.embed(embedder) == 2
    assert bank.missing_embeddings("counting") == ()
    assert bank.missing_embeddings("another") == bank.questions()


@pytest.mark.parametrize(
    "spoil", [lambda v: v[:-1], lambda v: v * np.nan, lambda v: v * 0, lambda v: v[:, 0]], ids=["few", "nan", "0", "1d"]
)
async def test_unusable_vectors_are_refused(
    bank: QuestionBank, spoil: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> None:
    bank.add_questions(question(i) for i in range(3))
    with pytest.raises(EmbedderError, match="counting returned"):
        await bank.embed(Counting(spoil))
    assert len(bank.missing_embeddings("counting")) == 3


def test_vectors_of_another_length_or_question_are_refused(bank: QuestionBank) -> None:
    bank.add_questions(question(i) for i in range(3))
    assert bank.store_embeddings(EMBEDDER, ["q0000", "q0001"], np.eye(2)) == 2
    assert bank.store_embeddings(EMBEDDER, ["q0000", "q0001"], np.eye(2)) == 0
    with pytest.raises(BankError, match="2 dimensions in this bank, got 3"):
        bank.store_embeddings(EMBEDDER, ["q0002"], np.ones((1, 3)))
    with pytest.raises(BankError, match="not in this bank"):
        bank.store_embeddings(EMBEDDER, ["q0009"], np.ones((1, 2)))
    with pytest.raises(InputError, match="more than once"):
        bank.store_embeddings(EMBEDDER, ["q0002", "q0002"], np.ones((2, 2)))
    with pytest.raises(InputError, match="shape"):
        bank.store_embeddings(EMBEDDER, ["q0002"], np.ones((2, 2)))


def test_opening_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BankError, match=r"no question bank at .*QuestionBank\.create"):
        QuestionBank.open(tmp_path / "none.db")
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    with pytest.raises(BankError, match="cannot be opened"):
        QuestionBank.open(text)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE things (id INTEGER)")
    connection.close()
    with pytest.raises(BankError, match="without a question bank"):
        QuestionBank.open(str(other))
    with pytest.raises(BankError, match="SQLite or PostgreSQL"):
        QuestionBank.open("mysql://user:secret@host/bank")
    with pytest.raises(BankError, match="in-memory"):
        QuestionBank.create("sqlite://")


def test_creating_twice(place: Place) -> None:
    place.create()
    with pytest.raises(BankError, match="already a question bank"):
        QuestionBank.create(place.url())
    with pytest.raises(BankError, match=r"without a question bank|no question bank"):
        QuestionBank.open(place.url("other"))


def test_urls_of_both_databases(place: Place) -> None:
    place.create()
    urls = {
        "sqlite": [f"sqlite:///{place.url()}"],
        "postgresql": [
            place.url().replace("postgresql:", f"{scheme}:") for scheme in ("postgres", "postgresql+psycopg")
        ],
    }
    for url in urls[place.kind]:
        with QuestionBank.open(url) as bank:
            assert len(bank) == 0


def test_a_database_that_fails_is_a_run_error(bank: QuestionBank, place: Place) -> None:
    place.execute("bank", "DROP TABLE bank_answer_embeddings", "DROP TABLE bank_outcomes")
    with pytest.raises(RunError, match="could not be used") as caught:
        bank.answered("a")
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(BankError, match=r"smcs:\*\*\*@127\.0\.0\.1:1/bank' cannot be opened") as caught:
        QuestionBank.open("postgresql://smcs:secret@127.0.0.1:1/bank")
    assert "secret" not in str(caught.value)


def test_questions_are_streamed(bank: QuestionBank) -> None:
    bank.add_questions(question(i) for i in range(7))
    assert bank.question_ids() == tuple(f"q{i:04}" for i in range(7))
    assert tuple(bank.iter_questions(batch=3)) == bank.questions()
    begun = bank.iter_questions(batch=3)
    next(begun)
    bank.remove_questions(["q0004"])
    bank.add_questions([question(5, subject="new"), question(8)], replace=True)
    assert [(item.id, item.subject == "new") for item in begun] == [
        *(("q0001", False), ("q0002", False), ("q0003", False), ("q0005", True), ("q0006", False))
    ]


def test_outcomes_are_counted_per_llm(bank: QuestionBank) -> None:
    bank.add_questions(question(i) for i in range(3))
    for name in ("b", "a", "idle"):
        bank.add_llm(name)
    bank.record([outcome(0, "a", 1.0), outcome(1, "a", None), outcome(1, "b", 0.0)])
    assert bank.outcome_counts() == {"a": 2, "b": 1, "idle": 0}


def test_samples_are_kept_and_named_by_the_hash(bank: QuestionBank) -> None:
    bank.add_questions([question(1)])
    bank.add_llm("a")
    bank.record([outcome(1, "a", 0.5)])
    once = bank.content_hash
    several = dataclasses.replace(outcome(1, "a", 0.5), samples=4)
    assert bank.record([several]) == 1
    assert bank.recorded("a") == (several,)
    assert bank.content_hash != once
    bank.record([outcome(1, "a", 0.5)])
    assert bank.content_hash == once
