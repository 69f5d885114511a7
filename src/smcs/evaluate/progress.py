"""What a grading run tells while it goes and when it is done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from smcs.types import Attempt, Outcome, Usage

__all__ = ("FAILURES_KEPT", "AnswererReport", "Failure", "GradingProgress", "GradingReport", "RunStatus", "Tally")

RunStatus = Literal["complete", "failures", "gave_up", "budget", "skipped"]
"""How a run ended: every question has an outcome; some calls failed to the last; one call after the other failed, so it
was stopped; the next call might have broken the cap on money; it was not begun (its price is unknown under a cap)."""

FAILURES_KEPT = 100
"""Failures that are listed; all are counted."""

_RATE_WINDOW_SECONDS = 120.0
_MARK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Failure:
    """A question that got no answer; it is asked again in the next run."""

    question_id: str
    error: str
    """The last error, in one line."""


@dataclass(frozen=True, slots=True)
class GradingProgress:
    """How far one answerer is; everything counted as done is on disk."""

    llm: str
    done: int
    """Questions with an outcome, those of earlier runs included."""
    total: int
    resumed: int
    """Part of `done` that earlier runs left."""
    failed: int
    """Questions without an answer so far in this run."""
    ungraded: int
    """Part of `done` whose answer could not be graded."""
    accuracy: float | None
    """Mean score of what is graded, 0 to 1; `None` when nothing is."""
    usage: Usage
    """Tokens of this run; `None` where a server did not say."""
    cost_usd: float | None
    """USD of this run; `None` as soon as one call's price is unknown."""
    seconds: float
    """Since this answerer began in this run."""
    rate: float | None
    """Outcomes a second over the last two minutes; `None` before the first."""
    eta_seconds: float | None
    """Seconds left at that rate; `None` while there is no rate."""


@dataclass(frozen=True, slots=True)
class AnswererReport:
    """How one answerer's run ended."""

    progress: GradingProgress
    failures: tuple[Failure, ...]
    """The first `FAILURES_KEPT` of `progress.failed`."""
    status: RunStatus
    note: str = ""
    """Why it is not complete, where that needs saying."""

    @property
    def gave_up(self) -> bool:
        """Whether it was stopped early because one call after the other failed."""
        return self.status == "gave_up"

    @property
    def complete(self) -> bool:
        """Whether every question has an outcome."""
        return self.progress.done == self.progress.total


@dataclass(frozen=True, slots=True)
class GradingReport:
    """How a grading run ended, one entry per answerer in the order given."""

    answerers: tuple[AnswererReport, ...]
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every question has an outcome of every answerer."""
        return all(answerer.complete for answerer in self.answerers)


class Tally:
    """Running totals of one answerer, of constant size however many questions there are."""

    def __init__(self, llm: str, total: int, *, resumed: int = 0, ungraded: int = 0, score: float = 0.0) -> None:
        """Begin counting.

        Args:
            llm: Name of the answerer.
            total: Questions in all.
            resumed: Those with an outcome of earlier runs.
            ungraded: Part of `resumed` without a score.
            score: Sum of the scores of the others.
        """
        self.llm = llm
        self.total = total
        self.resumed = resumed
        self.done = resumed
        self.ungraded = ungraded
        self.failed = 0
        self.failed_in_a_row = 0
        self._failures: dict[str, Failure] = {}
        self._score = score
        self._prompt: int | None = 0
        self._completion: int | None = 0
        self._cost: float | None = 0.0
        self._started = time.monotonic()
        self._marks: deque[tuple[float, int]] = deque([(self._started, self.done)])

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The first questions that still have no answer."""
        return tuple(self._failures.values())

    def start(self) -> None:
        """Let time begin now."""
        self._started = time.monotonic()
        self._marks = deque([(self._started, self.done)])

    def fail(self, question_id: str, attempt: Attempt) -> None:
        """Count a question that got no answer."""
        self.failed += 1
        self.failed_in_a_row += 1
        if len(self._failures) < FAILURES_KEPT:
            self._failures[question_id] = Failure(question_id, attempt.error or attempt.status)

    def try_again(self, question_id: str) -> None:
        """Take back a failure: the question is about to be asked once more."""
        self.failed -= 1
        self._failures.pop(question_id, None)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count outcomes that were recorded."""
        for outcome in outcomes:
            self.done += 1
            if outcome.score is None:
                self.ungraded += 1
            else:
                self._score += outcome.score
            self._prompt = _plus(self._prompt, outcome.usage.prompt_tokens)
            self._completion = _plus(self._completion, outcome.usage.completion_tokens)
            self._cost = None if self._cost is None or outcome.cost_usd is None else self._cost + outcome.cost_usd
        now = time.monotonic()
        if now - self._marks[-1][0] < _MARK_SECONDS and len(self._marks) > 1:
            self._marks.pop()
        self._marks.append((now, self.done))
        while len(self._marks) > 2 and now - self._marks[0][0] > _RATE_WINDOW_SECONDS:
            self._marks.popleft()

    def progress(self) -> GradingProgress:
        """Return where it stands now."""
        graded = self.done - self.ungraded
        now = time.monotonic()
        since, before = self._marks[0]
        rate = (self.done - before) / (now - since) if self.done > before and now > since else None
        return GradingProgress(
            llm=self.llm,
            done=self.done,
            total=self.total,
            resumed=self.resumed,
            failed=self.failed,
            ungraded=self.ungraded,
            accuracy=self._score / graded if graded else None,
            usage=Usage(self._prompt, self._completion),
            cost_usd=self._cost,
            seconds=now - self._started,
            rate=rate,
            eta_seconds=(self.total - self.done) / rate if rate else None,
        )


def _plus(total: int | None, tokens: int | None) -> int | None:
    return None if total is None or tokens is None else total + tokens
