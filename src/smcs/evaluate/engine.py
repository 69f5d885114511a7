"""The engine: answerers over questions, concurrently, graded, each outcome recorded soon after it exists.

Asking never waits for grading or for the disk unless they fall far behind. A killed run loses the answers of about the
last second; starting it again asks only what has no outcome. Failed calls are no outcomes: they are asked again when
all other questions are done, then reported, and asked again next time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank
from smcs.errors import InputError
from smcs.evaluate.answerers import Answerer, MemberAnswerer
from smcs.evaluate.budget import Budget
from smcs.evaluate.progress import AnswererReport, GradingProgress, GradingReport, RunStatus, Tally
from smcs.evaluate.recorder import Recorder
from smcs.llms.local import available_cores
from smcs.llms.pool import Member
from smcs.types import Attempt, Message, Outcome, Question, Sampling

__all__ = ("ProgressSink", "grade_answerers", "interleaved", "run_grading")

ProgressSink = Callable[[GradingProgress], None]
"""Called on the event loop whenever outcomes were recorded or a call failed; must not block."""

_ADDED_AT_ONCE = 10_000
_MAY_PASS = frozenset({408, 409, 425, 429})
"""HTTP statuses below 500 after which the same request may succeed later."""


async def run_grading(
    questions: Sequence[Question],
    members: Sequence[Member],
    bank: QuestionBank,
    *,
    messages: Callable[[Question], tuple[Message, ...]],
    sampling: Callable[[Question], Sampling] = lambda question: Sampling(),
    call_seconds: float | None = 600.0,
    concurrency: int | Mapping[str, int] = 8,
    parallel: int = 1,
    give_up_after: int = 20,
    on_progress: ProgressSink | None = None,
    seed: int | None = None,
    samples: int = 1,
    retry_rounds: int = 2,
    budget: Budget | None = None,
) -> GradingReport:
    """Grade LLMs of a pool on questions of a bank.

    Args:
        questions: What is asked; questions new to the bank are added to it.
        members: The LLMs; those new to the bank are added to it.
        bank: Where outcomes are recorded.
        messages: The prompt of a question.
        sampling: Sampling of a question; the member's own is laid over it.
        call_seconds: Seconds one call may take, retries included.
        concurrency: Calls in flight per member, for all or by name.
        parallel: Members that run at the same time; leave it at 1 when they share one machine.
        give_up_after: Failures in a row after which a member is stopped for this run.
        on_progress: Hears about progress.
        seed: Gives every call a seed that follows from it, the question and the number of the sample.
        samples: Answers per question; the score is their mean.
        retry_rounds: How often failed questions are asked again after all others.
        budget: What calls are paid from; a member whose next call may not fit is stopped.

    Returns:
        What was done and what failed.

    Raises:
        InputError: An argument is out of range.
        BankError: The bank refused an outcome; everything recorded before is kept.
    """
    answerers = [
        MemberAnswerer(member, messages, sampling, call_seconds=call_seconds, seed=seed, budget=budget)
        for member in members
    ]
    return await grade_answerers(
        questions,
        answerers,
        bank,
        concurrency=concurrency,
        parallel=parallel,
        give_up_after=give_up_after,
        on_progress=on_progress,
        samples=samples,
        retry_rounds=retry_rounds,
    )


async def grade_answerers(
    questions: Sequence[Question],
    answerers: Sequence[Answerer],
    bank: QuestionBank,
    *,
    concurrency: int | Mapping[str, int] = 8,
    parallel: int = 1,
    give_up_after: int = 20,
    on_progress: ProgressSink | None = None,
    grading_threads: int | None = None,
    samples: int = 1,
    retry_rounds: int = 2,
) -> GradingReport:
    """Let answerers answer questions, grade the answers and record the outcomes; skip what is recorded already.

    Args:
        questions: What is asked, interleaved by task so that a partial run covers all of them.
        answerers: Who is asked; names must differ.
        bank: Where outcomes are recorded.
        concurrency: Questions in flight per answerer, for all or by name (8 where a name is absent).
        parallel: Answerers that run at the same time, in the order given.
        give_up_after: Failures in a row after which an answerer is stopped for this run.
        on_progress: Hears about progress.
        grading_threads: Answers that slow graders (programs, mathematics) work on at the same time; two per core when
            `None`, because a third of a program's time is spent waiting for its processes to end.
        samples: Answers per question; the score is their mean.
        retry_rounds: How often failed questions are asked again after all others.

    Raises:
        InputError: An argument is out of range, or two answerers share a name.
        BankError: The bank refused an outcome; everything recorded before is kept.
    """
    names = [answerer.name for answerer in answerers]
    slots = {name: concurrency.get(name, 8) if isinstance(concurrency, Mapping) else concurrency for name in names}
    threads = 2 * available_cores() if grading_threads is None else grading_threads
    _check_names(names)
    _check_at_least(1, parallel=parallel, give_up_after=give_up_after, grading_threads=threads, samples=samples)
    _check_at_least(1, **{f"concurrency of {name}": count for name, count in slots.items()})
    _check_at_least(0, retry_rounds=retry_rounds)
    started = time.monotonic()
    order = interleaved(questions)
    earlier = await asyncio.to_thread(_prepare, bank, order, names)
    plan = _Plan(samples, give_up_after, retry_rounds, on_progress)
    runs = {answerer.name: _Run(answerer, earlier[answerer.name], plan) for answerer in answerers}

    def recorded(outcomes: Sequence[Outcome]) -> None:
        by_llm: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            by_llm.setdefault(outcome.llm, []).append(outcome)
        for llm, part in by_llm.items():
            runs[llm].count(part)

    recorder = Recorder(bank, recorded, slow_threads=threads)
    waiting = iter(runs.values())

    async def lane() -> None:
        for run in waiting:
            await run.go(order, recorder, slots[run.name])

    try:
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(recorder.run())
            async with asyncio.TaskGroup() as lanes:
                for _ in range(min(parallel, len(runs))):
                    lanes.create_task(lane())
            recording.cancel()
    except BaseExceptionGroup as failures:
        raise _first(failures) from failures
    finally:
        await recorder.close()
    return GradingReport(tuple(run.report() for run in runs.values()), time.monotonic() - started)


def interleaved(questions: Sequence[Question]) -> list[Question]:
    """Return the questions so that every prefix holds each (task, subject) in about its share of the whole."""
    tasks: dict[str, dict[str, list[Question]]] = {}
    for question in questions:
        tasks.setdefault(question.task, {}).setdefault(question.subject, []).append(question)
    placed = [
        ((i + 0.5) / len(group), (j + 0.5) / len(subjects), question)
        for subjects in tasks.values()
        for j, group in enumerate(subjects.values())
        for i, question in enumerate(group)
    ]
    placed.sort(key=lambda item: item[:2])
    return [question for *_, question in placed]


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What earlier runs left of one answerer."""

    done: NDArray[np.bool_]
    """(N,): which questions, in the order they are asked, have an outcome."""
    ungraded: int
    score: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all runs have in common."""

    samples: int
    give_up_after: int
    retry_rounds: int
    on_progress: ProgressSink | None


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise InputError(f"Answerers must have different names, got {list(names)}.")


def _check_at_least(least: int, **options: int) -> None:
    for option, value in options.items():
        if value < least:
            raise InputError(f"`{option}` must be at least {least}, got {value}.")


def _prepare(bank: QuestionBank, order: Sequence[Question], names: Sequence[str]) -> dict[str, _Earlier]:
    for start in range(0, len(order), _ADDED_AT_ONCE):
        bank.add_questions(order[start : start + _ADDED_AT_ONCE])
    for name in names:
        bank.add_llm(name)
    scores: NDArray[np.float32] | None = None
    columns: tuple[str, ...] = ()
    earlier = {}
    for name in names:
        answered = bank.answered(name)
        done = np.fromiter((question.id in answered for question in order), np.bool_, len(order))
        if not done.any():
            earlier[name] = _Earlier(done, 0, 0.0)
            continue
        if scores is None:
            scores, columns = _scores(bank, order)
        values = scores[done, columns.index(name)]
        earlier[name] = _Earlier(done, int(np.isnan(values).sum()), float(np.nansum(values, dtype=np.float64)))
    return earlier


def _scores(bank: QuestionBank, order: Sequence[Question]) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return the scores of all LLMs on some questions, (N, R), and the names of the R LLMs."""
    matrix = bank.outcomes()
    row_of = {question_id: row for row, question_id in enumerate(matrix.question_ids)}
    return matrix.scores[[row_of[question.id] for question in order]], matrix.llms


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group: what started it, the rest being its consequences."""
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Run:
    """One answerer over all questions."""

    def __init__(self, answerer: Answerer, earlier: _Earlier, plan: _Plan) -> None:
        self.name = answerer.name
        self._answerer = answerer
        self._earlier = earlier
        self._plan = plan
        self._tally = Tally(
            answerer.name,
            len(earlier.done),
            resumed=int(earlier.done.sum()),
            ungraded=earlier.ungraded,
            score=earlier.score,
        )
        self._failed: list[Question] = []
        self._stopped: RunStatus | None = None
        self._note = ""

    async def go(self, questions: Sequence[Question], recorder: Recorder, slots: int) -> None:
        """Ask what has no outcome yet, then what failed; return when all answers are on disk."""
        self._tally.start()
        self._tell()
        missing = np.flatnonzero(~self._earlier.done)
        await self._ask_all((questions[int(i)] for i in missing), recorder, min(slots, len(missing)))
        for _ in range(self._plan.retry_rounds):
            again, self._failed = self._failed, []
            if self._stopped is not None or not again:
                break
            self._tally.failed_in_a_row = 0
            await self._ask_all(self._once_more(again), recorder, min(slots, len(again)))
        await recorder.settled(self.name)
        self._tell()

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes that are on disk."""
        self._tally.add(outcomes)
        self._tell()

    def report(self) -> AnswererReport:
        """Say how it ended."""
        progress = self._tally.progress()
        status = self._stopped or ("complete" if progress.done == progress.total else "failures")
        return AnswererReport(progress, self._tally.failures, status, self._note)

    def _once_more(self, questions: Sequence[Question]) -> Iterator[Question]:
        for question in questions:
            self._tally.try_again(question.id)
            yield question

    async def _ask_all(self, pending: Iterator[Question], recorder: Recorder, slots: int) -> None:
        async with asyncio.TaskGroup() as asking:
            for _ in range(slots):
                asking.create_task(self._work(pending, recorder))

    async def _work(self, pending: Iterator[Question], recorder: Recorder) -> None:
        for question in pending:
            attempts: list[Attempt] = []
            while len(attempts) < self._plan.samples:
                attempts.append(await self._answerer.answer(question, len(attempts)))
                if attempts[-1].status != "ok":
                    break
            last = attempts[-1]
            if last.status == "ok":
                self._tally.failed_in_a_row = 0
                await recorder.put(question, self.name, tuple(attempts))
            elif last.status == "skipped":
                self._stop("budget", last.error or "")
            else:
                self._fail(question, last)
            if self._stopped is not None:
                return

    def _fail(self, question: Question, attempt: Attempt) -> None:
        self._tally.fail(question.id, attempt)
        status = attempt.http_status
        if status is None or status >= 500 or status in _MAY_PASS:
            self._failed.append(question)
        if self._tally.failed_in_a_row >= self._plan.give_up_after:
            self._stop("gave_up", f"{self._tally.failed_in_a_row} calls in a row failed")
        self._tell()

    def _stop(self, status: RunStatus, note: str) -> None:
        if self._stopped is None:
            self._stopped, self._note = status, note

    def _tell(self) -> None:
        if self._plan.on_progress is not None:
            self._plan.on_progress(self._tally.progress())
