"""`smcs bank audit`: look for what may be wrong with a bank."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from smcs.cli._banks import open_named_bank

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from smcs.bank import Audit, QuestionBank
    from smcs.types import Question

__all__ = ("audit",)

FailOn = Literal["error", "warning", "note", "never"]

_SHOWN = 20
"""Findings of one kind that the table shows; `--json` has them all."""


def audit(
    url: Annotated[
        str | None,
        typer.Argument(metavar="BANK", help="Path, database URL, or `seed`; the bank of the config if left out."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK[:SPLIT]", help="A test set the bank must not contain; may be repeated."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the benchmarks as local files.")] = None,
    embedder: Annotated[
        str | None, typer.Option(help="Whose vectors to compare; the bank's default if left out.")
    ] = None,
    near: Annotated[float, typer.Option(help="Cosine similarity from which questions are nearly the same.")] = 0.95,
    fail_on: Annotated[FailOn, typer.Option(help="Exit with 1 if anything as bad as this is found.")] = "error",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Look for duplicates, test questions, contradictory golds, odd LLMs, and what is missing. Changes nothing.

    Exit status: 0 if nothing as bad as --fail-on was found, 1 if something was, 2 for a mistake in the command.
    """
    from smcs.bank import AuditOptions

    tested = _tested(against or [], data)
    with open_named_bank(url, config) as bank:
        vectors = _vectors(bank, tested, embedder, config)
        report = bank.audit(AuditOptions(tested, vectors, embedder, near))
    if as_json:
        summary = {"counts": report.counts(), **asdict(report)}
        typer.echo(json.dumps(summary, indent=2))
    else:
        _print(report)
    if fail_on != "never" and report.fails(fail_on):
        raise typer.Exit(1)


def _tested(names: Sequence[str], data: Path | None) -> tuple[Question, ...]:
    from smcs.tasks import find_task

    questions: list[Question] = []
    for name in names:
        # A colon also stands in paths of some systems; only a plain word behind the last one names a split.
        task, colon, split = name.rpartition(":")
        if not colon or not split.isidentifier():
            task, split = name, "test"
        questions += find_task(task).load(split, data=data)
    return tuple(questions)


def _vectors(
    bank: QuestionBank, tested: Sequence[Question], embedder: str | None, config: Path | None
) -> NDArray[np.float32] | None:
    """Embed the test set if the embedder at hand is the one whose vectors are compared."""
    if not tested:
        return None
    import asyncio

    from smcs.config import build_embedder, find_config

    figures = bank.info()
    wanted = embedder or next((known.name for known in figures.embedders if known.default), None)
    settings = find_config(config)
    model = build_embedder(settings.config.embedder, settings.folder)
    if wanted != model.name:
        return None
    return asyncio.run(model.embed([question.prompt() for question in tested]))


def _print(report: Audit) -> None:
    from rich.markup import escape
    from rich.table import Table

    from smcs.bank import AUDIT_CHECKS
    from smcs.cli._console import printable, stdout

    out = stdout()
    for kind, what in AUDIT_CHECKS.items():
        findings = [finding for finding in report.findings if finding.kind == kind]
        if not findings:
            continue
        table = Table(
            "", "", title=f"{what[0].upper()}{what[1:]} ({len(findings)})", title_justify="left", show_header=False
        )
        for finding in findings[:_SHOWN]:
            table.add_row(finding.severity, escape(printable(finding.message)))
        if len(findings) > _SHOWN:
            table.add_row("", f"and {len(findings) - _SHOWN} more: --json prints all")
        out.print(table)
    counts = ", ".join(f"{count} {severity}{'s' * (count != 1)}" for severity, count in report.counts().items())
    against = f", against {report.compared} test questions" if report.compared else ""
    typer.echo(f"{report.questions} questions, {report.llms} LLMs{against}: {counts}")
