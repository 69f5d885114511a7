"""`smcs bank seed`: write the seed bank, and grade local models on it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from smcs.evaluate import GradingProgress, GradingReport

__all__ = ("seed",)

_LINE_SECONDS = 15.0


def seed(
    out: Annotated[Path, typer.Option("--out", "-o", help="SQLite file to create or continue.")] = Path("seed.db"),
    grade: Annotated[
        bool, typer.Option("--grade/--no-grade", help="Run the models; without it only questions are written.")
    ] = True,
    models: Annotated[
        str | None, typer.Option("--models", help="Catalogue names, separated by commas; the three instruct models.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only that many questions.")] = None,
    seed_number: Annotated[int, typer.Option("--seed", help="Seed of the questions.")] = 0,
    parallel: Annotated[
        int | None, typer.Option("--parallel", min=1, help="Models that run at the same time; one per core.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Write the seed questions and grade local models on them.

    Interrupt it as you like: started again, it continues where it stopped.
    """
    from smcs.evaluate import SEED_MODELS, build_seed_bank, open_seed_bank

    if not grade:
        with open_seed_bank(out, seed=seed_number, count=limit) as bank:
            questions = len(bank)
        typer.echo(
            json.dumps({"bank": str(out), "questions": questions}) if as_json else f"{out}: {questions} questions"
        )
        return
    names = [name.strip() for name in models.split(",")] if models else list(SEED_MODELS)
    with _Progress() as progress:
        report = asyncio.run(
            build_seed_bank(
                out, models=names, seed=seed_number, count=limit, parallel=parallel, on_progress=progress.show
            )
        )
    typer.echo(json.dumps(_as_dict(out, report), indent=2) if as_json else _as_text(out, report))
    if not report.complete:
        raise typer.Exit(1)


class _Progress:
    """A bar per LLM on a terminal, now and then a line elsewhere; always on stderr."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._last_line: dict[str, float] = {}

    def __enter__(self) -> _Progress:
        if sys.stderr.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            from smcs.cli._console import stderr

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[now]}"),
            )
            self._bars = Progress(*columns, console=stderr())
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, progress: GradingProgress) -> None:
        """Show where one LLM is."""
        if self._bars is not None:
            if progress.llm not in self._tasks:
                self._tasks[progress.llm] = self._bars.add_task(progress.llm, total=progress.total, now="")
            self._bars.update(self._tasks[progress.llm], completed=progress.done, now=_state(progress))
            return
        now = time.monotonic()
        if progress.done == progress.total or now - self._last_line.get(progress.llm, -_LINE_SECONDS) >= _LINE_SECONDS:
            self._last_line[progress.llm] = now
            typer.echo(f"{progress.llm}: {progress.done}/{progress.total}, {_state(progress)}", err=True)


def _state(progress: GradingProgress) -> str:
    parts = ["accuracy -" if progress.accuracy is None else f"accuracy {100 * progress.accuracy:.1f} %"]
    if progress.usage.completion_tokens is not None and progress.seconds > 0:
        rate = progress.usage.completion_tokens / progress.seconds
        parts.append(f"{progress.usage.completion_tokens:,} tokens ({rate:.0f}/s)")
    parts += [f"{progress.failed} failed"] * (progress.failed > 0)
    parts += [f"{progress.ungraded} ungraded"] * (progress.ungraded > 0)
    if progress.eta_seconds is not None:
        parts.append(f"{progress.eta_seconds / 60:.0f} min left")
    return ", ".join(parts)


def _as_dict(out: Path, report: GradingReport) -> dict[str, Any]:
    return {"bank": str(out), "complete": report.complete, **asdict(report)}


def _as_text(out: Path, report: GradingReport) -> str:
    lines = [f"{out}: {'complete' if report.complete else 'not complete, run the command again'}"]
    for answerer in report.answerers:
        done = answerer.progress
        lines.append(f"  {done.llm}: {done.done}/{done.total}, {_state(done)}")
        lines += [f"    {failure.question_id}: {failure.error}" for failure in answerer.failures[:5]]
    return "\n".join(lines)
