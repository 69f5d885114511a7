"""`smcs strategies`: the ways a question can be answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from smcs.config.schema import Config

__all__ = ("app",)

app = typer.Typer(help="List the ways a question can be answered.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `list` a subcommand although it is the only one."""


@app.command("list")
def list_strategies(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Config file whose pool and parameters the calls are for.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="paper, balanced, fast or max.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List strategies with what each does, the LLM calls of a full run, and what it cannot do without."""
    from smcs.config import find_config

    found = find_config(config).config
    rows = _rows(found, profile)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    _print(rows, f"{_pool_size(found)} LLMs, profile {profile or found.profile}")


def _pool_size(config: Config) -> int:
    return sum(not llm.aggregates_only for llm in config.pool)


def _rows(config: Config, profile: str | None) -> list[dict[str, Any]]:
    from smcs.strategies import STRATEGIES

    settings, pool_size = config.settings(profile), _pool_size(config)
    return [
        {
            "name": spec.name,
            "title": spec.title,
            "calls": spec.calls(settings, pool_size),
            "needs": sorted(spec.needs),
            "one_llm": spec.one_llm,
            "summary": spec.summary,
        }
        for spec in STRATEGIES.values()
    ]


def _print(rows: list[dict[str, Any]], setting: str) -> None:
    from rich.table import Table

    from smcs.cli._console import stderr, stdout

    table = Table("name", "title", "calls", "needs", "summary", box=None, pad_edge=False)
    for row in rows:
        needs = ["bank or --llm" if need == "bank" and row["one_llm"] else need for need in row["needs"]]
        table.add_row(row["name"], row["title"], str(row["calls"]), ", ".join(needs) or "-", row["summary"])
    stdout().print(table)
    stderr().print(f"calls: of a full run with {setting}", style="dim")
