"""`smcs bench recorded`: priors and votes on outcomes that others recorded; no LLM is called."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from smcs.bench import Figure
    from smcs.bench.recordings import Recording
    from smcs.bench.replay_arrays import Arm, Replay
    from smcs.bench.replay_figures import ArmFigures, CostCurve
    from smcs.embedders import Embedder, Vectors

__all__ = ("recorded",)


def recorded(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of local data, or of the recording (default: $SMCS_SHARED_DATA or ../shared/data)."),
    ] = None,
    dataset: Annotated[str, typer.Option(help="mmlu_pro, routerdc or routerbench.")] = "mmlu_pro",
    priors: Annotated[
        bool, typer.Option("--priors", help="Compare all priors and votes, with intervals and differences to RPS.")
    ] = False,
    choices: Annotated[
        bool, typer.Option("--choices", help="With --priors: embed questions with their options, as a bank does.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="With --priors: most questions per task and split, drawn stratified by subject."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --priors: write a result file, FILE.jsonl.gz.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of all-MiniLM-L6-v2 (default: where `smcs models pull` puts it).")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="SQLite file that keeps embeddings (default: in the user's cache folder).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure prior selection on recorded outcomes; no LLM is called.

    Alone, it reproduces the recorded MMLU-Pro figures: 17 LLMs, missing outcomes counted as wrong. With --priors, or
    another --dataset, it compares all priors, a missing outcome being no outcome. The first run embeds the questions,
    which takes minutes; later ones take seconds.
    """
    from smcs._paths import cache_dir
    from smcs.embedders import CachedEmbedder, MiniLMEmbedder
    from smcs.llms import find_model

    folder = data or Path(os.environ.get("SMCS_SHARED_DATA", "../shared/data"))
    minilm = MiniLMEmbedder(model or find_model("all-minilm-l6-v2").require(), long_texts="truncate")
    embedder = CachedEmbedder(minilm, cache or cache_dir() / "embeddings.sqlite")
    if dataset == "mmlu_pro" and not (priors or choices or limit or out):
        _reproduce(folder, embedder, as_json=as_json)
    else:
        _compare(folder, dataset, embedder, choices=choices, limit=limit, out=out, as_json=as_json)


def _reproduce(folder: Path, embedder: Embedder, *, as_json: bool) -> None:
    """Print the recorded figures beside ours."""
    from smcs.bench import RECORDED_SOURCE, load_recorded, recorded_figures
    from smcs.bench.recordings import RECORDINGS

    inside = folder / RECORDINGS["mmlu_pro"]
    bank = load_recorded(inside if inside.exists() or not (folder / "questions.parquet").exists() else folder)
    vectors = asyncio.run(_embed(bank.questions, embedder))
    begun = time.perf_counter()
    figures = recorded_figures(bank, vectors)
    seconds = time.perf_counter() - begun
    asked = int(bank.is_test.sum())
    if as_json:
        report = {
            "source": RECORDED_SOURCE,
            "embedder": embedder.name,
            "llms": len(bank.llms),
            "bank_questions": len(bank.ids) - asked,
            "test_questions": asked,
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
    _print_reproduction(figures)
    typer.echo(f"Recorded: {RECORDED_SOURCE}.")
    typer.echo(f"Ours: {embedder.name}, {len(bank.llms)} LLMs, {asked:,} test questions routed in {seconds:.1f} s.")


def _compare(
    folder: Path,
    dataset: str,
    embedder: Embedder,
    *,
    choices: bool,
    limit: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Replay all priors and votes, and print their figures."""
    from smcs.bench.recordings import load_recording
    from smcs.bench.replay_arrays import Replay
    from smcs.bench.replay_figures import arm_figures, cost_curve
    from smcs.prior import PRIORS

    recording = load_recording(dataset, folder, limit=limit)
    vectors = asyncio.run(_embed(recording.embedded_texts(with_choices=choices), embedder))
    begun = time.perf_counter()
    over = Replay(recording, vectors)
    arms = over.all_arms()
    seconds = time.perf_counter() - begun
    figures = arm_figures(arms)
    curves = [cost_curve(over, name) for name in PRIORS] if recording.costs is not None else []
    if out is not None:
        _write(out, over, arms, embedder.name, {"embedded_with_choices": choices, "limit": limit})
    if as_json:
        typer.echo(json.dumps(_report(recording, figures, curves, embedder.name, seconds, choices=choices), indent=2))
        return
    _print_arms(recording, figures)
    if curves:
        _print_curves(curves)
    what = "questions with their options" if choices else "questions without options"
    typer.echo(f"Embedded: {what}, by {embedder.name}. Intervals: 95%, bootstrap over questions.")
    typer.echo(f"{len(arms)} arms on {len(over.asked):,} questions x {len(recording.llms)} LLMs in {seconds:.1f} s.")


def _write(out: Path, over: Replay, arms: Sequence[Arm], embedder: str, config: dict[str, Any]) -> None:
    from smcs.bench.replay_figures import replay_header, replay_rows
    from smcs.bench.results import ResultWriter

    created = datetime.now(UTC).isoformat(timespec="seconds")
    command = shlex.join(["smcs", *sys.argv[1:]])
    header = replay_header(over, arms, embedder=embedder, command=command, created=created, config=config)
    with ResultWriter(out.with_suffix("") if out.suffix == ".gz" else out, header) as writer:
        for row in replay_rows(over, arms):
            writer.append(row)
        finished = writer.finish()
    writer.path.unlink()
    typer.echo(f"Wrote {finished}.", err=True)


def _report(
    recording: Recording,
    figures: Sequence[ArmFigures],
    curves: Sequence[CostCurve],
    embedder: str,
    seconds: float,
    *,
    choices: bool,
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "dataset": recording.name,
        "embedder": embedder,
        "embedded_with_choices": choices,
        "llms": len(recording.llms),
        "bank_questions": len(recording.bank),
        "test_questions": len(recording.asked),
        "seconds": round(seconds, 3),
        "arms": [
            {
                "name": figure.arm.name,
                "kind": figure.arm.kind,
                "ranking": asdict(figure.ranking),
                "score": asdict(figure.score),
                "ranking_difference": None if figure.ranking_difference is None else asdict(figure.ranking_difference),
                "score_difference": None if figure.score_difference is None else asdict(figure.score_difference),
            }
            for figure in figures
        ],
        "cost_curves": [
            {
                "prior": curve.prior,
                "area": curve.area,
                "hull_area": curve.hull_area,
                "costs": curve.costs.tolist(),
                "scores": curve.scores.tolist(),
            }
            for curve in curves
        ],
    }


async def _embed(texts: Sequence[str], embedder: Embedder) -> Vectors:
    """Embed texts with a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    from smcs.bench import embed_texts

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Embedding questions", total=len(texts))
        return await embed_texts(texts, embedder, on_progress=lambda done: progress.update(task, completed=done))


def _print_reproduction(figures: Sequence[Figure]) -> None:
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


def _print_arms(recording: Recording, figures: Sequence[ArmFigures]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{recording.name}: {len(recording.bank):,} bank questions, {len(recording.asked):,} asked; percent"
    table = Table("prior or vote", title=title, title_justify="left")
    for heading in ("ranking score", "to rps", "right", "to rps", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    votes = False
    for figure in figures:
        if figure.arm.kind == "vote" and not votes:
            table.add_section()
            votes = True
        ranked, scored = figure.ranking_difference, figure.score_difference
        table.add_row(
            figure.arm.name,
            _percent(figure.ranking.value, figure.ranking.low, figure.ranking.high),
            "" if ranked is None else _percent(ranked.value, ranked.low, ranked.high, sign="+"),
            _percent(figure.score.value, figure.score.low, figure.score.high),
            "" if scored is None else _percent(scored.difference, scored.low, scored.high, sign="+"),
            "" if scored is None else f"{scored.p_value:.3f}",
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _percent(value: float, low: float, high: float, *, sign: str = "") -> str:
    return f"{100 * value:{sign}.2f} [{100 * low:{sign}.2f}, {100 * high:{sign}.2f}]"


def _print_curves(curves: Sequence[CostCurve]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("prior", title="Accuracy against cost: mean over budgets, percent", title_justify="left")
    for heading in ("best point within the budget", "on the convex hull", "best", "at USD per 1,000"):
        table.add_column(heading, justify="right")
    for curve in curves:
        best = int(curve.scores.argmax())
        table.add_row(
            curve.prior,
            f"{100 * curve.area:.2f}",
            f"{100 * curve.hull_area:.2f}",
            f"{100 * curve.scores[best]:.2f}",
            f"{1000 * curve.costs[best]:.2f}",
        )
    Console().print(table)
