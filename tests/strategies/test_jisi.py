from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers_guard import OPTIONS, answered_bank
from helpers_strategies import member, resources, scripted
from smcs.bank import QuestionBank
from smcs.embedders import Embedder, HashingEmbedder, Vectors
from smcs.errors import EmbedderError, NoUsableAnswerError
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


async def ask(
    bank: QuestionBank | None, *llms: ScriptedLLM, settings: Settings = SETTINGS, embedder: Embedder | None = None
) -> Run:
    over = resources(*(member(llm) for llm in llms), aggregators=(llms[0].name,), bank=bank)
    return await jisi(QUERY, replace(over, embedder=embedder or HashingEmbedder()), settings, Trace())


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
    assert "`smcs bank embed --answers`" in run.notes["jisi_semantics"]


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


HARD, EASY = "tides pull at moons", "bread needs a flour"
"""What answers say to hard questions and to easy ones, at equal length."""


async def bank_of_meanings(folder: Path) -> QuestionBank:
    """Return a bank in which d alone is right on questions that a, b and c answer with `HARD`, and wrong elsewhere."""
    gold = np.arange(60) % 4
    hard = np.arange(60) % 5 < 2
    easy = np.where(hard, (gold + 1) % 4, gold)
    answers = dict.fromkeys("abc", easy) | {"d": np.where(hard, gold, (gold + 1) % 4)}
    bank = await answered_bank(folder / "bank.db", answers, gold)
    for llm in "abc":
        texts = (HARD if is_hard else EASY for is_hard in hard)
        bank.record(Outcome(f"{i:04d}", llm, float(not hard[i]), response=text) for i, text in enumerate(texts))
    return bank


class Counted(HashingEmbedder):
    """Counts its calls, and fails from one of them on."""

    def __init__(self, *, works: int = 99) -> None:
        super().__init__()
        self.calls: list[Sequence[str]] = []
        self._works = works

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(texts)
        if len(self.calls) > self._works:
            raise EmbedderError("out of memory")
        return await super().embed(texts)


async def test_the_meaning_of_answers_changes_who_is_trusted(tmp_path: Path) -> None:
    bank = await bank_of_meanings(tmp_path)
    llms = [*(scripted(name, replies=[HARD]) for name in "abc"), scripted("d")]
    before = await ask(bank, *llms)
    assert before.answered_by in set("abc")
    assert before.notes["jisi"]["routed_by"] == "question and length of answers"
    await bank.embed_answers(HashingEmbedder())
    embedder = Counted()
    run = await ask(bank, *llms, embedder=embedder)
    assert (run.answered_by, run.calls, run.degraded) == ("d", 4, ())
    assert run.notes["jisi"]["routed_by"] == "question, length and meaning of answers"
    assert run.notes["jisi_semantics"] == "180 of 180 recorded answers are compared by meaning"
    assert embedder.calls[1:] == [[HARD] * 3], "the live answers are embedded in one batch"
    easy = [*(scripted(name, replies=[EASY]) for name in "abc"), scripted("d")]
    assert (await ask(bank, *easy)).answered_by in set("abc")


async def test_answers_that_are_embedded_in_part_are_compared_in_part(tmp_path: Path) -> None:
    bank = await bank_of_meanings(tmp_path)
    await bank.embed_answers(HashingEmbedder(), llms=["b"])
    run = await ask(bank, *(scripted(name, replies=[HARD]) for name in "abc"), scripted("d"))
    assert run.answered_by == "d"
    assert run.notes["jisi_semantics"] == "60 of 180 recorded answers are compared by meaning"


async def test_an_embedder_that_fails_leaves_lengths_and_the_record_says_so(tmp_path: Path) -> None:
    bank = await bank_of_meanings(tmp_path)
    await bank.embed_answers(HashingEmbedder())
    llms = [*(scripted(name, replies=[HARD]) for name in "abc"), scripted("d")]
    run = await ask(bank, *llms, embedder=Counted(works=1))
    assert run.answered_by in set("abc")
    assert run.notes["jisi"]["routed_by"] == "question and length of answers"
    assert any("by length alone" in reason and "out of memory" in reason for reason in run.degraded)


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
