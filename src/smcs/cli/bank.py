"""`smcs bank`: look at, make, export and import question banks."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smcs.cli._bank_add_llm import add_llm
from smcs.cli._bank_audit import audit
from smcs.cli._bank_build import build
from smcs.cli._bank_embed import embed
from smcs.cli._bank_export import export_bank
from smcs.cli._bank_feedback import add_question, feedback
from smcs.cli._bank_history import history, merge, remove, undo
from smcs.cli._bank_import import import_bank
from smcs.cli._bank_regrade import regrade
from smcs.cli._banks import open_named_bank
from smcs.cli._seed import seed

if TYPE_CHECKING:
    from rich.console import Console

    from smcs.bank import Accuracy, BankInfo

__all__ = ("app",)

app = typer.Typer(help="Look at, make, export and import question banks.", no_args_is_help=True)
app.command("seed")(seed)
app.command("import")(import_bank)
app.command("export")(export_bank)
app.command("embed")(embed)
app.command("build")(build)
app.command("add-llm")(add_llm)
app.command("add-question")(add_question)
app.command("feedback")(feedback)
app.command("audit")(audit)
app.command("history")(history)
app.command("undo")(undo)
app.command("regrade")(regrade)
app.command("remove")(remove)
app.command("merge")(merge)


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
    with open_named_bank(url, config) as bank:
        found = bank.info()
    if as_json:
        typer.echo(json.dumps(_report(found), indent=2))
        return
    from rich.console import Console

    _print_info(found, Console())


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
    for name, answers in found.answers.items():
        counts.add_row("Answers", f"{answers:,} of {found.outcomes:,} embedded with {name}")
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
