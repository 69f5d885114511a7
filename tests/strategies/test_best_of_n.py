"""Best of n: the sample that Eq. 7 ranks first, and what is left of it without log-probabilities or embeddings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers_methods import choice_query, requests, team
from helpers_strategies import SETTINGS, run
from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder
from smcs.errors import NoUsableAnswerError
from smcs.llms import ScriptedReply
from smcs.posterior import hybrid_score, mean_pairwise_similarity
from smcs.run import CandidateArrived, CandidatesScored
from smcs.types import Capabilities

REPLIES = [
    ScriptedReply("alpha beta gamma", logprobs=(-0.9, -0.9)),
    ScriptedReply("alpha beta delta", logprobs=(-0.5, -0.1)),
    ScriptedReply("nothing like it", logprobs=(-0.01,)),
]
THREE = replace(SETTINGS, samples=3)


async def test_the_best_total_of_similarity_and_confidence_wins(known: QuestionBank) -> None:
    over = team(known, {"guide": {"replies": REPLIES}})
    record, events = await run(over, THREE, name="best_of_n")
    vectors = await HashingEmbedder().embed([reply.text for reply in REPLIES])
    perplexities = np.exp([0.9, 0.3, 0.01])
    expected = hybrid_score(mean_pairwise_similarity(vectors), perplexities, balance=1.0)
    assert [c.score for c in record.candidates] == pytest.approx(expected.tolist())
    assert [c.perplexity for c in record.candidates] == pytest.approx(perplexities.tolist())
    assert record.chosen == int(expected.argmax())
    assert (record.answer, record.answered_by) == (REPLIES[int(expected.argmax())].text, "guide")
    assert (record.calls, record.degraded) == (1, ())
    assert requests(over, "guide")[0].logprobs
    assert sum(isinstance(event, CandidateArrived) for event in events) == 3
    assert sum(isinstance(event, CandidatesScored) for event in events) == 1


async def test_the_best_llm_of_the_task_is_sampled(known: QuestionBank) -> None:
    record, _ = await run(team(known), THREE, name="best_of_n", question=choice_query(task="sums"))
    assert {c.llm for c in record.candidates} == {"adder"}
    assert record.chosen == 0


async def test_without_log_probabilities_similarity_decides_and_the_run_says_so(known: QuestionBank) -> None:
    deaf = {"guide": {"capabilities": Capabilities(logprobs=False, max_n=8)}}
    over = team(known, {"guide": {"replies": REPLIES}}, facts=deaf)
    record, _ = await run(over, THREE, name="best_of_n")
    assert not requests(over, "guide")[0].logprobs
    assert record.answer in ("alpha beta gamma", "alpha beta delta")
    assert [c.score for c in record.candidates] == [c.similarity for c in record.candidates]
    assert record.degraded == ("perplexity left out of the score: no usable log-probabilities from guide",)


async def test_one_sample_is_the_answer(known: QuestionBank) -> None:
    record, _ = await run(team(known), replace(SETTINGS, max_calls=1, samples=1), name="best_of_n")
    assert (record.answer, record.chosen, record.degraded) == ("answer of guide", 0, ())


async def test_no_sample_is_no_answer(known: QuestionBank) -> None:
    with pytest.raises(NoUsableAnswerError, match="guide returned no answer"):
        await run(team(known, {"guide": {"failures": "empty"}}), THREE, name="best_of_n")
