"""Who wrote the answers of the newest collaborations: counted from the runs' records, a few at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from smcs.gateway.ledger import Ledger

__all__ = ("Authors", "count_authors")

_MOST: Final = 100
"""Records that are read: each costs about a millisecond."""

_LOOKED_AT: Final = 300
_KEPT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Authors:
    """Who wrote answers."""

    answers: int
    """Answers that were looked at."""
    by_llm: Mapping[str, int]


_KEPT: Final[WeakKeyDictionary[Ledger, tuple[float, Authors]]] = WeakKeyDictionary()


async def count_authors(ledger: Ledger) -> Authors:
    """Return who wrote the answers of the newest 100 collaborations whose record was kept, as of a minute ago at most.

    Raises:
        LedgerUnavailableError: The database failed.
    """
    kept = _KEPT.get(ledger)
    if kept is not None and time.monotonic() - kept[0] < _KEPT_SECONDS:
        return kept[1]
    wrote: Counter[str] = Counter()
    for row in await ledger.runs(limit=_LOOKED_AT):
        if not row.strategy or row.cached or row.status not in ("ok", "degraded"):
            continue
        stored = await ledger.run(row.id)
        if stored is not None and stored.record is not None:
            wrote[stored.record.answered_by] += 1
        if wrote.total() == _MOST:
            break
    authors = Authors(wrote.total(), dict(wrote))
    _KEPT[ledger] = (time.monotonic(), authors)
    return authors
