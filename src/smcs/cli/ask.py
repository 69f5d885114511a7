"""`smcs ask`: one question, many LLMs, one answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from smcs.collaboration import Collaboration
    from smcs.run import Run

__all__ = ("HELP", "ask")

HELP = "Ask the collaboration a question. Without a config file the embedded local pool answers."


def ask(
    question: Annotated[str | None, typer.Argument(help="The question; `-` or nothing reads stdin.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the question from a file.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")] = None,
    bank: Annotated[
        str | None, typer.Option("--bank", help="Question bank: a path, a database URL, or `seed`; else the config's.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="How to answer; see `smcs strategies list`.")] = "smcs",
    profile: Annotated[str | None, typer.Option(help="paper, balanced, fast or max.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="Referencers.")] = None,
    n: Annotated[int | None, typer.Option("-n", help="Candidates.")] = None,
    llm: Annotated[str | None, typer.Option(help="The LLM of strategies that ask one; else the bank's best.")] = None,
    samples: Annotated[int | None, typer.Option(help="Answers of strategies that ask one LLM several times.")] = None,
    layers: Annotated[int | None, typer.Option(help="Layers of moa.")] = None,
    prior: Annotated[str | None, typer.Option(help="How LLMs are ranked for a question.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of subset draws and of the LLMs.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Most LLM calls.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Most seconds.")] = None,
    max_usd: Annotated[float | None, typer.Option(help="Most USD.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print the evidence behind the answer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole record as JSON.")] = False,
) -> None:
    """Ask, watch, print."""
    import asyncio

    from smcs.collaboration import Collaboration

    text = _read(question, file)
    caps = {"max_calls": max_calls, "max_seconds": max_seconds, "max_usd": max_usd}
    given = {"k": k, "n": n, "llm": llm, "samples": samples, "layers": layers, "prior": prior, "seed": seed, **caps}
    changes = {name: value for name, value in given.items() if value is not None}
    team = Collaboration.from_config(config, strategy_name=strategy, profile_name=profile, bank=bank, **changes)
    run = asyncio.run(_answer(team, text, quiet=as_json))
    _print(run, explained=explain, as_json=as_json)


def _read(question: str | None, file: Path | None) -> str:
    from smcs.errors import ConfigError

    if file is not None and question is not None:
        raise ConfigError("Give the question either as an argument or with --file, not both.")
    try:
        if file is not None:
            return file.read_text(encoding="utf-8")
        if question is not None and question != "-":
            return question
        if question is None and sys.stdin.isatty():
            raise ConfigError("There is no question. Give it as an argument, with --file, or on stdin.")
        return sys.stdin.buffer.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The question cannot be read: {error}.") from error


async def _answer(team: Collaboration, text: str, *, quiet: bool) -> Run:
    from rich.live import Live

    from smcs.cli._console import stderr
    from smcs.cli._view import LiveView

    console = stderr()
    async with team:
        if quiet or not (console.is_terminal and sys.stdout.isatty()):
            return await team.ask(text)
        view = LiveView()
        with Live(view, console=console, refresh_per_second=8, transient=False):
            return await team.ask(text, watch=view.on)


def _print(run: Run, *, explained: bool, as_json: bool) -> None:
    from smcs.cli._console import printable, stderr, stdout
    from smcs.cli._view import explain, summary

    if as_json:
        typer.echo(run.to_json())
        return
    out: Any = stdout()
    if out.is_terminal:
        out.print()
    typer.echo(printable(run.answer))
    if explained:
        out.print(explain(run))
    err = stderr()
    err.print(summary(run))
    if not err.is_terminal or not out.is_terminal:
        for reason in run.degraded:
            err.print(f"degraded: {printable(reason)}")
