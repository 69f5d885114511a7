from __future__ import annotations

import math

from sqlalchemy import Connection, select

from helpers_bank import Place, outcome, question
from smcs.bank import QuestionBank
from smcs.bank.columns import packed, score_columns, unpacked
from smcs.bank.schema import questions

TEXTS = ("a\nb", 'say "no"', "back\\slash", "tab\tbell\x07", "\u00e4\U0001f600", "null", "[]", "", "\uffff")
FRACTIONS = (1 / 3, 0.1, 0.7, 2.0**-11, math.nextafter(2.0**-11, 0), 1e-7, 5e-324, math.nextafter(1, 0), 2.0**-63)


def subjects(connection: Connection) -> dict[str, str]:
    both = select(packed(connection, questions.c.id), packed(connection, questions.c.subject))
    return dict(zip(*map(unpacked, connection.execute(both).one()), strict=True))


def scores(bank: QuestionBank, number_of: dict[str, int]) -> list[dict[int, float | None]]:
    with bank._read() as connection:
        found = list(score_columns(connection, bank.llms, number_of))
    lists = [(numbers.tolist(), column.tolist()) for numbers, column in found]
    assert all(len(set(numbers)) == len(numbers) for numbers, _ in lists)
    return [{number: None if math.isnan(score) else score for number, score in zip(*one, strict=True)} for one in lists]


def test_texts_come_back_whatever_is_in_them(place: Place) -> None:
    with place.create() as bank:
        with bank._read() as connection:
            assert subjects(connection) == {}
        bank.add_questions(question(i, subject=text) for i, text in enumerate(TEXTS))
        with bank._read() as connection:
            assert subjects(connection) == {f"q{i:04}": text for i, text in enumerate(TEXTS)}


def test_every_score_comes_back_to_the_bit(place: Place) -> None:
    told = dict(enumerate([*FRACTIONS, 0.0, 1.0, None]))
    with place.create() as bank:
        bank.add_questions(map(question, told))
        for name in ("all", "nothing", "some"):
            bank.add_llm(name)
        bank.record(outcome(i, "all", score) for i, score in told.items())
        bank.record([outcome(10, "some", 1.0), outcome(4, "some", 1e-7)])
        assert scores(bank, {f"q{i:04}": i for i in told}) == [told, {}, {10: 1.0, 4: 1e-7}]


def test_llms_share_numbers_only_where_they_answered_the_same_questions(place: Place) -> None:
    with place.create() as bank:
        bank.add_questions(map(question, range(4)))
        for name in ("a", "b", "c", "d"):
            bank.add_llm(name)
        bank.record(outcome(i, name, float(i % 2)) for name in ("a", "b", "d") for i in range(3))
        bank.record(outcome(i, "c", 1.0) for i in (0, 1, 3))
        same: dict[int, float | None] = {7: 0.0, 8: 1.0, 9: 0.0}
        number_of = {f"q{i:04}": i + 7 for i in range(4)}
        assert scores(bank, number_of) == [same, same, {7: 1.0, 8: 1.0, 10: 1.0}, same]


def test_questions_without_a_number_are_left_out(place: Place) -> None:
    with place.create() as bank:
        bank.add_questions(map(question, range(3)))
        bank.add_llm("a")
        bank.record(outcome(i, "a", score) for i, score in enumerate((1.0, 0.5, None)))
        assert scores(bank, {"q0002": 0, "q0001": 1, "elsewhere": 2}) == [{0: None, 1: 0.5}]
