"""The strategy end to end with scripted LLMs: what is called, what is chosen, and what is recorded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers_strategies import SETTINGS, make_bank, member, resources, run, scripted
from smcs.errors import ConfigError, NoUsableAnswerError
from smcs.llms import ScriptedReply
from smcs.posterior import draw_subsets, drop_distribution
from smcs.run import (
    AttemptFinished,
    AttemptStarted,
    CandidateArrived,
    CandidatesScored,
    PriorFound,
    Run,
    RunFinished,
    RunStarted,
    SubsetsDrawn,
)
from smcs.strategies import Resources
from smcs.types import Capabilities, Price, Request

ACCURACY = {
    "adder": {"sums": 1.0, "cities": 0.1},
    "guide": {"sums": 0.1, "cities": 1.0},
    "half": {"sums": 0.5, "cities": 0.5},
    "poor": {"sums": 0.05, "cities": 0.05},
}


@pytest.fixture
async def team(tmp_path: Path) -> Resources:
    bank = await make_bank(tmp_path / "bank.db", ACCURACY)
    names = [*ACCURACY, "merger"]
    return resources(*(member(scripted(name)) for name in names), bank=bank)


def requests(team: Resources, name: str) -> list[Request]:
    return list(team.pool[name].llm.history)  # type: ignore[attr-defined]


async def test_the_llms_that_are_good_at_the_topic_are_recruited(team: Resources) -> None:
    sums, _ = await run(team, question="add the numbers 3 and 4")
    cities, _ = await run(team, question="which city lies at river 3 near hill 4")
    assert sums.referencers[0] == "adder"
    assert cities.referencers[0] == "guide"
    assert sums.priors[0].accuracy == pytest.approx(1.0)
    assert {question.task for question in sums.support} == {"sums"}
    assert sums.support_size >= 10


async def test_subsets_are_those_the_priors_and_the_seed_give(team: Resources) -> None:
    record, _ = await run(team)
    chosen = [next(p.prior for p in record.priors if p.llm == name) for name in record.referencers]
    expected = draw_subsets(
        drop_distribution(np.array(chosen, dtype=float)), size=2, n=4, rng=np.random.default_rng(SETTINGS.seed)
    )
    assert record.subsets == tuple(tuple(record.referencers[i] for i in subset) for subset in expected)


async def test_the_aggregator_sees_the_references_of_its_subset_best_prior_first(team: Resources) -> None:
    record, _ = await run(team)
    seen = [request.messages[0].content for request in requests(team, "merger")]
    for candidate in record.candidates:
        shown = "\n".join(
            f'<reference number="{i}">\nanswer of {name}\n</reference>' for i, name in enumerate(candidate.members, 1)
        )
        assert any(shown in prompt for prompt in seen)
        assert list(candidate.members) == sorted(candidate.members, key=record.referencers.index)


async def test_equal_subsets_are_one_request_where_n_is_supported(team: Resources) -> None:
    record, _ = await run(team)
    distinct = len(set(record.subsets))
    assert distinct < len(record.subsets)
    assert len(requests(team, "merger")) == distinct
    assert sum(request.n for request in requests(team, "merger")) == 4
    assert len(record.candidates) == 4
    assert record.calls == 3 + distinct


async def test_equal_subsets_are_single_requests_where_n_is_not_supported(tmp_path: Path) -> None:
    bank = await make_bank(tmp_path / "bank.db", ACCURACY)
    members = [member(scripted(name)) for name in ACCURACY]
    merger = member(scripted("merger", max_n=1))
    record, _ = await run(resources(*members, merger, bank=bank))
    assert record.calls == 3 + 4
    assert len(record.candidates) == 4


async def test_the_candidate_that_agrees_and_is_sure_wins(tmp_path: Path) -> None:
    bank = await make_bank(tmp_path / "bank.db", ACCURACY)
    replies = [
        ScriptedReply("the sum is seven", logprobs=(-0.5,)),
        ScriptedReply("the sum is seven", logprobs=(-0.1,)),
        ScriptedReply("an unrelated remark", logprobs=(-0.01,)),
        ScriptedReply("the sum is seven", logprobs=(-0.5,)),
    ]
    merger = member(scripted("merger", replies=replies, max_n=1), capabilities=Capabilities(logprobs=True, max_n=1))
    record, _ = await run(resources(*(member(scripted(name)) for name in ACCURACY), merger, bank=bank))
    assert record.answer == "the sum is seven"
    assert record.chosen is not None
    best = record.candidates[record.chosen]
    assert best.perplexity == pytest.approx(np.exp(0.1))
    assert best.similarity is not None
    assert best.score == pytest.approx(best.similarity + (1 - np.exp(0.1)))


async def test_events_tell_the_story_in_order_and_end_in_the_record(team: Resources) -> None:
    record, events = await run(team)
    kinds = [type(event) for event in events]
    assert kinds[0] is RunStarted
    assert kinds[1:3] == [PriorFound, SubsetsDrawn]
    assert kinds[-2:] == [CandidatesScored, RunFinished]
    assert kinds.count(AttemptStarted) == kinds.count(AttemptFinished) == record.calls
    assert kinds.count(CandidateArrived) == 4
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert last.run == record


async def test_the_record_adds_up_and_survives_json(team: Resources) -> None:
    record, _ = await run(team)
    assert record.degraded == ()
    assert record.usage.completion_tokens == sum(a.usage.completion_tokens or 0 for a in record.attempts)
    assert record.cost_usd == pytest.approx(sum(a.cost_usd or 0 for a in record.attempts))
    assert record.settings["subset_seed"] == 7
    assert set(record.stage_seconds) == {"retrieval", "references", "exploration", "scoring"}
    assert Run.from_json(record.to_json()) == record


async def test_one_unknown_price_makes_the_cost_unknown_not_smaller(tmp_path: Path) -> None:
    bank = await make_bank(tmp_path / "bank.db", ACCURACY)
    members = [member(scripted(name), price=None if name == "adder" else Price(1, 1)) for name in [*ACCURACY, "merger"]]
    record, _ = await run(resources(*members, bank=bank))
    assert record.cost_usd is None
    assert record.known_cost_usd > 0


async def test_a_small_pool_clamps_k_and_drop(tmp_path: Path) -> None:
    bank = await make_bank(tmp_path / "bank.db", {"adder": ACCURACY["adder"]})
    record, _ = await run(resources(member(scripted("adder")), aggregators=("adder",), bank=bank))
    assert record.referencers == ("adder",)
    assert record.subsets == (("adder",),) * 4
    assert record.degraded == ()


async def test_without_a_bank_priors_are_equal_and_the_run_says_so() -> None:
    record, _ = await run(resources(*(member(scripted(name)) for name in ["a", "b", "merger"])))
    assert record.degraded == ("no question bank: every LLM has the same prior",)
    assert [p.drop_weight for p in record.priors] == pytest.approx([1 / 3] * 3)


async def test_an_llm_the_bank_does_not_know_comes_last_and_is_named(tmp_path: Path) -> None:
    bank = await make_bank(tmp_path / "bank.db", {name: ACCURACY[name] for name in ("adder", "half")})
    team = resources(
        *(member(scripted(name)) for name in ("newcomer", "half", "adder")), aggregators=("half",), bank=bank
    )
    record, _ = await run(team)
    assert record.referencers == ("adder", "half", "newcomer")
    assert record.priors[-1].prior is None
    assert any("newcomer" in reason for reason in record.degraded)


async def test_official_compat_skips_the_prior_when_everyone_is_asked(team: Resources) -> None:
    record, _ = await run(team, replace(SETTINGS, k=5, compat="official"))
    assert record.referencers == tuple(team.pool)
    weights = [p.drop_weight for p in record.priors]
    assert weights == pytest.approx([0.2] * 5)


async def test_nothing_usable_raises_one_error_with_every_cause(tmp_path: Path) -> None:
    bank = await make_bank(tmp_path / "bank.db", ACCURACY)
    names = [*ACCURACY, "merger"]
    team = resources(*(member(scripted(name, failures="refused")) for name in names), bank=bank)
    with pytest.raises(NoUsableAnswerError) as caught:
        await run(team)
    assert len(caught.value.causes) == 4
    assert sum("reference by" in cause for cause in caught.value.causes) == 3
    assert "aggregation by merger" in caught.value.causes[-1]


def test_resources_refuse_an_aggregator_outside_the_pool() -> None:
    with pytest.raises(ConfigError, match="'ghost' is not in the pool"):
        resources(member(scripted("a")), aggregators=("ghost",))


async def test_cancelling_a_run_leaves_no_task_behind(tmp_path: Path) -> None:
    bank = await make_bank(tmp_path / "bank.db", ACCURACY)
    team = resources(*(member(scripted(name, failures="hang")) for name in [*ACCURACY, "merger"]), bank=bank)
    before = asyncio.all_tasks()
    task = asyncio.create_task(run(team))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
