"""The calls of one run: who is asked, what has been written so far, and how each call ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from smcs.run import AttemptStarted, Candidate, TextArrived
from smcs.strategies.prompts import unwrap
from smcs.studio.ask.state import Call
from smcs.studio.ask.words import why_failed
from smcs.types import Attempt, Stage

__all__ = ("CallBook",)


@dataclass(slots=True, eq=False)
class _Entry:
    llm: str
    stage: Stage
    started: float
    members: tuple[str, ...] = ()
    attempt: Attempt | None = None
    pieces: list[list[str]] = field(default_factory=list[list[str]])
    """What it has written so far, by choice."""
    written: int = 0

    def live(self) -> tuple[str, ...]:
        """Return the texts so far, by choice."""
        for pieces in self.pieces:
            pieces[:] = ["".join(pieces)]
        return tuple(pieces[0] for pieces in self.pieces)


class CallBook:
    """Keeps the calls of a run in the order in which they began."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._sent: dict[tuple[str, Stage, int], _Entry] = {}
        self._order: list[str] = []
        self._closed: str | None = None
        self._closed_at = 0.0
        self.attempts: list[Attempt] = []
        """Those that have ended."""

    @property
    def begun(self) -> bool:
        """Whether anybody was called."""
        return bool(self._entries)

    @property
    def running(self) -> int:
        """Calls that go on."""
        return sum(entry.attempt is None for entry in self._entries)

    @property
    def merging(self) -> bool:
        """Whether anything was begun to be merged."""
        return any(entry.stage == "aggregation" for entry in self._entries)

    def recruit(self, names: Iterable[str]) -> None:
        """Take down who is to be asked, best first."""
        self._order = list(names)

    def replace(self, lost: str, by: str) -> None:
        """Let an LLM stand behind the one whose place it takes, whichever of the two was recruited."""
        if lost in self._order and by not in self._order:
            self._order.insert(self._order.index(lost) + 1, by)
        elif by in self._order and lost not in self._order:
            self._order.insert(self._order.index(by), lost)

    def start(self, event: AttemptStarted) -> None:
        """Take down a call that was sent."""
        entry = _Entry(event.llm, event.stage, event.at, event.members)
        self._sent[event.llm, event.stage, event.call] = entry
        self._entries.append(entry)

    def write(self, event: TextArrived) -> None:
        """Take down a piece of text."""
        entry = self._sent.get((event.llm, event.stage, event.call))
        if entry is None:
            return
        while len(entry.pieces) <= event.choice:
            entry.pieces.append([])
        entry.pieces[event.choice].append(event.text)
        entry.written += len(event.text)

    def finish(self, attempt: Attempt, call: int | None = None) -> None:
        """Take down how a call ended; one without a number was never sent, or is known from the record alone."""
        self.attempts.append(attempt)
        entry = None if call is None else self._sent.pop((attempt.llm, attempt.stage, call), None)
        if entry is None:
            self._entries.append(_Entry(attempt.llm, attempt.stage, attempt.started, attempt=attempt))
            return
        entry.attempt, entry.started = attempt, attempt.started
        entry.pieces.clear()

    def close(self, why: str = "", at: float = 0.0) -> None:
        """Say that nothing more comes: who waits is not asked any more, what runs was given up.

        Args:
            why: It was.
            at: Seconds after the run began. What a call took that was given up then is not known.
        """
        self._closed = why
        self._closed_at = at

    def taken(self) -> tuple[Attempt, ...]:
        """Return what was called and has ended, by itself or because it was given up: what that took is not known."""
        given_up = (entry for entry in self._entries if entry.attempt is None and self._closed is not None)
        return (
            *self.attempts,
            *(
                Attempt(each.llm, each.stage, "cancelled", started=each.started, seconds=self._seconds(each) or 0.0)
                for each in given_up
            ),
        )

    def answers(self) -> tuple[Call, ...]:
        """Return the calls for an LLM's own answer: recruited ones best first, then the others as they began."""
        calls = self._calls("reference", ())
        asked = {call.llm for call in calls}
        waiting = () if self._closed is not None else tuple(name for name in self._order if name not in asked)
        calls += [Call(f"{name}/reference/0", name, "reference", "waiting") for name in waiting]
        place = {name: at for at, name in enumerate(self._order)}
        return tuple(sorted(calls, key=lambda call: place.get(call.llm, len(place))))

    def merges(self, candidates: Sequence[Candidate]) -> tuple[Call, ...] | None:
        """Return the calls that merge; `None` as long as there is none.

        Args:
            candidates: What they wrote; says whose answers a call saw that is known from the record alone.
        """
        return tuple(self._calls("aggregation", candidates)) or None

    def span(self, stage: Stage) -> tuple[float, float | None] | None:
        """Return when the first call of a stage began and the last one ended (`None`: it goes on)."""
        entries = [each for each in self._entries if each.stage == stage and _sent(each)]
        if not entries:
            return None
        ended = [each.started + seconds for each in entries if (seconds := self._seconds(each)) is not None]
        return min(each.started for each in entries), max(ended) if len(ended) == len(entries) else None

    def _seconds(self, entry: _Entry) -> float | None:
        """Return how long a call took; `None` while it goes on."""
        if entry.attempt is not None:
            return entry.attempt.seconds
        return None if self._closed is None else max(self._closed_at - entry.started, 0.0)

    def _calls(self, stage: Stage, candidates: Sequence[Candidate]) -> list[Call]:
        entries = sorted((each for each in self._entries if each.stage == stage), key=lambda each: each.started)
        seen: Counter[str] = Counter()
        members = _members(candidates)
        calls: list[Call] = []
        for entry in entries:
            key = f"{entry.llm}/{stage}/{seen[entry.llm]}"
            seen[entry.llm] += 1
            known = entry.members or _matching(entry, members)
            calls.append(self._call(entry, key, known))
        return calls

    def _call(self, entry: _Entry, key: str, members: tuple[str, ...]) -> Call:
        attempt = entry.attempt
        if attempt is None:
            over = self._closed is not None
            return Call(
                key,
                entry.llm,
                entry.stage,
                "cancelled" if over else "running",
                started=entry.started,
                seconds=self._seconds(entry),
                why=self._closed or "",
                members=members,
                live=entry.live(),
                written=entry.written,
            )
        return Call(
            key,
            entry.llm,
            entry.stage,
            attempt.status,
            started=attempt.started,
            seconds=attempt.seconds,
            texts=tuple(choice.text for choice in attempt.choices),
            why=why_failed(attempt.status, attempt.error, attempt.http_status),
            members=members,
            usage=attempt.usage,
            cost_usd=attempt.cost_usd,
            tries=attempt.tries,
        )


def _sent(entry: _Entry) -> bool:
    return entry.attempt is None or entry.attempt.status != "skipped"


def _members(candidates: Sequence[Candidate]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return whose answers a text was made of; a text that was made of different ones says nothing."""
    found: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for candidate in candidates:
        if candidate.members and candidate.text:
            found[candidate.llm, candidate.text].add(candidate.members)
    return {key: next(iter(members)) for key, members in found.items() if len(members) == 1}


def _matching(entry: _Entry, members: dict[tuple[str, str], tuple[str, ...]]) -> tuple[str, ...]:
    """Return whose answers a merge saw, found by the text it wrote; empty where that is not known."""
    choices = () if entry.attempt is None else entry.attempt.choices
    keys = ((entry.llm, unwrap(choice.text)) for choice in choices)
    return next((members[key] for key in keys if key in members), ())
