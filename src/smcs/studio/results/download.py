"""Result files and what is made of them, as downloads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from smcs.bench.report import Report
from smcs.bench.report.markdown import render_markdown
from smcs.bench.report.sections import sections
from smcs.bench.report.sheet import render_csv
from smcs.errors import InputError
from smcs.studio.frame import Download, Studio
from smcs.studio.plots import file_name
from smcs.studio.results.catalogue import CATALOGUE, Broken
from smcs.studio.results.folder import find_file, results_folder

__all__ = ("DOWNLOADS", "download_address", "send")

_PATH: Final = "/results/download"
_KINDS: Final[Mapping[str, str]] = {"csv": "text/csv", "md": "text/markdown"}


def download_address(file: str, kind: str, baseline: str | None = None) -> str:
    """Return where a file ("file") or its report ("csv", "md") is downloaded."""
    asked = {"file": file, "as": kind} | ({} if baseline is None else {"baseline": baseline})
    return f"{_PATH}?{urlencode(asked)}"


async def send(request: Request, studio: Studio) -> Response:
    """Send a result file as it is, or the report on it as a table or as Markdown."""
    asked = request.query_params
    try:
        file = await asyncio.to_thread(find_file, results_folder(studio.service().found), asked.get("file", ""))
    except InputError as error:
        return PlainTextResponse(str(error), status_code=404)
    kind = asked.get("as", "file")
    if kind == "file":
        name = file_name(file.stem, file.name.removeprefix(f"{file.stem}."))
        return FileResponse(file.path, media_type="application/octet-stream", headers=_headers(name))
    if kind not in _KINDS:
        return PlainTextResponse("A download is 'file', 'csv' or 'md'.", status_code=400)
    report = await CATALOGUE.report(file, asked.get("baseline"))
    if isinstance(report, Broken):
        return PlainTextResponse(report.why, status_code=422)
    text = await asyncio.to_thread(_rendered, report, kind)
    return Response(text, media_type=_KINDS[kind], headers=_headers(file_name(file.stem, kind)))


def _rendered(report: Report, kind: str) -> str:
    return render_csv(report) if kind == "csv" else render_markdown(report, sections(report), ())


def _headers(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}


DOWNLOADS: Final[Mapping[str, Download]] = MappingProxyType({_PATH: send})
