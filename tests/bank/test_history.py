from __future__ import annotations

import asyncio
import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest

from helpers_bank import EMBEDDER, Place, outcome, question, small_bank
from smcs.bank import Change, QuestionBank
from smcs.bank import journal as journal_module
from smcs.errors import BankError, InputError


@pytest.fixture
def bank(place: Place) -> QuestionBank:
    """Four questions, LLMs a and b, outcomes of a on all and of b on the first, a vector each."""
    bank = place.create()
    bank.add_questions(question(i) for i in range(4))
    bank.add_llm("a")
    bank.add_llm("b")
    bank.record([*(outcome(i, "a", 1.0, f"answer {i}") for i in range(4)), outcome(0, "b", 0.0)])
    bank.store_embeddings(EMBEDDER, [f"q{i:04}" for i in range(4)], np.eye(4))
    return bank


def last(bank: QuestionBank) -> Change:
    return bank.history()[-1]


def whole(bank: QuestionBank) -> object:
    """Everything a bank says about its content, vectors included."""
    matrix = {name: bank.recorded(name) for name in bank.llms}
    found = bank.search(np.arange(1.0, 5.0), base=9)
    nearest = found.question_ids, np.nan_to_num(found.prior, nan=-1).tolist()
    return bank.content_hash, bank.questions(), matrix, bank.info().embedders, nearest


def test_each_change_is_logged_with_what_it_did(bank: QuestionBank) -> None:
    assert [(entry.id, entry.kind, dict(entry.counts)) for entry in bank.history()] == [
        (1, "add", {"questions_added": 4}),
        (2, "add", {"llms_added": 1}),
        (3, "add", {"llms_added": 1}),
    ]
    before = bank.content_hash
    bank.remove_questions(["q0000", "nobody"], note="it is\0 wrong", author="me")
    entry = last(bank)
    assert (entry.kind, entry.note, entry.author, entry.run_id) == ("remove", "it is\ufffd wrong", "me", None)
    assert entry.counts == {"questions_removed": 1, "outcomes_removed": 2, "embeddings_removed": 1}
    assert (entry.hash_before, entry.hash_after) == (before, bank.content_hash)
    bank.remove_questions(["nobody"])
    bank.add_questions([question(1)])
    bank.add_llm("a")
    assert last(bank) == entry, "what changes nothing is no change"


def test_grading_and_embedding_are_not_logged(bank: QuestionBank) -> None:
    count = len(bank.history())
    bank.record([outcome(1, "b", 1.0)])
    bank.store_embeddings("other", ["q0000"], np.eye(1))
    assert len(bank.history()) == count


@pytest.mark.parametrize("kind", ["remove", "remove_llm", "merge", "replace", "add"])
def test_undo_puts_back_what_was_there_and_redo_takes_it_again(bank: QuestionBank, kind: str) -> None:
    before = whole(bank)
    match kind:
        case "remove":
            bank.remove_questions(["q0000", "q0002"])
        case "remove_llm":
            bank.remove_llm("a")
        case "merge":
            bank.merge_questions("q0001", ["q0000", "q0002"])
        case "replace":
            bank.add_questions([question(0, gold="B"), question(1, subject="x"), question(7)], replace=True)
        case _:
            bank.add_questions([question(8), question(9)])
    after = whole(bank)
    done = last(bank)
    assert after != before
    undone = bank.undo(done.id, note="a mistake", author="me")
    assert (undone.kind, undone.undoes, undone.note, undone.author) == ("undo", done.id, "a mistake", "me")
    assert (undone.hash_before, undone.hash_after) == (done.hash_after, done.hash_before)
    assert whole(bank) == before
    assert bank.history()[-2].undone_by == undone.id
    with pytest.raises(BankError, match=f"undone already, by change {undone.id}"):
        bank.undo(done.id)
    bank.undo(undone.id)
    assert whole(bank) == after
    assert bank.history()[done.id - 1].undone_by is None
    bank.undo(done.id)
    assert whole(bank) == before
    assert bank.verify().problems == ()


def test_merging_moves_outcomes_the_kept_question_lacks(bank: QuestionBank) -> None:
    bank.add_llm("c")
    bank.record([outcome(2, "b", 0.25, "from q2"), outcome(3, "b", 0.75), outcome(3, "c", 0.5)])
    assert bank.merge_questions("q0001", ["q0002", "q0003"], note="same") == 2
    kept = {name: bank.recorded(name) for name in bank.llms}
    assert [found.question_id for found in kept["a"]] == ["q0000", "q0001"]
    assert kept["a"][1].response == "answer 1", "a conflict keeps the kept question's"
    assert kept["b"][1] == dataclasses.replace(outcome(2, "b", 0.25, "from q2"), question_id="q0001")
    assert kept["c"] == (dataclasses.replace(outcome(3, "c", 0.5), question_id="q0001"),)
    assert last(bank).counts["outcomes_added"] == 2
    assert bank.verify().problems == ()


@pytest.mark.parametrize(
    ("keep", "duplicates", "error"),
    [
        ("q0001", [], InputError),
        ("q0001", ["q0001"], InputError),
        ("q0001", ["q0002", "q0002"], InputError),
        ("q0001", ["q0009"], BankError),
        ("q0009", ["q0001"], BankError),
    ],
)
def test_what_cannot_be_merged(bank: QuestionBank, keep: str, duplicates: list[str], error: type[Exception]) -> None:
    before = whole(bank), bank.history()
    with pytest.raises(error):
        bank.merge_questions(keep, duplicates)
    assert (whole(bank), bank.history()) == before


def test_undo_is_refused_when_something_was_built_on_it(bank: QuestionBank) -> None:
    def refused(change_id: int, message: str) -> None:
        before = whole(bank), bank.history()
        with pytest.raises(BankError, match=message) as caught:
            bank.undo(change_id)
        assert "\n" not in str(caught.value)
        assert (whole(bank), bank.history()) == before

    refused(1, "outcomes were recorded since on questions it added")
    refused(2, "outcomes were recorded since on llms it added")
    refused(77, "no change 77")
    with bank.logged("grow"):
        bank.record([outcome(1, "b", 1.0), outcome(2, "b", 1.0)])
    grown = last(bank).id
    bank.record([outcome(1, "b", 0.5)])
    refused(grown, "some of the 2 outcomes it added were changed")
    bank.record([outcome(1, "b", 1.0)])
    bank.remove_questions(["q0002"])
    refused(grown, r"some of the 2 outcomes .* Changes since: 5 \(remove\)")
    removed = last(bank).id
    bank.add_questions([question(2)])
    refused(removed, "'q0002'.* came back since")
    bank.undo(last(bank).id)
    bank.remove_llm("a")
    refused(removed, "llm 'a' that it needs is gone")
    bank.add_questions([question(3, subject="x")], replace=True)
    replaced = last(bank).id
    bank.add_questions([question(3, subject="y")], replace=True)
    refused(replaced, "it replaced were changed")


def test_a_new_embedder_goes_with_the_change_that_brought_it(bank: QuestionBank, place: Place) -> None:
    with bank.logged("import"):
        bank.add_questions([question(5)])
        bank.store_embeddings("new", ["q0005"], np.eye(1))
    bank.undo(last(bank).id)
    assert [found.name for found in bank.info().embedders] == [EMBEDDER]
    other = place.create("other")
    with other.logged("import"):
        other.add_questions([question(5)])
        other.store_embeddings("new", ["q0005"], np.eye(1))
    other.store_embeddings("late", ["q0005"], np.eye(1))
    other.undo(1)
    assert len(other) == 0
    assert [(found.name, found.default) for found in other.info().embedders] == [("late", True)]


def test_vectors_beyond_the_bound_are_made_again(bank: QuestionBank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_VECTOR_BYTES", 15)
    before = bank.content_hash
    bank.remove_questions(["q0000"])
    assert last(bank).counts["embeddings_not_kept"] == 1
    bank.undo(last(bank).id)
    assert bank.content_hash == before
    assert [found.id for found in bank.missing_embeddings(EMBEDDER)] == ["q0000"]
    with bank.logged("re-embed"):
        bank.store_embeddings(EMBEDDER, ["q0001"], np.eye(4)[:1])
    bank.undo(last(bank).id)
    assert [found.id for found in bank.missing_embeddings(EMBEDDER)] == ["q0000", "q0001"]
    assert bank.verify().problems == ()


def test_a_block_is_one_transaction_and_one_change(bank: QuestionBank, place: Place) -> None:
    before = whole(bank)
    with QuestionBank.open(place.url()) as other:
        with bank.logged("feedback", note="from a run", author="me", run_id="r1") as made:
            assert bank.add_questions([question(5)]) == 1
            assert bank.add_llm("c")
            assert bank.record([outcome(5, "c", 1.0), outcome(0, "a", 0.0)]) == 2
            bank.store_embeddings(EMBEDDER, ["q0005"], np.ones((1, 4)))
            assert (len(bank), len(other)) == (5, 4), "the block sees its own writes, others do not yet"
            assert vars(made) == {"change": None}
        assert len(other) == 5
    assert made.change == last(bank)
    assert (made.change.kind, made.change.run_id, made.change.note) == ("feedback", "r1", "from a run")
    brought = {"questions_added": 1, "llms_added": 1, "outcomes_added": 1, "outcomes_replaced": 1}
    assert made.change.counts == {**brought, "embeddings_added": 1}
    bank.undo(made.change.id)
    assert whole(bank) == before


def test_a_block_that_raises_changes_nothing(bank: QuestionBank) -> None:
    before = whole(bank), bank.history()
    with pytest.raises(BankError), bank.logged("import"):  # noqa: PT012  (the block is what is tested)
        bank.add_questions([question(5)])
        bank.remove_llm("nobody")
    assert (whole(bank), bank.history()) == before
    with bank.logged("nothing") as made:
        bank.add_questions([question(1)])
    assert made.change is None
    assert bank.history() == before[1]
    for kind in ("", "undo"):
        with pytest.raises(InputError), bank.logged(kind):
            pass


def test_a_failed_step_of_a_block_leaves_the_others(bank: QuestionBank) -> None:
    before = whole(bank)
    with bank.logged("import") as made:
        bank.add_questions([question(5)])
        with pytest.raises(BankError):
            bank.record([outcome(5, "a", 1.0), outcome(99, "a", 1.0)])
        with pytest.raises(BankError):
            bank.merge_questions("q0000", ["q0001", "q0099"])
        bank.record([outcome(5, "b", 1.0)])
        with pytest.raises(BankError, match="inside"):
            bank.undo(1)
    assert made.change is not None
    assert made.change.counts == {"questions_added": 1, "outcomes_added": 1}
    assert bank.verify().problems == ()
    bank.undo(made.change.id)
    assert whole(bank) == before


def test_a_block_in_a_block_joins_it_and_imports_join_too(bank: QuestionBank, place: Place, tmp_path: Path) -> None:
    with small_bank(place.url("source"), count=6) as source:
        source.remove_questions(["q0000", "q0001", "q0002", "q0003"])
        source.export_to(tmp_path / "bank.jsonl", embedders=())
    with bank.logged("outer") as made:
        bank.import_from(tmp_path / "bank.jsonl")
        with bank.logged("inner"):
            bank.add_questions([question(9)])
        assert set(bank.question_ids()) >= {"q0004", "q0009"}
    assert [entry.kind for entry in bank.history()][3:] == ["outer"]
    assert made.change is not None
    bank.undo(made.change.id)
    bank.import_from(tmp_path / "bank.jsonl", author="me")
    assert (last(bank).kind, last(bank).note, last(bank).author) == ("import", "bank.jsonl", "me")
    bank.undo(last(bank).id)
    assert len(bank) == 4


async def test_tasks_and_threads_beside_a_block_do_not_join_it(bank: QuestionBank) -> None:
    entered = asyncio.Event()
    release = asyncio.Event()

    async def beside() -> None:
        await entered.wait()
        assert len(await asyncio.to_thread(bank.questions)) == 4, "what is not committed is not seen"
        release.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(beside())
        with bank.logged("grow") as made:
            await asyncio.to_thread(bank.add_questions, [question(5)])
            entered.set()
            await release.wait()
            seen: list[int] = []
            thread = threading.Thread(target=lambda: seen.append(len(bank)))
            thread.start()
            await asyncio.to_thread(thread.join)
            assert seen == [4]
    assert made.change is not None
    assert made.change.counts == {"questions_added": 1}


def test_a_large_addition_is_logged_by_its_keys_alone(place: Place) -> None:
    bank = place.create()
    with bank.logged("import"):
        bank.add_questions(question(i) for i in range(3000))
        bank.add_llm("a")
        bank.record(outcome(i, "a", 1.0, "x" * 200) for i in range(3000))
    with bank._database.read() as connection:
        from sqlalchemy import text

        size = connection.execute(text("SELECT sum(length(payload)) FROM bank_change_parts")).scalar_one()
    assert size < 3000 * 2 * 8
