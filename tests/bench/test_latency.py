"""The longest chain of calls, whatever order their events came in."""

from __future__ import annotations

from smcs.bench.latency import CriticalPath
from smcs.run import AttemptFinished, AttemptStarted
from smcs.types import Attempt, AttemptStatus, Stage


def started(llm: str, stage: Stage = "reference") -> AttemptStarted:
    return AttemptStarted(llm, stage, (), 0.0)


def ended(llm: str, seconds: float, stage: Stage = "reference", status: AttemptStatus = "ok") -> AttemptFinished:
    return AttemptFinished(Attempt(llm, stage, status, seconds=seconds), 0.0)


def total(*events: AttemptStarted | AttemptFinished) -> float:
    path = CriticalPath()
    for event in events:
        path(event)
    return path.seconds


def test_calls_sent_together_count_once() -> None:
    assert total(started("a"), started("b"), ended("a", 2.0), ended("b", 5.0)) == 5.0


def test_calls_after_one_another_add_up() -> None:
    assert total(started("a"), ended("a", 2.0), started("a"), ended("a", 3.0)) == 5.0


def test_aggregations_wait_for_what_had_ended() -> None:
    events: list[AttemptStarted | AttemptFinished] = [
        started("a"),
        started("b"),
        ended("a", 2.0),
        started("m", "aggregation"),
        ended("b", 9.0),
    ]
    assert total(*events, ended("m", 4.0, "aggregation")) == 9.0
    assert total(*events, ended("m", 8.0, "aggregation")) == 10.0


def test_what_was_never_sent_takes_no_time() -> None:
    assert total(ended("a", 7.0, status="skipped")) == 0.0
