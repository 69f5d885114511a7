"""A run's events as lines for people: what happened, never what a model wrote."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smcs.gateway.protocol import stage_line
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
    Noted,
    PriorFound,
    Query,
    RunStarted,
    SubsetsDrawn,
    SupportQuestion,
    TextArrived,
)
from smcs.types import Attempt, AttemptStatus, Choice, Stage

SECRET = "SECRET text\nof a model"
PRIORS = (
    EstimatedPrior("a", 1.5, 0.75),
    EstimatedPrior("b", None, None),
    EstimatedPrior("c", 1.0, 0.5, predicted=True),
)
MERGED = Candidate(2, "large", ("a", "b"), SECRET, 1.123, 0.91, score=0.787)
REFERENCE = Candidate(0, "a", (), SECRET, agreement=0.6, score=0.5)


def finished(status: AttemptStatus, *, merging: bool = False, http_status: int | None = None) -> AttemptFinished:
    choices = (Choice(SECRET),) if status == "ok" else ()
    stage: Stage = "aggregation" if merging else "reference"
    error = None if status == "ok" else SECRET
    done = Attempt("a", stage, status, choices=choices, error=error, http_status=http_status, seconds=1.25)
    return AttemptFinished(done, 2.0)


EVENTS: list[Event] = [
    RunStarted("id", "smcs_guarded", Query.of(SECRET), {}),
    PriorFound((SupportQuestion("q", 0.834, SECRET, "mmlu_pro"),), 412, PRIORS, ("a", "b", "c"), 0.1),
    PriorFound((), 0, PRIORS, tuple("abcdefghij"), 0.1),
    PriorFound((SupportQuestion("q", 0.5, SECRET),), 1, (), (), 0.1),
    SubsetsDrawn((("a", "b"), ("a", "c")), 0.1),
    SubsetsDrawn((("a", "b"), ("a",)), 0.1),
    AttemptStarted("a", "reference", (), 0.1),
    TextArrived("a", "reference", SECRET, SECRET, 0.2),
    finished("ok"),
    finished("error", http_status=500),
    finished("error"),
    finished("timeout"),
    finished("empty"),
    finished("cancelled"),
    finished("skipped"),
    finished("ok", merging=True),
    finished("timeout", merging=True),
    finished("error", merging=True, http_status=429),
    AttemptFinished(Attempt("a", "embedding", "ok"), 1.0),
    CandidateArrived(MERGED, 3.0),
    CandidateArrived(REFERENCE, 3.0),
    CandidatesScored((REFERENCE, MERGED), 1, 4.0),
    CandidatesScored((REFERENCE,), 0, 4.0),
    CandidatesScored((Candidate(0, "a", (), SECRET),), 0, 4.0),
    AnswerBegins("a", "reference", 1.0),
    Noted("guard", {"text": SECRET}, 1.0),
    Degraded("3 of 8 candidates were scored", 1.0),
    Degraded(f"reference lost: a (error: malformed (got {SECRET})); b took its place", 1.0),
    Degraded(f"nothing could be learned about votes: {SECRET}.", 1.0),
    Degraded("out, so not asked: a (circuit open), b (circuit open)", 1.0),
]


def test_the_lines(snapshot: Callable[[str, bytes], None]) -> None:
    lines = [line for event in EVENTS if (line := stage_line(event)) is not None]
    snapshot("stage_lines.txt", "".join(f"{line}\n" for line in lines).encode())


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_line_is_short_and_quotes_nobody(event: Event) -> None:
    line = stage_line(event)
    if line is not None:
        assert "SECRET" not in line
        assert line.isprintable()
        assert 5 < len(line) < 300


@pytest.mark.parametrize("event", [EVENTS[6], EVENTS[7], EVENTS[15], EVENTS[18], EVENTS[25]])
def test_what_people_need_not_see_has_no_line(event: Event) -> None:
    assert stage_line(event) is None
