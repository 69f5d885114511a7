"""From answers to outcomes on disk: graded on threads, recorded in batches, while the next questions are asked."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean

from smcs.bank import QuestionBank
from smcs.grading import grade
from smcs.types import Attempt, Grade, GraderName, Outcome, Question, total_usage

__all__ = ("Recorder", "safe_grade")

_BATCH = 512
_FLUSH_SECONDS = 1.0
_QUICK_BATCH = 64
_ROOM = 4096
"""Answers that are not on disk yet; more wait, so that memory stays bounded when the disk is slow."""

_SLOW_ROOM = 256
"""Answers that wait for a slow grader; more keep their worker from asking on."""

_LAST_SECONDS = 10.0
"""How long an interrupted run goes on grading what was answered."""

_SLOW: frozenset[GraderName | None] = frozenset({"code", "math", "ifeval"})
"""Graders that may take longer than the hop to a thread: they run programs or workers."""


@dataclass(frozen=True, slots=True)
class _Answered:
    question: Question
    llm: str
    attempts: tuple[Attempt, ...]
    """One per sample, all "ok"."""


def safe_grade(question: Question, answer: str) -> Grade:
    """Grade an answer; a grader that fails leaves it ungraded and says why, so a long run goes on."""
    try:
        return grade(question, answer)
    except Exception as error:  # noqa: BLE001  (recorded as the reason of a missing score)
        return Grade(None, None, f"the grader failed: {type(error).__name__}: {error}"[:500])


class _Room:
    """So many places; who finds none waits in line. Unlike a semaphore, thousands that wait cost nothing."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._line: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Take a place."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        await turn

    def give(self, places: int = 1) -> None:
        """Give places back, to those in line first."""
        while places and self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                places -= 1
        self._free += places


class Recorder:
    """Grades what is put in and records it at least once a second, in the order it is graded.

    Args:
        bank: Where outcomes go.
        on_recorded: Called on the event loop with each batch that is on disk.
        slow_threads: Answers that slow graders (programs, mathematics) work on at the same time.
    """

    def __init__(
        self, bank: QuestionBank, on_recorded: Callable[[Sequence[Outcome]], None], *, slow_threads: int
    ) -> None:
        self._bank = bank
        self._on_recorded = on_recorded
        self._slow_threads = slow_threads
        self._quick: asyncio.Queue[_Answered] = asyncio.Queue()
        self._slow: asyncio.Queue[_Answered] = asyncio.Queue()
        self._room = _Room(_ROOM)
        self._slow_room = _Room(_SLOW_ROOM)
        self._graded: list[Outcome] = []
        self._interrupted: list[_Answered] = []
        self._pending: Counter[str] = Counter()
        self._moved = asyncio.Condition()
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()
        self._threads = {
            False: ThreadPoolExecutor(1, thread_name_prefix="grading"),
            True: ThreadPoolExecutor(slow_threads, thread_name_prefix="grading-slow"),
        }

    async def put(self, question: Question, llm: str, attempts: tuple[Attempt, ...]) -> None:
        """Take in the answers to one question; waits when too many are not settled yet."""
        await self._room.take()
        slow = question.grader in _SLOW
        if slow:
            await self._slow_room.take()
        self._pending[llm] += 1
        (self._slow if slow else self._quick).put_nowait(_Answered(question, llm, attempts))

    async def run(self) -> None:
        """Grade and record until cancelled.

        Raises:
            BankError: The bank refused an outcome.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._record_regularly())
            group.create_task(self._grade(self._quick, slow=False))
            for _ in range(self._slow_threads):
                group.create_task(self._grade(self._slow, slow=True))

    async def settled(self, llm: str) -> None:
        """Wait until all of an LLM's answers are on disk."""
        async with self._moved:
            while self._pending[llm]:
                if self._graded:
                    self._due.set()
                await self._moved.wait()

    async def close(self) -> None:
        """Record what is left: after an interruption, what can be graded within some seconds."""
        left = [*self._interrupted, *_drained(self._quick), *_drained(self._slow)]
        loop = asyncio.get_running_loop()
        try:
            if left:
                jobs = [
                    loop.run_in_executor(self._threads[item.question.grader in _SLOW], _outcomes, [item])
                    for item in left
                ]
                done, late = await asyncio.wait(jobs, timeout=_LAST_SECONDS)
                for job in late:
                    job.cancel()
                for job in done:
                    self._graded += job.result()
            await self._flush()
        finally:
            for threads in self._threads.values():
                threads.shutdown(wait=False, cancel_futures=True)

    async def _grade(self, queue: asyncio.Queue[_Answered], *, slow: bool) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await queue.get()]
            while not slow and len(batch) < _QUICK_BATCH and not queue.empty():
                batch.append(queue.get_nowait())
            try:
                outcomes = await loop.run_in_executor(self._threads[slow], _outcomes, batch)
            except asyncio.CancelledError:
                self._interrupted += batch
                raise
            if slow:
                self._slow_room.give()
            self._graded += outcomes
            if len(self._graded) >= _BATCH:
                self._due.set()
            async with self._moved:
                self._moved.notify_all()

    async def _record_regularly(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            await self._flush()

    async def _flush(self) -> None:
        """Record what is graded; an interrupted write is repeated, which the bank counts once."""
        async with self._writing:
            batch = list(self._graded)
            if not batch:
                return
            await asyncio.to_thread(self._bank.record, batch)
            del self._graded[: len(batch)]
            self._pending.subtract(outcome.llm for outcome in batch)
            self._room.give(len(batch))
            self._on_recorded(batch)
        async with self._moved:
            self._moved.notify_all()


def _drained(queue: asyncio.Queue[_Answered]) -> list[_Answered]:
    return [queue.get_nowait() for _ in range(queue.qsize())]


def _outcomes(batch: Sequence[_Answered]) -> list[Outcome]:
    return [_outcome(item) for item in batch]


def _outcome(item: _Answered) -> Outcome:
    question, attempts = item.question, item.attempts
    texts = [attempt.choices[0].text for attempt in attempts]
    verdicts = [safe_grade(question, text) for text in texts]
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    costs = [attempt.cost_usd for attempt in attempts if attempt.cost_usd is not None]
    reason = verdicts[0].reason
    if len(verdicts) > 1:
        shown = ", ".join("ungraded" if verdict.score is None else f"{verdict.score:g}" for verdict in verdicts)
        reason = f"mean of {len(scores)} samples ({shown}); the first: {reason}"
    return Outcome(
        question.id,
        item.llm,
        fmean(scores) if scores else None,
        response=texts[0],
        extracted=verdicts[0].extracted,
        reason=reason,
        grader=question.grader or "",
        usage=total_usage([attempt.usage for attempt in attempts]),
        cost_usd=sum(costs) if len(costs) == len(attempts) else None,
        seconds=sum(attempt.seconds for attempt in attempts),
        samples=len(attempts),
    )
