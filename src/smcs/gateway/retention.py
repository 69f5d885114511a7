"""How much of a run is kept, in which form, and for how long."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from smcs.errors import InputError
from smcs.gateway.entries import Entry
from smcs.run import Run
from smcs.types import Attempt, Choice, Message

__all__ = ("Redaction", "Retention", "kept", "pack", "unpack")

Redaction = Literal["none", "texts", "all"]
"""What the ledger leaves out of a run: nothing; every text of a user or a model, so that ids, names, scores and counts
stay; or the whole record, which leaves the line of the ledger."""

_LEVEL: Final = 1
"""zlib's quickest: half the time of its default for 7% more space, seen on runs with 15 answers."""

_WITH_CAUSE: Final = re.compile(r"^.*?\((?:error|timeout|empty|cancelled|skipped)\b", re.DOTALL)
_HTTP: Final = re.compile(r"^HTTP \d{3}\b")
_WORD: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,40}$")


@dataclass(frozen=True, slots=True)
class Retention:
    """For how long the ledger keeps what; sums by day are kept for good."""

    runs_days: float | None = None
    """Days after which a run is forgotten; `None` keeps it."""
    records_days: float | None = None
    """Days after which its record, with the texts, is forgotten while its line stays; `None` keeps it as long."""

    def __post_init__(self) -> None:
        for name, days in {"runs_days": self.runs_days, "records_days": self.records_days}.items():
            if days is not None and not 0 < days < 36_525:
                raise InputError(f"`{name}` must be above 0 and below 36,525 days, got {days}.")


def kept(entry: Entry, redaction: Redaction) -> Entry:
    """Return what of an entry is written.

    "texts" cuts what a server said from errors and reasons too, as it may quote the prompt. "all" also drops the
    request's metadata; its `user`, which is an id, always stays.
    """
    if redaction == "none":
        return entry
    dropped = redaction == "all"
    return replace(
        entry,
        degraded=tuple(map(_cause, entry.degraded)),
        attempts=tuple(replace(attempt, error=_error(attempt.error)) for attempt in entry.attempts),
        error=None if entry.error is None else _error(entry.error),
        metadata={} if dropped else entry.metadata,
        question=None,
        record=None if dropped or entry.record is None else _without_texts(entry.record),
    )


def pack(run: Run, *, logprobs: bool = False) -> bytes:
    """Return a record as it is stored.

    Args:
        run: The record.
        logprobs: Whether to keep each token's log-probability. They are two thirds of a record's size and of the time
            to pack it, and each candidate's perplexity is kept in any case.
    """
    if not logprobs:
        run = replace(run, attempts=tuple(map(_without_logprobs, run.attempts)))
    return zlib.compress(run.to_json().encode(), _LEVEL)


def unpack(data: bytes) -> Run:
    """Return a stored record.

    Raises:
        InputError: It is damaged, or of another version of smcs.
    """
    try:
        return Run.from_json(zlib.decompress(data))
    except zlib.error as error:
        raise InputError(f"The stored record is damaged: {error}.") from error


def _without_logprobs(attempt: Attempt) -> Attempt:
    if all(choice.logprobs is None for choice in attempt.choices):
        return attempt
    return replace(attempt, choices=tuple(replace(choice, logprobs=None) for choice in attempt.choices))


def _without_texts(run: Run) -> Run:
    names = {estimate.llm for estimate in run.priors} | {attempt.llm for attempt in run.attempts} | {run.strategy}
    query = replace(
        run.query,
        text="",
        messages=tuple(Message(message.role, "") for message in run.query.messages),
        choices=("",) * len(run.query.choices),
    )
    return replace(
        run,
        query=query,
        settings=_settings(run.settings),
        answer="",
        support=tuple(replace(question, text="") for question in run.support),
        attempts=tuple(map(_blank_attempt, run.attempts)),
        candidates=tuple(replace(candidate, text="") for candidate in run.candidates),
        degraded=tuple(map(_cause, run.degraded)),
        notes={name: _figures(value, names) for name, value in run.notes.items()},
    )


def _blank_attempt(attempt: Attempt) -> Attempt:
    choices = tuple(
        Choice("", finish_reason=choice.finish_reason, completion_tokens=choice.completion_tokens)
        for choice in attempt.choices
    )
    return replace(attempt, choices=choices, error=_error(attempt.error))


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters without those that hold a client's text."""
    sampling = settings.get("sampling")
    if not isinstance(sampling, Mapping):
        return dict(settings)
    shown = {name: value for name, value in sampling.items() if name not in ("stop", "response_format")}
    return {**settings, "sampling": shown}


def _figures(value: Any, names: set[str]) -> Any:
    """Return a note with its figures and the names of LLMs; other strings may be somebody's words."""
    if isinstance(value, Mapping):
        return {key: _figures(part, names) for key, part in value.items() if key in names or _WORD.match(key)}
    if isinstance(value, list | tuple):
        return [_figures(part, names) for part in value]
    return value if not isinstance(value, str) or value in names else ""


def _error(error: str | None) -> str | None:
    if error is None:
        return None
    status = _HTTP.match(error)
    return status.group() if status else "left out"


def _cause(reason: str) -> str:
    """Return a reason up to the words of a server: our own come first."""
    if found := _WITH_CAUSE.match(reason):
        return found.group() + ")"
    return reason.partition(": ")[0]
