"""Majority Voting, prior-weighted voting and Self-Consistency, also against a vote that is counted another way."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from statistics import fmean, pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_embedders import SHARED_DATA
from helpers_methods import LETTERS, NAMES, choice_query, requests, says, team
from helpers_strategies import SETTINGS, run
from smcs.bank import QuestionBank
from smcs.bench import RecordedBank, load_recorded
from smcs.errors import MissingExtraError, NoUsableAnswerError
from smcs.grading import same_answers
from smcs.run import Candidate, CandidateArrived, CandidatesScored, Query, Trace
from smcs.strategies import voting
from smcs.types import Capabilities, Message

PRIOR_ORDER = ("adder", "half", "guide", "poor")
"""Best prior first for the question about sums."""


async def test_all_llms_vote_and_the_most_frequent_answer_wins(known: QuestionBank) -> None:
    over = team(known, {"adder": says("A"), "half": says("B"), "guide": {"replies": ["I say (B)"]}, "poor": says("C")})
    record, events = await run(over, replace(SETTINGS, k=2), name="majority_vote", question=choice_query())
    assert (record.answer, record.answered_by) == ("The answer is B.", "half")
    assert record.referencers == PRIOR_ORDER
    assert [c.llm for c in record.candidates] == list(PRIOR_ORDER)
    assert [c.group for c in record.candidates] == [0, 1, 1, 2]
    assert [c.agreement for c in record.candidates] == [0.25, 0.5, 0.5, 0.25]
    assert [c.score for c in record.candidates] == [c.agreement for c in record.candidates]
    assert [c.draw for c in record.candidates] == [0, 1, 2, 3]
    assert all(c.members == () for c in record.candidates)
    assert (record.chosen, record.calls, record.degraded, record.settings["k"]) == (1, 4, (), 4)
    assert sum(isinstance(event, CandidateArrived) for event in events) == 4
    assert sum(isinstance(event, CandidatesScored) for event in events) == 1


async def test_a_tie_goes_to_the_answer_of_the_best_prior(known: QuestionBank) -> None:
    over = team(known, {"poor": says("A"), "guide": says("A"), "half": says("D"), "adder": says("D")})
    record, _ = await run(over, name="majority_vote", question=choice_query())
    assert (record.answer, record.answered_by) == ("The answer is D.", "adder")
    over = team(known, {"poor": says("A"), "guide": says("A"), "half": says("D"), "adder": says("D")})
    cities = choice_query("which city lies at river 3 near hill 4")
    record, _ = await run(over, name="majority_vote", question=cities)
    assert (record.answer, record.answered_by) == ("The answer is A.", "guide")


async def test_a_text_without_an_answer_has_no_vote(known: QuestionBank) -> None:
    silent = {"replies": ["I would rather not say."]}
    over = team(known, {"adder": silent, "half": silent, "guide": silent, "poor": says("C")})
    record, _ = await run(over, name="majority_vote", question=choice_query())
    assert (record.answer, [c.group for c in record.candidates]) == ("The answer is C.", [-1, -1, -1, 0])
    assert [c.agreement for c in record.candidates] == [0.0, 0.0, 0.0, 1.0]
    assert record.degraded == ()


async def test_without_any_answer_the_text_of_the_best_prior_is_returned(known: QuestionBank) -> None:
    over = team(known, {name: {"replies": [f"{name} cannot say."]} for name in NAMES})
    record, _ = await run(over, name="majority_vote", question=choice_query())
    assert (record.answer, record.answered_by, record.chosen) == ("adder cannot say.", "adder", 0)
    assert record.degraded == ("no answer was found in any text: that of adder is returned",)


async def test_lost_references_have_no_vote_and_the_run_says_so(known: QuestionBank) -> None:
    over = team(known, {"adder": {"failures": "error"}, "half": says("B"), "guide": says("C"), "poor": says("C")})
    record, _ = await run(over, name="majority_vote", question=choice_query())
    assert (record.answer, record.answered_by) == ("The answer is C.", "guide")
    assert [c.draw for c in record.candidates] == [1, 2, 3]
    assert record.degraded == ("reference lost: adder (error: HTTP 500: scripted failure)",)


@pytest.mark.parametrize("name", ["majority_vote", "prior_vote"])
async def test_when_nobody_answers_every_cause_is_listed(known: QuestionBank, name: str) -> None:
    with pytest.raises(NoUsableAnswerError) as error:
        await run(team(known, {llm: {"failures": "refused"} for llm in NAMES}), name=name)
    assert len(error.value.causes) == (4 if name == "majority_vote" else SETTINGS.k)


async def test_max_calls_leaves_the_best_priors_a_vote(known: QuestionBank) -> None:
    over = team(known)
    record, _ = await run(over, replace(SETTINGS, max_calls=2), name="majority_vote", question=choice_query())
    assert [c.llm for c in record.candidates] == ["adder", "half"]
    assert record.calls == 2
    assert record.degraded[0] == "max_calls=2: shrunk to k=2"


async def test_max_seconds_is_for_the_votes_alone(known: QuestionBank) -> None:
    slow = {"latency": 60.0, **says("B")}
    over = team(known, {"adder": slow, "half": says("B"), "guide": says("C"), "poor": says("C")})
    record, _ = await run(over, replace(SETTINGS, max_seconds=2), name="majority_vote", question=choice_query())
    assert record.answer == "The answer is C."
    assert 1.9 < record.seconds < 30
    assert [a.status for a in record.attempts if a.llm == "adder"] in (["timeout"], ["cancelled"])


async def test_formulas_are_compared_as_text_where_algebra_is_missing(
    known: QuestionBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_algebra(texts: list[str], **options: object) -> tuple[int, ...]:
        if options.get("grader") == "math":
            raise MissingExtraError("Comparing formulas", "math")
        return same_answers(texts, choices=(), question="")

    monkeypatch.setattr(voting, "same_answers", without_algebra)
    same = {"replies": ["The answer is 7."]}
    over = team(known, {"adder": {"replies": ["The answer is 8."]}, "half": same, "guide": same, "poor": same})
    query = replace(Query.of("add the numbers 3 and 4"), grader="math")
    record, _ = await run(over, name="majority_vote", question=query)
    assert record.answer == "The answer is 7."
    assert record.degraded[0].startswith("answers were compared as plain text: Comparing formulas needs")


async def test_votes_count_by_the_prior_among_the_whole_pool(known: QuestionBank) -> None:
    over = team(known, {"adder": says("A"), "half": says("B"), "guide": says("B"), "poor": says("B")})
    record, _ = await run(over, name="prior_vote", question=choice_query())
    priors = {estimate.llm: estimate.prior or 0.0 for estimate in record.priors}
    mean, spread = fmean(priors.values()), pstdev(priors.values())
    powers = {name: math.exp((prior - mean) / spread) for name, prior in priors.items()}
    expected = {name: powers[name] / sum(powers.values()) for name in PRIOR_ORDER[:3]}
    assert record.notes["vote_weights"] == pytest.approx(expected)
    total = sum(expected.values())
    assert record.candidates[0].agreement == pytest.approx(expected["adder"] / total)
    assert record.candidates[1].agreement == pytest.approx((expected["half"] + expected["guide"]) / total)
    assert (record.referencers, record.calls) == (PRIOR_ORDER[:3], 3)
    assert record.answer == ("The answer is A." if expected["adder"] > total / 2 else "The answer is B.")
    assert requests(over, "poor") == []


async def test_one_good_vote_beats_two_poor_ones(known: QuestionBank) -> None:
    over = team(known, {"adder": says("A"), "guide": says("B"), "poor": says("B")}, names=("adder", "guide", "poor"))
    weighted, _ = await run(over, name="prior_vote", question=choice_query())
    plain, _ = await run(over, name="majority_vote", question=choice_query())
    assert (weighted.answer, plain.answer) == ("The answer is A.", "The answer is B.")


async def test_samples_of_the_best_llm_of_the_task_vote(known: QuestionBank) -> None:
    replies = [f"The answer is {letter}." for letter in "ABCBADB"]
    over = team(known, {"adder": {"replies": replies}})
    record, events = await run(
        over, replace(SETTINGS, samples=7), name="self_consistency", question=choice_query(task="sums")
    )
    assert (record.answer, record.answered_by, record.chosen) == ("The answer is B.", "adder", 1)
    assert [c.group for c in record.candidates] == [0, 1, 2, 1, 0, 3, 1]
    assert record.candidates[1].agreement == pytest.approx(3 / 7)
    assert [c.draw for c in record.candidates] == list(range(7))
    assert (record.calls, [r.n for r in requests(over, "adder")]) == (1, [7])
    assert not requests(over, "adder")[0].logprobs
    assert record.notes["llm"]["why"] == "best on the task"
    assert sum(isinstance(event, CandidateArrived) for event in events) == 7


async def test_samples_are_calls_of_their_own_where_n_is_not_supported(known: QuestionBank) -> None:
    one = {"adder": {"capabilities": Capabilities(max_n=1)}, "guide": {"capabilities": Capabilities(max_n=3)}}
    over = team(known, facts=one)
    settings = replace(SETTINGS, samples=5)
    record, _ = await run(over, settings, name="self_consistency", question=choice_query(task="sums"))
    assert (record.calls, [r.n for r in requests(over, "adder")]) == (5, [1] * 5)
    assert len({r.sampling.seed for r in requests(over, "adder")}) == 5
    assert len({r.messages for r in requests(over, "adder")}) == 1
    record, _ = await run(over, settings, name="self_consistency", question=choice_query(task="cities"))
    assert (record.calls, [r.n for r in requests(over, "guide")]) == (2, [3, 2])


async def test_samples_follow_each_other_where_concurrent_calls_share_no_prefix(known: QuestionBank) -> None:
    alone = Capabilities(max_n=1, concurrent_prefix=False)
    over = team(known, {"guide": {"latency": 0.02}}, facts={"guide": {"capabilities": alone}})
    record, _ = await run(over, replace(SETTINGS, samples=4), name="self_consistency")
    spans = sorted((a.started, a.started + a.seconds) for a in record.attempts)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


async def test_lost_samples_have_no_vote_and_the_run_says_so(known: QuestionBank) -> None:
    script = {"failures": ["error", None, "empty"], "replies": ["The answer is A.", "The answer is B."]}
    over = team(known, {"guide": script}, facts={"guide": {"capabilities": Capabilities(max_n=1)}})
    record, _ = await run(over, replace(SETTINGS, samples=4), name="self_consistency", question=choice_query())
    assert len(record.candidates) == 2
    assert record.answer == record.candidates[0].text
    assert "2 of 4 samples of guide arrived" in record.degraded
    assert "sample lost: guide (empty: the answer holds no text)" in record.degraded


async def test_no_sample_is_no_answer(known: QuestionBank) -> None:
    with pytest.raises(NoUsableAnswerError, match="guide returned no answer"):
        await run(team(known, {"guide": {"failures": "error"}}), name="self_consistency")


async def test_max_calls_leaves_fewer_samples(known: QuestionBank) -> None:
    over = team(known, facts={"guide": {"capabilities": Capabilities(max_n=1)}})
    record, _ = await run(over, replace(SETTINGS, max_calls=3), name="self_consistency")
    assert (record.calls, len(record.candidates)) == (3, 3)
    assert record.degraded == ("max_calls=3: shrunk to samples=3",)


VOTES = st.lists(st.sampled_from(["A", "B", "C", "D", ""]), min_size=1, max_size=12)
WEIGHTS = st.lists(st.integers(0, 20), min_size=12, max_size=12)


def counted(votes: list[str], weights: list[int]) -> str | None:
    """Return the winner of a vote: a plain dictionary, in which the first of equals stands first."""
    totals = Counter[str]()
    for vote, weight in zip(votes, weights, strict=False):
        if vote:
            totals[vote] += weight
    return max(totals, key=lambda letter: totals[letter]) if totals else None


@given(VOTES, st.none() | WEIGHTS)
@settings(max_examples=80, deadline=None)
def test_the_winner_is_that_of_a_plain_count(votes: list[str], weights: list[int] | None) -> None:
    texts = [f"The answer is {vote}." if vote else "No idea." for vote in votes]
    candidates = [Candidate(i, f"llm{i}", (), text) for i, text in enumerate(texts)]
    given_weights = None if weights is None else [float(weight) for weight in weights[: len(votes)]]
    query = Query("q", (), choices=LETTERS, grader="choice")
    trace = Trace()
    trace.start("vote", query, {})
    record = asyncio.run(voting.elect(candidates, query, trace, weights=given_weights))
    winner = counted(votes, [1] * len(votes) if weights is None else weights)
    if winner is None:
        assert (record.chosen, record.answer) == (0, texts[0])
        assert record.degraded
    else:
        assert record.chosen == votes.index(winner)
        assert record.answer == f"The answer is {winner}."
    for candidate, vote in zip(record.candidates, votes, strict=True):
        same = [i for i, other in enumerate(votes) if vote and other == vote]
        weight = [1.0] * len(votes) if given_weights is None else given_weights
        total = sum(w for w, other in zip(weight, votes, strict=True) if other)
        assert candidate.agreement == pytest.approx(sum(weight[i] for i in same) / total if total else 0.0)


@pytest.fixture(scope="module")
def recorded() -> RecordedBank:
    """Return real answers of 17 LLMs to multiple-choice questions."""
    pytest.importorskip("pyarrow")
    folder = SHARED_DATA / "mmlu_pro_recorded"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return load_recorded(folder)


@pytest.mark.parametrize("name", ["majority_vote", "self_consistency"])
async def test_recorded_answers_get_the_winner_of_a_plain_count(recorded: RecordedBank, name: str) -> None:
    for row in np.flatnonzero(~recorded.is_test)[:: len(recorded.ids) // 40]:
        votes = [chr(ord("A") + option) if option >= 0 else "" for option in recorded.predicted[row]]
        texts = [f"Let me think. The answer is ({vote})." if vote else "Nobody knows." for vote in votes]
        if name == "majority_vote":
            names = tuple(recorded.llms)
            over = team(
                None,
                {llm: {"replies": [text]} for llm, text in zip(names, texts, strict=True)},
                names=names,
                aggregators=names[:1],
            )
        else:
            over = team(None, {"only": {"replies": texts}}, names=("only",), aggregators=("only",))
        query = Query(recorded.questions[row], (Message("user", "q"),), choices=("",) * 10, grader="choice")
        record, _ = await run(over, replace(SETTINGS, samples=len(texts), llm="only"), name=name, question=query)
        winner = counted(votes, [1] * len(votes))
        assert record.answer == (texts[0] if winner is None else f"Let me think. The answer is ({winner}).")
