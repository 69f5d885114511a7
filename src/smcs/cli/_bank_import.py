"""`smcs bank import`: bring what others published, or another machine exported, into a bank."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from smcs.bank import QuestionBank

__all__ = ("import_bank",)


def import_bank(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="The file or folder.")],
    url: Annotated[str, typer.Argument(metavar="BANK", help="Path (made if it does not exist) or database URL.")],
    format_name: Annotated[
        str | None,
        typer.Option("--format", help="smcs, parquet, released, llmrouterbench, ...: see docs/importing.md."),
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(help="Name to store the file's embeddings under, beside those of others.")
    ] = None,
    llms: Annotated[
        list[str] | None, typer.Option(help="Take only this LLM (its name in the file); may be repeated.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="Give an LLM another name; may be repeated.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task label for every question, instead of the file's.")] = None,
    split: Annotated[
        str | None, typer.Option(help='Split to take, or "all"; mmlu_pro_recorded: validation, others: all.')
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Take the first questions only.", min=1)] = None,
    note: Annotated[str, typer.Option(help="Why, for the bank's log.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come; change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Add what a file or folder holds to a bank, all of it or nothing, as one change that can be undone.

    The format is found out: an export of smcs, the released bank of SMCS, LLMRouterBench results, RouterBench tables,
    RouterDC scores, recorded MMLU-Pro outputs.
    """
    from smcs.bank import ImportOptions, detect_format
    from smcs.bank.importers import format_named
    from smcs.cli._console import stderr

    found = detect_format(source) if format_name is None else format_named(format_name)
    options = ImportOptions(
        embedder=embedder, llms=tuple(llms or ()), rename=_renamed(rename or []), task=task, split=split, limit=limit
    )
    with _bank(url, dry_run=dry_run) as bank, stderr().status(f"importing {source.name} ({found})"):
        brought = bank.import_from(source, format=found, options=options, dry_run=dry_run, note=note)
    report = {"bank": url, "format": found, "dry_run": dry_run, **asdict(brought)}
    counts = f"{brought.questions:,} questions, {brought.llms:,} LLMs, {brought.outcomes:,} outcomes"
    vectors = f", {brought.embeddings:,} embeddings" if brought.embeddings else ""
    verb = "would be" if dry_run else "are"
    typer.echo(json.dumps(report) if as_json else f"{url}: new {verb} {counts}{vectors} (from {found})")


def _renamed(pairs: list[str]) -> dict[str, str]:
    from smcs.errors import InputError

    renamed: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise InputError(f"--rename must be OLD=NEW, got {pair!r}.")
        if old in renamed:
            raise InputError(f"--rename names {old!r} twice.")
        renamed[old] = new
    return renamed


@contextmanager
def _bank(url: str, *, dry_run: bool) -> Iterator[QuestionBank]:
    """Open a bank, or make it at a path where there is none; one that was made goes away with a failed import."""
    from smcs.bank import QuestionBank

    path = Path(url).expanduser()
    if "://" in url or path.exists():
        with QuestionBank.open(url) as bank:
            yield bank
    elif dry_run:
        with tempfile.TemporaryDirectory() as folder, QuestionBank.create(Path(folder) / "bank.db") as bank:
            yield bank
    else:
        try:
            with QuestionBank.create(url) as bank:
                yield bank
        except BaseException:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            raise
