from __future__ import annotations

import re

import pytest

from helpers_bank import EMBEDDER, Place, small_bank
from smcs.bank import QuestionBank


@pytest.fixture
def bank(place: Place) -> QuestionBank:
    return small_bank(place.url(), count=30, llms=2)


def test_a_bank_as_it_was_written_is_in_order(bank: QuestionBank) -> None:
    with bank:
        found = bank.verify()
        info = bank.info()
        assert (found.problems, found.ok) == ((), True)
        assert found.content_hash == bank.content_hash
        assert (found.questions, found.llms, found.outcomes, found.embeddings) == (30, 2, info.outcomes, 30)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE bank_outcomes SET score = 0.5 WHERE question_id = 'q0003'", "outcome 'llm00. on q0003' was altered"),
        ("UPDATE bank_questions SET gold = 'B' WHERE id = 'q0004'", "question 'q0004' was altered"),
        ("UPDATE bank_questions SET text_hash = '0' WHERE id = 'q0004'", "'q0004' has the hash of another text"),
        ("DELETE FROM bank_outcomes WHERE question_id = 'q0003'", "the manifest says"),
        ("INSERT INTO bank_llms (name, created) VALUES ('x', 0)", "the manifest says"),
        ("DELETE FROM bank_embeddings WHERE question_id = 'q0003'", f"vectors of '{EMBEDDER}' are not those"),
        ("UPDATE bank_embedders SET dimensions = 15", "has another length"),
    ],
)
def test_what_was_altered_behind_its_back_is_found(
    bank: QuestionBank, place: Place, statement: str, problem: str
) -> None:
    with bank:
        place.execute("bank", statement)
        found = bank.verify()
        assert not found.ok
        assert any(re.search(problem, line) for line in found.problems), found.problems
        assert len(found.problems) <= 21


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_rows_without_an_owner_are_found(bank: QuestionBank, place: Place) -> None:
    with bank:
        place.execute("bank", "DELETE FROM bank_llms WHERE name = 'llm000'")
        assert any("bank_outcomes has rows of 'llm000'" in line for line in bank.verify().problems)
