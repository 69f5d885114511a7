from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers_evaluate import CountingLLM, additions
from helpers_newcomer import World, world
from smcs.bank import QuestionBank
from smcs.errors import BankError, ConfigError, InputError, LLMError
from smcs.evaluate import NewcomerPlan, add_newcomer, estimate_newcomer, plan_newcomer
from smcs.llms import Member
from smcs.types import Outcome, Price, Sampling

COUNT, LLMS = 120, 5


@pytest.fixture(scope="module")
def made() -> World:
    return world(COUNT, LLMS + 1)


@pytest.fixture
def bank(tmp_path: Path, made: World) -> QuestionBank:
    """120 additions of two tasks that five LLMs answered; the sixth of `made` is the newcomer."""
    questions = additions(COUNT)
    filled = QuestionBank.create(tmp_path / "bank.db")
    filled.add_questions(questions)
    for llm in range(LLMS):
        filled.add_llm(f"llm{llm}")
    filled.record(
        Outcome(question.id, f"llm{llm}", float(made.outcomes[row, llm]))
        for row, question in enumerate(questions)
        for llm in range(LLMS)
    )
    filled.store_embeddings("test", [question.id for question in questions], made.embeddings)
    return filled


def newcomer(made: World, *, price: Price | None = None, **options: object) -> Member:
    llm = CountingLLM(wrong=lambda number: made.outcomes[number, LLMS] == 0, **options)  # type: ignore[arg-type]
    return Member("new", llm, price=price, sampling=Sampling(max_tokens=100))


def ids(plan: NewcomerPlan) -> list[str]:
    return [question.id for question in plan.asked.questions]


async def test_it_asks_the_chosen_questions_and_estimates_the_accuracy(bank: QuestionBank, made: World) -> None:
    member = newcomer(made)
    plan = plan_newcomer(bank, member, fraction=0.25)
    report = await add_newcomer(plan, member, bank)
    assert (len(plan.asked.questions), plan.searched, plan.references) == (30, COUNT, LLMS)
    assert report.answers.complete
    assert bank.answered("new") == set(ids(plan))
    assert report.accuracy is not None
    overall, tasks = report.accuracy.overall, dict(report.accuracy.tasks)
    assert overall.low < made.outcomes[:, LLMS].mean() < overall.high
    assert (overall.observed, overall.questions) == (30, COUNT)
    assert list(tasks) == ["t0", "t1"]
    assert sum(task.observed for task in tasks.values()) == 30
    assert np.mean([task.value for task in tasks.values()]) == pytest.approx(overall.value)
    assert estimate_newcomer(bank, "new") == report.accuracy


async def test_the_plan_stays_while_outcomes_come_in(bank: QuestionBank, made: World) -> None:
    def fails(number: int) -> Exception | None:
        return LLMError("down", llm="new") if number % 3 == 0 else None

    member = newcomer(made, fails=fails)
    before = plan_newcomer(bank, member, fraction=0.2, seed=4)
    broken = await add_newcomer(before, member, bank)
    assert not broken.answers.complete
    again = newcomer(made)
    plan = plan_newcomer(bank, again, fraction=0.2, seed=4)
    assert ids(plan) == ids(before)
    assert plan.cost.questions == broken.answers.progress.failed > 0
    assert (await add_newcomer(plan, again, bank)).answers.complete
    assert isinstance(again.llm, CountingLLM)
    assert all(number % 3 == 0 for number in again.llm.asked)
    assert ids(plan_newcomer(bank, again, fraction=0.4, seed=4))[: len(ids(plan))] == ids(plan)


async def test_a_budget_buys_a_beginning_of_the_plan(bank: QuestionBank, made: World) -> None:
    member = newcomer(made, price=Price(1.0, 10.0))
    whole = plan_newcomer(bank, member, fraction=1.0)
    assert whole.cost.cost_usd is not None
    plan = plan_newcomer(bank, member, max_usd=whole.cost.cost_usd / 4)
    assert 25 <= len(plan.asked.questions) <= 35
    assert ids(plan) == ids(whole)[: len(plan.asked.questions)]
    assert plan.cost.cost_usd is not None
    assert plan.cost.cost_usd <= whole.cost.cost_usd / 4
    report = await add_newcomer(plan, member, bank)
    assert report.answers.complete
    spent = report.answers.progress.cost_usd
    assert spent is not None
    later = plan_newcomer(bank, member, max_usd=whole.cost.cost_usd / 4)
    assert later.spent_usd == pytest.approx(spent)
    used_up = plan_newcomer(bank, member, max_usd=spent)
    assert (len(used_up.asked.questions), used_up.cost.questions) == (len(plan.asked.questions), 0)
    with pytest.raises(InputError, match="Raise the budget"):
        plan_newcomer(bank, replace(member, name="another"), max_usd=1e-6)


def test_what_cannot_be_planned_is_refused(bank: QuestionBank, made: World, tmp_path: Path) -> None:
    member = newcomer(made)
    with pytest.raises(ConfigError, match="price of new is unknown"):
        plan_newcomer(bank, member, max_usd=1.0)
    with pytest.raises(InputError, match="not both"):
        plan_newcomer(bank, member, fraction=0.1, max_usd=1.0)
    with pytest.raises(InputError, match="`fraction`"):
        plan_newcomer(bank, member, fraction=0.0)
    with QuestionBank.create(tmp_path / "other.db") as other, pytest.raises(BankError, match="embeddings"):
        plan_newcomer(other, member)


async def test_a_bank_of_few_llms_is_asked_at_random(bank: QuestionBank, made: World) -> None:
    for llm in range(2, LLMS):
        bank.remove_llm(f"llm{llm}")
    assert estimate_newcomer(bank, "new") is None
    member = newcomer(made)
    plan = plan_newcomer(bank, member)
    assert (plan.references, len(plan.asked.questions)) == (0, 12)
    report = await add_newcomer(plan, member, bank)
    assert report.accuracy is not None
    assert report.accuracy.overall.low < made.outcomes[:, LLMS].mean() < report.accuracy.overall.high


def test_other_prompts_than_the_bank_notes_are_said(bank: QuestionBank, made: World) -> None:
    member = newcomer(made)
    settings = plan_newcomer(bank, member).asked.task_settings()
    bank.set_note("build/task/t0", settings["t0"])
    bank.set_note("build/task/t1", {**settings["t1"], "prompts": "other"})
    assert plan_newcomer(bank, member).warnings == ("the other LLMs were asked t1 with other prompts",)
