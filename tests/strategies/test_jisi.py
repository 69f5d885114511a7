from pathlib import Path

import numpy as np
import pytest

from helpers_guard import OPTIONS, answered_bank
from helpers_strategies import member, resources, scripted
from smcs.bank import QuestionBank
from smcs.errors import NoUsableAnswerError
from smcs.llms import ScriptedLLM
from smcs.run import Query, Run, Trace
from smcs.strategies import Settings
from smcs.strategies.jisi import jisi, jisi_calls
from smcs.types import Message, Outcome

QUERY = Query("which colour has sums number 7", (Message("user", "which colour?"),), choices=OPTIONS, grader="choice")
SETTINGS = Settings(support_base=60, seed=3)


async def bank_of(folder: Path, accuracy: dict[str, float], *, extracted: bool = True) -> QuestionBank:
    gold = np.arange(60) % 4
    share = {llm: np.where(np.arange(60) < p * 60, gold, (gold + 1) % 4) for llm, p in accuracy.items()}
    return await answered_bank(folder / "bank.db", share, gold, extracted=extracted)


async def ask(bank: QuestionBank | None, *llms: ScriptedLLM, settings: Settings = SETTINGS) -> Run:
    over = resources(*(member(llm) for llm in llms), aggregators=(llms[0].name,), bank=bank)
    return await jisi(QUERY, over, settings, Trace())


async def test_a_dominant_expert_answers_alone(tmp_path: Path) -> None:
    bank = await bank_of(tmp_path, {"a": 0.9, "b": 0.5, "c": 0.4})
    run = await ask(bank, scripted("c"), scripted("b"), scripted("a"))
    assert (run.answer, run.answered_by, run.calls) == ("answer of a", "a", 3)
    assert run.notes["jisi"]["merged"] == 1


async def test_equals_are_merged_by_the_best_of_the_pool(tmp_path: Path) -> None:
    bank = await bank_of(tmp_path, {"a": 1.0, "b": 1.0, "c": 0.3})
    run = await ask(bank, scripted("c"), scripted("b"), scripted("a"))
    assert run.answered_by == run.notes["jisi"]["aggregators"][0]
    assert [tuple(sorted(c.members)) for c in run.candidates] == [("a", "b")]
    assert run.notes["jisi"]["routed_by"] == "question and length of answers"


async def test_a_failed_aggregator_hands_over(tmp_path: Path) -> None:
    bank = await bank_of(tmp_path, {"a": 1.0, "b": 1.0})
    first = ScriptedLLM("a", replies=["fine"], failures=[None, "refused", "refused", "refused"])
    run = await ask(bank, first, scripted("b"))
    assert run.answered_by == "b"


async def test_the_second_look_finds_an_llm_that_was_not_asked(tmp_path: Path) -> None:
    # On questions that a, b and c answer at length, only d is right; on the others, everyone but d is.
    gold = np.arange(60) % 4
    hard = np.arange(60) < 25
    easy = np.where(hard, (gold + 1) % 4, gold)
    bank = await answered_bank(
        tmp_path / "bank.db", dict.fromkeys("abc", easy) | {"d": np.where(hard, gold, (gold + 1) % 4)}, gold
    )
    for llm in "abc":
        bank.record(
            Outcome(f"{i:04d}", llm, float(not hard[i]), response="x" * (900 if hard[i] else 10), extracted="A")
            for i in range(60)
        )
    wordy = [scripted(name, replies=["y" * 900]) for name in "abc"]
    run = await ask(bank, *wordy, scripted("d"))
    assert (run.answered_by, run.calls) == ("d", 4)


async def test_without_texts_the_question_alone_routes_and_the_record_says_so(tmp_path: Path) -> None:
    bank = await bank_of(tmp_path, {"a": 0.9, "b": 0.3}, extracted=False)
    run = await ask(bank, scripted("b"), scripted("a"))
    assert run.answered_by == "a"
    assert any("fell back to the question" in reason for reason in run.degraded)
    blind = await ask(None, scripted("b"), scripted("a"))
    assert any("ranked by prior alone" in reason for reason in blind.degraded)


async def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(NoUsableAnswerError, match="scripted refusal"):
        await ask(None, ScriptedLLM("a", failures="refused"))


def test_calls_are_bounded() -> None:
    assert [jisi_calls(SETTINGS, size) for size in (1, 3, 4, 20)] == [2, 4, 5, 7]
