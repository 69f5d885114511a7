"""Single LLM, Simple Router and RPS routing: who is asked, who is asked next, and what the record says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers_methods import NAMES, choice_query, requests, team
from helpers_strategies import SETTINGS, run
from smcs.bank import QuestionBank
from smcs.errors import ConfigError, NoUsableAnswerError
from smcs.run import CandidateArrived, Event, Query, TextArrived, Trace
from smcs.strategies import Prompts, Resources, strategy
from smcs.types import Message


def asked(over: Resources) -> dict[str, int]:
    return {name: count for name in over.pool if (count := len(requests(over, name)))}


async def test_single_is_the_best_on_the_whole_bank(known: QuestionBank) -> None:
    over = team(known)
    record, events = await run(over, name="single", question=choice_query(task="sums"))
    assert (record.strategy, record.answer, record.answered_by) == ("single", "answer of guide", "guide")
    assert record.notes["llm"] == {"name": "guide", "why": "best on the whole bank", "accuracy": pytest.approx(0.6)}
    assert [(c.llm, c.members, c.text) for c in record.candidates] == [("guide", (), "answer of guide")]
    assert (record.chosen, record.degraded, record.calls) == (0, (), 1)
    assert asked(over) == {"guide": 1}
    assert [event.candidate for event in events if isinstance(event, CandidateArrived)] == list(record.candidates)


async def test_single_is_the_named_llm_and_needs_no_bank_then() -> None:
    record, _ = await run(team(None), replace(SETTINGS, llm="half"), name="single")
    assert (record.answer, record.notes["llm"]) == ("answer of half", {"name": "half", "why": "named"})
    assert record.settings["llm"] == "half"


async def test_single_falls_back_on_nobody(known: QuestionBank) -> None:
    over = team(known, {"guide": {"failures": "refused"}})
    with pytest.raises(NoUsableAnswerError) as error:
        await run(over, name="single")
    assert error.value.causes == ("reference by guide: error (HTTP 400: scripted refusal)",)
    assert asked(over) == {"guide": 1}


@pytest.mark.parametrize("name", ["single", "simple_router", "self_consistency", "self_moa", "best_of_n"])
async def test_without_a_bank_nothing_says_who_is_the_best(name: str) -> None:
    over = team(None)
    with pytest.raises(ConfigError, match="give a question bank, or name the LLM"):
        await run(over, name=name)
    assert asked(over) == {}


async def test_a_bank_that_knows_none_of_the_pool_is_refused(known: QuestionBank) -> None:
    over = team(known, names=("new", "newer"), aggregators=("new",))
    for name in ("single", "simple_router", "symbolic_moe"):
        with pytest.raises(ConfigError, match=r"no graded outcome of an LLM of the pool \(new, newer\)"):
            await run(over, name=name)
    assert asked(over) == {}


async def test_an_unknown_llm_is_refused_with_a_suggestion(known: QuestionBank) -> None:
    with pytest.raises(ConfigError, match=r"The pool has no LLM 'hlaf'\. Did you mean 'half'"):
        await run(team(known), replace(SETTINGS, llm="hlaf"), name="single")


async def test_single_streams_its_text(known: QuestionBank) -> None:
    events: list[Event] = []
    await strategy("single")(Query.of("q"), team(known), SETTINGS, Trace(events.append, wants_text=True))
    assert "".join(event.text for event in events if isinstance(event, TextArrived)) == "answer of guide"


async def test_a_router_shows_what_every_reference_is_shown(known: QuestionBank) -> None:
    over = replace(team(known), prompts=Prompts(reference="Think first."))
    for name in ("single", "simple_router", "rps", "majority_vote", "moa", "self_consistency", "symbolic_moe", "smcs"):
        await run(over, replace(SETTINGS, samples=1), name=name, question=choice_query(task="cities"))
    shown = {request.messages for request in requests(over, "guide")}
    assert shown == {(Message("system", "Think first."), Message("user", choice_query().text))}


@pytest.mark.parametrize(("task", "best"), [("sums", "adder"), ("cities", "guide")])
async def test_the_simple_router_asks_the_best_on_the_task(known: QuestionBank, task: str, best: str) -> None:
    over = team(known)
    record, _ = await run(over, name="simple_router", question=choice_query("anything", task=task))
    assert (record.answered_by, record.degraded) == (best, ())
    assert record.notes["llm"] == {"name": best, "why": "best on the task", "task": task, "accuracy": 1.0}
    assert asked(over) == {best: 1}


@pytest.mark.parametrize("task", ["", "unheard of"])
async def test_without_a_known_task_the_best_overall_is_asked(known: QuestionBank, task: str) -> None:
    record, _ = await run(team(known), name="simple_router", question=choice_query(task=task))
    assert record.answered_by == "guide"
    assert record.notes["llm"]["why"] == "best on the whole bank"


async def test_the_next_best_on_the_task_takes_over(known: QuestionBank) -> None:
    over = team(known, {"adder": {"failures": "refused"}, "half": {"failures": "empty"}})
    record, _ = await run(over, name="simple_router", question=choice_query(task="sums"))
    assert [a.llm for a in record.attempts] == ["adder", "half", "guide"]
    assert (record.answer, record.answered_by) == ("answer of guide", "guide")
    assert record.degraded == (
        "adder did not answer (error: HTTP 400: scripted refusal), half is asked",
        "half did not answer (empty: the answer holds no text), guide is asked",
    )


@pytest.mark.parametrize(
    ("question", "best"), [("add the numbers 3 and 4", "adder"), ("which city lies at river 3 near hill 4", "guide")]
)
async def test_rps_asks_the_best_prior(known: QuestionBank, question: str, best: str) -> None:
    over = team(known)
    record, _ = await run(over, name="rps", question=question)
    assert (record.answered_by, record.referencers, record.degraded) == (best, (best,), ())
    assert (record.settings["k"], record.calls) == (1, 1)
    assert record.priors[0].llm == best
    assert len(record.priors) == len(NAMES)
    assert record.support_size >= SETTINGS.support_base
    assert asked(over) == {best: 1}
    full, _ = await run(over, question=question)
    assert [p.prior for p in record.priors] == [p.prior for p in full.priors]


async def test_rps_falls_back_by_prior_and_the_run_says_so(known: QuestionBank) -> None:
    record, _ = await run(team(known, {"adder": {"failures": "error"}}), name="rps")
    assert [a.llm for a in record.attempts] == ["adder", "half"]
    assert record.answered_by == "half"
    assert record.degraded == ("adder did not answer (error: HTTP 500: scripted failure), half is asked",)


async def test_rps_lists_every_cause_when_nobody_answers(known: QuestionBank) -> None:
    with pytest.raises(NoUsableAnswerError) as error:
        await run(team(known, {name: {"failures": "refused"} for name in NAMES}), name="rps")
    assert len(error.value.causes) == len(NAMES)


async def test_rps_stops_at_max_calls(known: QuestionBank) -> None:
    over = team(known, {"adder": {"failures": "refused"}})
    with pytest.raises(NoUsableAnswerError, match="max_calls=1 is used up"):
        await run(over, replace(SETTINGS, max_calls=1), name="rps")
    assert asked(over) == {"adder": 1}


async def test_rps_without_a_bank_asks_the_first_and_says_so() -> None:
    record, _ = await run(team(None), name="rps")
    assert record.answered_by == "adder"
    assert record.degraded == ("no question bank: every LLM has the same prior",)
