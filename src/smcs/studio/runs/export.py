"""Downloads: the runs of a list as JSON lines, and one run as JSON.

A list is read run by run while it is sent, so that an export holds one run in memory and no thread of the database
waits for a slow reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from smcs.gateway.access import read_run
from smcs.gateway.entries import RunFilter, RunRow, StoredRun
from smcs.gateway.errors import GatewayError
from smcs.gateway.ledger import Ledger
from smcs.studio.frame import Download, Studio
from smcs.studio.runs.filters import Cursor, Filters, address, read_address, scope
from smcs.studio.runs.paging import list_runs

__all__ = ("DOWNLOADS", "export_address", "export_run", "export_runs", "lines", "run_export_address")

_LIST: Final = "/studio/export"
_ONE: Final = f"{_LIST}/{{run_id}}"
_BATCH: Final = 200
"""Lines of the ledger that are looked up at once; their records are read one by one."""


def export_address(filters: Filters) -> str:
    """Return where the runs of a list are downloaded."""
    return address(filters, path=_LIST)


def run_export_address(run_id: str) -> str:
    """Return where one run is downloaded."""
    return f"{_LIST}/{run_id}"


async def export_runs(request: Request, studio: Studio) -> Response:
    """Send the runs that an address asks for, the newest first, each as `Ledger.export` writes it.

    A filter that cannot be used is refused: a file that holds more than was asked for would not show it.

    Raises:
        LedgerUnavailableError: The database failed.
    """
    ledger, viewer = studio.gateway.ledger, studio.viewer
    wanted = read_address(request.query_params)
    keys = await ledger.list_keys() if viewer.is_admin and wanted.filters.key else ()
    allowed = scope(wanted.filters, is_admin=viewer.is_admin, key_id=viewer.key_id, keys=keys)
    if notes := (*wanted.notes, *allowed.notes):
        return PlainTextResponse("Nothing was exported. " + " ".join(notes), status_code=400)
    first = await list_runs(ledger, allowed.where, _BATCH, None)
    name = f"smcs-runs-{datetime.now(UTC):%Y-%m-%d}.jsonl"
    return StreamingResponse(
        lines(ledger, allowed.where, first), media_type="application/x-ndjson", headers=_headers(name)
    )


async def export_run(request: Request, studio: Studio) -> Response:
    """Send one run with its record, its calls and what was said about it.

    Raises:
        LedgerUnavailableError: The database failed.
    """
    try:
        stored = await read_run(studio.gateway.ledger, str(request.path_params["run_id"]), studio.viewer.key)
    except GatewayError as error:
        return PlainTextResponse(str(error), status_code=error.status)
    body = await asyncio.to_thread(_pretty, stored)
    return Response(body, media_type="application/json", headers=_headers(f"smcs-run-{stored.row.id}.json"))


async def lines(ledger: Ledger, where: RunFilter, first: list[RunRow]) -> AsyncIterator[bytes]:
    """Yield a line of JSON for each run, the newest first; those that are forgotten meanwhile are left out.

    Args:
        ledger: Where they are.
        where: Which runs.
        first: The newest of them, at most a batch.

    Raises:
        LedgerUnavailableError: The database failed; whoever reads sees the transfer break off.
    """
    rows = first
    while rows:
        for row in rows:
            stored = await ledger.run(row.id)
            if stored is not None:
                yield await asyncio.to_thread(_line, stored)
        place: Cursor = rows[-1].cursor
        rows = await list_runs(ledger, where, _BATCH, place) if len(rows) == _BATCH else []


def _line(stored: StoredRun) -> bytes:
    return msgspec.json.encode(stored) + b"\n"


def _pretty(stored: StoredRun) -> bytes:
    return msgspec.json.format(msgspec.json.encode(stored), indent=2) + b"\n"


def _headers(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}


DOWNLOADS: Final[Mapping[str, Download]] = MappingProxyType({_LIST: export_runs, _ONE: export_run})
"""Paths and who answers them."""
