"""`smcs bank add-llm`: grade an LLM on the few questions that tell most about it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smcs.cli._banks import open_named_bank

if TYPE_CHECKING:
    from smcs.bank import QuestionBank
    from smcs.cli._build_view import BuildView
    from smcs.config import FoundConfig
    from smcs.evaluate import NewcomerPlan, NewcomerReport
    from smcs.llms import Member, Pool
    from smcs.prior.growth import AccuracyEstimate

__all__ = ("add_llm",)

_TEXT_SHOWN = 80


def add_llm(
    name: Annotated[str, typer.Argument(help="An LLM of the config's pool, or of the catalogue (`smcs models list`).")],
    url: Annotated[
        str | None, typer.Option("--bank", "-b", help="Path or database URL; the bank of the config if left out.")
    ] = None,
    fraction: Annotated[
        float | None, typer.Option("--fraction", help="Share of the bank to ask, 0 to 1; 0.1 if nothing is said.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", min=0, help="USD: ask as many questions as this is expected to pay for.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option("--task", help="Task file of your own; may be repeated.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Breaks ties in the choice; seed of the calls.")] = 0,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Calls in flight at once.")] = 16,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List questions and expected cost, and stop.")] = False,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Add an LLM to a bank by asking it the questions that make its prior right soonest.

    The choice rests on what the other LLMs' outcomes say about each question. Interrupt it as you like: started again,
    it asks only what has no outcome yet.
    """
    from smcs.cli._build_view import BuildView
    from smcs.cli._console import stderr
    from smcs.config import find_config
    from smcs.evaluate import plan_newcomer
    from smcs.tasks import find_task

    found = find_config(config)
    pool = _pool(found, name)
    member = pool.member(name)
    with open_named_bank(url, config) as bank:
        tasks = tuple(find_task(one) for one in task or ())
        plan = plan_newcomer(bank, member, fraction=fraction, max_usd=budget, seed=seed, tasks=tasks)
        for line in plan.warnings:
            stderr().print(f"note: {line}", soft_wrap=True)
        if dry_run:
            _print_plan(plan, as_json=as_json)
            return
        view = BuildView((name,))
        try:
            report = asyncio.run(_run(plan, pool, member, bank, view, concurrency))
        except KeyboardInterrupt:
            stderr().print("Interrupted. Run the same command again to go on; the bank keeps what is done.")
            raise typer.Exit(130) from None
        _print_report(plan, report, bank.url, as_json=as_json)
    if not report.answers.complete:
        raise typer.Exit(1)


async def _run(
    plan: NewcomerPlan, pool: Pool, member: Member, bank: QuestionBank, view: BuildView, concurrency: int
) -> NewcomerReport:
    from smcs.evaluate import add_newcomer

    async with pool:
        with view:
            return await add_newcomer(plan, member, bank, concurrency=concurrency, on_progress=view.on)


def _pool(found: FoundConfig, name: str) -> Pool:
    """Return the config's pool, or one of the catalogue's model if that has no LLM of the name."""
    from smcs.config import build_pool
    from smcs.config.schema import LocalLLMConfig
    from smcs.errors import ConfigError, suggest
    from smcs.llms import load_catalogue

    names = [llm.name for llm in found.config.pool]
    if name in names:
        return build_pool(found.config, found.folder)
    models = [entry.name for entry in load_catalogue().values() if entry.kind == "llm"]
    if name not in models:
        raise ConfigError(
            f"Neither the pool of {found.source} nor the catalogue has an LLM {name!r}."
            f"{suggest(name, dict.fromkeys([*names, *models]))}"
        )
    alone = LocalLLMConfig(kind="local", name=name, model=name)
    return build_pool(found.config.model_copy(update={"pool": (alone,)}), found.folder)


def _print_plan(plan: NewcomerPlan, *, as_json: bool) -> None:
    from rich.table import Table

    from smcs.cli._build_view import print_lines
    from smcs.cli._console import dollars, printable, stdout

    if as_json:
        questions = [{"id": q.id, "task": q.task, "subject": q.subject} for q in plan.asked.questions]
        typer.echo(json.dumps({**_head(plan), "cost": asdict(plan.cost), "questions": questions}, indent=2))
        return
    table = Table("", "question", "task", "subject", "text", title=_title(plan), title_justify="left")
    for number, question in enumerate(plan.asked.questions, 1):
        text = " ".join(printable(question.text[: 2 * _TEXT_SHOWN]).split())[:_TEXT_SHOWN]
        table.add_row(str(number), *map(printable, (question.id, question.task, question.subject)), text)
    stdout().print(table)
    most = dollars(plan.cost.most_usd)
    print_lines(
        stdout(), f"{plan.cost.questions:,} are not answered yet: {dollars(plan.cost.cost_usd)}, at most {most}"
    )


def _print_report(plan: NewcomerPlan, report: NewcomerReport, url: str, *, as_json: bool) -> None:
    from rich.table import Table

    from smcs.cli._build_view import failure_lines, print_lines
    from smcs.cli._console import printable, stderr, stdout
    from smcs.evaluate import GradingReport

    if as_json:
        shared = {"bank": url, **_head(plan), "complete": report.answers.complete}
        typer.echo(json.dumps({**shared, **_accuracy_json(report), "answers": asdict(report.answers)}, indent=2))
        return
    progress = report.answers.progress
    print_lines(stderr(), *failure_lines(GradingReport((report.answers,), progress.seconds)))
    print_lines(stdout(), f"{_title(plan)}: {progress.done:,} answered, {progress.ungraded:,} of them ungraded")
    if report.accuracy is None:
        print_lines(stdout(), "no graded outcome, so nothing is known about its accuracy")
        return
    table = Table("task", title="Estimated accuracy over all searched questions", title_justify="left")
    for heading in ("accuracy", "95 % interval", "graded", "questions"):
        table.add_column(heading, justify="right")
    for label, row in report.accuracy.tasks:
        table.add_row(printable(label) or "-", *_cells(row))
    table.add_section()
    table.add_row("all", *_cells(report.accuracy.overall))
    stdout().print(table)


def _cells(row: AccuracyEstimate) -> tuple[str, ...]:
    interval = f"{100 * row.low:.1f} to {100 * row.high:.1f} %"
    return f"{100 * row.value:.1f} %", interval, f"{row.observed:,}", f"{row.questions:,}"


def _title(plan: NewcomerPlan) -> str:
    from smcs.cli._console import printable

    how = f"chosen by what {plan.references} LLMs answered" if plan.references else "chosen at random"
    return f"{printable(plan.llm)}: {len(plan.asked.questions):,} of {plan.searched:,} questions, {how}"


def _head(plan: NewcomerPlan) -> dict[str, Any]:
    return {
        "llm": plan.llm,
        "chosen": len(plan.asked.questions),
        "searched": plan.searched,
        "references": plan.references,
        "warnings": plan.warnings,
    }


def _accuracy_json(report: NewcomerReport) -> dict[str, Any]:
    if report.accuracy is None:
        return {"accuracy": None, "tasks": {}}
    tasks = {label: asdict(row) for label, row in report.accuracy.tasks}
    return {"accuracy": asdict(report.accuracy.overall), "tasks": tasks}
