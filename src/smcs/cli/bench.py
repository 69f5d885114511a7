"""`smcs bench`: experiments on recorded and live answers."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smcs.cli._bench_report import report
from smcs.cli._bench_run import import_answers, run

if TYPE_CHECKING:
    from smcs.bench import Figure, RecordedBank
    from smcs.embedders import Embedder, Vectors

__all__ = ("app",)

app = typer.Typer(help="Compare strategies on the same answers, and report.", no_args_is_help=True)
app.command("run")(run)
app.command("import-answers")(import_answers)
app.command("report")(report)


@app.callback()
def bench() -> None:
    """Compare strategies on the same answers, and report."""


@app.command()
def recorded(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with questions, outcomes and responses (default: $SMCS_SHARED_DATA or ../shared/data)."
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of all-MiniLM-L6-v2 (default: where `smcs models pull` puts it).")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="SQLite file that keeps embeddings (default: in the user's cache folder).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Reproduce the recorded MMLU-Pro figures of prior selection: 17 LLMs, no LLM is called.

    The first run embeds 6,708 questions, which takes minutes; later ones take seconds.
    """
    from smcs._paths import cache_dir
    from smcs.bench import RECORDED_SOURCE, load_recorded, recorded_figures
    from smcs.embedders import CachedEmbedder, MiniLMEmbedder
    from smcs.llms import find_model

    shared = Path(os.environ.get("SMCS_SHARED_DATA", "../shared/data"))
    bank = load_recorded(data or shared / "mmlu_pro_recorded")
    minilm = MiniLMEmbedder(model or find_model("all-minilm-l6-v2").require(), long_texts="truncate")
    embedder = CachedEmbedder(minilm, cache or cache_dir() / "embeddings.sqlite")
    vectors = asyncio.run(_embed(bank, embedder))
    begun = time.perf_counter()
    figures = recorded_figures(bank, vectors)
    seconds = time.perf_counter() - begun
    if as_json:
        report = {
            "source": RECORDED_SOURCE,
            "embedder": embedder.name,
            "llms": len(bank.llms),
            "bank_questions": int((~bank.is_test).sum()),
            "test_questions": int(bank.is_test.sum()),
            "seconds": round(seconds, 3),
            "figures": [
                {
                    "name": figure.name,
                    "value": round(figure.value, 4),
                    "recorded": figure.recorded,
                    "difference": round(figure.difference, 4),
                    "unit": figure.unit,
                }
                for figure in figures
            ],
        }
        typer.echo(json.dumps(report, indent=2))
        return
    _print_table(figures)
    typer.echo(f"Recorded: {RECORDED_SOURCE}.")
    asked = int(bank.is_test.sum())
    typer.echo(f"Ours: {embedder.name}, {len(bank.llms)} LLMs, {asked:,} test questions routed in {seconds:.1f} s.")


async def _embed(bank: RecordedBank, embedder: Embedder) -> Vectors:
    """Embed the questions with a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    from smcs.bench import embed_questions

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Embedding questions", total=len(bank.questions))
        return await embed_questions(bank, embedder, on_progress=lambda done: progress.update(task, completed=done))


def _print_table(figures: tuple[Figure, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", title="Prior selection on recorded MMLU-Pro answers", title_justify="left")
    for heading in ("ours", "recorded", "difference"):
        table.add_column(heading, justify="right")
    for figure in figures:
        unit = " %" if figure.unit == "%" else "  "
        table.add_row(
            figure.name,
            f"{figure.value:.2f}{unit}",
            f"{figure.recorded:.2f}{unit}",
            f"{round(figure.difference, 2) + 0.0:+.2f}  ",  # adding zero turns -0.0 into +0.0
        )
    Console().print(table)
