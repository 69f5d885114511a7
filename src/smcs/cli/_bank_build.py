"""`smcs bank build`: grade LLMs on tasks, and keep what they answered in a bank."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from smcs.bank import QuestionBank
    from smcs.cli._build_view import BuildView
    from smcs.config import FoundConfig
    from smcs.embedders import Embedder
    from smcs.evaluate import BuildEstimate, BuildPlan, GradingReport
    from smcs.llms import Member, Pool

__all__ = ("build",)


def build(
    tasks: Annotated[str, typer.Option("--tasks", help="Tasks, separated by commas: names, or files of your own.")],
    llms: Annotated[
        str | None, typer.Option("--llms", help="LLMs of the pool, separated by commas; all if left out.")
    ] = None,
    bank: Annotated[str, typer.Option("--bank", help="Path or database URL; made if it does not exist.")] = "bank.db",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file with the pool.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of local data; else SMCS_DATA, else the hub.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Part of each task.")] = "validation",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most questions per task.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the questions drawn, and of every call.")] = 0,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Answers per question; the score is the mean.")] = 1,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0, max=5)] = None,
    top_p: Annotated[float | None, typer.Option("--top-p", min=0.0, max=1)] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest answer.")] = None,
    presence_penalty: Annotated[float | None, typer.Option("--presence-penalty", min=-2, max=2)] = None,
    frequency_penalty: Annotated[float | None, typer.Option("--frequency-penalty", min=-2, max=2)] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Calls in flight per LLM.")] = 64,
    parallel: Annotated[
        int | None,
        typer.Option("--parallel", min=1, help="LLMs at the same time; all, or with local ones as many as cores."),
    ] = None,
    retry_rounds: Annotated[
        int, typer.Option("--retry-rounds", min=0, help="How often failed calls are repeated after all others.")
    ] = 2,
    fast: Annotated[
        bool, typer.Option("--fast", help="Local LLMs answer in batches: quicker, but runs differ in a few answers.")
    ] = False,
    max_usd: Annotated[
        float | None, typer.Option("--max-usd", min=0, help="Most USD for these answers, earlier runs included.")
    ] = None,
    allow_unknown_price: Annotated[
        bool, typer.Option("--allow-unknown-price", help="Ask LLMs without a price in spite of --max-usd.")
    ] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Print what it would cost, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before money is spent.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on with other settings than the bank began with.")] = False,
    embed: Annotated[
        bool,
        typer.Option("--embed/--no-embed", help="Embed the questions at the end, as the config says."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Ask LLMs the questions of tasks, grade the answers, and keep them in a question bank.

    Interrupt it as you like: started again, it asks only what has no outcome yet.
    """
    from smcs.config import build_embedder, find_config
    from smcs.evaluate import estimate_build, plan_build
    from smcs.types import Sampling

    sampling = Sampling(
        temperature=temperature,
        top_p=top_p,
        max_tokens=max_tokens,
        presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty,
    )
    found = find_config(config)
    pool, members = _members(found, llms)
    plan = plan_build(_names(tasks), split=split, data=data, limit=limit, seed=seed, samples=samples, sampling=sampling)
    if estimate:
        _print_estimate(plan, members, bank, as_json=as_json)
        return
    embedder = build_embedder(found.config.embedder, found.folder) if embed else None
    options = {
        "concurrency": concurrency,
        "parallel": parallel,
        "max_usd": max_usd,
        "allow_unknown_price": allow_unknown_price,
        "exact": not fast,
        "force": force,
        "retry_rounds": retry_rounds,
    }
    with _open(bank) as opened:
        _say_before(plan, members, capped=max_usd is not None and not allow_unknown_price)
        _confirm(estimate_build(plan, members, opened), yes=yes)
        work = _Work(plan, pool, members, opened, embedder, options)
        _finish(work, _use(bank, config), as_json=as_json)


@dataclass(frozen=True)
class _Work:
    """Everything a build needs."""

    plan: BuildPlan
    pool: Pool
    members: tuple[Member, ...]
    bank: QuestionBank
    embedder: Embedder | None
    options: dict[str, Any]

    async def run(self, view: BuildView) -> tuple[GradingReport, int]:
        """Build and embed; return the report and how many questions were embedded."""
        from smcs.cli._console import stderr
        from smcs.evaluate import build_bank

        try:
            async with self.pool:
                with view:
                    report = await build_bank(self.plan, self.members, self.bank, on_progress=view.on, **self.options)
            if self.embedder is None:
                return report, 0
            missing = len(await asyncio.to_thread(self.bank.missing_embeddings, self.embedder.name))
            if missing:
                stderr().print(f"embedding {missing:,} questions with {self.embedder.name}")
            return report, await self.bank.embed(self.embedder)
        finally:
            await self._close_embedder()

    async def _close_embedder(self) -> None:
        from smcs.llms import Closeable

        part: object = self.embedder
        if isinstance(part, Closeable):
            await part.close()


def _finish(work: _Work, use: str, *, as_json: bool) -> None:
    from smcs.cli._build_view import BuildView, failure_lines, print_lines, report_json, report_table
    from smcs.cli._console import stderr, stdout

    view = BuildView(tuple(member.name for member in work.members))
    try:
        report, embedded = asyncio.run(work.run(view))
    except KeyboardInterrupt:
        _say_interrupted(view, work.bank, as_json=as_json)
        raise typer.Exit(130) from None
    if as_json:
        shared = {"bank": work.bank.url, "questions": len(work.plan.questions), "embedded": embedded}
        typer.echo(json.dumps({**shared, **report_json(report), "use": use}, indent=2))
    else:
        stdout().print(report_table(report))
        print_lines(stderr(), *failure_lines(report))
        ended = "complete" if report.complete else "not complete: run the same command again to go on"
        print_lines(stdout(), f"{work.bank.url}: {len(work.plan.questions):,} questions, {ended}", f"Use it: {use}")
    if not report.complete:
        raise typer.Exit(1)


def _say_interrupted(view: BuildView, bank: QuestionBank, *, as_json: bool) -> None:
    from smcs.cli._build_view import print_lines
    from smcs.cli._console import stderr

    done = {name: len(bank.answered(name)) for name in bank.llms if name in view.names}
    if as_json:
        typer.echo(json.dumps({"bank": bank.url, "complete": False, "interrupted": True, "outcomes": done}, indent=2))
    lines = [f"{name}: {count:,} outcomes are in the bank" for name, count in done.items()]
    print_lines(stderr(), *lines, f"Interrupted. Run the same command again to go on; {bank.url} keeps what is done.")


def _print_estimate(plan: BuildPlan, members: tuple[Member, ...], bank: str, *, as_json: bool) -> None:
    from smcs.bank import QuestionBank
    from smcs.cli._build_view import estimate_table
    from smcs.cli._console import stdout
    from smcs.evaluate import estimate_build

    if _exists(bank):
        with QuestionBank.open(bank) as opened:
            found = estimate_build(plan, members, opened)
    else:
        found = estimate_build(plan, members, None)
    if as_json:
        total = {"cost_usd": found.cost_usd, "known_usd": found.known_usd, "most_usd": found.most_usd}
        typer.echo(json.dumps({"llms": [asdict(row) for row in found.llms], **total}, indent=2))
        return
    stdout().print(estimate_table(found))


def _confirm(found: BuildEstimate, *, yes: bool) -> None:
    from smcs.cli._build_view import estimate_table
    from smcs.cli._console import stderr

    console = stderr()
    console.print(estimate_table(found))
    free = found.cost_usd == 0
    if yes or free or not (sys.stdin.isatty() and console.is_terminal):
        return
    if not typer.confirm("Go on?", err=True):
        raise typer.Exit(1)


def _say_before(plan: BuildPlan, members: tuple[Member, ...], *, capped: bool) -> None:
    from smcs.cli._build_view import print_lines
    from smcs.cli._console import stderr

    unknown = [member.name for member in members if member.price is None]
    if capped and unknown:
        why = "their price is unknown; give it in the config, or --allow-unknown-price"
        print_lines(stderr(), f"skipped under --max-usd: {', '.join(unknown)} ({why})")
    if any(question.grader == "code" for question in plan.questions):
        from smcs.grading.sandbox import isolation_report

        print_lines(stderr(), str(isolation_report()))


def _members(found: FoundConfig, names: str | None) -> tuple[Pool, tuple[Member, ...]]:
    from smcs.config import build_pool
    from smcs.errors import ConfigError

    pool = build_pool(found.config, found.folder)
    wanted = list(pool) if names is None else _names(names)
    if not wanted or len(set(wanted)) != len(wanted):
        raise ConfigError(f"`--llms` must name different LLMs of the pool, got {names!r}.")
    return pool, tuple(pool.member(name) for name in wanted)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _exists(bank: str) -> bool:
    return "://" in bank or Path(bank).expanduser().exists()


def _open(bank: str) -> QuestionBank:
    """Open a bank, or make it where there is none: also where an interrupted build left an empty file."""
    from smcs.bank import QuestionBank
    from smcs.errors import BankError

    try:
        return QuestionBank.create(bank)
    except BankError:
        return QuestionBank.open(bank)


def _use(bank: str, config: Path | None) -> str:
    place = ["-c", str(config)] if config is not None else []
    return shlex.join(["smcs", "ask", *place, "--bank", bank, "..."]).replace("...", '"YOUR QUESTION"')
