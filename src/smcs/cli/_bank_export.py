"""`smcs bank export`: a bank as one portable file, or as a folder of Parquet files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ("export_bank",)


def export_bank(
    url: Annotated[str, typer.Argument(metavar="BANK", help="Path, database URL, or `seed`.")],
    out: Annotated[Path, typer.Argument(help="File to write, gzipped if it ends in .gz; or folder to make.")],
    format_name: Annotated[
        Literal["smcs", "parquet"],
        typer.Option("--format", help="One file of JSON lines, or a folder of Parquet files for pandas and DuckDB."),
    ] = "smcs",
    embedder: Annotated[
        list[str] | None,
        typer.Option("--embedder", help='Include the vectors of this embedder, or of "all"; may be repeated.'),
    ] = None,
    command: Annotated[str, typer.Option(help="What made the bank, kept in the export.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a bank to what another machine can import; the same content gives the same file."""
    from smcs.config import open_bank

    with open_bank(url) as bank:
        named = [one.name for one in bank.info().embedders if one.embedded] if embedder == ["all"] else embedder or ()
        bank.export_to(out, format=format_name, embedders=named, command=command)
        size = sum(file.stat().st_size for file in ([out] if out.is_file() else out.iterdir()))
        report = {"file": str(out), "bytes": size, "questions": len(bank), "llms": len(bank.llms)}
    line = f"{out}: {report['questions']} questions, {report['llms']} LLMs, {size:,} bytes"
    typer.echo(json.dumps(report) if as_json else line)
