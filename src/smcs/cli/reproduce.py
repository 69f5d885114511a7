"""`smcs reproduce`: the paper's tables and figures, its numbers beside ours."""

from __future__ import annotations

import asyncio
import json
import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from smcs.bench.reproduce import Evidence, OutcomeTable, Reproduction
    from smcs.embedders import Embedder

__all__ = ("HELP", "reproduce")

_RECORDED = "mmlu_pro_recorded"
_WIDEST = 180

HELP = "Print tables and figures of the paper beside figures of ours. Calls no LLM."


def reproduce(
    what: Annotated[
        list[str],
        typer.Argument(metavar="WHAT...", help="table1-4, table6-13, fig4-7 as numbered in v2 of the paper, or all."),
    ],
    results: Annotated[
        list[Path] | None, typer.Option("--results", "-r", help="Result file of `smcs bench run`; may be repeated.")
    ] = None,
    bank: Annotated[
        str | None, typer.Option(help="Bank to compute from: path, database URL, or `seed`, the one that ships.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the recorded data (default: $SMCS_SHARED_DATA or ../shared/data if there)."),
    ] = None,
    released: Annotated[Path | None, typer.Option(help="Folder of the data that the authors released.")] = None,
    store: Annotated[Path | None, typer.Option(help="Answer store of `smcs bench run`, for table8.")] = None,
    config: Annotated[Path, typer.Option("--config", "-c", help="Named in the commands of missing runs.")] = Path(
        "smcs.yaml"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the parts that a bank is routed in.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write to a .md or .json file.")] = None,
) -> None:
    """Compute what can be computed from what is given; name the run, with its command, for what cannot.

    Without --results, --bank, --data and --released: experiments/*.jsonl.gz of the working folder (else the example
    results that ship), and the recorded data where it is there, else the seed bank.
    """
    from smcs.bench.reproduce import check_names, to_markdown
    from smcs.bench.reproduce import reproduce as reproduced

    names = check_names(what)
    _check_out(out)
    evidence = asyncio.run(_gather(results or [], bank, data, released, store, str(config), seed))
    found = [reproduced(name, evidence) for name in names]
    as_text = json.dumps([one.to_dict() for one in found], indent=2)
    if out is not None:
        out.write_text(as_text + "\n" if out.suffix == ".json" else to_markdown(found), encoding="utf-8")
    if as_json:
        typer.echo(as_text)
        return
    for one in found:
        _print(one)


async def _gather(
    results: list[Path],
    bank: str | None,
    data: Path | None,
    released: Path | None,
    store: Path | None,
    config: str,
    seed: int,
) -> Evidence:
    from smcs.bench.reproduce import Evidence, bank_table, default_embedder, read_arms, released_tables
    from smcs.config import open_bank
    from smcs.llms import AnswerStore

    named = bool(results or bank or data or released)
    arms = read_arms(results if named else _usual_results())
    if store is not None:
        AnswerStore(store, create=False).close()
    embedder = default_embedder()
    tables: list[OutcomeTable] = []
    if released is not None:
        tables += await released_tables(released, embedder=embedder)
    recorded = _recorded_folder(data, usual=not named)
    if recorded is not None:
        tables.append(await _recorded(recorded, embedder))
    if not named and not tables:
        typer.echo("smcs: no data is named, so the seed bank is used (three small LLMs, 640 questions).", err=True)
        bank = "seed"
    if bank is not None:
        with open_bank(bank) as opened:
            tables.append(await bank_table(opened, name=f"bank {bank}", embedder=embedder, seed=seed))
    return Evidence(arms=arms, tables=tuple(tables), store=store, config=config)


def _usual_results() -> list[Path]:
    """Return the finished result files under `experiments`, else the example that ships."""
    found = sorted(Path("experiments").glob("*.jsonl.gz"))
    if found:
        typer.echo(f"smcs: no --results is named, so these are used: {', '.join(map(str, found))}", err=True)
        return found
    return [Path(str(files("smcs") / "data" / "example" / "results.jsonl.gz"))]


def _recorded_folder(data: Path | None, *, usual: bool) -> Path | None:
    """Return the folder of the recorded answers: the one named, or the usual one where it is wanted and there."""
    if data is not None:
        return data / _RECORDED if (data / _RECORDED).is_dir() else data
    place = Path(os.environ.get("SMCS_SHARED_DATA", "../shared/data")) / _RECORDED
    return place if usual and place.is_dir() else None


async def _recorded(folder: Path, embedder: Embedder) -> OutcomeTable:
    from rich.progress import Progress

    from smcs.bench import embed_questions, load_recorded
    from smcs.bench.reproduce import recorded_table
    from smcs.bench.tables import read_columns
    from smcs.cli._console import stderr

    loaded = load_recorded(folder)
    with Progress(console=stderr(), transient=True) as progress:
        task = progress.add_task("Embedding questions", total=len(loaded.questions))
        vectors = await embed_questions(
            loaded, embedder, on_progress=lambda done: progress.update(task, completed=done)
        )
    (choices,) = read_columns(folder / "questions.parquet", ("choices",)).values()
    return recorded_table(loaded, vectors, embedder.name, choices=choices)


def _check_out(out: Path | None) -> None:
    from smcs.errors import ConfigError

    if out is None:
        return
    if out.suffix not in (".md", ".json"):
        raise ConfigError(f"--out must end in .md or .json, got {out.name!r}.")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"--out: there is no folder {str(out.absolute().parent)!r}.")


def _print(found: Reproduction) -> None:
    from rich.measure import Measurement
    from rich.table import Table

    from smcs.bench.reproduce import claim_grid, grids
    from smcs.cli._console import printable, stdout

    console = stdout()
    console.print(f"\n{found.name}: {found.title}\n{found.source}")
    texts = [text for panel in found.panels for text in grids(panel)]
    if found.claims:
        texts.append(claim_grid(found.claims))
    for text in texts:
        table = Table(title=printable(text.title), title_justify="left", box=None, pad_edge=False)
        for number, name in enumerate(text.header):
            table.add_column(printable(name), justify="left" if number < 2 else "right")
        for row in text.rows:
            table.add_row(*map(printable, row))
        console.print()
        # A narrow terminal breaks lines; numbers cut short would be wrong numbers.
        needed = Measurement.get(console, console.options.update_width(_WIDEST), table).maximum
        wide = stdout()
        wide.width = max(console.width, needed)
        wide.print(table)
        for line in text.legend:
            console.print(printable(line))
    for note in (*(note for panel in found.panels for note in panel.notes), *found.notes):
        console.print(f"- {printable(note)}")
    for missing in found.missing:
        console.print(f"Missing: {printable(missing.what)}. It comes from:")
        console.print(f"  {printable(missing.command)}", soft_wrap=True)
