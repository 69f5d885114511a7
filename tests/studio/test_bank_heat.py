from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers_bank import small_bank
from smcs.bank import Accuracy, BankInfo, QuestionBank
from smcs.studio.bank.heat import HeatChoice, heat_of, label_of
from smcs.studio.bank.intervals import wilson
from smcs.studio.bank.overview_view import heat_map


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionBank]:
    """A bank that no test changes."""
    with small_bank(tmp_path_factory.mktemp("bank") / "bank.db", count=90, llms=4) as made:
        made.add_llm("silent")
        yield made


def large_info(llms: int, subjects: int) -> BankInfo:
    """Return the figures of a bank with many LLMs and subjects of growing size."""
    names = [f"llm{number:03}" for number in range(llms)]
    rows = tuple(
        Accuracy(name, "task", f"subject{place:03}", 10 + place, 5, 0, (number % 7) / 7)
        for place in range(subjects)
        for number, name in enumerate(names)
    )
    whole = tuple(Accuracy(name, None, None, 100, 50, 0, (number % 7) / 7) for number, name in enumerate(names))
    return BankInfo("bank.db", 2, 0.0, "hash", 100, 50 * llms, (), whole, rows)


@pytest.mark.parametrize("count", [1, 2, 7, 40, 1000])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.97, 1.0])
def test_wilson_ends_are_where_the_score_test_just_rejects(share: float, count: int) -> None:
    low, high = wilson(share, count)
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            assert abs(share - end) / math.sqrt(end * (1 - end) / count) == pytest.approx(1.959964, rel=1e-6)
    assert (low == 0) == (share == 0)
    assert (high == 1) == (share == 1)


def test_cells_are_the_outcomes_of_their_llm_and_subject(bank: QuestionBank) -> None:
    heat = heat_of(bank.info(), HeatChoice())
    for row, llm in zip(heat.cells, heat.llms, strict=True):
        for cell, label in zip(row, heat.labels, strict=True):
            ids = {q.id for q in bank.questions() if (q.task, q.subject) == (label.task, label.subject)}
            scores = [o.score for o in bank.recorded(llm.llm) if o.question_id in ids and o.score is not None]
            assert (cell.figures.llm, cell.figures.graded, cell.figures.questions) == (llm.llm, len(scores), len(ids))
            assert cell.figures.missing == len(ids) - len(scores)
            if not scores:
                assert (cell.figures.accuracy, cell.low, cell.high) == (None, None, None)
                assert cell.text == f"none of {len(ids)} questions graded"
            else:
                assert cell.figures.accuracy == pytest.approx(np.mean(scores))
                assert (cell.low, cell.high) == pytest.approx(wilson(float(np.mean(scores)), len(scores)))
                assert f"{len(scores)} of {len(ids)} questions graded" in cell.text


def test_subjects_that_share_a_name_are_drawn_with_their_task(bank: QuestionBank) -> None:
    names = heat_map(heat_of(bank.info(), HeatChoice())).y.labels
    assert len(set(names)) == len(names) == 6
    assert "mathematics / sums" in names
    short = heat_map(heat_of(bank.info(), HeatChoice(subject="reasoning"))).x.labels
    assert short == ("logic", "sets", "sums")


def test_llms_stand_by_accuracy_and_those_without_a_grade_last(bank: QuestionBank) -> None:
    heat = heat_of(bank.info(), HeatChoice())
    graded = [row.accuracy for row in heat.llms if row.accuracy is not None]
    assert graded == sorted(graded, reverse=True)
    assert heat.llms[-1].llm == "silent"


@pytest.mark.parametrize("subject", ["", "logic"])
def test_drawing_has_no_value_where_nothing_is_graded(bank: QuestionBank, subject: str) -> None:
    heat = heat_of(bank.info(), HeatChoice(subject=subject))
    drawn = heat_map(heat)
    assert len(drawn.cells) == len(heat.llms) * len(heat.labels) == len(drawn.table.rows)
    assert len(drawn.y.labels) >= len(drawn.x.labels)
    for place, (column, row, value, text) in enumerate(drawn.cells):
        llm, label = divmod(place, len(heat.labels))
        cell = heat.cells[llm][label]
        assert (cell.figures.llm, label_of(cell.figures)) == (heat.llms[llm].llm, heat.labels[label])
        assert cell.figures.llm in (drawn.x.labels[column], drawn.y.labels[row])
        subject = str(drawn.table.rows[place][2])
        assert any(subject in name for name in (drawn.x.labels[column], drawn.y.labels[row]))
        assert (value, text) == (cell.figures.accuracy, f"{heat.labels[label].task}; {cell.text}")
        assert (value is None) == (cell.figures.llm == "silent")
        assert drawn.table.rows[place][0] == cell.figures.llm


def test_filters_look_for_parts_of_names(bank: QuestionBank) -> None:
    heat = heat_of(bank.info(), HeatChoice(llm="LLM00", subject="Logic"))
    assert {row.llm for row in heat.llms} == {f"llm{number:03}" for number in range(4)}
    assert {label.subject for label in heat.labels} == {"logic"}
    nothing = heat_of(bank.info(), HeatChoice(llm="nobody", subject="nothing"))
    assert (nothing.llms, nothing.labels, nothing.cells, nothing.pages) == ((), (), (), 1)


def test_many_llms_and_subjects_come_in_pages_of_the_largest() -> None:
    info = large_info(70, 40)
    first = heat_of(info, HeatChoice())
    assert (first.llms_in_all, first.labels_in_all) == (70, 40)
    assert [label.subject for label in first.labels] == [f"subject{place:03}" for place in range(10, 40)]
    seen = [row.llm for page in range(1, first.pages + 1) for row in heat_of(info, HeatChoice(page=page)).llms]
    assert len(seen) == len(set(seen)) == 70
    assert heat_of(info, HeatChoice(page=999)).page == first.pages


def test_all_subjects_fit_one_drawing() -> None:
    whole = heat_of(large_info(30, 400), HeatChoice(everything=True))
    assert len(whole.labels) == 400
    assert 0 < len(whole.labels) * len(whole.llms) <= 6_000
    assert whole.pages == 2


def test_a_bank_without_llms_has_an_empty_map(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "empty.db") as empty:
        heat = heat_of(empty.info(), HeatChoice())
    assert (heat.llms, heat.labels, heat.pages) == ((), (), 1)
