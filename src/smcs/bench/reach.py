"""Stops an experiment that has lost an LLM which one of its arms cannot do without.

Calls that fail are no reason to stop: an answer made with less is a row that says so. But where nobody answers at an
LLM's address on question after question, every further row would be one of these, and none of them what was asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from smcs.errors import LLMError, RunError
from smcs.llms import LLM, DeltaSink, Member, StoredLLM
from smcs.types import Completion, Request

__all__ = ("Calls", "LLMUnreachableError", "Reach", "Role")

_MORE_THAN_AT_ONCE: Final = 2
"""Questions in a row beyond those that are asked at once, all of which one bad moment may hit."""
_REASON_CHARACTERS: Final = 200

Role = tuple[str, ...]
"""LLMs that stand in for one another: an arm can do without any of them, but not without all."""


class LLMUnreachableError(RunError):
    """An LLM that an arm cannot do without is not there."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How the calls of one run ended, by LLM. What came out of an answer store was no call."""

    reached: set[str] = field(default_factory=set[str])
    """LLMs that were there at least once, whatever they said."""
    lost: dict[str, str] = field(default_factory=dict[str, str])
    """Those of which a call ended in a connection error, each with what the last one said."""

    def heard(self, members: Mapping[str, Member]) -> dict[str, Member]:
        """Return members whose calls are noted here; a recording is none that could be out of reach."""
        return {
            name: member if isinstance(member.llm, StoredLLM) else replace(member, llm=_Heard(name, member.llm, self))
            for name, member in members.items()
        }


class _Heard:
    """An LLM whose calls are noted."""

    def __init__(self, name: str, inner: LLM, calls: Calls) -> None:
        self.inner = inner
        self._name = name
        self._calls = calls

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Ask it; see `LLM.complete`."""
        try:
            completion = await self.inner.complete(request, on_delta=on_delta)
        except LLMError as error:
            if error.retryable and error.http_status is None:
                self._calls.lost[self._name] = error.reason
            else:
                self._calls.reached.add(self._name)
            raise
        self._calls.reached.add(self._name)
        return completion


class Reach:
    """Counts, for each arm, on how many questions in a row a role was called and nobody in it was there.

    Args:
        at_once: Questions that are asked at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self._most = at_once + _MORE_THAN_AT_ONCE
        self._in_a_row: Counter[tuple[str, Role]] = Counter()

    def judge(self, arm: str, roles: tuple[Role, ...], calls: Calls) -> None:
        """Take a run of an arm into account.

        Raises:
            LLMUnreachableError: Nobody of a role was there on as many questions in a row as are asked at once, and two
                more.
        """
        for role in roles:
            if not calls.reached.isdisjoint(role):
                self._in_a_row[arm, role] = 0
            elif lost := [name for name in role if name in calls.lost]:
                self._in_a_row[arm, role] += 1
                if self._in_a_row[arm, role] >= self._most:
                    raise self._error(arm, lost, " ".join(calls.lost[lost[-1]].split())[:_REASON_CHARACTERS])

    def _error(self, arm: str, lost: list[str], reason: str) -> LLMUnreachableError:
        them = "it" if len(lost) == 1 else "them"
        return LLMUnreachableError(
            f"{', '.join(lost)} could not be reached on {self._most} questions in a row ({reason}), and arm {arm!r} "
            f"cannot do without {them}. Start {them}, then run the same command with --redo-degraded: what was "
            f"answered without {them} is asked again, all else is kept."
        )
