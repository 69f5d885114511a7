"""Mixture-of-Agents, Self-MoA and Symbolic-MoE: who is asked what, what is merged, and what is left when calls fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from helpers_methods import NAMES, choice_query, requests, team
from helpers_strategies import SETTINGS, run
from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder, Vectors
from smcs.errors import EmbedderError, NoUsableAnswerError
from smcs.run import CandidateArrived, PriorFound
from smcs.strategies import Prompts, Resources
from smcs.strategies.knowledge import Knowledge
from smcs.strategies.symbolic_moe import suitabilities
from smcs.types import Capabilities, Message

MERGER = ("merger",)
ALL = (*NAMES, "merger")


def merging(bank: QuestionBank | None, scripts: Mapping[str, Mapping[str, Any]] | None = None) -> Resources:
    """Return four LLMs the bank knows, a merger, and a second one."""
    return team(bank, scripts, names=(*ALL, "second"), aggregators=("merger", "second"))


def prompt(texts: list[str], question: str) -> tuple[Message, ...]:
    return Prompts().for_aggregation((Message("user", question),), texts)


async def test_moa_merges_what_every_llm_says_in_the_order_of_the_pool() -> None:
    over = team(None, names=ALL, aggregators=MERGER)
    record, events = await run(over, replace(SETTINGS, k=2), name="moa", question="q")
    assert requests(over, "merger")[0].messages == (Message("user", "q"),)
    texts = [f"answer of {name}" for name in ALL]
    assert requests(over, "merger")[1].messages == prompt(texts, "q")
    assert (record.answer, record.answered_by, record.chosen) == ("answer of merger", "merger", 0)
    assert [(c.llm, c.members, c.draw) for c in record.candidates] == [("merger", ALL, 0)]
    assert record.candidates[0].perplexity is not None
    assert (record.calls, record.degraded, record.priors, record.settings["k"]) == (6, (), (), 5)
    assert [event.candidate.members for event in events if isinstance(event, CandidateArrived)] == [ALL]


async def test_in_later_layers_every_llm_sees_all_answers_of_the_layer_before() -> None:
    over = team(
        None,
        {name: {"replies": [f"{name} 1", f"{name} 2", f"{name} 3"]} for name in ("a", "b")},
        names=("a", "b"),
        aggregators=("b",),
    )
    record, _ = await run(over, replace(SETTINGS, layers=2), name="moa", question="q")
    assert [r.messages for r in requests(over, "a")] == [(Message("user", "q"),), prompt(["a 1", "b 1"], "q")]
    assert [r.messages for r in requests(over, "b")] == [
        (Message("user", "q"),),
        prompt(["a 1", "b 1"], "q"),
        prompt(["a 2", "b 2"], "q"),
    ]
    assert record.answer == "b 3"
    assert [a.stage for a in record.attempts] == ["reference"] * 2 + ["aggregation"] * 3
    assert len({r.sampling.seed for r in requests(over, "b")}) == 3
    assert record.calls == 5


async def test_an_llm_that_fails_in_one_layer_is_asked_again_in_the_next() -> None:
    over = team(None, {"a": {"failures": ["refused"]}}, names=("a", "b", "c"), aggregators=("c",))
    record, _ = await run(over, replace(SETTINGS, layers=2), name="moa", question="q")
    assert requests(over, "a")[1].messages == prompt(["answer of b", "answer of c"], "q")
    assert record.candidates[0].members == ("a", "b", "c")
    assert record.degraded == ("reference lost: a (error: HTTP 400: scripted refusal)",)


async def test_a_layer_in_which_nobody_answers_is_the_last() -> None:
    once = {name: {"failures": [None, "refused", None]} for name in ("a", "b")}
    over = team(None, once, names=("a", "b"), aggregators=("b",))
    record, _ = await run(over, replace(SETTINGS, layers=3), name="moa", question="q")
    assert record.candidates[0].members == ("a", "b")
    assert record.calls == 5
    assert "no LLM answered in layer 2: the answers of the layer before are merged" in record.degraded


async def test_layers_give_way_to_max_calls_before_llms() -> None:
    names = ("a", "b", "c")
    for most, layers, asked, calls in ((7, 2, 3, 7), (6, 1, 3, 4), (3, 1, 2, 3)):
        over = team(None, names=names, aggregators=("c",))
        record, _ = await run(over, replace(SETTINGS, layers=2, max_calls=most), name="moa")
        assert (record.settings["layers"], record.settings["k"], record.calls) == (layers, asked, calls)
        assert [reason.split(":")[0] for reason in record.degraded] == ([] if most == 7 else [f"max_calls={most}"])


async def test_self_moa_merges_samples_of_the_best_llm(known: QuestionBank) -> None:
    over = merging(known, {"adder": {"replies": ["one", "two", "three"]}})
    query = choice_query(task="sums")
    record, _ = await run(over, replace(SETTINGS, samples=3), name="self_moa", question=query)
    assert requests(over, "merger")[0].messages == prompt(["one", "two", "three"], query.text)
    assert [(c.llm, c.members) for c in record.candidates] == [("merger", ("adder",) * 3)]
    assert (record.answer, record.calls, record.degraded) == ("answer of merger", 2, ())
    assert record.notes["llm"]["name"] == "adder"


async def test_self_moa_keeps_a_call_for_the_aggregation(known: QuestionBank) -> None:
    over = team(known, names=ALL, aggregators=MERGER, facts={"guide": {"capabilities": Capabilities(max_n=1)}})
    record, _ = await run(over, replace(SETTINGS, max_calls=3), name="self_moa")
    assert (record.answered_by, record.calls) == ("merger", 3)
    assert record.degraded == ("max_calls=3: shrunk to samples=2",)


async def test_self_moa_without_a_sample_fails_with_every_cause(known: QuestionBank) -> None:
    with pytest.raises(NoUsableAnswerError, match="guide returned no answer"):
        await run(merging(known, {"guide": {"failures": "refused"}}), name="self_moa")


@pytest.mark.parametrize("name", ["moa", "self_moa", "symbolic_moe"])
async def test_the_next_aggregator_takes_over(known: QuestionBank, name: str) -> None:
    over = merging(known, {"merger": {"failures": "error"}})
    record, _ = await run(over, name=name)
    assert record.answered_by == "second"
    assert any("aggregation lost: merger" in reason for reason in record.degraded)


@pytest.mark.parametrize(("name", "first"), [("moa", "adder"), ("self_moa", "guide"), ("symbolic_moe", "adder")])
async def test_when_every_aggregator_fails_the_first_reference_answers(
    known: QuestionBank, name: str, first: str
) -> None:
    over = merging(known, {name: {"failures": "error"} for name in ("merger", "second")})
    record, _ = await run(over, name=name)
    assert (record.answer, record.answered_by, record.chosen) == (f"answer of {first}", first, None)
    assert f"nothing was merged: the answer is the reference of {first}" in record.degraded


async def test_one_reference_of_several_is_the_answer(known: QuestionBank) -> None:
    dead = {name: {"failures": "refused"} for name in ("adder", "half")}
    over = merging(known, dead)
    record, _ = await run(over, name="symbolic_moe")
    assert (record.answered_by, record.candidates, requests(over, "merger")) == ("guide", (), [])


async def test_without_a_reference_the_aggregator_answers_alone(known: QuestionBank) -> None:
    record, _ = await run(merging(known, {name: {"failures": "refused"} for name in NAMES}), name="symbolic_moe")
    assert (record.answer, record.candidates[0].members) == ("answer of merger", ())
    assert "no reference arrived: the aggregator answers alone" in record.degraded


@pytest.mark.parametrize("name", ["moa", "symbolic_moe"])
async def test_when_nothing_answers_every_cause_is_listed(known: QuestionBank, name: str) -> None:
    scripts = {llm: {"failures": "refused"} for llm in (*ALL, "second")}
    with pytest.raises(NoUsableAnswerError) as error:
        await run(merging(known, scripts), name=name)
    assert len(error.value.causes) == (8 if name == "moa" else 5)


async def test_symbolic_moe_recruits_by_the_skills_of_the_nearest_questions(known: QuestionBank) -> None:
    over = merging(known)
    record, events = await run(over, replace(SETTINGS, k=2), name="symbolic_moe")
    skills = {skill["task"]: skill["relevance"] for skill in record.notes["skills"]}
    assert record.notes["skills"][0]["task"] == "sums"
    assert sum(skills.values()) == pytest.approx(1.0)
    assert record.support_sources == skills
    assert record.referencers == ("adder", "half")
    suited = {estimate.llm: estimate.prior for estimate in record.priors}
    assert suited["adder"] == pytest.approx(skills["sums"] + 0.1 * skills.get("cities", 0.0))
    assert (suited["merger"], record.priors[-1].prior) == (None, None)
    assert requests(over, "merger")[0].messages == prompt(
        ["answer of adder", "answer of half"], "add the numbers 3 and 4"
    )
    assert (record.calls, record.degraded) == (3, ())
    assert len(record.support) == 20
    assert sum(isinstance(event, PriorFound) for event in events) == 1
    cities, _ = await run(
        over, replace(SETTINGS, k=1), name="symbolic_moe", question="which city at river 3 near hill 4"
    )
    assert cities.referencers == ("guide",)


async def test_symbolic_moe_keeps_a_call_for_the_aggregation(known: QuestionBank) -> None:
    record, _ = await run(merging(known), replace(SETTINGS, max_calls=3), name="symbolic_moe")
    assert (record.settings["k"], record.calls, record.answered_by) == (2, 3, "merger")
    assert record.degraded == ("max_calls=3: shrunk to k=2",)


async def test_a_pool_larger_than_what_the_bank_knows_is_filled_up(known: QuestionBank) -> None:
    record, _ = await run(merging(known), replace(SETTINGS, k=6), name="symbolic_moe")
    assert record.referencers == ("adder", "half", "guide", "poor", "merger", "second")


async def test_without_an_embedding_accuracy_on_the_whole_bank_recruits(known: QuestionBank) -> None:
    class Broken(HashingEmbedder):
        async def embed(self, texts: object) -> Vectors:
            raise EmbedderError("no embedding today")

    record, _ = await run(replace(merging(known), embedder=Broken()), replace(SETTINGS, k=2), name="symbolic_moe")
    assert (record.referencers, record.notes["skills"]) == (("guide", "adder"), [])
    assert record.degraded == (
        "the question could not be embedded, accuracy on the whole bank recruits the experts: no embedding today",
    )


def test_suitability_is_the_mean_accuracy_weighted_by_relevance() -> None:
    profiles = Knowledge(
        overall={"a": 0.5, "b": 0.9},
        tasks={},
        labels={("x", "1"): {"a": 1.0, "b": 0.2}, ("x", "2"): {"a": 0.0}},
    )
    skills = {("x", "1"): 0.75, ("x", "2"): 0.25}
    assert suitabilities(profiles, skills, ("a", "b", "new")) == pytest.approx({"a": 0.75, "b": 0.375})
    assert suitabilities(profiles, {}, ("a", "b", "new")) == {"a": 0.5, "b": 0.9}
