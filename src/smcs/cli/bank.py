"""`smcs bank`: look at, make, export and import question banks."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smcs.cli._seed import seed

if TYPE_CHECKING:
    from rich.console import Console

    from smcs.bank import Accuracy, BankInfo

__all__ = ("app",)

app = typer.Typer(help="Look at, make, export and import question banks.", no_args_is_help=True)
app.command("seed")(seed)


@app.command()
def info(
    url: Annotated[
        str | None,
        typer.Argument(metavar="BANK", help="Path, database URL, or `seed`; the bank of the config if left out."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Print counts, embedders, and the accuracy of each LLM in all and per subject.

    Accuracy is the mean score of what is graded; a missing or ungraded outcome is not a zero.
    """
    from smcs.config import find_config, open_bank
    from smcs.errors import ConfigError

    if url is None:
        settings = find_config(config)
        if settings.config.bank is None:
            raise ConfigError(f"{settings.source} names no bank. Name one: smcs bank info BANK.")
        opened = open_bank(settings.config.bank, settings.folder)
    else:
        opened = open_bank(url)
    with opened:
        found = opened.info()
    if as_json:
        typer.echo(json.dumps(_report(found), indent=2))
        return
    from rich.console import Console

    _print_info(found, Console())


@app.command("export")
def export_bank(
    url: Annotated[str, typer.Argument(metavar="BANK", help="Path, database URL, or `seed`.")],
    out: Annotated[Path, typer.Argument(help="File to write: JSON lines, gzipped if it ends in .gz.")],
    embedder: Annotated[
        list[str] | None, typer.Option("--embedder", help="Include the vectors of this embedder; may be repeated.")
    ] = None,
    command: Annotated[str, typer.Option(help="What made the bank, kept in the file's header.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a bank to one file that another machine can import; the same content gives the same bytes."""
    from smcs.config import open_bank

    with open_bank(url) as bank:
        bank.export_to(out, embedders=embedder or (), command=command)
        report = {"file": str(out), "bytes": out.stat().st_size, "questions": len(bank), "llms": len(bank.llms)}
    typer.echo(
        json.dumps(report)
        if as_json
        else f"{out}: {report['questions']} questions, {report['llms']} LLMs, {report['bytes']:,} bytes"
    )


@app.command("import")
def import_bank(
    file: Annotated[Path, typer.Argument(help="A file of `smcs bank export`.")],
    url: Annotated[str, typer.Argument(metavar="BANK", help="Path or database URL; made if it does not exist.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Add what an exported file holds to a bank, all of it or nothing."""
    from smcs.bank import QuestionBank

    exists = "://" in url or Path(url).expanduser().exists()
    with QuestionBank.open(url) if exists else QuestionBank.create(url) as bank:
        brought = bank.import_from(file)
    new = f"{brought.questions} questions, {brought.llms} LLMs, {brought.outcomes} outcomes"
    typer.echo(json.dumps(asdict(brought)) if as_json else f"{url}: new are {new}")


def _report(found: BankInfo) -> dict[str, Any]:
    report = asdict(found)
    report["missing"] = found.missing
    for name, rows in (("llms", found.llms), ("subjects", found.subjects)):
        report[name] = [{**asdict(row), "missing": row.missing} for row in rows]
    for row in report["llms"]:
        del row["task"], row["subject"]
    return report


def _print_info(found: BankInfo, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    counts = Table.grid(padding=(0, 2))
    for label, value in (
        ("Bank", found.url),
        ("Schema version", str(found.schema_version)),
        ("Content hash", found.content_hash),
        ("Questions", f"{found.questions:,}"),
        ("LLMs", f"{len(found.llms):,}"),
        ("Outcomes", f"{found.outcomes:,} ({found.missing:,} missing)"),
    ):
        counts.add_row(label, value)
    for embedder in found.embedders:
        notes = [f"{embedder.embedded:,} of {found.questions:,} questions", f"{embedder.dimensions} dimensions"]
        notes += [f"{embedder.stale:,} stale"] * bool(embedder.stale) + ["default"] * embedder.default
        counts.add_row("Embedder", f"{embedder.name}: {', '.join(notes)}")
    if not found.embedders:
        counts.add_row("Embedder", "none yet")
    console.print(counts, soft_wrap=True)

    if found.llms:
        table = Table("LLM", title="Accuracy per LLM", title_justify="left")
        for heading in ("accuracy", "graded", "ungraded", "missing"):
            table.add_column(heading, justify="right")
        for row in found.llms:
            table.add_row(escape(row.llm), _percent(row), f"{row.graded:,}", f"{row.ungraded:,}", f"{row.missing:,}")
        console.print(table)
        _print_subjects(found, console)


def _print_subjects(found: BankInfo, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("task", "subject", title="Accuracy per subject (questions graded)", title_justify="left")
    table.add_column("questions", justify="right")
    for llm in found.llms:
        table.add_column(escape(llm.llm), justify="right")
    groups: dict[tuple[str, str], list[Accuracy]] = {}
    for row in found.subjects:
        groups.setdefault((row.task or "", row.subject or ""), []).append(row)
    for (task, subject), rows in groups.items():
        cells = (f"{_percent(row)} ({row.graded:,})" for row in rows)
        table.add_row(escape(task) or "-", escape(subject) or "-", f"{rows[0].questions:,}", *cells)
    console.print(table)


def _percent(row: Accuracy) -> str:
    return "-" if row.accuracy is None else f"{100 * row.accuracy:.1f} %"
