"""The command tree. Command modules import what they need when they run, so `--help` loads no more than it shows."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from smcs import __version__
from smcs.cli import ask, bank, bench, keys, models, pool, reproduce, runs, serve, strategies, studio, tasks, tune
from smcs.errors import SmcsError, UserError

__all__ = ("app", "main")

app = typer.Typer(
    name="smcs",
    help="Make many LLMs give one better answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("ask", help=ask.HELP)(ask.ask)
app.add_typer(bank.app, name="bank")
app.add_typer(bench.app, name="bench")
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")
app.add_typer(pool.app, name="pool")
app.command("reproduce", help=reproduce.HELP)(reproduce.reproduce)
app.add_typer(runs.app, name="runs")
app.command("serve", help=serve.HELP)(serve.serve)
app.add_typer(strategies.app, name="strategies")
app.command("studio", help=studio.HELP)(studio.studio)
app.add_typer(tasks.app, name="tasks")
app.command("tune", help=tune.HELP)(tune.tune)


class _Stderr(logging.Handler):
    """Prints what the library logs, also while a live view owns the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(f"smcs: {record.getMessage()}", err=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"smcs {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before a command."""
    log = logging.getLogger("smcs")
    log.setLevel(logging.INFO)
    log.handlers = [_Stderr()]


def main() -> None:
    """Run the command line; our errors become one line and an exit code."""
    try:
        app()
    except SmcsError as error:
        typer.echo(f"smcs: {error}", err=True)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
