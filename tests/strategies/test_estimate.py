"""What a run will take, held against what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers_methods import NAMES, choice_query, requests, says, team
from helpers_strategies import SETTINGS, make_bank, run
from smcs.bank import QuestionBank
from smcs.errors import ConfigError
from smcs.run import Query
from smcs.strategies import STRATEGIES, CallEstimate, Guard, Resources, Settings, estimate, find_strategy
from smcs.strategies.tokens import ASSUMED_COMPLETION, ASSUMED_LIMIT
from smcs.types import Capabilities, Outcome, Price, Sampling, Usage

ALL = (*NAMES, "merger")
FULL = replace(SETTINGS, samples=3, layers=2, guard=Guard(aggregate="always"))


def crew(bank: QuestionBank | None, *, max_n: int = 64, **facts: Mapping[str, object]) -> Resources:
    known = {name: {"capabilities": Capabilities(logprobs=True, max_n=max_n), **facts.get(name, {})} for name in ALL}
    return team(bank, {name: says("A") for name in ALL}, names=ALL, aggregators=("merger",), facts=known)


async def expect(over: Resources, settings: Settings, name: str = "smcs", query: Query | None = None) -> CallEstimate:
    return await estimate(find_strategy(name), query or choice_query(task="sums"), over, settings)


@pytest.mark.parametrize("max_n", [1, 64])
@pytest.mark.parametrize("name", STRATEGIES)
async def test_it_foresees_the_run_and_asks_nobody(known: QuestionBank, name: str, max_n: int) -> None:
    over = crew(known, max_n=max_n)
    foreseen = await expect(over, FULL, name)
    assert not any(requests(over, llm) for llm in ALL)
    record, _ = await run(over, FULL, name=name, question=choice_query(task="sums"))
    if name != "jisi":  # its second look depends on what the first three say
        assert foreseen.calls == record.calls
        assert {row.llm: row.calls for row in foreseen.by_llm} == {
            llm: len(requests(over, llm)) for llm in ALL if requests(over, llm)
        }
    if name == "majority_vote":
        assert foreseen.referencers == ALL
    elif record.referencers:
        assert foreseen.referencers == record.referencers
    assert record.calls <= foreseen.most_calls <= STRATEGIES[name].calls(FULL, len(ALL))
    assert (record.usage.prompt_tokens or 0) <= foreseen.most_prompt_tokens
    assert (record.usage.completion_tokens or 0) <= foreseen.most_completion_tokens
    assert (record.cost_usd or 0) <= (foreseen.most_usd or 0)
    assert foreseen.calls <= foreseen.most_calls
    assert foreseen.prompt_tokens <= foreseen.most_prompt_tokens
    assert foreseen.completion_tokens <= foreseen.most_completion_tokens
    assert foreseen.cost_usd == foreseen.known_cost_usd == pytest.approx(sum(r.cost_usd or 0 for r in foreseen.by_llm))


@pytest.mark.parametrize("max_calls", [1, 2, 3, 6])
@pytest.mark.parametrize("name", STRATEGIES)
async def test_a_cap_on_calls_is_counted_in(known: QuestionBank, name: str, max_calls: int) -> None:
    over = crew(known, max_n=1)
    foreseen = await expect(over, replace(FULL, max_calls=max_calls), name)
    assert foreseen.most_calls <= max_calls
    assert foreseen.calls == foreseen.most_calls or name == "jisi"


async def test_answers_are_as_long_as_those_in_the_bank(tmp_path: Path) -> None:
    bank = await make_bank(tmp_path / "bank.db", {"adder": {"sums": 1.0, "cities": 1.0}, "half": {"sums": 0.5}})
    for topic, tokens in (("sums", 100), ("cities", 300)):
        bank.record(Outcome(f"{topic}/{i}", "adder", 1.0, usage=Usage(10, tokens, 0)) for i in range(20))
    over = team(bank, names=("adder", "half"), aggregators=("half",))
    free = replace(SETTINGS, sampling=Sampling())

    async def written(query: Query, settings: Settings = free, llm: str = "adder") -> CallEstimate:
        return await expect(over, replace(settings, llm=llm), "single", query)

    on_task, elsewhere, anywhere = [await written(choice_query(task=task)) for task in ("sums", "history", "")]
    assert [e.completion_tokens for e in (on_task, elsewhere, anywhere)] == [100, 200, 200]
    assert on_task.by_llm[0].from_bank
    unknown = await written(choice_query(task="sums"), llm="half")
    assert (unknown.completion_tokens, unknown.by_llm[0].from_bank) == (ASSUMED_COMPLETION, False)
    assert unknown.most_completion_tokens == ASSUMED_LIMIT
    short = await written(choice_query(task="sums"), replace(free, sampling=Sampling(max_tokens=40)))
    assert (short.completion_tokens, short.most_completion_tokens) == (40, 40)
    bank.close()


async def test_the_aggregator_reads_the_references(known: QuestionBank) -> None:
    settings = replace(FULL, drop=0, n=1)
    alone = await expect(crew(known), replace(settings, k=1))
    three = await expect(crew(known), settings)
    reads = [next(row for row in e.by_llm if row.llm == "merger").prompt_tokens for e in (alone, three)]
    assert reads[1] - reads[0] == pytest.approx(2 * ASSUMED_COMPLETION, abs=1)
    window = crew(known, merger={"context_window": 900})
    cut = await expect(window, settings)
    assert next(row for row in cut.by_llm if row.llm == "merger").prompt_tokens == 900


async def test_an_unknown_price_is_none_and_what_is_known_is_a_lower_bound(known: QuestionBank) -> None:
    over = crew(known, merger={"price": None})
    foreseen = await expect(over, FULL)
    assert (foreseen.cost_usd, foreseen.most_usd) == (None, None)
    assert foreseen.known_cost_usd == pytest.approx(sum(row.cost_usd or 0 for row in foreseen.by_llm))
    assert next(row for row in foreseen.by_llm if row.llm == "merger").cost_usd is None
    assert foreseen.known_cost_usd > 0
    # Whom it has no use for costs nothing: the router never asks the merger.
    assert (await expect(over, FULL, "rps")).cost_usd is not None


async def test_a_cap_on_money_bounds_what_the_price_does_not(known: QuestionBank) -> None:
    assert (await expect(crew(known, merger={"price": None}), replace(FULL, max_usd=0.25))).most_usd == 0.25
    assert (await expect(crew(known), replace(FULL, max_usd=1e-6))).most_usd == 1e-6
    free: dict[str, Any] = {name: {"price": Price(0.0, 0.0)} for name in ALL}
    nothing = await expect(crew(known, **free), replace(FULL, max_usd=5))
    assert (nothing.cost_usd, nothing.most_usd) == (0.0, 0.0)


async def test_the_bound_of_jisi_counts_the_dearest_of_whoever_may_come(known: QuestionBank) -> None:
    cheap = await expect(crew(known), FULL, "jisi")
    dear = await expect(crew(known, merger={"price": Price(100.0, 100.0)}), FULL, "jisi")
    assert dear.cost_usd == cheap.cost_usd
    assert (dear.most_usd or 0) > 10 * (cheap.most_usd or 0)
    assert (await expect(crew(known, merger={"price": None}), FULL, "jisi")).most_usd is None


async def test_merging_that_is_switched_off_is_not_counted(known: QuestionBank) -> None:
    foreseen = await expect(crew(known), replace(FULL, guard=Guard(aggregate="never")), "smcs_guarded")
    assert (foreseen.calls, foreseen.aggregator, foreseen.most_calls) == (3, None, 3)


async def test_who_is_out_is_not_counted(known: QuestionBank) -> None:
    over = replace(crew(known), out={"adder": "circuit open"})
    assert "adder" not in (await expect(over, FULL)).referencers


async def test_what_cannot_run_cannot_be_estimated() -> None:
    with pytest.raises(ConfigError, match="give a question bank"):
        await expect(crew(None), FULL, "single")
