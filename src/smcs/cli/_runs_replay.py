"""`smcs runs replay`: the question of a run again, with other parameters, and what is different."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smcs.cli._ledgers import AsJson, Config, Where, with_ledger

if TYPE_CHECKING:
    from smcs.run import Run

__all__ = ("replay",)


def replay(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")],
    strategy: Annotated[str | None, typer.Option(help="Another strategy than the run's.")] = None,
    profile: Annotated[str | None, typer.Option(help="Another profile than the config's.")] = None,
    bank: Annotated[str | None, typer.Option("--bank", help="Another question bank than the config's.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="Referencers.")] = None,
    n: Annotated[int | None, typer.Option("-n", help="Candidates.")] = None,
    llm: Annotated[str | None, typer.Option(help="The LLM of strategies that ask one.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Most LLM calls.")] = None,
    max_usd: Annotated[float | None, typer.Option(help="Most USD.")] = None,
    config: Config = None,
    database: Where = None,
    as_json: AsJson = False,
) -> None:
    """Ask the question of a run again, with the pool of the config, and show both side by side. Calls LLMs."""
    from smcs.collaboration import Collaboration

    before = _record(run_id, config, database)
    wanted = {"k": k, "n": n, "llm": llm, "max_calls": max_calls, "max_usd": max_usd}
    changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if llm is None and before.strategy == "single" and strategy is None:
        changes["llm"] = before.answered_by
    team = Collaboration.from_config(
        config, strategy_name=strategy or before.strategy, profile_name=profile, bank=bank, **changes
    )
    after = asyncio.run(_ask(team, before))
    same = _agree(before, after)
    if as_json:
        typer.echo(json.dumps({"same_answer": same, "before": _told(before), "after": _told(after)}, indent=2))
        return
    _print(before, after, same=same)


def _record(run_id: str, config: Path | None, database: str | None) -> Run:
    from smcs.errors import ConfigError

    stored = with_ledger(config, database, lambda ledger: ledger.run(run_id))
    if stored is None:
        raise ConfigError(f"The ledger has no run {run_id!r:.80}. `smcs runs list` shows their ids.")
    if stored.record is None:
        raise ConfigError(f"The run cannot be asked again: {stored.no_record}.")
    if not stored.record.query.text:
        raise ConfigError("The run cannot be asked again: its texts were not kept (`gateway.record`).")
    return stored.record


async def _ask(team: Any, before: Run) -> Run:
    async with team:
        run: Run = await team.ask(before.query)
        return run


def _agree(before: Run, after: Run) -> bool | None:
    """Say whether both give the same answer; `None` where no short answer can be read from one of them."""
    from smcs.grading import same_answers

    query = before.query
    groups = same_answers(
        [before.answer, after.answer], grader=query.grader, choices=query.choices, question=query.text
    )
    return None if -1 in groups else groups[0] == groups[1]


def _told(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "strategy": run.strategy,
        "answered_by": run.answered_by,
        "referencers": list(run.referencers),
        "calls": run.calls,
        "cost_usd": run.cost_usd,
        "known_cost_usd": run.known_cost_usd,
        "seconds": run.seconds,
        "degraded": list(run.degraded),
        "answer": run.answer,
    }


def _print(before: Run, after: Run, *, same: bool | None) -> None:
    from rich.table import Table

    from smcs.cli._console import dollars, printable, stdout

    table = Table("", "before", "now", box=None, pad_edge=False)
    rows = {
        "strategy": (before.strategy, after.strategy),
        "answered by": (before.answered_by, after.answered_by),
        "asked": (", ".join(before.referencers), ", ".join(after.referencers)),
        "calls": (str(before.calls), str(after.calls)),
        "cost": tuple(dollars(run.cost_usd, at_least=run.known_cost_usd) for run in (before, after)),
        "seconds": (f"{before.seconds:.1f}", f"{after.seconds:.1f}"),
        "degraded": ("; ".join(before.degraded) or "no", "; ".join(after.degraded) or "no"),
        "answer": (before.answer.strip(), after.answer.strip()),
    }
    for name, (left, right) in rows.items():
        table.add_row(name, printable(left), printable(right))
    out = stdout()
    out.print(table)
    out.print({True: "The same answer.", False: "Another answer.", None: "The answers cannot be compared."}[same])
