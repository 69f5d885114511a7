from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers_bank import Place, outcome, question
from smcs.bank import AnswerCounts, QuestionBank, embedded_part
from smcs.embedders import HashingEmbedder, Vectors
from smcs.errors import BankError, EmbedderError
from smcs.types import Outcome

TEXTS = {"a": ["tides and moons", "bread and flour", ""], "b": ["tides and moons", "rails and trains", "wool"]}


class Watched(HashingEmbedder):
    """Keeps what it was asked for, and does something before each batch."""

    def __init__(self, before: Callable[[], None] = lambda: None, dimensions: int = 64) -> None:
        super().__init__(dimensions)
        self.asked: list[list[str]] = []
        self._before = before

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self._before()
        self.asked.append(list(texts))
        return await super().embed(texts)


@pytest.fixture
def bank(place: Place) -> QuestionBank:
    made = place.create()
    made.add_questions(question(i) for i in range(3))
    for llm, texts in TEXTS.items():
        made.add_llm(llm)
        made.record(outcome(i, llm, 1.0, response=text) for i, text in enumerate(texts))
    return made


def ids(bank: QuestionBank, llm: str) -> list[str]:
    return sorted(bank.answer_vectors(llm, "hashing/64").rows)


async def test_answers_with_a_text_are_embedded_once_and_found_again(bank: QuestionBank, place: Place) -> None:
    before, progress = bank.content_hash, []
    embedder = Watched()
    assert bank.answer_counts(embedder.name) == AnswerCounts(5, 0)
    made = await bank.embed_answers(embedder, batch=2, on_progress=lambda *counts: progress.append(counts))
    assert (made, progress) == (5, [(2, 5), (4, 5), (5, 5)])
    assert await bank.embed_answers(embedder) == 0
    assert len(embedder.asked) == 3, "nothing is embedded twice"
    assert bank.content_hash == before
    assert bank.answer_counts(embedder.name).left == 0
    with QuestionBank.open(place.url()) as again:
        assert again.info().answers == {"hashing/64": 5}
        kept = again.answer_vectors("b", embedder.name)
        assert kept.vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(kept.vectors, axis=1), 1, atol=1e-6)
        new = (await embedder.embed(["rails and trains"]))[0]
        found = kept.similarities(new, ["q0001", "q9", "q0000"])
        assert found[0] == pytest.approx(1, abs=1e-6)
        assert np.isnan(found[1])
        assert found[2] < 0.9
        with pytest.raises(EmbedderError, match="have 64 dimensions, that of the new one has 8"):
            kept.similarities(np.ones(8), ["q0001"])
        assert np.isnan(again.answer_vectors("a", "other").similarities(new, ["q0001"])).all()


async def test_the_end_of_a_long_answer_is_embedded(bank: QuestionBank) -> None:
    text = "beginning " + "x" * 30_000 + " the end"
    bank.record([outcome(0, "a", 1.0, response=text)])
    embedder = Watched()
    await bank.embed_answers(embedder, llms=["a"], batch=1)
    assert embedder.asked[0] == [embedded_part(text)] == [text[-30_000:]]


async def test_another_text_drops_the_vector_and_another_grade_does_not(bank: QuestionBank) -> None:
    await bank.embed_answers(Watched())
    bank.record([outcome(0, "a", 0.0, response=TEXTS["a"][0]), outcome(1, "a", 1.0, response="cheese")])
    assert (ids(bank, "a"), ids(bank, "b")) == (["q0000"], ["q0000", "q0001", "q0002"])
    assert await bank.embed_answers(Watched()) == 1
    assert bank.verify().problems == ()
    with bank.logged("change") as change:
        bank.record([outcome(1, "a", 1.0, response="milk")])
    await bank.embed_answers(Watched())
    assert change.change is not None
    bank.undo(change.change.id)
    assert ids(bank, "a") == ["q0000"], "what an undone change brings back is another text too"


async def test_vectors_go_with_their_outcomes(bank: QuestionBank) -> None:
    await bank.embed_answers(Watched())
    bank.remove_questions(["q0000"])
    assert (ids(bank, "a"), ids(bank, "b")) == (["q0001"], ["q0001", "q0002"])
    bank.remove_llm("b", note="gone")
    assert ids(bank, "b") == []
    bank.undo(bank.history()[-1].id)
    assert bank.answer_counts("hashing/64") == AnswerCounts(3, 1)
    bank.add_questions([question(1, gold="B")], replace=True)
    assert bank.answer_counts("hashing/64") == AnswerCounts(1, 0)


async def test_a_stopped_run_goes_on_with_what_is_missing(bank: QuestionBank) -> None:
    def fail_late() -> None:
        if stopped.asked:
            raise EmbedderError("power cut")

    stopped, resumed = Watched(fail_late), Watched()
    with pytest.raises(EmbedderError, match="power cut"):
        await bank.embed_answers(stopped, batch=2)
    assert bank.answer_counts(stopped.name) == AnswerCounts(5, 2)
    assert await bank.embed_answers(resumed, batch=2) == 3
    assert [text for part in resumed.asked for text in part] == TEXTS["b"]


async def test_an_answer_that_changes_meanwhile_is_left_for_the_next_time(bank: QuestionBank) -> None:
    def answer_again() -> None:
        bank.record([outcome(0, "a", 1.0, response="other")])

    assert await bank.embed_answers(Watched(answer_again), llms=["a"]) == 1
    assert ids(bank, "a") == ["q0001"]


async def test_vectors_made_elsewhere_are_seen(bank: QuestionBank, place: Place) -> None:
    assert ids(bank, "a") == []
    with QuestionBank.open(place.url()) as other:
        await other.embed_answers(Watched())
    assert ids(bank, "a") == ["q0000", "q0001"]
    assert bank.answer_vectors("a", "hashing/64") is bank.answer_vectors("a", "hashing/64"), "read once"


async def test_what_cannot_be_stored_is_refused(bank: QuestionBank) -> None:
    class Broken(HashingEmbedder):
        async def embed(self, texts: Sequence[str]) -> Vectors:
            return np.zeros((len(texts), 8), dtype=np.float32)

    class Renamed(Watched):
        name = "hashing/64"

    with pytest.raises(EmbedderError, match=r"hashing/8 returned vectors that cannot be stored: .*zero"):
        await bank.embed_answers(Broken(8))
    await bank.embed_answers(Watched(), llms=["a"])
    with pytest.raises(BankError, match="have 64 dimensions in this bank, got 32"):
        await bank.embed_answers(Renamed(dimensions=32))
    with pytest.raises(BankError, match="LLM 'c' is not in this bank"):
        await bank.embed_answers(Watched(), llms=["c"])


async def test_a_file_brings_answers_whose_vectors_are_made_again(
    bank: QuestionBank, place: Place, tmp_path: Path
) -> None:
    await bank.embed_answers(Watched())
    bank.export_to(tmp_path / "bank.jsonl")
    with place.create("copy") as copy:
        copy.import_from(tmp_path / "bank.jsonl")
        assert copy.content_hash == bank.content_hash
        assert copy.answer_counts("hashing/64") == AnswerCounts(5, 0)
        copy.record([Outcome("q0000", "a", 0.0, response="else")])
        await copy.embed_answers(Watched())
        copy.import_from(tmp_path / "bank.jsonl")
        assert ids(copy, "a") == ["q0001"]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE bank_answer_embeddings SET llm = 'a' WHERE question_id = 'q0002'", "'a' to 'q0002' was altered"),
        ("UPDATE bank_answer_embeddings SET text_hash = '0' WHERE question_id = 'q0002'", "was made of another text"),
        ("UPDATE bank_outcomes SET response = 'x' WHERE question_id = 'q0002'", "was made of another text"),
        ("INSERT INTO bank_embedders VALUES ('hashing/64', 3, '{sum}')", "has another length"),
    ],
)
async def test_verifying_finds_altered_vectors(bank: QuestionBank, place: Place, statement: str, problem: str) -> None:
    await bank.embed_answers(Watched())
    found = bank.verify()
    assert (found.answer_embeddings, found.problems) == (5, ())
    place.execute("bank", statement.format(sum="0" * 64))
    assert any(problem in line for line in bank.verify().problems), bank.verify().problems


def test_what_was_read_out_of_answers_is_given_without_their_texts(place: Place) -> None:
    bank = place.create()
    bank.add_questions([*(question(i) for i in range(4)), question(4, grader=None)])
    bank.add_llm("a")
    given = [(1.0, "läßt ✓ 😀"), (0.0, ""), (None, "B"), (0.5, "C"), (0.0, "D")]
    graded = [outcome(i, "a", score, response=text) for i, (score, text) in enumerate(given)]
    graded[4] = replace(graded[4], extracted=None)
    bank.record(graded)
    recorded = [each for each in bank.recorded("a") if each.score is not None and each.extracted is not None]
    expected = [(each.question_id, each.score, each.extracted, len(each.response)) for each in recorded]
    assert sorted(bank.extracted_answers("a")) == expected
    assert [length for *_, length in expected] == [8, 0, 1]
    assert bank.graders() == {each.id: each.grader for each in bank.iter_questions()}
    assert bank.graders()["q0004"] is None
    with pytest.raises(BankError, match="not in this bank"):
        bank.extracted_answers("b")
