"""The engine: answerers over questions, concurrently, graded, each outcome recorded soon after it exists.

A killed run loses at most the last second of answers; starting it again asks only what has no outcome. Failed calls
are no outcomes: they are reported, and asked again next time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from smcs.bank import QuestionBank
from smcs.errors import InputError
from smcs.evaluate.answerers import Answerer, MemberAnswerer
from smcs.evaluate.progress import AnswererReport, GradingProgress, GradingReport, Tally
from smcs.grading import grade
from smcs.llms.pool import Member
from smcs.types import Attempt, Grade, Message, Outcome, Question, Sampling

__all__ = ("ProgressSink", "grade_answerers", "interleaved", "run_grading", "safe_grade")

ProgressSink = Callable[[GradingProgress], None]
"""Called on the event loop whenever outcomes were recorded or a call failed; must not block."""

_BATCH = 16
_FLUSH_SECONDS = 1.0


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
) -> GradingReport:
    """Grade LLMs of a pool on questions of a bank.

    Args:
        questions: What is asked; questions new to the bank are added to it.
        members: The LLMs; those new to the bank are added to it.
        bank: Where outcomes are recorded.
        messages: The prompt of a question.
        sampling: Sampling of a question, laid over the member's own.
        call_seconds: Seconds one call may take, retries included.
        concurrency: Calls in flight per member, for all or by name.
        parallel: Members that run at the same time; leave it at 1 when they share one machine.
        give_up_after: Failures in a row after which a member is stopped for this run.
        on_progress: Hears about progress.

    Returns:
        What was done and what failed.

    Raises:
        InputError: An argument is out of range.
        BankError: The bank refused an outcome; everything recorded before is kept.
    """
    answerers = [MemberAnswerer(member, messages, sampling, call_seconds=call_seconds) for member in members]
    return await grade_answerers(
        questions,
        answerers,
        bank,
        concurrency=concurrency,
        parallel=parallel,
        give_up_after=give_up_after,
        on_progress=on_progress,
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
    grading_threads: int = 2,
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
        grading_threads: Answers graded at the same time.

    Raises:
        InputError: An argument is out of range, or two answerers share a name.
        BankError: The bank refused an outcome; everything recorded before is kept.
    """
    names = [answerer.name for answerer in answerers]
    if len(set(names)) != len(names):
        raise InputError(f"Answerers must have different names, got {names}.")
    slots = {name: concurrency.get(name, 8) if isinstance(concurrency, Mapping) else concurrency for name in names}
    options = {"parallel": parallel, "give_up_after": give_up_after, "grading_threads": grading_threads}
    for option, value in [*((f"concurrency of {name}", slots[name]) for name in names), *options.items()]:
        if value < 1:
            raise InputError(f"`{option}` must be at least 1, got {value}.")
    started = time.monotonic()
    await asyncio.to_thread(_prepare, bank, questions, names)
    order = interleaved(questions)
    with ThreadPoolExecutor(grading_threads, thread_name_prefix="grading") as threads:
        runs = [
            _Run(answerer, bank, threads, slots[answerer.name], give_up_after, on_progress) for answerer in answerers
        ]
        waiting = iter(runs)

        async def lane() -> None:
            for run in waiting:
                await run.go(order)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(parallel, len(runs))):
                group.create_task(lane())
    return GradingReport(tuple(run.report() for run in runs), time.monotonic() - started)


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
    return [question for *_, question in sorted(placed, key=lambda item: item[:2])]


def safe_grade(question: Question, answer: str) -> Grade:
    """Grade an answer; a grader that fails leaves it ungraded and says why, so a long run goes on."""
    try:
        return grade(question, answer)
    except Exception as error:  # noqa: BLE001  (recorded as the reason of a missing score)
        return Grade(None, None, f"the grader failed: {type(error).__name__}: {error}"[:500])


def _prepare(bank: QuestionBank, questions: Sequence[Question], names: Sequence[str]) -> None:
    bank.add_questions(questions)
    for name in names:
        bank.add_llm(name)


class _Run:
    """One answerer over all questions."""

    def __init__(
        self,
        answerer: Answerer,
        bank: QuestionBank,
        threads: Executor,
        slots: int,
        give_up_after: int,
        on_progress: ProgressSink | None,
    ) -> None:
        self._answerer = answerer
        self._bank = bank
        self._threads = threads
        self._slots = slots
        self._give_up_after = give_up_after
        self._on_progress = on_progress
        self._tally = Tally(answerer.name, 0, ())
        self._buffer: list[Outcome] = []
        self._lock = asyncio.Lock()

    async def go(self, questions: Sequence[Question]) -> None:
        """Ask what has no outcome yet; on a failure or when cancelled, record what is graded and leave."""
        earlier = await asyncio.to_thread(self._earlier, questions)
        self._tally = Tally(self._answerer.name, len(questions), earlier.values())
        self._tell()
        pending = (question for question in questions if question.id not in earlier)
        workers = min(self._slots, len(questions) - len(earlier))
        try:
            async with asyncio.TaskGroup() as group:
                timer = group.create_task(self._flush_regularly())
                async with asyncio.TaskGroup() as asking:
                    for _ in range(workers):
                        asking.create_task(self._work(pending))
                timer.cancel()
        finally:
            await self._flush()

    def report(self) -> AnswererReport:
        """Say how it ended."""
        return AnswererReport(self._tally.progress(), tuple(self._tally.failures), self._gave_up)

    @property
    def _gave_up(self) -> bool:
        return self._tally.failed_in_a_row >= self._give_up_after

    def _earlier(self, questions: Sequence[Question]) -> dict[str, float]:
        """Scores by question id of what was answered in earlier runs, NaN where ungraded."""
        answered = self._bank.answered(self._answerer.name)
        matrix = self._bank.outcomes()
        column = matrix.llms.index(self._answerer.name)
        scores = dict(zip(matrix.question_ids, matrix.scores[:, column].tolist(), strict=True))
        return {question.id: scores[question.id] for question in questions if question.id in answered}

    async def _work(self, pending: Iterator[Question]) -> None:
        for question in pending:
            attempt = await self._answerer.answer(question)
            if attempt.status == "ok":
                await self._settle(question, attempt)
            else:
                self._tally.fail(question.id, attempt)
                self._tell()
            if self._gave_up:
                return

    async def _settle(self, question: Question, attempt: Attempt) -> None:
        self._tally.failed_in_a_row = 0
        text = attempt.choices[0].text
        loop = asyncio.get_running_loop()
        verdict = await loop.run_in_executor(self._threads, safe_grade, question, text)
        self._buffer.append(
            Outcome(
                question.id,
                self._answerer.name,
                verdict.score,
                response=text,
                extracted=verdict.extracted,
                reason=verdict.reason,
                grader=question.grader or "",
                usage=attempt.usage,
                cost_usd=attempt.cost_usd,
                seconds=attempt.seconds,
            )
        )
        if len(self._buffer) >= _BATCH:
            await self._flush()

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        """Record what is graded; an interrupted write is repeated, which the bank counts once."""
        async with self._lock:
            batch, self._buffer = self._buffer, []
            if not batch:
                return
            try:
                await asyncio.to_thread(self._bank.record, batch)
            except BaseException:
                self._buffer = batch + self._buffer
                raise
            self._tally.add(batch)
            self._tell()

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._tally.progress())
