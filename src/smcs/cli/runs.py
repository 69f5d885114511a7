"""`smcs runs`: what the gateway was asked, what it answered, what that took."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from smcs.cli import _runs_replay
from smcs.cli._ledgers import AsJson, Config, Where, ago, moment, with_ledger
from smcs.cli._run_choice import Chosen, Since, Until, choosing

if TYPE_CHECKING:
    from smcs.gateway.ledger import Ledger, RunRow, SpendRow, StoredRun

__all__ = ("app",)

app = typer.Typer(help="List, show, export and forget the runs of the gateway's ledger.", no_args_is_help=True)
app.command("replay")(_runs_replay.replay)

_By = Literal["key", "model", "strategy", "day", "llm"]


@app.command("list")
@choosing
def list_runs(
    limit: Annotated[int, typer.Option("--limit", "-n", help="Most runs, up to 1,000.")] = 20,
    *,
    chosen: Chosen,
    config: Config = None,
    database: Where = None,
    as_json: AsJson = False,
) -> None:
    """List runs, the newest first."""

    async def look(ledger: Ledger) -> list[RunRow]:
        return await ledger.runs(limit=limit, **asdict(await chosen.of(ledger)))

    rows = with_ledger(config, database, look)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    _print_rows(rows)


@app.command("show")
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")],
    config: Config = None,
    database: Where = None,
    as_json: AsJson = False,
) -> None:
    """Show a run: what was asked and answered, why this answer, what it took, and what users said about it."""
    from smcs.errors import ConfigError

    stored = with_ledger(config, database, lambda ledger: ledger.run(run_id))
    if stored is None:
        raise ConfigError(f"The ledger has no run {run_id!r:.80}. `smcs runs list` shows their ids.")
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(stored).decode())
        return
    _print_run(stored)


@app.command("export")
@choosing
def export(
    output: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="JSON lines; stdout if left out.")] = None,
    records: Annotated[bool, typer.Option("--records/--no-records", help="With the whole record of each.")] = True,
    *,
    chosen: Chosen,
    config: Config = None,
    database: Where = None,
) -> None:
    """Export runs as JSON lines, the oldest first."""
    from smcs.cli._console import stderr

    async def write(ledger: Ledger) -> int:
        return await ledger.export(output or sys.stdout.buffer, await chosen.of(ledger), records=records)

    count = with_ledger(config, database, write)
    sys.stdout.flush()
    stderr().print(f"{count:,} runs")


@app.command("spend")
def spend(
    by: Annotated[_By, typer.Option("--by", help="What it is added up by.")] = "model",
    since: Since = None,
    until: Until = None,
    config: Config = None,
    database: Where = None,
    as_json: AsJson = False,
) -> None:
    """Add up what was spent, in whole UTC days; forgotten runs count too."""
    rows = with_ledger(config, database, lambda ledger: ledger.spend(by=by, since=moment(since), until=moment(until)))
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    _print_spend(by, rows)


@app.command("prune")
def prune(
    older_than: Annotated[str, typer.Option("--older-than", help="Age such as 30d, 12h or 2w.")],
    records_only: Annotated[
        bool, typer.Option("--records-only", help="Forget their texts, and keep what they took.")
    ] = False,
    config: Config = None,
    database: Where = None,
    as_json: AsJson = False,
) -> None:
    """Forget old runs for good. Sums by day stay, so `spend` goes on to count them."""
    age = ago(older_than)
    count = with_ledger(config, database, lambda ledger: ledger.prune(age, records_only=records_only))
    if as_json:
        typer.echo(json.dumps({"forgotten": count, "records_only": records_only}))
        return
    typer.echo(f"{count:,} {'records' if records_only else 'runs'} forgotten")


def _print_rows(rows: list[RunRow]) -> None:
    """Print a line per run; ids must be readable to be used, so a narrow terminal breaks the lines instead."""
    from smcs.cli._console import dollars, printable, stderr

    if not rows:
        stderr().print("no runs")
        return
    layout = "{:32}  {:11}  {:16}  {:9}  {:>8}  {:>5}  {:>10}  {}"
    typer.echo(layout.format("id", "when (UTC)", "model", "status", "seconds", "calls", "cost", "question"))
    for row in rows:
        text = row.error if row.status in ("failed", "lost") else row.question
        typer.echo(
            layout.format(
                row.id,
                row.created[5:16].replace("T", " "),
                printable(row.model),
                row.status,
                f"{row.seconds:.1f}",
                row.calls,
                dollars(row.cost_usd, at_least=row.known_cost_usd),
                " ".join(printable(text or "-").split())[:60],
            )
        )


def _print_run(stored: StoredRun) -> None:
    from smcs.cli._console import dollars, printable, stdout
    from smcs.cli._view import explain, summary

    row, out = stored.row, stdout()
    kind = ", ".join(word for word, said in (("streamed", row.streamed), ("cached", row.cached)) if said)
    out.print(f"{row.id}  {row.created}  {row.status} ({row.http_status})", style="bold")
    out.print(f"{row.endpoint}, model {printable(row.model)}{f', {kind}' if kind else ''}, key {row.key_id or '-'}")
    if row.user or stored.metadata:
        out.print(f"user {printable(row.user or '-')}, metadata {printable(json.dumps(dict(stored.metadata)))}")
    if row.error:
        out.print(f"error: {printable(row.error)}", style="red")
    if stored.record is None:
        out.print(f"{row.calls} calls, {row.seconds:.1f} s, cost {dollars(row.cost_usd, at_least=row.known_cost_usd)}")
        for call in stored.attempts:
            why = f": {printable(call.error)}" if call.error else ""
            out.print(
                f"  {call.stage} by {call.llm}: {call.status}{why}, {call.seconds:.2f} s, {dollars(call.cost_usd)}"
            )
        out.print(f"no record: {stored.no_record}", style="dim")
    else:
        out.print(f"\n{printable(stored.record.query.text)}\n", style="bold")
        out.print(f"{printable(stored.record.answer)}\n")
        out.print(explain(stored.record))
        out.print(summary(stored.record))
    for said in stored.feedback:
        words = [said.verdict or "", f"correct answer: {said.answer}" if said.answer else "", said.comment or ""]
        out.print(f"feedback of key {said.key_id or '-'}: {printable('; '.join(filter(None, words)))}", style="yellow")


def _print_spend(by: str, rows: list[SpendRow]) -> None:
    from rich.table import Table

    from smcs.cli._console import dollars, printable, stdout

    table = Table(
        by, "runs", "failed", "degraded", "calls", "tokens in", "tokens out", "cost", box=None, pad_edge=False
    )
    for row in rows:
        table.add_row(
            printable(row.label) or "-",
            f"{row.runs:,}",
            f"{row.failed:,}",
            f"{row.degraded:,}",
            f"{row.calls:,}",
            f"{row.prompt_tokens:,}",
            f"{row.completion_tokens:,}",
            dollars(row.cost_usd, at_least=row.known_cost_usd),
        )
    stdout().print(table)
