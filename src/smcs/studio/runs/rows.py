"""A line of the ledger as it is shown in the list: plain words, units, and nothing left to decide for a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from smcs.gateway.entries import RunRow, RunStatus
from smcs.gateway.keys import KeyRecord
from smcs.studio.cells import Tone
from smcs.studio.frame import format_count, format_seconds, format_usd
from smcs.studio.runs.filters import Filters, run_address

__all__ = (
    "STATUS_VIEWS",
    "RowView",
    "StatusView",
    "ago",
    "clock",
    "key_label",
    "key_names",
    "row_view",
    "strategy_label",
)

_NO_QUESTION: Final = "(the question was not kept)"
_MOST_ERROR: Final = 200
_SOON: Final = 5.0
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60))


@dataclass(frozen=True, slots=True)
class StatusView:
    """How a run ended, in a word, an icon and a colour."""

    word: str
    icon: str
    """Name of a Material icon."""
    tone: Tone
    hint: str
    """One sentence for who does not know the word."""


STATUS_VIEWS: Final[Mapping[RunStatus, StatusView]] = {
    "ok": StatusView("ok", "check_circle", "good", "Answered, as asked for."),
    "degraded": StatusView("degraded", "warning", "warn", "Answered with less than was asked for; the run says why."),
    "failed": StatusView("failed", "error", "bad", "There is no answer; the run says why."),
    "cancelled": StatusView("cancelled", "cancel", "muted", "Who asked left, or pressed stop, before the answer came."),
    "lost": StatusView("lost", "power_off", "bad", "The server died before the run ended; what it took is not known."),
}


@dataclass(frozen=True, slots=True)
class RowView:
    """One line of the list; every field is text that may be shown as it is."""

    id: str
    href: str
    created: str
    """UTC, to the second."""
    question: str
    kept: bool
    """Whether `question` is what was asked; else it says why that is not known."""
    model: str
    strategy: str
    status: str
    icon: str
    tone: Tone
    hint: str
    calls: str
    cost: str
    seconds: str
    key: str
    error: str
    cached: bool


def row_view(row: RunRow, filters: Filters, keys: Mapping[str, str]) -> RowView:
    """Return how a line is shown.

    Args:
        row: The line.
        filters: Of the list it stands in, which its link leads back to.
        keys: Names of keys by id; see `key_names`.
    """
    status = STATUS_VIEWS[row.status]
    question = " ".join((row.question or "").split())
    return RowView(
        row.id,
        run_address(row.id, filters),
        clock(row.created),
        question or _NO_QUESTION,
        bool(question),
        row.model or "unknown",
        strategy_label(row.strategy),
        status.word,
        status.icon,
        status.tone,
        status.hint,
        format_count(row.calls),
        format_usd(row.cost_usd, row.known_cost_usd),
        format_seconds(row.seconds),
        key_label(row.key_id, keys),
        " ".join((row.error or "").split())[:_MOST_ERROR],
        row.cached,
    )


def clock(created: str) -> str:
    """Return a moment of the ledger, which is UTC, to the second: "2026-01-31 12:00:05"."""
    return created[:19].replace("T", " ")


def ago(created: str, now: datetime) -> str:
    """Return how long ago a moment was, in one word and a number."""
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return "at an unknown time"
    seconds = (now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
    if seconds < _SOON:
        return "just now"
    for unit, size in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count:,} {unit}{'' if count == 1 else 's'} ago"
    return f"{int(seconds)} seconds ago"


def strategy_label(strategy: str) -> str:
    """Return the name of a strategy; a run without one had an LLM asked by its own name."""
    return strategy or "one LLM, asked by name"


def key_names(keys: Sequence[KeyRecord]) -> dict[str, str]:
    """Return what keys are called, by id; of a revoked key that is said."""
    return {key.id: key.name if key.revoked is None else f"{key.name} (revoked)" for key in keys}


def key_label(key_id: str, names: Mapping[str, str]) -> str:
    """Return what a key is called."""
    return names.get(key_id, key_id) if key_id else "no key"
