from __future__ import annotations

from pathlib import Path

from helpers_bank import outcome, question
from smcs.bank import QuestionBank
from smcs.studio.bank.growth import did, growth_of, what_of
from smcs.studio.bank.growth_view import outcome_plot, question_plot


def test_questions_are_counted_back_from_today(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        counted = []
        for begin in (0, 10, 20):
            bank.add_questions(question(number) for number in range(begin, begin + 10))
            counted.append(len(bank))
        bank.remove_questions(["q0003", "q0004"])
        counted.append(len(bank))
        bank.undo(4)
        counted.append(len(bank))
        bank.add_questions([question(5, gold="B")], replace=True)
        counted.append(len(bank))
        info = bank.info()
        growth = growth_of(bank.history(), questions=info.questions, outcomes=info.outcomes)
    assert [point.questions for point in growth.points] == counted == [10, 20, 30, 28, 30, 30]
    assert [change.id for change in growth.changes] == [6, 5, 4, 3, 2, 1]
    drawn = question_plot(growth)
    assert [row[1] for row in drawn.table.rows] == counted
    heights = [value[1] for value in drawn.series[0].values if isinstance(value, tuple)]
    assert heights == [10, 10, 20, 20, 30, 30, 28, 28, 30, 30, 30]


def test_only_outcomes_of_changes_that_stand_have_a_date(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        bank.add_questions(question(number) for number in range(10))
        bank.add_llm("a")
        bank.record(outcome(number, "a", 1.0) for number in range(4))
        with bank.logged("feedback"):
            bank.record(outcome(number, "a", 0.0) for number in range(4, 7))
        with bank.logged("import"):
            bank.record(outcome(number, "a", 0.0) for number in range(7, 9))
        bank.undo(4)
        info = bank.info()
        growth = growth_of(bank.history(), questions=info.questions, outcomes=info.outcomes)
    assert (growth.outcomes, growth.dated) == (7, 3)
    assert [point.outcomes for point in growth.points] == [0, 0, 3, 3, 3]
    assert "3 of 7 outcomes have a date. The other 4" in outcome_plot(growth).note


def test_changes_are_told_in_words(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        bank.add_questions([question(1)])
        bank.undo(1)
        with bank.logged("spring cleaning"):
            bank.add_llm("a")
            bank.add_llm("b")
        first, undone, own = bank.history()
    assert (did(first), what_of(first)) == ("added (undone by 2)", "1 question added")
    assert (did(undone), what_of(undone)) == ("change 1 undone", "1 question removed")
    assert (did(own), what_of(own)) == ("spring cleaning", "2 LLMs added")


def test_a_new_bank_has_not_grown() -> None:
    growth = growth_of((), questions=0, outcomes=0)
    assert (growth.changes, growth.points, growth.dated) == ((), (), 0)


def test_a_log_that_began_late_leaves_no_negative_count(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        bank.add_questions(question(number) for number in range(3))
        changes = bank.history()
    assert [point.questions for point in growth_of(changes * 2, questions=1, outcomes=0).points] == [0, 1]
