from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers_bank import EMBEDDER, fill, outcome, question, small_bank
from smcs.bank import QuestionBank
from smcs.errors import BankError
from smcs.evaluate import estimate_newcomer
from smcs.strategies import Resources
from smcs.studio.bank import data
from smcs.studio.bank.effects import Recruiting
from smcs.studio.bank.questions import Wanted


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[QuestionBank]:
    with small_bank(tmp_path / "bank.db", count=60, llms=4) as made:
        yield made


class OneVector:
    """An embedder that finds the same in every text, and notes what it was given."""

    name = EMBEDDER
    dimensions = 16

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        return np.full((len(texts), 16), 0.25, dtype=np.float32)


def resources_of(embedder: OneVector, prefix: str = "") -> Resources:
    return cast("Resources", SimpleNamespace(embedder=embedder, query_prefix=prefix))


async def test_overview_is_kept_until_the_bank_changes(bank: QuestionBank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcs.studio.bank.caching._SLOW", math.inf)
    first = await data.overview(bank)
    assert first == bank.info()
    assert await data.overview(bank) is first
    bank.record([outcome(0, "llm000", 0.5)])
    later = await data.overview(bank)
    assert later is not first
    assert later == bank.info()


async def test_slow_overview_is_shown_once_more_and_known_to_be_outdated(
    bank: QuestionBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await data.overview(bank)
    assert not await data.is_outdated(bank, first)
    monkeypatch.setattr("smcs.studio.bank.caching._SLOW", 0.0)
    monkeypatch.setattr("smcs.studio.bank.caching._REST", 0.0)
    bank.record([outcome(0, "llm000", 0.5)])
    assert await data.overview(bank) is first
    assert await data.is_outdated(bank, first)
    for _ in range(3_000):
        await asyncio.sleep(0.01)
        if (later := await data.overview(bank)) is not first:
            break
    assert later == bank.info()
    assert not await data.is_outdated(bank, later)


async def test_overview_of_a_bank_without_all_vectors_is_looked_at_again(
    bank: QuestionBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.add_questions([question(99)])
    monkeypatch.setattr("smcs.studio.bank.caching._SLOW", math.inf)
    monkeypatch.setattr("smcs.studio.bank.data._EMBEDDING_SECONDS", 0.0)
    first = await data.overview(bank)
    bank.store_embeddings(EMBEDDER, ["q0099"], np.ones((1, 16)))
    await asyncio.sleep(0.01)
    later = await data.overview(bank)
    assert [first.embedders[0].embedded, later.embedders[0].embedded] == [60, 61]
    assert await data.overview(bank) is later


async def test_search_by_meaning_embeds_the_query_as_an_answer_does(bank: QuestionBank) -> None:
    embedder = OneVector()
    wanted = Wanted(text="  what is near ", meaning=True)
    page = await data.questions(bank, wanted, resources_of(embedder, "query: "))
    assert embedder.texts == ["query:   what is near "]
    expected = bank.search(np.ones(16), base=60, tolerance=1.0).question_ids
    assert [row.question.id for row in page.rows] == list(expected[:25])
    assert page.total == 60


async def test_search_by_words_asks_no_embedder(bank: QuestionBank) -> None:
    embedder = OneVector()
    page = await data.questions(bank, Wanted(text="is 12"), resources_of(embedder))
    everything = await data.questions(bank, Wanted(meaning=True), resources_of(embedder))
    assert [row.question.id for row in page.rows] == ["q0012"]
    assert (everything.total, everything.rows[0].question.id) == (60, "q0000")
    assert embedder.texts == []


async def test_questions_that_are_added_are_found(bank: QuestionBank) -> None:
    assert (await data.questions(bank, Wanted(text="unheard"), resources_of(OneVector()))).total == 0
    bank.add_questions([question(77, task="new", subject="new")])
    assert any(label.task == "new" for label in await data.labels(bank))
    assert (await data.questions(bank, Wanted(task="new"), resources_of(OneVector()))).total == 1


async def test_llms_that_are_not_there_are_refused(bank: QuestionBank) -> None:
    picture = await data.picture(bank)
    with pytest.raises(BankError, match="'nobody' is not in this bank"):
        await data.profile(bank, "nobody")
    with pytest.raises(BankError, match="'nobody' is not in this bank"):
        await data.effect(bank, "nobody", Recruiting(2, 10, 0.95))
    with pytest.raises(BankError, match="'nobody' is not in this bank"):
        await data.verdicts(bank, picture, "nobody")


async def test_an_llm_with_few_outcomes_gets_an_estimate(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 2, size=(80, 8)).astype(np.float64)
    scores[20:, 7] = math.nan
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        fill(bank, scores, rng.standard_normal((80, 8)))
        few = await data.effect(bank, "llm007", Recruiting(2, 10, 0.95))
        full = await data.effect(bank, "llm000", Recruiting(2, 10, 0.95))
        assert few.estimate == estimate_newcomer(bank, "llm007")
        assert few.estimate is not None
        assert few.oracle is not None
        assert few.oracle.questions == 20
        assert full.estimate is None
        assert full.routing is not None


async def test_effect_of_a_bank_without_vectors_says_what_it_can(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        bank.add_questions(question(number) for number in range(10))
        for llm in ("a", "b"):
            bank.add_llm(llm)
            bank.record(outcome(number, llm, float(llm == "a")) for number in range(10))
        effect = await data.effect(bank, "a", Recruiting(2, 10, 0.95))
    assert (effect.routing, effect.estimate) == (None, None)
    assert effect.oracle is not None
    assert (effect.oracle.without, effect.oracle.with_it) == (0.0, 1.0)


async def test_audit_and_growth_are_the_banks_own(bank: QuestionBank) -> None:
    found = await data.audited(bank)
    assert found == bank.audit()
    assert await data.audited(bank) is found
    growth = await data.grown(bank)
    assert growth.changes == tuple(reversed(bank.history()))
    assert growth.questions == 60


async def test_an_empty_bank_has_figures(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        info = await data.overview(bank)
        assert (info.questions, info.outcomes, info.llms) == (0, 0, ())
        assert await data.labels(bank) == ()
        assert (await data.questions(bank, Wanted(), resources_of(OneVector()))).total == 0
        assert (await data.grown(bank)).points == ()


async def test_heavy_work_leaves_the_event_loop_alone(bank: QuestionBank, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()
    for name in ("info", "outcomes", "iter_questions", "history", "audit", "questions"):
        original = getattr(bank, name)

        def noted(*args: Any, _original: Any = original, **kwargs: Any) -> Any:
            threads.add(threading.get_ident())
            return _original(*args, **kwargs)

        monkeypatch.setattr(bank, name, noted)
    await data.overview(bank)
    await data.questions(bank, Wanted(text="even", meaning=True), resources_of(OneVector()))
    await data.picture(bank)
    await data.profile(bank, "llm000")
    await data.effect(bank, "llm000", Recruiting(2, 10, 0.95))
    await data.audited(bank)
    await data.grown(bank)
    assert threads
    assert threading.get_ident() not in threads


def test_texts_are_shortened_to_one_line() -> None:
    assert data.shortened("a\n  b\tc") == "a b c"
    assert data.shortened("x" * 161) == "x" * 159 + "…"
    assert len(data.shortened("word " * 100_000)) <= 160
