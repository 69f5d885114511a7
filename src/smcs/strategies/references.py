"""The referencers' answers as they come in, and when to stop waiting for the rest.

All referencers answer at once. Whoever needs some of the answers waits for just those, so a subset is aggregated as
soon as its own members are in. With a straggler cut, references that are later than a multiple of the median arrival
are given up: the posterior is built on dropping references anyway.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence

from smcs.llms import Member
from smcs.run import Trace
from smcs.strategies.calls import Caller
from smcs.strategies.prompts import Prompts
from smcs.types import Attempt, Message, Stage

__all__ = ("SHARE_OF_DEADLINE", "References")

SHARE_OF_DEADLINE = 0.6
"""Part of a run's seconds that references may use when a deadline is set, so that aggregation has a turn too."""


class References:
    """Answers of the referencers, by position (0 is the best prior).

    Args:
        referencers: The recruited LLMs, best prior first.
        caller: Makes the calls.
        trace: Told when a reference was given up.
        straggler_cut: Multiple of the median arrival after which a reference is late; `None` waits for all.
        prompts: What a referencer is shown before the conversation.
        deadline_share: Part of the run's seconds at which references that are not in are given up; 1 where nothing
            comes after them.
    """

    def __init__(
        self,
        referencers: Sequence[Member],
        caller: Caller,
        trace: Trace,
        *,
        straggler_cut: float | None,
        prompts: Prompts | None = None,
        deadline_share: float = SHARE_OF_DEADLINE,
    ) -> None:
        self._referencers = referencers
        self._caller = caller
        self._trace = trace
        self._cut = straggler_cut
        self._prompts = prompts or Prompts()
        self._share = deadline_share
        self._settled = [asyncio.Event() for _ in referencers]
        self.texts: dict[int, str] = {}
        """Answer by position, for the references that arrived."""

    async def among(self, positions: Iterable[int]) -> tuple[int, ...]:
        """Wait until each of these references has arrived or failed, and return those that arrived, in order."""
        wanted = sorted(positions)
        for position in wanted:
            await self._settled[position].wait()
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
        begun = self._trace.clock()
        tasks = {
            asyncio.create_task(
                self._caller.call(
                    member, prompt(member), stage=stage, seed_offset=seed_offset + position, members=members
                ),
                name=f"{stage} {member.name}",
            ): position
            for position, member in enumerate(self._referencers)
        }
        try:
            await self._settle(tasks, begun)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._trace.stage("references", self._trace.clock() - begun)

    async def _settle(self, tasks: dict[asyncio.Task[Attempt], int], begun: float) -> None:
        deadline = self._caller.budget.deadline
        enough = max(2, math.ceil(len(tasks) / 2))
        limits: list[tuple[float, str]] = []
        if deadline is not None:
            limits.append((self._share * deadline, f"not in when {self._share:.0%} of max_seconds had passed"))
        pending = set(tasks)
        while pending:
            at, why = min(limits, default=(math.inf, ""))
            wait_until = at if self.texts else math.inf
            timeout = None if math.isinf(wait_until) else max(0.0, wait_until - self._trace.clock())
            done, pending = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                await self._give_up(pending, tasks, why)
                return
            for task in done:
                self._arrive(tasks[task], task.result())
            if self._cut is not None and len(self.texts) >= enough:
                median = self._trace.clock() - begun
                why = f"straggler, not in at {self._cut:g} x the median arrival ({median:.2f} s)"
                limits.append((begun + self._cut * median, why))
                enough = len(tasks) + 1

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

    def _arrive(self, position: int, done: Attempt) -> None:
        if done.status == "ok":
            self.texts[position] = done.choices[0].text
        else:
            self._trace.degrade(f"reference lost: {done.llm} ({done.status}: {done.error})")
        self._settled[position].set()
