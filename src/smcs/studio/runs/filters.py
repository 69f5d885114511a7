"""Which runs are wanted: from an address and back to it, and what of that a viewer may see.

Everything in an address is untrusted. What cannot be used is left out, and a note says so; nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, timedelta
from typing import Final, TypeAlias, TypeVar, get_args
from urllib.parse import urlencode

from smcs.gateway.entries import MAX_NAME, RunFilter, RunStatus, bounded
from smcs.gateway.keys import KeyRecord

__all__ = (
    "ASKED_BY_NAME",
    "LIST",
    "MAX_TEXT",
    "NO_KEY",
    "STATUSES",
    "Cursor",
    "Filters",
    "Scope",
    "Wanted",
    "address",
    "compare_address",
    "read_address",
    "run_address",
    "scope",
)

LIST: Final = "/runs"
"""Path of the list; a run stands below it."""

MAX_TEXT: Final = 200
"""Characters of a text that is searched for: the ledger keeps 300 of a question."""

NO_KEY: Final = "-"
"""In place of a key's name: requests that came without one. No key can have this name."""

ASKED_BY_NAME: Final = "pass_through"
"""In place of a strategy: an LLM was asked by its own name."""

STATUSES: Final[tuple[RunStatus, ...]] = get_args(RunStatus)
"""How a run can have ended."""

Cursor: TypeAlias = tuple[str, str]
"""A place in the list: `RunRow.cursor` of the run beside it."""

_T = TypeVar("_T")
_CURSOR: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3})~([0-9a-f]{32})")
_UTC: Final = "+00:00"
_MIDNIGHT: Final = f"T00:00:00.000{_UTC}"
_SHOWN: Final = 60
_NO_PLACE: Final = "A place in the list is a time and the id of a run"


@dataclass(frozen=True, slots=True)
class Filters:
    """What the viewer chose; empty and `None` do not choose."""

    _: KW_ONLY
    text: str = ""
    """Part of the question or of the error."""
    model: str = ""
    """As clients asked for it."""
    strategy: str = ""
    """Its name, or `ASKED_BY_NAME`."""
    status: RunStatus | None = None
    key: str = ""
    """Name or id of a key, or `NO_KEY`."""
    since: date | None = None
    """First day, UTC."""
    until: date | None = None
    """Last day, UTC, included."""

    @property
    def is_empty(self) -> bool:
        """Whether all runs are wanted."""
        return self == Filters()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an address asks for."""

    filters: Filters
    before: Cursor | None = None
    """Show the runs right before this one in time (older ones)."""
    after: Cursor | None = None
    """Show the runs right after this one in time (newer ones)."""
    notes: tuple[str, ...] = ()
    """What could not be used, in plain words."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is read from the ledger for a viewer."""

    where: RunFilter
    notes: tuple[str, ...] = ()


def read_address(query: Mapping[str, str]) -> Wanted:
    """Return what the query of an address asks for; unknown parameters are nobody's business here."""
    notes: list[str] = []

    def parsed(name: str, read: Callable[[str], _T | None], why: str) -> _T | None:
        given = query.get(name, "").strip()
        if not given:
            return None
        value = read(given)
        if value is None:
            notes.append(f"{why}, not {_shown(given)}; it was left out.")
        return value

    def named(name: str, most: int = MAX_NAME) -> str:
        given = bounded(query.get(name, ""), most * 4).strip()
        if len(given) > most:
            notes.append(f"Only the first {most} characters of the {name} were used.")
        return given[:most].strip()

    filters = Filters(
        text=named("text", MAX_TEXT),
        model=named("model"),
        strategy=named("strategy"),
        status=parsed("status", _status, f"A status is one of {', '.join(STATUSES)}"),
        key=named("key"),
        since=parsed("since", _day, "The first day is written as 2026-01-31"),
        until=parsed("until", _day, "The last day is written as 2026-01-31"),
    )
    if filters.since is not None and filters.until is not None and filters.since > filters.until:
        notes.append("The first day is after the last one, so that no run can match.")
    before = parsed("before", _cursor, _NO_PLACE)
    after = None if before else parsed("after", _cursor, _NO_PLACE)
    return Wanted(filters, before, after, tuple(notes))


def address(filters: Filters, *, path: str = LIST, before: Cursor | None = None, after: Cursor | None = None) -> str:
    """Return the address that `read_address` reads back."""
    values = {
        "text": filters.text,
        "model": filters.model,
        "strategy": filters.strategy,
        "status": filters.status or "",
        "key": filters.key,
        "since": "" if filters.since is None else filters.since.isoformat(),
        "until": "" if filters.until is None else filters.until.isoformat(),
        "before": "" if before is None else _written(before),
        "after": "" if after is None else _written(after),
    }
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{path}?{query}" if query else path


def run_address(run_id: str, filters: Filters | None = None) -> str:
    """Return the address of a run, with the list it was found in."""
    return address(filters or Filters(), path=f"{LIST}/{run_id}")


def compare_address(a: str, b: str) -> str:
    """Return where two runs are compared."""
    return f"{LIST}/compare?{urlencode({'a': a, 'b': b})}"


def scope(filters: Filters, *, is_admin: bool, key_id: str, keys: Sequence[KeyRecord]) -> Scope:
    """Return what may be read: who is no administrator gets runs of the own key, whatever the address says.

    Args:
        filters: What was chosen.
        is_admin: Whether the viewer may see the runs of all keys.
        key_id: Id of the viewer's key.
        keys: All keys, by which names are found; not looked at for others than administrators.
    """
    notes: tuple[str, ...] = ()
    wanted: str | None = None if is_admin else key_id
    if filters.key and is_admin:
        wanted = _key_id(filters.key, keys)
        if wanted is None:
            notes = (f"There is no key {_shown(filters.key)}, so the runs of all keys are shown.",)
    elif filters.key:
        notes = ("Only administrators choose by key. These are the runs of your own key.",)
    where = RunFilter(
        key_id=wanted,
        model=filters.model or None,
        strategy="" if filters.strategy == ASKED_BY_NAME else filters.strategy or None,
        status=filters.status,
        since=None if filters.since is None else filters.since.isoformat() + _MIDNIGHT,
        until=_end_of(filters.until),
        text=filters.text or None,
    )
    return Scope(where, notes)


def _end_of(day: date | None) -> str | None:
    """Return the first moment that is not part of a day any more; the last day there is has none."""
    if day is None or day == date.max:
        return None
    return (day + timedelta(days=1)).isoformat() + _MIDNIGHT


def _key_id(name: str, keys: Sequence[KeyRecord]) -> str | None:
    """Return the id of the key that is meant: by id, else the one in use of this name, else the last one revoked."""
    if name == NO_KEY:
        return ""
    if any(key.id == name for key in keys):
        return name
    called = sorted((key for key in keys if key.name == name), key=lambda key: (key.revoked is None, key.created))
    return called[-1].id if called else None


def _status(text: str) -> RunStatus | None:
    return next((status for status in STATUSES if status == text), None)


def _day(text: str) -> date | None:
    if len(text) != len("2026-01-31"):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _cursor(text: str) -> Cursor | None:
    found = _CURSOR.fullmatch(text)
    return None if found is None else (found[1] + _UTC, found[2])


def _written(cursor: Cursor) -> str:
    return f"{cursor[0].removesuffix(_UTC)}~{cursor[1]}"


def _shown(text: str) -> str:
    """Return a piece of an address as a note repeats it: short, and on one line."""
    line = " ".join(bounded(text, _SHOWN + 1).split())
    return repr(f"{line[:_SHOWN]}..." if len(text) > _SHOWN else line)
