"""`smcs bench run`: strategies side by side on the same answers; `import-answers` brings in those of others."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smcs.cli._console import dollars, stderr, stdout

if TYPE_CHECKING:
    from smcs.bench.experiment import Progress
    from smcs.bench.running import RunRequest

__all__ = ("import_answers", "run")

_SECONDS_BETWEEN_LINES = 10.0


def run(
    out: Annotated[Path, typer.Option("--out", help="Result file to make or go on with, ending in .jsonl.")],
    tasks: Annotated[
        str, typer.Option("--tasks", help="Tasks, separated by commas: names, files of your own, or `seed`.")
    ] = "",
    strategies: Annotated[str, typer.Option("--strategies", help="Strategies, separated by commas, or `all`.")] = "",
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", help="A strategy with settings, as in `small=smcs:k=3,llms=a+b`; may be repeated."),
    ] = None,
    sweep: Annotated[
        list[str] | None, typer.Option("--sweep", help="Values of a setting for every arm, as in `k=1,3,5`.")
    ] = None,
    ablate: Annotated[bool, typer.Option("--ablate", help="Each arm of SMCS also without each of its parts.")] = False,
    record: Annotated[
        Path | None, typer.Option("--record", help="Answer store: what it lacks is asked for and kept.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option("--replay", help="Answer store: nobody is asked, what it lacks is reported.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")] = None,
    profile: Annotated[str, typer.Option("--profile", help="Settings of all arms.")] = "paper",
    bank: Annotated[str | None, typer.Option("--bank", help="Another question bank than the config's.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of local data; else SMCS_DATA.")] = None,
    split: Annotated[str, typer.Option("--split", help="Part of each task.")] = "test",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most questions per task.")] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds, separated by commas: one repetition each.")] = "0",
    temperature: Annotated[float | None, typer.Option("--temperature", min=0, max=5)] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest answer.")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Questions in flight.")] = 4,
    redo_degraded: Annotated[
        bool, typer.Option("--redo-degraded", help="Also ask again what was answered with less than was asked for.")
    ] = False,
    example: Annotated[
        bool,
        typer.Option("--example", help="Replay the recorded answers that ship with smcs; only arms may be chosen."),
    ] = False,
    name: Annotated[str, typer.Option("--name", help="Name of the experiment; the file's if left out.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let strategies answer the same questions from the same answers, and grade them.

    Every row is on disk as soon as it exists: stop it as you like, and start it again to go on. It stops by itself when
    an LLM that an arm cannot do without is out of reach on question after question.
    """
    from smcs.bench.running import RunRequest, example_request
    from smcs.errors import InputError
    from smcs.types import Sampling

    arms, command = (*_names(strategies), *(arm or ())), shlex.join(["smcs", *sys.argv[1:]])
    if example:
        if tasks or record or replay or config or bank or redo_degraded:
            raise InputError("--example brings its own questions, LLMs, bank and answers: choose only arms and --out.")
        with example_request(out, arms, command=command) as request:
            path, latest = asyncio.run(_run(request))
        _print(path, latest, as_json=as_json)
        return
    if (record is None) == (replay is None):
        raise InputError("Give either --record STORE (ask for what it lacks) or --replay STORE (ask nobody).")
    if redo_degraded and record is None:
        raise InputError("--redo-degraded asks LLMs again, and a replay asks nobody. Give --record STORE instead.")
    request = RunRequest(
        tasks=_names(tasks),
        arms=arms,
        store=record or replay or Path(),
        mode="replay" if record is None else "record",
        out=out,
        sweeps=tuple(sweep or ()),
        ablate=ablate,
        config=config,
        profile=profile,
        bank=bank,
        data=data,
        split=split,
        limit=limit,
        seeds=_seeds(seeds),
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens),
        concurrency=concurrency,
        redo_degraded=redo_degraded,
        name=name,
        command=command,
    )
    path, latest = asyncio.run(_run(request))
    _print(path, latest, as_json=as_json)


def import_answers(
    answers: Annotated[Path, typer.Argument(help="Parquet file with the columns id, llm and response.")],
    store: Annotated[Path, typer.Argument(help="Answer store to make or add to.")],
    task: Annotated[str, typer.Option("--task", help="Task that the answers are to.")],
    split: Annotated[str, typer.Option("--split", help="Part of the task.")] = "test",
    data: Annotated[Path | None, typer.Option("--data", help="Folder of local data; else SMCS_DATA.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Keep answers that others published as references, so that strategies can be compared without their LLMs."""
    from smcs.bench import sources
    from smcs.llms import AnswerStore

    questions, tasks = sources.load_questions([task], split=split, data=data)
    with AnswerStore(store) as opened:
        new = sources.import_answers(answers, questions, tasks, opened)
        counts = dict(opened.counts())
    if as_json:
        typer.echo(json.dumps({"store": str(store), "new": new, "answers": counts}))
        return
    typer.echo(f"{store}: {new:,} new answers, {sum(counts.values()):,} in all, of {len(counts)} LLMs")


async def _run(request: RunRequest) -> tuple[Path, dict[str, Progress]]:
    from smcs.bench.experiment import run_experiment
    from smcs.bench.running import prepared

    async with prepared(request) as ready:
        experiment = ready.experiment
        asked = "nobody is asked" if request.mode == "replay" else f"at most {ready.calls:,} calls"
        sizes = (len(experiment.questions), len(experiment.arms), len(experiment.seeds))
        stderr().print("{:,} questions, {} arms, {} seed(s): {}".format(*sizes, asked))
        view = _View()
        await run_experiment(experiment, ready.writer, on_progress=view.show)
        return ready.writer.finish(), view.latest


class _View:
    """Says on stderr how far the arms are."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.latest: dict[str, Progress] = {}

    def show(self, progress: Progress) -> None:
        """Take in where an arm is; a line every few seconds."""
        self.latest[progress.arm] = progress
        if time.monotonic() - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = time.monotonic()
        score = f"{100 * progress.score / progress.graded:.1f}%" if progress.graded else "-"
        stderr().print(f"{progress.arm}: {progress.done:,} of {progress.total:,}, {score}, {progress.calls:,} calls")


def _print(path: Path, latest: dict[str, Progress], *, as_json: bool) -> None:
    from rich.table import Table

    if as_json:
        arms = {
            name: {
                "questions": one.done,
                "graded": one.graded,
                "accuracy": one.score / one.graded if one.graded else None,
                "calls": one.calls,
                "cost_usd": None if one.unpriced else one.known_cost_usd,
                "known_cost_usd": one.known_cost_usd,
                "missing": one.missing,
                "failed": one.failed,
                "degraded": one.degraded,
            }
            for name, one in latest.items()
        }
        typer.echo(json.dumps({"results": str(path), "arms": arms}, indent=2))
        return
    table = Table("arm", "questions", "right", "calls", "cost", "missing", "failed", "degraded", box=None)
    for name, one in latest.items():
        share = f"{100 * one.score / one.graded:.2f}%" if one.graded else "-"
        cost = dollars(None if one.unpriced else one.known_cost_usd, at_least=one.known_cost_usd)
        lacking = (str(each) for each in (one.missing, one.failed, one.degraded))
        table.add_row(name, str(one.done), share, f"{one.calls:,}", cost, *lacking)
    stdout().print(table)
    typer.echo(f"{path}: intervals, comparisons and plots come from `smcs bench report {path}`")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _seeds(text: str) -> tuple[int, ...]:
    from smcs.errors import InputError

    try:
        return tuple(int(part) for part in _names(text))
    except ValueError:
        raise InputError(f"--seeds must be whole numbers separated by commas, got {text!r}.") from None
