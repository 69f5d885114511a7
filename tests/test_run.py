"""The trace and the record it ends in: totals, what is unknown, and the way through JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from smcs.errors import InputError
from smcs.run import (
    AnswerBegins,
    AttemptFinished,
    AttemptStarted,
    Candidate,
    CandidateArrived,
    CandidatesScored,
    Degraded,
    EstimatedPrior,
    Event,
    PriorFound,
    Query,
    Replaced,
    Run,
    RunFinished,
    RunStarted,
    SubsetsDrawn,
    SupportQuestion,
    TextArrived,
    Trace,
    event_to_dict,
)
from smcs.types import Attempt, Choice, Message, Usage

SUPPORT = SupportQuestion("q1", 0.9, "2 + 2?", "seed/mathematics", "sums")
PRIORS = (EstimatedPrior("a", 1.5, 0.75, 0.6), EstimatedPrior("b", None, None, 0.4))
CANDIDATE = Candidate(0, "merger", ("a", "b"), "four", 1.1, 0.8, score=0.7)


def ok(llm: str, *, usage: Usage = Usage(10, 5, 0), cost_usd: float | None = 0.25, **rest: Any) -> Attempt:
    return Attempt(llm, "reference", "ok", choices=(Choice("four"),), usage=usage, cost_usd=cost_usd, **rest)


def skipped(llm: str) -> Attempt:
    return Attempt(llm, "reference", "skipped", error="max_calls=1 is used up", tries=0)


def trace_of(*attempts: Attempt, events: list[Event] | None = None) -> Trace:
    trace = Trace(None if events is None else events.append)
    trace.start("smcs", Query.of("2 + 2?"), {"k": 2, "seed": None})
    for attempt in attempts:
        trace.emit(AttemptFinished(attempt, trace.clock()))
    return trace


def finish(trace: Trace, **rest: Any) -> Run:
    return trace.finish(answer="four", answered_by="a", **rest)


def test_totals_add_up() -> None:
    run = finish(trace_of(ok("a"), ok("b", usage=Usage(1, 2, 3), cost_usd=0.5)))
    assert (run.calls, run.usage, run.known_usage) == (2, Usage(11, 7, 3), Usage(11, 7, 3))
    assert (run.cost_usd, run.known_cost_usd) == (0.75, 0.75)


def test_one_unknown_cost_makes_the_total_unknown_and_the_rest_a_lower_bound() -> None:
    run = finish(trace_of(ok("a"), ok("b", cost_usd=None)))
    assert run.cost_usd is None
    assert run.known_cost_usd == 0.25


def test_tokens_are_unknown_per_field() -> None:
    run = finish(trace_of(ok("a"), ok("b", usage=Usage(None, 7, None))))
    assert run.usage == Usage(None, 12, None)
    assert run.known_usage == Usage(10, 12, 0)


def test_a_failed_call_counts_and_its_cost_is_unknown_not_zero() -> None:
    run = finish(trace_of(ok("a"), Attempt("b", "reference", "timeout", error="late")))
    assert run.calls == 2
    assert run.cost_usd is None
    assert run.usage == Usage()


def test_a_skipped_call_is_neither_a_call_nor_an_unknown_cost() -> None:
    run = finish(trace_of(ok("a"), skipped("b")))
    assert (run.calls, run.cost_usd, run.usage) == (1, 0.25, Usage(10, 5, 0))
    assert [attempt.llm for attempt in run.failures] == ["b"]
    assert len(run.attempts) == 2


def test_a_run_without_calls_cost_nothing() -> None:
    run = finish(trace_of())
    assert (run.calls, run.cost_usd, run.known_cost_usd, run.usage) == (0, 0, 0, Usage(0, 0, 0))


def test_references_and_failures_are_views_of_the_attempts() -> None:
    merged = Attempt("m", "aggregation", "error", error="HTTP 500")
    run = finish(trace_of(ok("a"), merged))
    assert [attempt.llm for attempt in run.references] == ["a"]
    assert run.failures == (merged,)


def test_everything_that_was_emitted_is_in_the_record() -> None:
    events: list[Event] = []
    trace = trace_of(ok("a"), events=events)
    trace.emit(PriorFound((SUPPORT,), 40, PRIORS, ("a", "b"), 0.1))
    trace.emit(SubsetsDrawn((("a",), ("b",)), 0.2))
    trace.degrade("half of it")
    trace.degrade("half of it")
    trace.stage("retrieval", 0.1)
    run = finish(trace, candidates=[CANDIDATE], chosen=0)
    assert (run.support, run.support_size, run.priors, run.referencers) == ((SUPPORT,), 40, PRIORS, ("a", "b"))
    assert (run.subsets, run.candidates, run.chosen) == ((("a",), ("b",)), (CANDIDATE,), 0)
    assert run.degraded == ("half of it",)
    assert run.stage_seconds == {"retrieval": 0.1}
    assert run.created.endswith("+00:00")
    assert [type(event) for event in events] == [
        RunStarted,
        AttemptFinished,
        PriorFound,
        SubsetsDrawn,
        Degraded,
        RunFinished,
    ]
    assert events[-1] == RunFinished(run)


def test_who_was_replaced_stands_in_the_notes_and_the_stand_in_in_the_place() -> None:
    trace = trace_of(ok("a"))
    trace.emit(PriorFound((SUPPORT,), 40, (*PRIORS, EstimatedPrior("c", 0.5, 0.25)), ("a", "b"), 0.1))
    trace.emit(SubsetsDrawn((("a", "b"), ("b",)), 0.2))
    trace.emit(Replaced("b", "d", 0.3))
    trace.emit(Replaced("d", "c", 0.4))
    run = finish(trace)
    assert (run.referencers, run.subsets) == (("a", "c"), (("a", "c"), ("c",)))
    assert run.notes == {"replaced": [["b", "d"], ["d", "c"]]}
    assert [(prior.llm, prior.drop_weight) for prior in run.priors] == [("a", 0.6), ("b", None), ("c", 0.4)]
    assert Run.from_json(run.to_json()) == run


def test_causes_name_who_failed_at_what() -> None:
    trace = trace_of(ok("a"), skipped("b"), Attempt("m", "aggregation", "empty"))
    assert trace.causes() == ("reference by b: skipped (max_calls=1 is used up)", "aggregation by m: empty")


def test_a_run_must_start_before_it_ends() -> None:
    with pytest.raises(RuntimeError, match=r"before Trace\.start"):
        Trace().finish(answer="x", answered_by="a")


def test_two_runs_have_two_ids() -> None:
    assert finish(trace_of()).id != finish(trace_of()).id


def test_the_record_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        finish(trace_of()).answer = "another"  # type: ignore[misc]


def test_a_record_survives_json() -> None:
    trace = trace_of(ok("a", started=0.1, seconds=0.2, tries=2), skipped("b"))
    trace.emit(PriorFound((SUPPORT,), 40, PRIORS, ("a", "b"), 0.1))
    run = finish(trace, candidates=[CANDIDATE], chosen=0)
    assert Run.from_json(run.to_json()) == run
    assert Run.from_json(run.to_json().encode()) == run
    assert json.loads(run.to_json())["attempts"][1]["cost_usd"] is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "x"}', '"text"', b'{"id": "\xff"}', "null"])
def test_what_is_no_record_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputError, match="Not a run record of this version"):
        Run.from_json(text)


def test_a_record_with_a_wrong_type_says_where() -> None:
    broken = json.loads(finish(trace_of(ok("a"))).to_json())
    broken["attempts"][0]["status"] = "fine"
    with pytest.raises(InputError, match=r"\$\.attempts\[0\]\.status"):
        Run.from_json(json.dumps(broken))


def test_every_event_becomes_json_under_its_own_name() -> None:
    run = finish(trace_of(ok("a")))
    events: list[Event] = [
        RunStarted("id", "smcs", Query("2 + 2?", (Message("user", "2 + 2?"),)), {"k": 2}),
        PriorFound((SUPPORT,), 40, PRIORS, ("a", "b"), 0.1),
        SubsetsDrawn((("a", "b"),), 0.1),
        AttemptStarted("a", "reference", (), 0.1),
        AnswerBegins("a", "reference", 0.2),
        TextArrived("a", "reference", "fo", "", 0.2),
        AttemptFinished(ok("a"), 0.3),
        Replaced("b", "c", 0.3),
        CandidateArrived(CANDIDATE, 0.4),
        CandidatesScored((CANDIDATE,), 0, 0.5),
        Degraded("why", 0.6),
        RunFinished(run),
    ]
    as_dicts = [json.loads(json.dumps(event_to_dict(event))) for event in events]
    assert [one["event"] for one in as_dicts] == [type(event).__name__ for event in events]
    assert as_dicts[0]["query"]["messages"] == [{"role": "user", "content": "2 + 2?"}]
    assert as_dicts[6]["attempt"]["choices"][0]["text"] == "four"
    assert as_dicts[-1]["run"]["id"] == run.id
