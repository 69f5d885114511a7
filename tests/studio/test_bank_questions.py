from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from helpers_bank import EMBEDDER, reference_search, small_bank
from smcs.bank import QuestionBank
from smcs.errors import BankError, InputError
from smcs.studio.bank.catalogue import Catalogue, Label, Shelf, load_catalogue, load_shelf
from smcs.studio.bank.questions import (
    PAGE_SIZE,
    WAS,
    Wanted,
    Was,
    alone_right,
    by_meaning,
    by_words,
    find,
    look_up,
    matches,
)
from smcs.types import Outcome, Question

COUNT = 60


def make_bank(path: Path) -> QuestionBank:
    made = small_bank(path, count=COUNT, llms=4)
    made.record(Outcome(f"q000{number}", "llm002", score) for number, score in ((4, 0.4), (5, 0.6), (6, None)))
    return made


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionBank]:
    """A bank that no test changes."""
    with make_bank(tmp_path_factory.mktemp("bank") / "bank.db") as made:
        yield made


@pytest.fixture(scope="module")
def shelf(bank: QuestionBank) -> Shelf:
    return load_shelf(bank, load_catalogue(bank))


def grades(bank: QuestionBank) -> dict[str, dict[str, float | None]]:
    """Return question -> LLM -> score as single outcomes have them; what is not there was not asked."""
    return {
        question.id: {outcome.llm: outcome.score for outcome in bank.outcomes_on(question.id)}
        for question in bank.questions()
    }


def is_wanted(scores: Mapping[str, float | None], was: Was, llm: str, llms: tuple[str, ...]) -> bool:
    """Say by the definitions whether a question has the wanted outcomes."""
    known = {name: score for name, score in scores.items() if score is not None}
    right = {name for name, score in known.items() if score >= 0.5}
    wrong = known.keys() - right
    answers = {
        "any": True,
        "all_right": bool(right) and not wrong,
        "all_wrong": bool(wrong) and not right,
        "split": bool(right) and bool(wrong),
        "right": llm in right,
        "wrong": llm in wrong,
        "unknown": llm in llms and llm not in known,
        "alone": right == {llm} and bool(wrong),
    }
    return answers[was]


def test_catalogue_holds_every_question_in_order(bank: QuestionBank) -> None:
    made = load_catalogue(bank)
    questions = bank.questions()
    assert made.ids == tuple(question.id for question in questions)
    assert made.labels == tuple(sorted({Label(question.task, question.subject) for question in questions}))
    assert [made.labels[place] for place in made.label_of.tolist()] == [
        Label(question.task, question.subject) for question in questions
    ]


def test_shelf_has_scores_where_there_are_any(bank: QuestionBank, shelf: Shelf) -> None:
    for row, found in enumerate(grades(bank).values()):
        for column, llm in enumerate(shelf.llms):
            expected = found.get(llm)
            assert math.isnan(shelf.scores[row, column]) == (expected is None)
            if expected is not None:
                assert shelf.scores[row, column] == pytest.approx(expected)
    assert not (shelf.right & shelf.wrong).any()
    np.testing.assert_array_equal(shelf.right | shelf.wrong, shelf.known)


def test_shelf_fits_a_catalogue_that_was_read_before_a_change(tmp_path: Path, shelf: Shelf) -> None:
    with make_bank(tmp_path / "bank.db") as bank:
        bank.remove_questions(["q0003"])
        bank.add_questions([Question("q0000a", "new")])
        later = load_shelf(bank, shelf.catalogue)
    assert np.isnan(later.scores[3]).all()
    np.testing.assert_array_equal(np.delete(later.scores, 3, axis=0), np.delete(shelf.scores, 3, axis=0))


@pytest.mark.parametrize("was", WAS)
@pytest.mark.parametrize("llm", ["llm002", "llm000"])
def test_who_is_right_is_what_the_outcomes_say(bank: QuestionBank, shelf: Shelf, was: Was, llm: str) -> None:
    found = matches(shelf, Wanted(llm=llm, was=was))
    expected = [is_wanted(scores, was, llm, bank.llms) for scores in grades(bank).values()]
    assert found.tolist() == expected
    assert any(expected)


def test_missing_outcome_is_neither_right_nor_wrong(bank: QuestionBank, shelf: Shelf) -> None:
    missing = {question_id for question_id, found in grades(bank).items() if found.get("llm002") is None}
    assert "q0006" in missing
    for was in ("right", "wrong", "alone"):
        rows = np.flatnonzero(matches(shelf, Wanted(llm="llm002", was=was)))
        assert not missing & {shelf.catalogue.ids[row] for row in rows}


def test_unknown_llm_matches_nothing(shelf: Shelf) -> None:
    for was in ("right", "wrong", "alone", "unknown"):
        assert not matches(shelf, Wanted(llm="nobody", was=was)).any()
        assert not matches(shelf, Wanted(was=was)).any()


@pytest.mark.parametrize(
    ("task", "subject"), [(None, None), ("reasoning", None), (None, "sums"), ("reasoning", "sets")]
)
def test_task_and_subject_filter(bank: QuestionBank, shelf: Shelf, task: str | None, subject: str | None) -> None:
    found = matches(shelf, Wanted(task=task, subject=subject))
    assert found.tolist() == [
        task in (None, question.task) and subject in (None, question.subject) for question in bank.questions()
    ]


def test_alone_needs_somebody_who_is_wrong() -> None:
    scores = np.array([[1, np.nan, np.nan], [1, 0, np.nan], [1, 0, 1], [0, 0, 0], [0.5, 0.4, 0]], dtype=np.float32)
    catalogue = Catalogue(tuple("abcde"), (Label("", ""),), np.zeros(5, dtype=np.intp), b"", ())
    assert alone_right(Shelf(catalogue, ("x", "y", "z"), scores), 0).tolist() == [False, True, False, False, True]


def catalogue_of(tmp_path: Path, *texts: str) -> Catalogue:
    with QuestionBank.create(tmp_path / "texts.db") as bank:
        bank.add_questions(Question(f"id-{place}", text) for place, text in enumerate(texts))
        return load_catalogue(bank)


def test_words_are_found_in_any_case_and_script(tmp_path: Path) -> None:
    texts = ("What is Straße?", "Was ist STRASSE", "ما هو العدد؟", "二の平方根は?", "two words", "words, two of them")
    made = catalogue_of(tmp_path, *texts)

    def rows(text: str) -> list[int]:
        return [int(row) for row in by_words(made, text).rows]

    assert rows("strasse") == [0, 1]
    assert rows("العدد") == [2]
    assert rows("平方根") == [3]
    assert rows("two WORDS") == [4, 5]
    assert rows("id-3") == [3]
    assert rows("  ") == list(range(6))
    assert rows("nowhere") == []
    assert rows("\ud800") == []
    assert rows("?\0id-1") == []


def test_text_search_is_a_search_in_every_text(bank: QuestionBank) -> None:
    made = load_catalogue(bank)
    for text in ("1", "even 7", "a. yes", "q0017", "IS 12"):
        expected = [
            row
            for row, question in enumerate(bank.questions())
            if all(word in f"{question.id}\n{question.prompt()}".casefold() for word in text.casefold().split())
        ]
        assert by_words(made, text).rows.tolist() == expected
        assert expected


def test_pages_hold_every_match_once(bank: QuestionBank, shelf: Shelf) -> None:
    wanted = Wanted(task="mathematics")
    ordered = by_words(shelf.catalogue, "")
    first = find(shelf, ordered, wanted, bank)
    assert (first.total, first.pages) == (COUNT // 2, 2)
    second = find(shelf, ordered, Wanted(task="mathematics", page=2), bank)
    ids = [row.question.id for row in (*first.rows, *second.rows)]
    assert ids == [question.id for question in bank.questions() if question.task == "mathematics"]
    assert len(first.rows) == PAGE_SIZE
    assert find(shelf, ordered, Wanted(task="mathematics", page=99), bank) == second


def test_found_questions_count_llms(bank: QuestionBank, shelf: Shelf) -> None:
    known = grades(bank)
    for row in find(shelf, by_words(shelf.catalogue, ""), Wanted(), bank).rows:
        scores = [known[row.question.id].get(llm) for llm in bank.llms]
        assert row.unknown == scores.count(None)
        assert row.right == sum(score is not None and score >= 0.5 for score in scores)
        assert row.right + row.wrong + row.unknown == len(bank.llms)
        assert row.similarity is None


def test_nothing_found_is_an_empty_page(bank: QuestionBank, shelf: Shelf) -> None:
    page = find(shelf, by_words(shelf.catalogue, "nowhere"), Wanted(), bank)
    assert (page.rows, page.total, page.page, page.pages) == ((), 0, 1, 1)


def test_meaning_orders_all_by_cosine(bank: QuestionBank, shelf: Shelf) -> None:
    rng = np.random.default_rng(0)
    rng.integers(0, 2, size=(COUNT, 4))
    rng.random((COUNT, 4))
    vectors = rng.standard_normal((COUNT, 16))
    query = np.random.default_rng(5).standard_normal(16)
    rows, _ = reference_search(vectors.tolist(), [[1.0]] * COUNT, query.tolist(), COUNT, 1.0)
    ordered = by_meaning(bank, shelf.catalogue, EMBEDDER, query)
    assert ordered.rows.tolist() == rows
    page = find(shelf, ordered, Wanted(subject="logic", page=1), bank)
    logic = [row for row in rows if shelf.catalogue.labels[shelf.catalogue.label_of[row]].subject == "logic"]
    assert [row.question.id for row in page.rows] == [shelf.catalogue.ids[row] for row in logic][:PAGE_SIZE]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) @ (query / np.linalg.norm(query))
    assert [row.similarity for row in page.rows] == pytest.approx([unit[row] for row in logic[:PAGE_SIZE]], abs=1e-6)
    close = [row.similarity or 0.0 for row in page.rows]
    assert all(one >= other for one, other in itertools.pairwise(close))


def test_meaning_needs_vectors_of_the_embedder(bank: QuestionBank, shelf: Shelf) -> None:
    with pytest.raises(BankError, match="no embeddings of embedder 'other'"):
        by_meaning(bank, shelf.catalogue, "other", np.ones(16))
    with pytest.raises(InputError, match="16 dimensions"):
        by_meaning(bank, shelf.catalogue, EMBEDDER, np.ones(3))


def test_meaning_leaves_out_what_is_not_embedded_or_gone(tmp_path: Path) -> None:
    with make_bank(tmp_path / "bank.db") as bank:
        bank.add_questions([Question("q9999", "not embedded")])
        catalogue = load_catalogue(bank)
        assert sorted(by_meaning(bank, catalogue, EMBEDDER, np.ones(16)).rows.tolist()) == list(range(COUNT))
        gone = Catalogue(catalogue.ids[1:], catalogue.labels, catalogue.label_of[1:], b"", ())
        assert sorted(by_meaning(bank, gone, EMBEDDER, np.ones(16)).rows.tolist()) == list(range(COUNT - 1))


def test_one_question_has_all_outcomes(bank: QuestionBank) -> None:
    known = grades(bank)
    for question in bank.questions():
        found = look_up(bank, question.id)
        assert found.question == question
        assert found.outcomes == bank.outcomes_on(question.id)
        assert set(found.missing) == set(bank.llms) - known[question.id].keys()
    with pytest.raises(BankError, match="no question 'nowhere'"):
        look_up(bank, "nowhere")
