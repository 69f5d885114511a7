"""The referencers' answers as they come in, and when to stop waiting for the rest.

All referencers answer at once. Whoever needs some of the answers waits for just those, so a subset is aggregated as
soon as its own members are in. With a straggler cut, references that are later than a multiple of the median arrival
are given up: the posterior is built on dropping references anyway.

Where a call fails, the next LLM by prior may take its place: same position, another name. What was late is not made up
for, since that would make a run wait longer, not less.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Sequence

from smcs.errors import BudgetExceededError
from smcs.llms import Member
from smcs.run import Replaced, Trace
from smcs.strategies.calls import Caller
from smcs.strategies.prompts import Prompts
from smcs.strategies.settings import Settings
from smcs.types import Attempt, Message, Stage

__all__ = ("SHARE_OF_DEADLINE", "References")

SHARE_OF_DEADLINE = 0.6
"""Part of a run's seconds that references may use when a deadline is set, so that aggregation has a turn too.

Calls that make up for failed ones may use as much of its money."""

_Ask = Callable[[Member, int], Coroutine[None, None, Attempt]]


class References:
    """Answers of the referencers, by position (0 is the best prior).

    Args:
        referencers: The recruited LLMs, best prior first.
        caller: Makes the calls.
        trace: Told when a reference was given up, or made up for.
        settings: Straggler cut, and whether failed calls are made up for.
        prompts: What a referencer is shown before the conversation.
        deadline_share: Part of the run's seconds at which references that are not in are given up; 1 where nothing
            comes after them.
        reserves: LLMs that were not recruited, in the order in which they take the place of those that fail.
        keep_calls: Calls that are kept for what comes after the references.
    """

    def __init__(
        self,
        referencers: Sequence[Member],
        caller: Caller,
        trace: Trace,
        settings: Settings,
        *,
        prompts: Prompts | None = None,
        deadline_share: float = SHARE_OF_DEADLINE,
        reserves: Sequence[Member] = (),
        keep_calls: int = 0,
    ) -> None:
        self._referencers = list(referencers)
        self._caller = caller
        self._trace = trace
        self._cut = settings.straggler_cut
        self._prompts = prompts or Prompts()
        self._share = deadline_share
        self._reserves = list(reserves) if settings.replace_failed else []
        self._keep_calls = keep_calls
        self._settled = [asyncio.Event() for _ in referencers]
        self._begun = 0.0
        self._median = math.inf
        self._limits: list[tuple[float, str]] = []
        self.texts: dict[int, str] = {}
        """Answer by position, for the references that arrived."""

    @property
    def names(self) -> tuple[str, ...]:
        """LLM of each position: the one that was recruited, or the last one that was asked in its place."""
        return tuple(member.name for member in self._referencers)

    async def among(self, positions: Iterable[int]) -> tuple[int, ...]:
        """Wait until each of these references has arrived or failed, and return those that arrived, in order."""
        wanted = sorted(positions)
        for settled in (self._settled[position] for position in wanted):
            if not settled.is_set():
                await settled.wait()
        return tuple(position for position in wanted if position in self.texts)

    async def gather(self, conversation: tuple[Message, ...]) -> None:
        """Ask every referencer at once and settle each reference as it arrives, fails or is given up."""
        shown = self._prompts.for_reference(conversation)
        await self._gather(lambda _: shown, stage="reference")

    async def refine(
        self, prompt: Callable[[Member], tuple[Message, ...]], members: tuple[str, ...], *, seed_offset: int
    ) -> None:
        """Ask every referencer for a reference made of earlier ones, as `gather` otherwise.

        Args:
            prompt: What each is shown.
            members: LLMs whose references that holds.
            seed_offset: Keeps the seeds apart from those of other layers.
        """
        await self._gather(prompt, stage="aggregation", members=members, seed_offset=seed_offset)

    async def _gather(
        self,
        prompt: Callable[[Member], tuple[Message, ...]],
        *,
        stage: Stage,
        members: tuple[str, ...] = (),
        seed_offset: int = 0,
    ) -> None:
        self._begun = self._trace.clock()

        def ask(member: Member, position: int) -> Coroutine[None, None, Attempt]:
            return self._caller.call(
                member, prompt(member), stage=stage, seed_offset=seed_offset + position, members=members
            )

        def ask_instead(member: Member, position: int) -> Coroutine[None, None, Attempt]:
            prepared = self._caller.prepare(
                member,
                prompt(member),
                stage=stage,
                seed_offset=seed_offset + position,
                members=members,
                keep_calls=self._keep_calls,
                share=self._share,
            )
            return self._caller.send(prepared)

        tasks = {
            asyncio.create_task(ask(member, position), name=f"{stage} {member.name}"): position
            for position, member in enumerate(self._referencers)
        }
        try:
            await self._settle(tasks, ask_instead)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._trace.stage("references", self._trace.clock() - self._begun)

    async def _settle(self, tasks: dict[asyncio.Task[Attempt], int], ask_instead: _Ask) -> None:
        deadline = self._caller.budget.deadline
        enough = max(2, math.ceil(len(tasks) / 2))
        if deadline is not None:
            self._limits.append((self._share * deadline, f"not in when {self._share:.0%} of max_seconds had passed"))
        pending = set(tasks)
        while pending:
            at, why = min(self._limits, default=(math.inf, ""))
            wait_until = at if self.texts else math.inf
            timeout = None if math.isinf(wait_until) else max(0.0, wait_until - self._trace.clock())
            done, pending = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                await self._give_up(pending, tasks, why)
                return
            for task in sorted(done, key=lambda task: tasks[task]):
                instead = self._arrive(tasks[task], task.result(), ask_instead)
                if instead is not None:
                    tasks[instead] = tasks[task]
                    pending.add(instead)
            if self._cut is not None and math.isinf(self._median) and len(self.texts) >= enough:
                self._median = self._trace.clock() - self._begun
                why = f"straggler, not in at {self._cut:g} x the median arrival ({self._median:.2f} s)"
                self._limits.append((self._begun + self._cut * self._median, why))

    async def _give_up(
        self, pending: set[asyncio.Task[Attempt]], tasks: dict[asyncio.Task[Attempt], int], why: str
    ) -> None:
        self._caller.why_cancelled = why
        for task in pending:
            task.cancel()
        await asyncio.wait(pending)
        late = sorted(tasks[task] for task in pending)
        for position in late:
            self._settled[position].set()
        names = ", ".join(self._referencers[position].name for position in late)
        self._trace.degrade(f"references given up: {names} ({why})")

    def _arrive(self, position: int, done: Attempt, ask_instead: _Ask) -> asyncio.Task[Attempt] | None:
        """Settle a reference; where it failed and another LLM takes its place, return that LLM's call instead."""
        if done.status == "ok":
            self.texts[position] = done.choices[0].text
            self._settled[position].set()
            return None
        lost = f"reference lost: {done.llm} ({done.status}: {done.error})"
        instead = self._replace(position, ask_instead)
        if instead is None:
            self._trace.degrade(lost)
            self._settled[position].set()
            return None
        by = self._referencers[position].name
        self._trace.degrade(f"{lost}; {by} took its place")
        self._trace.emit(Replaced(done.llm, by, self._trace.clock()))
        return instead

    def _replace(self, position: int, ask_instead: _Ask) -> asyncio.Task[Attempt] | None:
        """Ask the next LLM in the place of one that failed; `None` where none is left that the caps and time allow."""
        soonest = self._trace.clock() + (0.0 if math.isinf(self._median) else self._median)
        if soonest > min((at for at, _ in self._limits), default=math.inf):
            return None
        while self._reserves:
            member = self._reserves.pop(0)
            try:
                call = ask_instead(member, position)
            except BudgetExceededError:
                continue
            self._referencers[position] = member
            return asyncio.create_task(call, name=f"instead {member.name}")
        return None
