"""`smcs tune`: choose parameters by cross-validation on the question bank."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from smcs.bank import QuestionBank
    from smcs.bench.tuning import Tuning
    from smcs.bench.tuning_choice import Choice
    from smcs.config import FoundConfig

__all__ = ("HELP", "tune")

HELP = "Choose parameters by cross-validation on the question bank. Calls no LLM; changes nothing without --write."


def tune(
    bank: Annotated[
        str | None, typer.Option("--bank", help="Question bank: a path, a database URL, or `seed`; else the config's.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")] = None,
    profile: Annotated[str | None, typer.Option(help="Compare with this profile; else the config's.")] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Result file of recorded runs on questions that nothing is tested on: for n and lambda."),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(help="Answer store of those runs: n and lambda that nobody ran are tried on its answers."),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="With --replay: local data; else SMCS_DATA.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts the bank is cut into.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the cut and of the bootstrap.")] = 0,
    write: Annotated[bool, typer.Option("--write", help="Put what is beyond chance into the config file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure, print, and on request write."""
    from smcs.bench import read_results
    from smcs.bench.tuning import tune as measure
    from smcs.bench.tuning_replay import Recording, replay_candidates
    from smcs.cli._console import stderr
    from smcs.config import find_config
    from smcs.errors import ConfigError, InputError

    found = find_config(config)
    if write and not Path(found.source).is_file():
        raise ConfigError(f"--write needs a config file, and {found.source} is none. Name one with --config.")
    if replay is not None and results is None:
        raise InputError("--replay needs --results: the result file says which questions the store's answers are to.")
    recorded = None if results is None else read_results(results)
    console = stderr()
    replayed = None
    if replay is not None and recorded is not None:
        console.print("replaying: candidates")
        used = profile or found.config.profile
        recording = Recording(recorded, replay, config=config, profile=used, bank=bank, data=data)
        replayed = asyncio.run(replay_candidates(recording, found.config.settings(used)))
    with _opened(found, bank) as opened:
        embedder = _embedded(opened, found)
        tuning = measure(
            opened,
            found.config.settings(profile),
            names=[llm.name for llm in found.config.pool if not llm.aggregates_only],
            embedder=embedder,
            folds=folds,
            seed=seed,
            results=recorded,
            replayed=replayed,
            on_progress=lambda label: console.print(f"measuring: {label}"),
        )
    if write:
        _write(found, tuning)
    if as_json:
        typer.echo(json.dumps({**tuning.to_dict(), "written": bool(write and tuning.changes())}, indent=2))
    else:
        _print(tuning, found, written=write)


def _opened(found: FoundConfig, name: str | None) -> QuestionBank:
    from smcs.config import open_bank
    from smcs.errors import ConfigError

    if name is None and found.config.bank is None:
        raise ConfigError(f"{found.source} names no bank to tune on. Name one with --bank.")
    return open_bank(name or str(found.config.bank), Path() if name else found.folder)


def _embedded(bank: QuestionBank, found: FoundConfig) -> str:
    """Return the name of the config's embedder once every bank question has a vector of it."""
    from smcs.config import build_embedder

    embedder = build_embedder(found.config.embedder, found.folder)
    if bank.missing_embeddings(embedder.name):
        asyncio.run(bank.embed(embedder))
    return embedder.name


def _write(found: FoundConfig, tuning: Tuning) -> None:
    from datetime import UTC, datetime

    from smcs.config import write_parameters

    changes = tuning.changes()
    if not changes:
        return
    today = datetime.now(UTC).date().isoformat()
    notes = {
        name: f"{today}, bank {tuning.bank[:12]}, {tuning.folds} folds, seed {tuning.seed}: {_gain(choice)}"
        for choice in tuning.choices
        if choice.change
        for name in choice.parameters
    }
    write_parameters(Path(found.source), changes, notes)


def _gain(choice: Choice) -> str:
    if choice.present_value is None:
        return f"{choice.measure} {100 * choice.gain:.1f}% [{100 * choice.low:.1f}, {100 * choice.high:.1f}]"
    gain = f"{100 * choice.gain:+.2f} points [{100 * choice.low:+.2f}, {100 * choice.high:+.2f}]"
    return f"{choice.measure} {gain}"


def _print(tuning: Tuning, found: FoundConfig, *, written: bool) -> None:
    from rich.table import Table

    from smcs.cli._console import stdout

    console = stdout()
    console.print(
        f"{tuning.questions:,} questions, {len(tuning.llms)} LLMs, {tuning.folds} folds; intervals are of 95%"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("parameter", "now", "best", "measure", "now %", "best %", "gain", "change"):
        table.add_column(
            heading, justify="right" if heading in ("now %", "best %", "gain") else "left", overflow="fold"
        )
    for choice in tuning.choices:
        table.add_row(*_row(choice))
    console.print(table)
    changes = tuning.changes()
    if not changes:
        console.print("Nothing is better than the present parameters beyond chance and by 0.2 points.")
    elif written:
        console.print(f"Written to {found.source}: {_listed(changes)}")
    else:
        console.print(f"--write would set: {_listed(changes)}")


def _row(choice: Choice) -> tuple[str, ...]:
    names = "\n".join(name.rpartition(".")[2] for name in choice.parameters)
    present = "\n".join(map(str, choice.present))
    if choice.best_value is None:
        return names, present, "", choice.why_not, "", "", "", "no"
    return (
        names,
        present,
        "\n".join(map(str, choice.best)),
        choice.measure,
        "" if choice.present_value is None else f"{100 * choice.present_value:.2f}",
        f"{100 * choice.best_value:.2f}",
        f"{100 * choice.gain:+.2f} [{100 * choice.low:+.2f}, {100 * choice.high:+.2f}]",
        "yes" if choice.change else "no",
    )


def _listed(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in changes.items())
