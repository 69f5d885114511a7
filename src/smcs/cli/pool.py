"""`smcs pool`: the LLMs of a config, and whether they answer."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smcs.cli._pool_preset import preset

if TYPE_CHECKING:
    from smcs.config import FoundConfig
    from smcs.llms import LLM, ProbeReport

__all__ = ("app",)

app = typer.Typer(help="Look at and check the LLMs of a config.", no_args_is_help=True)
app.command("preset")(preset)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_pool(config: Config = None, as_json: AsJson = False) -> None:
    """List the LLMs without calling them."""
    from rich.table import Table

    from smcs.cli._console import stdout
    from smcs.config import find_config

    found = find_config(config)
    if as_json:
        typer.echo(json.dumps([llm.model_dump(mode="json") for llm in found.config.pool], indent=2))
        return
    table = Table("LLM", "kind", "model", "price per million tokens (in / out)", "aggregator", box=None)
    for llm in found.config.pool:
        order = found.config.aggregators.index(llm.name) + 1 if llm.name in found.config.aggregators else None
        price = f"${llm.price.input:g} / ${llm.price.output:g}" if llm.price else _unpriced(llm.kind)
        model = getattr(llm, "model", None) or str(getattr(llm, "path", "") or "")
        table.add_row(llm.name, llm.kind, model, price, "" if order is None else f"no. {order}")
    stdout().print(table)


def _unpriced(kind: str) -> str:
    return "none (local)" if kind == "local" else "unknown"


@app.command()
def check(
    config: Config = None,
    seconds: Annotated[float, typer.Option(help="Most seconds for each LLM.")] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Call every LLM once; exit code 1 if one does not answer."""
    import asyncio

    from smcs.config import find_config

    reports = asyncio.run(_check(find_config(config), seconds))
    if as_json:
        typer.echo(json.dumps([asdict(report) for report in reports], indent=2))
    else:
        _print(reports)
    raise typer.Exit(0 if all(report.reachable for report in reports) else 1)


async def _check(found: FoundConfig, seconds: float) -> list[ProbeReport]:
    import asyncio

    from smcs.config import build_pool
    from smcs.errors import UserError
    from smcs.llms import ProbeReport, check

    async def row(name: str, llm: LLM) -> ProbeReport:
        try:
            return await check(name, llm, seconds=seconds)
        except UserError as error:
            return ProbeReport(name, False, error=str(error))

    async with build_pool(found.config, found.folder) as pool, asyncio.TaskGroup() as group:
        tasks = [group.create_task(row(name, member.llm)) for name, member in pool.items()]
    return [task.result() for task in tasks]


def _print(reports: list[ProbeReport]) -> None:
    from rich.table import Table
    from rich.text import Text

    from smcs.cli._console import number, printable, stdout

    table = Table("LLM", "reachable", "latency (s)", "log-probabilities", "n", "", box=None)
    for report in reports:
        known = report.capabilities
        table.add_row(
            report.llm,
            Text("yes", style="green") if report.reachable else Text("no", style="red"),
            number(report.latency_s, 2),
            _yes(known.logprobs),
            _yes(None if known.max_n is None else known.max_n > 1),
            printable(report.error or ""),
        )
    stdout().print(table)


def _yes(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"
