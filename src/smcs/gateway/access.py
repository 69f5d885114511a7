"""What a key may see and do beside asking: its own runs and those that are shared; everything, for an administrator."""

from __future__ import annotations

from collections.abc import Mapping

from smcs.errors import suggest
from smcs.gateway.errors import forbidden, not_found
from smcs.gateway.ledger import KeyRecord, Ledger, RunRow, Share, StoredRun, Switch
from smcs.gateway.state import Gateway

__all__ = ("is_admin", "owns", "read_run", "share_run", "switch_llm", "unshare_run")


def is_admin(key: KeyRecord | None) -> bool:
    """Return whether somebody sees all runs and may switch LLMs; where nobody needs a key, everybody does."""
    return key is None or key.limits.admin


def owns(key: KeyRecord | None, row: RunRow) -> bool:
    """Return whether somebody may read a run without its being shared, and share it."""
    return key is None or key.limits.admin or row.key_id == key.id


async def read_run(ledger: Ledger, run_id: str, key: KeyRecord | None) -> StoredRun:
    """Return everything about a run that somebody may read.

    Raises:
        GatewayError: 404; whether there is such a run of somebody else's is not told.
        LedgerUnavailableError: The database failed.
    """
    stored = await ledger.run(run_id)
    if stored is None or not (owns(key, stored.row) or await ledger.is_shared(run_id)):
        raise not_found(f"There is no run {run_id!r:.80} of yours.", code="run_not_found", param="run_id")
    return stored


async def share_run(ledger: Ledger, run_id: str, key: KeyRecord | None) -> Share:
    """Let every valid key read a run.

    Raises:
        GatewayError: 404, there is no such run; 403, it is somebody else's.
        LedgerUnavailableError: The database failed.
    """
    await _check_owner(ledger, run_id, key)
    return await ledger.share(run_id, "" if key is None else key.id)


async def unshare_run(ledger: Ledger, run_id: str, key: KeyRecord | None) -> None:
    """Let only its key and administrators read a run again.

    Raises:
        GatewayError: 404, there is no such run; 403, it is somebody else's.
        LedgerUnavailableError: The database failed.
    """
    await _check_owner(ledger, run_id, key)
    await ledger.unshare(run_id)


async def switch_llm(
    gateway: Gateway, llm: str, *, off: bool, why: str = "", key: KeyRecord | None
) -> Mapping[str, Switch]:
    """Switch an LLM off or on, and return those that are off now: here at once, in other processes within 5 s.

    An LLM that is off is not asked, and runs say so; one that is asked for by its name is refused. Where nobody else is
    left (the last aggregator, the last LLM of the pool or of those that a request names) it is asked all the same, as
    an LLM whose circuit is open is, and its run is degraded: a pool never refuses to answer because of a switch.

    Args:
        gateway: The running gateway.
        llm: Its name.
        off: Whether it shall be off.
        why: What the others are told.
        key: Who does it.

    Raises:
        GatewayError: 403, the key may not; 404, the pool has no such LLM.
        LedgerUnavailableError: The database failed.
    """
    if not is_admin(key):
        raise forbidden("This key may not switch LLMs. `smcs keys create NAME --admin` makes one that may.")
    known = gateway.service.breakers
    if llm not in known and llm not in gateway.ledger.switched_off:
        raise not_found(f"The pool has no LLM {llm!r:.80}.{suggest(llm, known)}", code="llm_not_found")
    return await gateway.ledger.switch(llm, off, why, "" if key is None else key.id)


async def _check_owner(ledger: Ledger, run_id: str, key: KeyRecord | None) -> None:
    stored = await read_run(ledger, run_id, key)
    if not owns(key, stored.row):
        raise forbidden("This run is another key's: only that key and administrators may share it or take it back.")
