"""Which LLMs are recruited for a question: by RPS or by another prior, and what the record says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from helpers_methods import KNOWN, NAMES, choice_query, team
from helpers_strategies import SETTINGS, make_bank, run
from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder, Vectors
from smcs.errors import ConfigError
from smcs.prior import PRIORS
from smcs.run import PriorFound, Query, Run
from smcs.strategies import priors as module
from smcs.strategies.priors import expected_grades
from smcs.types import Message, Outcome, Question


async def ask(bank: QuestionBank | None, prior: str = "rps", question: str | Query = "add the numbers 3 and 4") -> Run:
    over = team(bank, names=NAMES, aggregators=("poor",))
    record, events = await run(over, replace(SETTINGS, k=2, prior=prior), question=question)
    found = next(event for event in events if isinstance(event, PriorFound))
    assert (found.sources, found.priors, found.referencers) == (
        record.support_sources,
        record.priors,
        record.referencers,
    )
    return record


async def test_the_support_set_is_recorded_by_source(known: QuestionBank) -> None:
    record = await ask(known)
    assert sum(record.support_sources.values()) == pytest.approx(1)
    assert next(iter(record.support_sources)) == "sums"
    assert record.support_size >= 10
    assert (await ask(None)).support_sources == {}


class Listening:
    """An embedder that remembers what it was asked for."""

    def __init__(self) -> None:
        self._inner = HashingEmbedder()
        self.texts: list[str] = []
        self.name, self.dimensions = self._inner.name, self._inner.dimensions

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return await self._inner.embed(texts)


@pytest.mark.parametrize("name", ["rps", "prior_vote", "symbolic_moe", "jisi", "smcs", "smcs_guarded"])
async def test_every_strategy_looks_a_question_up_as_the_bank_embeds_it(known: QuestionBank, name: str) -> None:
    query = choice_query()
    embedder = Listening()
    over = replace(team(known, names=NAMES, aggregators=("poor",)), embedder=embedder)
    await run(over, SETTINGS, question=query, name=name)
    assert embedder.texts.count(Question("", query.text, choices=query.choices).prompt()) == 1
    assert query.text not in embedder.texts


@pytest.mark.parametrize("name", [name for name in PRIORS if name != "global"])
async def test_every_prior_recruits_who_is_good_at_it(known: QuestionBank, name: str) -> None:
    text = "which city lies at river 3 near hill 4"
    query = Query(text, (Message("user", text),), task="cities")
    record = await ask(known, name, query)
    assert record.referencers[0] == "guide"
    assert record.support_size >= 10
    assert next(iter(record.support_sources)) == "cities"
    if name != "rps":
        assert all(estimate.accuracy is not None and 0 <= estimate.accuracy <= 1 for estimate in record.priors)


async def test_global_accuracy_recruits_the_best_of_all(known: QuestionBank) -> None:
    record = await ask(known, "global")
    assert record.referencers == ("guide", "adder")
    assert [estimate.prior for estimate in record.priors] == pytest.approx([0.6, 0.55, 0.5, 0.05])
    assert record.settings["prior"] == "global"


async def test_a_prior_is_fitted_once_per_state_of_the_bank_and_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[str] = []
    fit = module._fit

    def counted(spec: object, *arguments: object) -> object:
        fits.append(str(spec))
        return fit(spec, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_fit", counted)
    with await make_bank(tmp_path / "bank.db", KNOWN) as bank:
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(ask(bank, "graded"))
        assert len(fits) == 1
        await ask(bank, "kernel")
        assert len(fits) == 2
        bank.record([Outcome("sums/9", "poor", 1.0)])
        await ask(bank, "graded")
        assert len(fits) == 3
        vector = (await HashingEmbedder().embed(["add"]))[0]
        few = await expected_grades(
            "graded", Query.of("add"), vector, bank=bank, embedder=HashingEmbedder().name, pool=("half", "stranger")
        )
        assert few.llms == ("half",)
        assert len(fits) == 4
        none = await expected_grades(
            "graded", Query.of("add"), vector, bank=bank, embedder=HashingEmbedder().name, pool=("stranger",)
        )
        assert none.llms == ()


async def test_llms_without_outcomes_get_the_mean_prior(known: QuestionBank) -> None:
    over = team(known, names=(*NAMES, "stranger"), aggregators=("poor",))
    record, _ = await run(over, replace(SETTINGS, k=5, prior="graded"))
    assert record.referencers[-1] == "stranger"
    assert any("stranger" in reason for reason in record.degraded)


async def test_an_unknown_prior_is_refused_before_any_call(known: QuestionBank) -> None:
    over = team(known, names=NAMES, aggregators=("poor",))
    with pytest.raises(ConfigError, match="kernel"):
        await run(over, replace(SETTINGS, prior="kernle"))
    assert not any(over.pool[name].llm.history for name in NAMES)  # type: ignore[attr-defined]


async def test_a_question_is_embedded_with_its_options_as_those_of_the_bank_are(
    known: QuestionBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    embed = HashingEmbedder.embed

    async def spied(self: HashingEmbedder, texts: list[str]) -> object:
        seen.extend(texts)
        return await embed(self, texts)

    monkeypatch.setattr(HashingEmbedder, "embed", spied)
    await ask(known, "rps", Query("Which?", (Message("user", "Which? Choose."),), choices=("one", "two")))
    assert seen[0] == Question("q", "Which?", choices=("one", "two")).prompt() == "Which?\nA. one\nB. two"
