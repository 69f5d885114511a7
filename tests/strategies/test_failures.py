"""Everything that can go wrong in a run: it still ends in an answer where one is possible, and the record says why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from helpers_strategies import SETTINGS, make_bank, member, resources, run, scripted
from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder, Vectors
from smcs.errors import EmbedderError
from smcs.llms import ScriptedReply
from smcs.types import Capabilities, Price

NAMES = ("adder", "half", "poor")
ACCURACY = {"adder": {"sums": 1.0}, "half": {"sums": 0.5}, "poor": {"sums": 0.1}}


@pytest.fixture
async def bank(tmp_path: Path) -> QuestionBank:
    return await make_bank(tmp_path / "bank.db", ACCURACY)


@pytest.mark.parametrize("failure", ["error", "refused", "disconnect", "timeout", "malformed", "empty"])
async def test_a_lost_reference_leaves_its_subsets(bank: QuestionBank, failure: str) -> None:
    team = resources(
        member(scripted("adder", failures=failure)),
        *(member(scripted(name)) for name in ("half", "poor", "merger")),
        bank=bank,
    )
    record, _ = await run(team)
    assert record.answer == "answer of merger"
    assert len(record.candidates) == 4
    assert all("adder" not in candidate.members for candidate in record.candidates)
    assert [a.llm for a in record.failures] == ["adder"]
    assert any("reference lost: adder" in reason for reason in record.degraded)


async def test_an_answer_far_longer_than_max_tokens_is_no_answer(bank: QuestionBank) -> None:
    sampling = replace(SETTINGS.sampling, max_tokens=100)
    team = resources(
        member(scripted("adder", replies=["x" * 2_000_000])),
        *(member(scripted(name)) for name in ("half", "poor")),
        member(scripted("merger", failures="refused")),
        bank=bank,
    )
    record, _ = await run(team, replace(SETTINGS, sampling=sampling))
    assert record.answer == "answer of half"
    lost = next(a for a in record.attempts if a.llm == "adder")
    assert (lost.status, lost.error) == ("error", "the answer has 2,000,000 bytes, more than max_tokens=100 can be")


async def test_a_subset_that_lost_its_members_is_drawn_anew_among_the_survivors(bank: QuestionBank) -> None:
    dead = [member(scripted(name, failures="refused")) for name in ("adder", "half")]
    alive = [member(scripted(name)) for name in ("poor", "spare", "merger")]
    record, _ = await run(resources(*dead, *alive, bank=bank), replace(SETTINGS, k=4, drop=2))
    assert {candidate.members for candidate in record.candidates} == {("poor", "spare")}
    assert len(record.candidates) == 4


async def test_a_single_reference_is_the_answer_and_the_run_says_so(bank: QuestionBank) -> None:
    team = resources(
        member(scripted("adder", failures="refused")),
        member(scripted("half", failures="refused")),
        member(scripted("poor")),
        member(scripted("merger")),
        bank=bank,
    )
    record, _ = await run(team)
    assert (record.answer, record.answered_by, record.chosen) == ("answer of poor", "poor", None)
    assert any("no candidate" in reason for reason in record.degraded)


async def test_without_any_reference_the_aggregator_answers_alone(bank: QuestionBank) -> None:
    team = resources(
        *(member(scripted(name, failures="refused")) for name in NAMES), member(scripted("merger")), bank=bank
    )
    record, _ = await run(team)
    assert record.answer == "answer of merger"
    assert record.candidates[0].members == ()
    assert any("answers alone" in reason for reason in record.degraded)


async def test_the_next_aggregator_takes_over(bank: QuestionBank) -> None:
    team = resources(
        *(member(scripted(name)) for name in NAMES),
        member(scripted("merger", failures="error")),
        member(scripted("second")),
        aggregators=("merger", "second"),
        bank=bank,
    )
    record, _ = await run(team)
    assert record.answered_by == "second"
    assert len(record.candidates) == 4
    assert any("aggregation lost: merger" in reason for reason in record.degraded)


async def test_when_every_aggregator_fails_the_best_reference_answers(bank: QuestionBank) -> None:
    team = resources(
        *(member(scripted(name)) for name in NAMES), member(scripted("merger", failures="error")), bank=bank
    )
    record, _ = await run(team)
    assert (record.answer, record.answered_by) == ("answer of adder", "adder")
    assert record.candidates == ()


async def test_one_failed_aggregation_does_not_stop_the_others_of_the_only_aggregator(bank: QuestionBank) -> None:
    merger = member(
        scripted("merger", failures=["empty"], max_n=1),
        capabilities=Capabilities(logprobs=True, max_n=1, concurrent_prefix=False),
    )
    record, _ = await run(resources(*(member(scripted(name)) for name in NAMES), merger, bank=bank))
    assert len(record.candidates) == 4
    assert any("aggregation lost: merger (empty" in reason for reason in record.degraded)


async def test_without_logprobs_similarity_decides_and_the_run_says_so(bank: QuestionBank) -> None:
    merger = member(scripted("merger", logprob=None))
    record, _ = await run(resources(*(member(scripted(name)) for name in NAMES), merger, bank=bank))
    assert record.chosen is not None
    best = record.candidates[record.chosen]
    assert best.perplexity is None
    assert best.score == best.similarity
    assert any("no usable log-probabilities from merger" in reason for reason in record.degraded)


async def test_nan_logprobs_count_as_none(bank: QuestionBank) -> None:
    merger = member(scripted("merger", failures="nan"))
    record, _ = await run(resources(*(member(scripted(name)) for name in NAMES), merger, bank=bank))
    assert record.answer == "answer of merger"
    assert any("log-probabilities" in reason for reason in record.degraded)


@pytest.mark.parametrize("bad", [float("nan"), float("-inf"), 2.0])
async def test_impossible_logprobs_of_a_custom_llm_count_as_none(bank: QuestionBank, bad: float) -> None:
    merger = member(scripted("merger", replies=[ScriptedReply("merged", logprobs=(-0.1, bad))]))
    record, _ = await run(resources(*(member(scripted(name)) for name in NAMES), merger, bank=bank))
    assert record.answer == "merged"
    assert all(candidate.perplexity is None for candidate in record.candidates)
    assert any("no usable log-probabilities" in reason for reason in record.degraded)


class _BrokenEmbedder(HashingEmbedder):
    """Fails from the given call on."""

    def __init__(self, good_calls: int) -> None:
        super().__init__()
        self._left = good_calls

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self._left -= 1
        if self._left < 0:
            raise EmbedderError("the embedder is down")
        return await super().embed(texts)


@pytest.mark.parametrize("good_calls", [0, 1])
async def test_a_broken_embedder_degrades_the_run(bank: QuestionBank, good_calls: int) -> None:
    team = replace(
        resources(*(member(scripted(name)) for name in (*NAMES, "merger")), bank=bank),
        embedder=_BrokenEmbedder(good_calls),
    )
    record, _ = await run(team)
    assert record.answer == "answer of merger"
    assert record.referencers[0] == "adder"
    assert any("the embedder is down" in reason for reason in record.degraded)


async def test_stragglers_are_cut_and_their_calls_cancelled(bank: QuestionBank) -> None:
    team = resources(
        member(scripted("adder", latency=0.05)),
        member(scripted("half", latency=0.05)),
        member(scripted("poor", failures="hang")),
        member(scripted("merger")),
        bank=bank,
    )
    record, _ = await run(team, replace(SETTINGS, drop=0, straggler_cut=1.5))
    late = next(a for a in record.attempts if a.llm == "poor")
    assert late.status == "cancelled"
    assert "straggler" in (late.error or "")
    assert any("references given up: poor" in reason for reason in record.degraded)
    assert len(record.candidates) == 4


async def test_a_quorum_with_a_clear_leader_ends_the_run(bank: QuestionBank) -> None:
    merger = member(
        scripted("merger", replies=["the same"], max_n=1, failures=[None, None, "hang", "hang"]),
        capabilities=Capabilities(logprobs=True, max_n=1),
    )
    team = resources(*(member(scripted(name)) for name in NAMES), merger, bank=bank)
    record, _ = await run(team, replace(SETTINGS, quorum=0.5))
    assert len(record.candidates) == 2
    assert [a.status for a in record.attempts].count("cancelled") == 2
    assert "2 of 4 candidates were scored" in record.degraded


async def test_a_cancelled_call_of_a_free_llm_costs_nothing(bank: QuestionBank) -> None:
    free = Price(0.0, 0.0)
    merger = member(
        scripted("merger", replies=["the same"], max_n=1, failures=[None, None, "hang", "hang"]),
        capabilities=Capabilities(logprobs=True, max_n=1),
        price=free,
    )
    team = resources(*(member(scripted(name), price=free) for name in NAMES), merger, bank=bank)
    record, _ = await run(team, replace(SETTINGS, quorum=0.5))
    assert [a.status for a in record.attempts].count("cancelled") == 2
    assert record.cost_usd == 0.0


async def test_a_quorum_without_a_clear_leader_waits_for_all(bank: QuestionBank) -> None:
    replies = [ScriptedReply(text, logprobs=(-0.1,)) for text in ("one", "two", "three", "four")]
    merger = member(
        scripted("merger", replies=replies, max_n=1, latency=0.01), capabilities=Capabilities(logprobs=True, max_n=1)
    )
    team = resources(*(member(scripted(name)) for name in NAMES), merger, bank=bank)
    record, _ = await run(team, replace(SETTINGS, quorum=0.5, quorum_lead=10))
    assert len(record.candidates) == 4


async def test_max_calls_shrinks_n_then_k(bank: QuestionBank) -> None:
    team = resources(*(member(scripted(name)) for name in (*NAMES, "merger")), bank=bank)
    record, _ = await run(team, replace(SETTINGS, max_calls=4))
    assert (record.settings["k"], record.settings["n"]) == (3, 1)
    assert record.calls == 4
    assert any("max_calls=4" in reason for reason in record.degraded)
    two, _ = await run(team, replace(SETTINGS, max_calls=2))
    assert two.calls == 2
    one, _ = await run(team, replace(SETTINGS, max_calls=1))
    assert one.calls == 1
    assert one.answered_by == "adder"


async def test_retaking_by_the_second_aggregator_never_passes_max_calls(bank: QuestionBank) -> None:
    team = resources(
        *(member(scripted(name)) for name in NAMES),
        member(scripted("merger", failures="error", max_n=1), capabilities=Capabilities(max_n=1)),
        member(scripted("second")),
        aggregators=("merger", "second"),
        bank=bank,
    )
    record, _ = await run(team, replace(SETTINGS, max_calls=7))
    assert record.calls == 7
    assert any(a.status == "skipped" for a in record.attempts)
    assert record.answered_by == "adder"


async def test_max_seconds_ends_a_run_whose_llms_hang(bank: QuestionBank) -> None:
    team = resources(
        member(scripted("adder")),
        member(scripted("half")),
        member(scripted("poor", failures="hang")),
        member(scripted("merger", failures="hang")),
        bank=bank,
    )
    begun = time.perf_counter()
    record, _ = await run(team, replace(SETTINGS, max_seconds=3))
    assert time.perf_counter() - begun < 30
    assert record.answer == "answer of adder"
    assert {a.status for a in record.failures} <= {"cancelled", "timeout", "skipped"}


async def test_max_usd_is_held_by_reserving_the_worst_case(bank: QuestionBank) -> None:
    price = Price(0.0, 1000.0)
    team = resources(*(member(scripted(name), price=price) for name in (*NAMES, "merger")), bank=bank)
    sampling = replace(SETTINGS.sampling, max_tokens=10)
    record, _ = await run(team, replace(SETTINGS, max_usd=0.025, sampling=sampling))
    assert [a.status for a in record.references].count("ok") == 2
    assert record.cost_usd is not None
    assert record.cost_usd <= 0.025
    assert any("max_usd" in (a.error or "") for a in record.attempts)


async def test_an_unknown_price_is_not_free_under_a_money_cap(bank: QuestionBank) -> None:
    team = resources(
        member(scripted("adder"), price=None), *(member(scripted(n)) for n in ("half", "poor", "merger")), bank=bank
    )
    record, _ = await run(team, replace(SETTINGS, max_usd=100))
    skipped = next(a for a in record.attempts if a.llm == "adder")
    assert skipped.status == "skipped"
    assert "give it a price" in (skipped.error or "")


async def test_an_endpoint_that_does_not_share_prefixes_gets_one_call_at_a_time(bank: QuestionBank) -> None:
    busy, most = 0, 0
    merger = scripted("merger", max_n=1, latency=0.01)
    complete = merger.complete

    async def counted(*args: object, **kwargs: object) -> object:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        try:
            return await complete(*args, **kwargs)  # type: ignore[arg-type]
        finally:
            busy -= 1

    merger.complete = counted  # type: ignore[method-assign, assignment]
    capabilities = Capabilities(logprobs=True, max_n=1, concurrent_prefix=False)
    team = resources(*(member(scripted(n)) for n in NAMES), member(merger, capabilities=capabilities), bank=bank)
    record, _ = await run(team)
    assert most == 1
    assert len(record.candidates) == 4


async def test_references_are_shortened_to_the_aggregators_window(bank: QuestionBank) -> None:
    long = "begin " + "x" * 60_000 + " end"
    team = resources(
        member(scripted("adder", replies=[long])),
        *(member(scripted(name)) for name in ("half", "poor")),
        member(scripted("merger"), context_window=8_000),
        bank=bank,
    )
    record, _ = await run(team)
    prompts = [request.messages[0].content for request in team.pool["merger"].llm.history]  # type: ignore[attr-defined]
    assert all(len(prompt) < 3 * 8_000 for prompt in prompts)
    assert any("begin " in prompt and " end" in prompt and "answer of" in prompt for prompt in prompts)
    assert any("shortened" in reason for reason in record.degraded)
    await asyncio.sleep(0)
