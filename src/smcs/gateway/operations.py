"""What is written to the ledger, each an `Operation` of the writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, select, update

from smcs.errors import InputError
from smcs.gateway import schema
from smcs.gateway.database import iso
from smcs.gateway.entries import MAX_NAME, AttemptSummary, Entry, Feedback, bounded
from smcs.gateway.limits import Hold, KeyLimits, admitted, hold_nano, nano_usd, settled, spared
from smcs.gateway.work import Held, Lost, Work

__all__ = (
    "LEASE_SECONDS",
    "AddFeedback",
    "NoSuchRunError",
    "Prune",
    "Release",
    "Renew",
    "Reservation",
    "Reserve",
    "Settle",
    "Sweep",
)

LEASE_SECONDS: Final = 60.0
"""How long a reservation outlives the last sign of life of the process that made it."""

_FORGET_WRITERS: Final = 30 * 86_400.0
"""Seconds after which the mark of a process that writes no more is of no use."""

_LOST: Final = "the server that ran it died"


class NoSuchRunError(InputError):
    """The ledger has no run of that id."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """The right to make one request; it ends with `Ledger.settle` or `Ledger.release`."""

    id: str
    key_id: str
    """Empty where the request came without a key."""
    hold: Hold
    stored: bool
    """Whether the key has limits, so that the hold stands in the database."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Count a request and hold the most it may take."""

    reservation: Reservation
    limits: KeyLimits
    reservation_ids: tuple[str, ...] = ()

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The key."""
        return (self.reservation.key_id,)

    def apply(self, work: Work) -> None:
        """Raise `LimitReached`, or hold."""
        reservation, hold = self.reservation, self.reservation.hold
        before = work.state(reservation.key_id)
        after = admitted(self.limits, before, hold, work.now)
        work.set_state(after)
        work.hold(
            Held(
                reservation.id,
                reservation.key_id,
                nano=after.held_nano - before.held_nano,
                tokens=after.held_tokens - before.held_tokens,
                endpoint=bounded(hold.endpoint, MAX_NAME),
                model=bounded(hold.model, MAX_NAME),
                created=_iso(work.now),
                expires=work.now + LEASE_SECONDS,
            )
        )


@dataclass(frozen=True, slots=True)
class Release:
    """Give back what is held for a request that was not begun; it stays counted as a request of its minute."""

    reservation: Reservation

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The key."""
        return (self.reservation.key_id,)

    @property
    def reservation_ids(self) -> tuple[str, ...]:
        """The reservation."""
        return (self.reservation.id,)

    def apply(self, work: Work) -> None:
        """Free it, unless that was done already."""
        held = work.held(self.reservation.id)
        if held is not None:
            _free(work, held, nano=0, tokens=0)


@dataclass(frozen=True, slots=True)
class Settle:
    """Write a run, charge its key, and free what was held for it."""

    reservation: Reservation
    entry: Entry
    record: bytes | None

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The key, where it has limits."""
        return (self.reservation.key_id,) if self.reservation.stored else ()

    @property
    def reservation_ids(self) -> tuple[str, ...]:
        """The reservation, where it was stored."""
        return (self.reservation.id,) if self.reservation.stored else ()

    def apply(self, work: Work) -> None:
        """Charge what is known, and where something is unknown, no less than was held."""
        entry, reservation = self.entry, self.reservation
        nano, tokens = _charge(entry, reservation.hold)
        if reservation.stored:
            held, lost = work.held(reservation.id), work.lost(reservation.id)
            if held is not None:
                _free(work, held, nano=nano, tokens=tokens)
            else:
                # Its lease ran out while it still ran: what was charged then is taken back.
                if lost is not None:
                    _find(work, lost, reservation.key_id)
                state = work.state(reservation.key_id)
                after = settled(
                    state, held_nano=0, held_tokens=0, nano=nano, tokens=tokens, now=work.now, running=False
                )
                work.set_state(after)
        work.record(_row(entry, nano, work.now), self.record)
        for labels, sums in _daily(entry):
            work.count(labels, sums)


@dataclass(frozen=True, slots=True)
class Renew:
    """Extend the leases of a process's reservations, and of its mark."""

    ids: tuple[str, ...]
    key_ids: tuple[str, ...] = ()
    reservation_ids: tuple[str, ...] = ()

    def apply(self, work: Work) -> None:
        """Extend."""
        table = schema.reservations
        statement = update(table).where(table.c.id == bindparam("held")).values(expires=work.now + LEASE_SECONDS)
        if self.ids:
            work.connection.execute(statement, [{"held": each} for each in sorted(self.ids)])
        writers = schema.writers
        work.connection.execute(delete(writers).where(writers.c.seen < work.now - _FORGET_WRITERS))


@dataclass(frozen=True, slots=True)
class Sweep:
    """Settle reservations whose process is dead, at their full amount: nobody knows what it spent."""

    key_ids: tuple[str, ...]
    reservation_ids: tuple[str, ...]

    def apply(self, work: Work) -> int:
        """Return how many were settled; those that another process settled or renewed meanwhile are not."""
        count = 0
        for each in self.reservation_ids:
            held = work.held(each)
            if held is None or held.expires > work.now:
                continue
            _free(work, held, nano=held.nano, tokens=held.tokens)
            work.record(_row(_lost_entry(held), held.nano, work.now), None)
            for labels, sums in _daily(_lost_entry(held)):
                work.count(labels, sums)
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class AddFeedback:
    """Keep what a key's user says about a run; the last word counts."""

    feedback: Feedback
    key_ids: tuple[str, ...] = ()
    reservation_ids: tuple[str, ...] = ()

    def apply(self, work: Work) -> Feedback:
        """Raise `NoSuchRunError`, or keep it."""
        runs, table, said = schema.runs, schema.feedback, self.feedback
        run = select(runs.c.id).where(runs.c.id == said.run_id).with_for_update()
        if work.connection.execute(run).first() is None:
            raise NoSuchRunError(f"The ledger has no run {said.run_id!r}.")
        mine = (table.c.run_id == said.run_id) & (table.c.key_id == said.key_id)
        work.connection.execute(delete(table).where(mine))
        work.connection.execute(table.insert(), msgspec.to_builtins(said))
        return said


@dataclass(frozen=True, slots=True)
class Prune:
    """Forget some old runs, or only their records."""

    before: str
    most: int
    records_only: bool
    key_ids: tuple[str, ...] = field(default=())
    reservation_ids: tuple[str, ...] = field(default=())

    def apply(self, work: Work) -> int:
        """Return how many were forgotten: less than `most` when no older ones are left."""
        runs, records, feedback, shares = schema.runs, schema.records, schema.feedback, schema.shares
        old = select(runs.c.id).where(runs.c.created < self.before)
        if self.records_only:
            old = old.join(records, records.c.run_id == runs.c.id)
        ids = work.connection.execute(old.order_by(runs.c.created, runs.c.id).limit(self.most)).scalars().all()
        if ids:
            work.connection.execute(delete(records).where(records.c.run_id.in_(ids)))
        if ids and not self.records_only:
            work.connection.execute(delete(feedback).where(feedback.c.run_id.in_(ids)))
            work.connection.execute(delete(shares).where(shares.c.run_id.in_(ids)))
            work.connection.execute(delete(runs).where(runs.c.id.in_(ids)))
        return len(ids)


def _iso(now: float) -> str:
    return iso(datetime.fromtimestamp(now, UTC))


def _free(work: Work, held: Held, *, nano: int, tokens: int) -> None:
    state = work.state(held.key_id)
    work.set_state(settled(state, held_nano=held.nano, held_tokens=held.tokens, nano=nano, tokens=tokens, now=work.now))
    work.drop(held)


def _find(work: Work, lost: Lost, key_id: str) -> None:
    work.set_state(spared(work.state(key_id), nano=lost.charged_nano, charged=lost.settled))
    work.find(lost)
    entry = Entry(lost.id, lost.created, endpoint="", model=lost.model, key_id=key_id, status="lost")
    for labels, sums in _daily(entry):
        work.count(labels, [-figure for figure in sums])


def _lost_entry(held: Held) -> Entry:
    return Entry(
        held.id,
        held.created,
        endpoint=held.endpoint,
        model=held.model,
        key_id=held.key_id,
        status="lost",
        http_status=0,
        error=_LOST,
    )


def _charge(entry: Entry, hold: Hold) -> tuple[int, int]:
    """Return the nano-USD and tokens a request is charged."""
    known_nano = nano_usd(entry.known_cost_usd)
    nano = max(hold_nano(hold), known_nano) if entry.cost_usd is None else nano_usd(entry.cost_usd)
    if entry.prompt_tokens is not None and entry.completion_tokens is not None:
        return nano, entry.prompt_tokens + entry.completion_tokens
    known = sum((each.prompt_tokens or 0) + (each.completion_tokens or 0) for each in entry.attempts)
    return nano, max(hold.tokens, known)


def _row(entry: Entry, charged: int, now: float) -> dict[str, Any]:
    return {
        "id": entry.id,
        "created": entry.created,
        "endpoint": entry.endpoint,
        "model": entry.model,
        "strategy": entry.strategy,
        "key_id": entry.key_id,
        "status": entry.status,
        "http_status": entry.http_status,
        "streamed": int(entry.streamed),
        "cached": int(entry.cached),
        "degraded": _json(entry.degraded),
        "calls": entry.calls,
        "prompt_tokens": entry.prompt_tokens,
        "completion_tokens": entry.completion_tokens,
        "cached_tokens": entry.cached_tokens,
        "nano": None if entry.cost_usd is None else nano_usd(entry.cost_usd),
        "known_nano": nano_usd(entry.known_cost_usd),
        "charged_nano": charged,
        "seconds": entry.seconds,
        "question": entry.question,
        "error": entry.error,
        "user": entry.user,
        "stage_seconds": _json(entry.stage_seconds),
        "metadata": _json(entry.metadata),
        "attempts": _json(entry.attempts),
        "settled": now,
    }


def _json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    return msgspec.json.encode(value).decode()


def _daily(entry: Entry) -> list[tuple[tuple[str, str, str, str, str], list[int]]]:
    """Return what an entry adds to the sums of its day: for the run, and for each LLM it called."""
    labels = (entry.created[:10], entry.key_id, entry.model, entry.strategy)
    known = [each for each in entry.attempts if each.status != "skipped"]
    prompt, completion = (
        getattr(entry, name) if getattr(entry, name) is not None else sum(getattr(each, name) or 0 for each in known)
        for name in ("prompt_tokens", "completion_tokens")
    )
    failed, degraded = int(entry.status in ("failed", "lost")), int(entry.status == "degraded")
    cost, unknown = nano_usd(entry.known_cost_usd), int(entry.cost_usd is None)
    sums = [((*labels, ""), [1, failed, degraded, entry.calls, prompt, completion, cost, unknown])]
    by_llm: dict[str, list[AttemptSummary]] = {}
    for each in known:
        by_llm.setdefault(each.llm, []).append(each)
    return [*sums, *(((*labels, llm), _of_llm(calls, degraded)) for llm, calls in by_llm.items())]


def _of_llm(calls: Sequence[AttemptSummary], degraded: int) -> list[int]:
    return [
        1,
        sum(call.status in ("error", "timeout", "empty") for call in calls),
        degraded,
        len(calls),
        sum(call.prompt_tokens or 0 for call in calls),
        sum(call.completion_tokens or 0 for call in calls),
        sum(nano_usd(call.cost_usd or 0.0) for call in calls),
        sum(call.cost_usd is None for call in calls),
    ]
