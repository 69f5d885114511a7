"""A referencer whose call fails: who takes its place, what the record says, and when nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_methods import NAMES, choice_query, requests, says, team
from helpers_strategies import SETTINGS, run
from smcs.bank import QuestionBank
from smcs.errors import LLMError, NoUsableAnswerError
from smcs.llms import Breaker, BreakerLLM, DeltaSink, Member
from smcs.run import Query, Replaced, Run, Trace
from smcs.strategies import PROFILES, Resources, profile
from smcs.strategies.calls import Caller
from smcs.strategies.references import References
from smcs.types import Choice, Completion, Price, Request

MERGER = ("merger",)
ALL = (*NAMES, "merger")
REPLACING = replace(SETTINGS, k=2, n=2, drop=0, replace_failed=True)
REFUSED = {"failures": "refused"}
LOST = "reference lost: adder (error: HTTP 400: scripted refusal)"


def crew(bank: QuestionBank | None, scripts: Mapping[str, Mapping[str, Any]], **facts: Mapping[str, Any]) -> Resources:
    """Return four LLMs the bank knows (best prior for sums first: adder, half, guide, poor), and one that merges."""
    over = team(bank, scripts, names=ALL, aggregators=MERGER, facts=facts)
    pool = {name: over.pool[name] for name in NAMES}
    return replace(over, pool=pool, mergers={"merger": over.pool["merger"]})


def test_only_the_papers_profile_leaves_a_place_empty() -> None:
    assert {name for name, values in PROFILES.items() if not values.replace_failed} == {"paper"}
    assert profile("paper").to_dict() == {
        name: value for name, value in replace(profile("paper"), replace_failed=True).to_dict().items()
        if name != "replace_failed"
    }  # fmt: skip


async def test_the_next_by_prior_takes_the_place(known: QuestionBank) -> None:
    whole, _ = await run(crew(known, {}), REPLACING)
    record, events = await run(crew(known, {"adder": REFUSED}), REPLACING)
    assert (whole.referencers, record.referencers) == (("adder", "half"), ("guide", "half"))
    assert record.notes["replaced"] == [["adder", "guide"]]
    assert [(e.lost, e.by) for e in events if isinstance(e, Replaced)] == [("adder", "guide")]
    assert record.degraded == (f"{LOST}; guide took its place",)
    assert set(record.subsets) == {candidate.members for candidate in record.candidates} == {("guide", "half")}
    assert (record.answer, len(record.candidates)) == ("answer of merger", 2)
    before = {estimate.llm: estimate.drop_weight for estimate in whole.priors}
    after = {estimate.llm: estimate.drop_weight for estimate in record.priors}
    assert after == before | {"adder": None, "guide": before["adder"]}
    assert [(e.llm, e.prior) for e in record.priors] == [(e.llm, e.prior) for e in whole.priors]
    assert Run.from_json(record.to_json()) == record


async def test_a_stand_in_that_fails_gives_way_to_the_next(known: QuestionBank) -> None:
    record, _ = await run(crew(known, {"adder": REFUSED, "guide": {"failures": "empty"}}), REPLACING)
    assert record.referencers == ("poor", "half")
    assert record.notes["replaced"] == [["adder", "guide"], ["guide", "poor"]]
    weights = {estimate.llm: estimate.drop_weight for estimate in record.priors}
    assert {name for name, weight in weights.items() if weight is None} == {"adder", "guide"}


async def test_where_nobody_is_left_the_place_stays_empty(known: QuestionBank) -> None:
    record, _ = await run(crew(known, {"adder": REFUSED, "half": REFUSED, "guide": REFUSED}), replace(REPLACING, k=3))
    assert record.notes["replaced"] == [["adder", "poor"]]
    assert record.referencers == ("poor", "half", "guide")
    assert record.degraded[1:3] == (LOST.replace("adder", "half"), LOST.replace("adder", "guide"))
    assert (record.answer, record.chosen) == ("answer of poor", None)


@pytest.mark.parametrize("name", ["smcs", "smcs_guarded", "prior_vote", "symbolic_moe", "jisi"])
async def test_whatever_recruits_some_of_many_makes_up_for_a_failure(known: QuestionBank, name: str) -> None:
    scripts = {llm: says("A") for llm in NAMES}
    query = choice_query(task="sums")
    whole, _ = await run(crew(known, scripts), REPLACING, name=name, question=query)
    lost = whole.referencers[0]
    record, _ = await run(crew(known, {**scripts, lost: REFUSED}), REPLACING, name=name, question=query)
    ((out, by),) = record.notes["replaced"]
    assert (out, record.referencers) == (lost, (by, *whole.referencers[1:]))
    assert by not in whole.referencers
    assert {a.llm for a in record.references if a.status == "ok"} == set(record.referencers)
    assert all(lost not in (candidate.llm, *candidate.members) for candidate in record.candidates)
    assert [a.llm for a in record.attempts].count(lost) == 1
    assert record.degraded[0] == f"{LOST.replace('adder', lost)}; {by} took its place"


async def test_a_stand_in_votes_with_its_own_weight(known: QuestionBank) -> None:
    query = choice_query()
    everyone, _ = await run(crew(known, {}), replace(REPLACING, k=4), name="prior_vote", question=query)
    scripts = {"adder": REFUSED, "half": says("B"), "guide": says("C")}
    record, _ = await run(crew(known, scripts), REPLACING, name="prior_vote", question=query)
    assert list(record.notes["vote_weights"]) == ["adder", "half", "guide"]
    weights = everyone.notes["vote_weights"]
    assert record.notes["vote_weights"] == {name: weights[name] for name in record.notes["vote_weights"]}
    assert weights["half"] > weights["guide"]
    assert (record.answer, [c.draw for c in record.candidates]) == ("The answer is B.", [0, 1])


async def test_calls_are_kept_for_the_aggregations(known: QuestionBank) -> None:
    tight, _ = await run(crew(known, {"adder": REFUSED}), replace(REPLACING, max_calls=4))
    assert (tight.degraded[0], "replaced" in tight.notes) == (LOST, False)
    roomy, _ = await run(crew(known, {"adder": REFUSED}), replace(REPLACING, max_calls=5))
    assert roomy.notes["replaced"] == [["adder", "guide"]]
    assert roomy.answered_by == "merger"


async def test_whom_the_money_does_not_reach_is_passed_over(known: QuestionBank) -> None:
    over = crew(known, {"adder": REFUSED}, guide={"price": None})
    record, _ = await run(over, replace(REPLACING, max_usd=100))
    assert record.notes["replaced"] == [["adder", "poor"]]
    assert not requests(over, "guide")
    # An answer is held at 8,192 tokens of 2 USD per million, and what the failed call may have cost stays held: a
    # stand-in would take more than 60% of the money, and so leave too little for two merged answers.
    cents, _ = await run(crew(known, {"adder": REFUSED}), replace(REPLACING, k=3, max_usd=0.052))
    assert ("replaced" in cents.notes, cents.answered_by) == (False, "merger")


async def test_an_unpriced_referencer_makes_room_for_a_priced_one_under_a_cap(known: QuestionBank) -> None:
    record, _ = await run(crew(known, {}, adder={"price": None}), replace(REPLACING, max_usd=100))
    assert record.referencers == ("guide", "half")
    assert record.degraded[0].startswith("reference lost: adder (skipped: max_usd is set")


class _Clocked:
    """An LLM that answers or fails in its turn, at a time of its choice on the run's clock."""

    def __init__(self, now: list[float], at: float, turn: asyncio.Event, *, fails: bool = False) -> None:
        self._now, self._at, self._turn, self._fails = now, at, turn, fails
        self.done = asyncio.Event()

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        await self._turn.wait()
        self._now[0] = self._at
        asyncio.get_running_loop().call_soon(self.done.set)
        if self._fails:
            raise LLMError("too bad", llm="late")
        return Completion((Choice("fine"),))


@pytest.mark.parametrize(("at", "replaced"), [(1.5, True), (2.5, False)])
async def test_a_failure_that_cannot_be_made_up_for_in_time_is_not(at: float, replaced: bool) -> None:
    now = [0.0]
    trace = Trace()
    trace.clock = lambda: now[0]  # type: ignore[method-assign]
    trace.start("test", Query.of("q"), {})
    start = asyncio.Event()
    start.set()
    first = _Clocked(now, 1.0, start)
    second = _Clocked(now, 1.0, first.done)
    late = _Clocked(now, at, second.done, fails=True)
    spare = _Clocked(now, at + 0.5, start)
    members = [Member("first", first), Member("second", second), Member("late", late)]
    # Two of three are in at 1 s, so the cut is at 3 s, and a new answer takes another second.
    values = replace(SETTINGS, straggler_cut=3.0, replace_failed=True)
    references = References(members, Caller(trace, values), trace, values, reserves=[Member("spare", spare)])
    await references.gather(Query.of("q").messages)
    assert references.names[2] == ("spare" if replaced else "late")
    assert sorted(references.texts) == ([0, 1, 2] if replaced else [0, 1])


async def test_what_is_late_is_not_made_up_for(known: QuestionBank) -> None:
    over = crew(known, {"guide": {"failures": "hang"}})
    record, _ = await run(over, replace(REPLACING, k=3, straggler_cut=1.01))
    assert any("references given up: guide" in reason for reason in record.degraded)
    assert "replaced" not in record.notes
    assert not requests(over, "poor")


@pytest.mark.parametrize("name", ["single", "self_consistency", "best_of_n", "self_moa"])
async def test_the_best_llm_gives_way_to_the_next_best(known: QuestionBank, name: str) -> None:
    over = crew(known, {"guide": REFUSED})
    record, _ = await run(over, REPLACING, name=name)
    assert {a.llm for a in record.references} == {"guide", "adder"}
    assert record.notes["replaced"] == [["guide", "adder"]]
    assert any("adder is asked" in reason for reason in record.degraded)
    named = crew(known, {"guide": REFUSED})
    with pytest.raises(NoUsableAnswerError):
        await run(named, replace(REPLACING, llm="guide"), name=name)
    assert not requests(named, "adder")
    everyone = crew(known, dict.fromkeys(NAMES, REFUSED))
    with pytest.raises(NoUsableAnswerError) as error:
        await run(everyone, REPLACING, name=name)
    assert all(any(f"by {llm}:" in cause for cause in error.value.causes) for llm in NAMES)


async def test_the_record_of_a_router_names_who_answered(known: QuestionBank) -> None:
    for values, referencers in ((SETTINGS, ("adder",)), (REPLACING, ("half",))):
        record, _ = await run(crew(known, {"adder": REFUSED}), values, name="rps")
        assert (record.answered_by, record.referencers) == ("half", referencers)
        assert ("replaced" in record.notes) == values.replace_failed


@settings(max_examples=15)
@given(dead=st.sets(st.sampled_from(NAMES), max_size=3), k=st.integers(1, 4), seed=st.integers(0, 99))
def test_no_place_stays_empty_as_long_as_somebody_is_left(
    known: QuestionBank, dead: set[str], k: int, seed: int
) -> None:
    over = crew(known, dict.fromkeys(dead, REFUSED))
    values = replace(REPLACING, k=k, n=3, drop=min(1, k - 1), seed=seed)
    record, _ = asyncio.run(run(over, values))
    answered = [a.llm for a in record.references if a.status == "ok"]
    assert len(answered) == min(k, len(NAMES) - len(dead))
    assert set(answered) <= set(record.referencers)
    assert len(record.referencers) == len(set(record.referencers)) == k
    assert all(len(requests(over, name)) <= 1 for name in NAMES)
    assert all(set(subset) <= set(record.referencers) for subset in record.subsets)
    assert {e.llm for e in record.priors if e.drop_weight is not None} == set(record.referencers)
    lost = {pair[0] for pair in record.notes.get("replaced", [])}
    assert lost <= dead
    assert not lost & set(record.referencers)


def test_prices_of_the_crew_are_those_the_money_tests_count_with(known: QuestionBank) -> None:
    assert {member.price for member in crew(known, {}).pool.values()} == {Price(1.0, 2.0)}


async def test_a_call_that_an_open_circuit_refuses_uses_up_no_call(known: QuestionBank) -> None:
    whole, breaker = crew(known, {}), Breaker(1)
    with suppress(LLMError), breaker.watch("adder"):
        raise LLMError("HTTP 503: busy", llm="adder", http_status=503)
    adder = whole.pool["adder"]
    guarded = replace(adder, llm=BreakerLLM(adder.llm, breaker))
    over = replace(whole, pool={**whole.pool, "adder": guarded})
    record, _ = await run(over, replace(REPLACING, max_calls=4))
    assert (record.referencers, len(record.candidates), record.calls) == (("guide", "half"), 2, 3)
    assert [(each.llm, each.status) for each in record.attempts if each.status != "ok"] == [("adder", "skipped")]
    assert not requests(whole, "adder")
