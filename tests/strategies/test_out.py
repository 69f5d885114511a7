"""LLMs that are known to be out: not asked while there are others, whatever the strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers_guard import answered_bank
from helpers_methods import NAMES, choice_query, requests, team
from helpers_strategies import SETTINGS, make_bank, run
from smcs.bank import QuestionBank
from smcs.strategies import STRATEGIES, Resources

ALL = (*NAMES, "merger", "second")
WHY = "circuit open since 12:03"


def out_of(bank: QuestionBank | None, out: Mapping[str, str], *, names: tuple[str, ...] = ALL) -> Resources:
    aggregators = tuple(name for name in ("merger", "second") if name in names) or names[:1]
    return replace(team(bank, names=names, aggregators=aggregators), out=out)


def votes_files(folder: Path) -> set[Path]:
    return set(folder.rglob("votes-*.npz"))


@pytest.mark.parametrize("name", STRATEGIES)
async def test_an_llm_that_is_out_is_not_asked(known: QuestionBank, name: str) -> None:
    over = out_of(known, {"adder": WHY, "guide": WHY, "stranger": WHY})
    record, _ = await run(over, replace(SETTINGS, k=5, samples=2), name=name, question=choice_query(task="sums"))
    assert not requests(over, "adder")
    assert not requests(over, "guide")
    assert record.degraded[0] == f"out, so not asked: adder ({WHY}), guide ({WHY})"
    assert len([reason for reason in record.degraded if reason.startswith("out")]) == 1
    assert record.answer


async def test_the_deputy_of_an_aggregator_that_is_out_merges(known: QuestionBank) -> None:
    over = out_of(known, {"merger": WHY})
    record, _ = await run(over)
    assert (record.answered_by, record.settings["aggregators"]) == ("second", ["second"])
    assert not requests(over, "merger")


async def test_the_only_aggregator_merges_although_it_is_out_and_does_nothing_else(known: QuestionBank) -> None:
    over = out_of(known, {"merger": WHY}, names=(*NAMES, "merger"))
    record, _ = await run(over, replace(SETTINGS, k=5))
    assert (record.answered_by, len(record.referencers)) == ("merger", 4)
    assert {a.stage for a in record.attempts if a.llm == "merger"} == {"aggregation"}
    assert record.degraded == (f"out, but there is nobody else to ask: merger ({WHY})",)


@pytest.mark.parametrize("name", STRATEGIES)
async def test_where_all_are_out_all_are_asked(known: QuestionBank, name: str) -> None:
    over = out_of(known, dict.fromkeys(NAMES, WHY), names=NAMES)
    record, _ = await run(over, replace(SETTINGS, samples=2), name=name, question=choice_query(task="sums"))
    assert record.answer
    assert record.degraded[0].startswith("out, but there is nobody else to ask: adder (circuit open")


async def test_an_llm_that_is_named_is_asked_although_it_is_out(known: QuestionBank) -> None:
    record, _ = await run(out_of(known, {"half": WHY}), replace(SETTINGS, llm="half"), name="single")
    assert record.answered_by == "half"
    assert record.degraded == (f"out, but there is nobody else to ask: half ({WHY})",)
    # Methods that recruit do not ask by name.
    record, _ = await run(out_of(known, {"half": WHY}), replace(SETTINGS, llm="half", k=6))
    assert "half" not in record.referencers


@pytest.mark.parametrize("name", ["single", "simple_router", "symbolic_moe"])
async def test_where_the_bank_knows_only_those_that_are_out_others_answer(tmp_path: Path, name: str) -> None:
    bank = await make_bank(tmp_path / "bank.db", {"adder": {"sums": 1.0}})
    over = out_of(bank, {"adder": WHY}, names=("adder", "new", "newer"))
    over = replace(over, aggregators=("newer",))
    record, _ = await run(over, name=name)
    assert not requests(over, "adder")
    assert any("the bank knows none of the LLMs that can be asked" in reason for reason in record.degraded)
    bank.close()


async def test_what_was_learned_about_votes_is_not_learned_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 4, size=60)
    bank = await answered_bank(tmp_path / "bank.db", dict.fromkeys(("adder", "half", "guide"), gold), gold)
    over = team(bank, names=("adder", "half", "guide"), aggregators=("guide",))
    await run(over, name="smcs_guarded", question=choice_query())
    learned = votes_files(tmp_path)
    assert learned
    await run(replace(over, out={"half": WHY}), name="smcs_guarded", question=choice_query())
    assert votes_files(tmp_path) == learned
    bank.close()


def test_resources_stay_as_they_are_while_nobody_is_out(known: QuestionBank) -> None:
    over = out_of(known, {})
    assert over.in_reach() is over
    reduced = out_of(known, {"adder": WHY}).in_reach()
    assert (set(reduced.pool), set(reduced.absent)) == (set(ALL) - {"adder"}, {"adder"})
    assert reduced.in_reach() is reduced
