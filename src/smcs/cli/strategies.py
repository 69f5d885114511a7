"""`smcs strategies`: the ways a question can be answered."""

from __future__ import annotations

import inspect
import json
from typing import Annotated

import typer

__all__ = ("app",)

app = typer.Typer(help="List the ways a question can be answered.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `list` a subcommand although it is the only one."""


@app.command("list")
def list_strategies(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List strategies with what each does."""
    from smcs.strategies import STRATEGIES

    rows = {name: (inspect.getdoc(inspect.getmodule(run)) or "").split("\n\n")[0] for name, run in STRATEGIES.items()}
    if as_json:
        typer.echo(json.dumps([{"name": name, "does": does} for name, does in rows.items()], indent=2))
        return
    for name, does in rows.items():
        typer.echo(f"{name}  {' '.join(does.split())}")
