"""What a bank says about LLMs: the averages, and how often they are made."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_methods import KNOWN
from helpers_strategies import make_bank
from smcs.bank import QuestionBank
from smcs.strategies.knowledge import know, rank
from smcs.types import Outcome, Question


async def test_accuracies_are_those_of_the_outcomes(known: QuestionBank) -> None:
    found = await know(known)
    matrix = known.outcomes()
    assert found.overall == pytest.approx(dict(zip(matrix.llms, np.nanmean(matrix.scores, axis=0), strict=True)))
    for task in ("sums", "cities"):
        assert found.tasks[task] == pytest.approx({llm: KNOWN[llm][task] for llm in KNOWN})
        assert found.labels[task, ""] == found.tasks[task]


async def test_missing_and_ungraded_outcomes_are_left_out(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        labels = (("a", "x"), ("a", "x"), ("a", "y"), ("b", ""))
        bank.add_questions(Question(f"q{i}", f"q {i}", task=t, subject=s) for i, (t, s) in enumerate(labels))
        for llm in ("one", "two", "idle"):
            bank.add_llm(llm)
        bank.record([Outcome("q0", "one", 1.0), Outcome("q1", "one", 0.0), Outcome("q2", "one", 1.0)])
        bank.record([Outcome("q2", "two", None), Outcome("q3", "two", 0.5)])
        found = await know(bank)
    assert found.overall == pytest.approx({"one": 2 / 3, "two": 0.5})
    assert found.tasks == {"a": {"one": pytest.approx(2 / 3)}, "b": {"two": 0.5}}
    assert found.labels == {("a", "x"): {"one": 0.5}, ("a", "y"): {"one": 1.0}, ("b", ""): {"two": 0.5}}


async def test_a_bank_is_averaged_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = await make_bank(tmp_path / "bank.db", {"one": {"sums": 0.5}})
    made: list[str] = []
    real = QuestionBank.info

    def counted(self: QuestionBank) -> object:
        made.append(self.url)
        return real(self)

    monkeypatch.setattr(QuestionBank, "info", counted)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(know(bank)) for _ in range(20)]
    assert len({id(task.result()) for task in tasks}) == 1
    assert len(made) == 1
    bank.record([Outcome("sums/19", "one", 1.0)])
    assert (await know(bank)).overall == pytest.approx({"one": 11 / 20})
    assert (await know(bank)).tasks["sums"] == pytest.approx({"one": 11 / 20})
    assert len(made) == 2
    with QuestionBank.open(tmp_path / "bank.db") as other:
        other.record([Outcome("sums/18", "one", 1.0)])
    assert (await know(bank)).overall == pytest.approx({"one": 12 / 20})
    bank.close()


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.permutations("abcdef"))
def test_ranking_is_by_accuracy_and_equals_keep_their_order(accuracy: dict[str, float], names: list[str]) -> None:
    order = rank(accuracy, names)
    assert sorted(order) == sorted(accuracy)
    for i, name in enumerate(order):
        for worse in order[i + 1 :]:
            assert (-accuracy[name], names.index(name)) < (-accuracy[worse], names.index(worse))
