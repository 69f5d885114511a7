"""How long a run takes when nothing but its own order holds it back, from its events and the seconds of its calls."""

from __future__ import annotations

from collections import defaultdict, deque

from smcs.run import AttemptFinished, AttemptStarted, Event
from smcs.types import Stage

__all__ = ("CriticalPath",)


class CriticalPath:
    """Watches a run and adds up its longest chain of calls.

    A call is taken to begin when the last call that had ended before it was sent would have ended, so calls sent
    together count once. Answers out of a store count with the seconds they took when they were recorded, so that a
    replay reports the latency of the recording rather than its own.
    """

    def __init__(self) -> None:
        self._starts: dict[tuple[str, Stage], deque[float]] = defaultdict(deque)
        self.seconds = 0.0
        """Seconds from the first call's start to the last call's end."""

    def __call__(self, event: Event) -> None:
        """Take note of an event of the run."""
        match event:
            case AttemptStarted(llm=llm, stage=stage):
                self._starts[llm, stage].append(self.seconds)
            case AttemptFinished(attempt=attempt) if attempt.status != "skipped":
                waiting = self._starts[attempt.llm, attempt.stage]
                begun = waiting.popleft() if waiting else self.seconds
                self.seconds = max(self.seconds, begun + attempt.seconds)
            case _:
                pass
