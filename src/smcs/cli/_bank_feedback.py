"""`smcs bank add-question` and `smcs bank feedback`: let a bank grow by what is known about a question or an answer."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from smcs.cli._banks import open_named_bank

if TYPE_CHECKING:
    from smcs.embedders import Embedder
    from smcs.evaluate import Growth
    from smcs.types import GraderName

__all__ = ("add_question", "feedback")

_BANK = typer.Argument(metavar="BANK", help="Path or database URL.")
_CONFIG = typer.Option("--config", "-c", help="Config file: its embedder gives the question its vector.")
_CHOICE = typer.Option("--choice", help="One answer option; repeat it in order. The gold is then a letter.")
_GRADER = typer.Option("--grader", help="How answers are compared; guessed from the gold if left out.")
_AUTHOR = typer.Option(help="Who says so; kept in the bank's history.")
_NOTE = typer.Option(help="Why; kept in the bank's history.")
_JSON = typer.Option("--json", help="Print JSON.")


def add_question(
    url: Annotated[str, _BANK],
    text: Annotated[str, typer.Argument(help="The question; `-` reads stdin.")],
    gold: Annotated[
        str | None, typer.Option(help="The correct answer: a letter, a number, LaTeX or a short text.")
    ] = None,
    choices: Annotated[list[str] | None, _CHOICE] = None,
    grader: Annotated[str | None, _GRADER] = None,
    check: Annotated[
        str | None, typer.Option(help="JSON a grader needs beyond the gold, e.g. tests of a program.")
    ] = None,
    task: Annotated[str, typer.Option(help="Task it belongs to.")] = "added",
    subject: Annotated[str, typer.Option(help="Finer label.")] = "",
    question_id: Annotated[str, typer.Option("--id", help="Its id; made of its content if left out.")] = "",
    author: Annotated[str, _AUTHOR] = "",
    note: Annotated[str, _NOTE] = "",
    config: Annotated[Path | None, _CONFIG] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Add one question with its correct answer, unless the bank has it already. `smcs bank undo` takes it back."""
    from smcs.errors import InputError
    from smcs.evaluate import add_question as add
    from smcs.types import Question

    try:
        extra = json.loads(check) if check else {}
    except ValueError as error:
        raise InputError(f"--check must be a JSON object: {error}.") from error
    if not isinstance(extra, dict):
        raise InputError(f"--check must be a JSON object, got {check!r}.")
    question = Question(
        question_id,
        sys.stdin.read() if text == "-" else text,
        task=task,
        subject=subject,
        choices=tuple(choices or ()),
        gold=gold,
        grader=_grader(grader),
        check=extra,
    )
    with open_named_bank(url) as bank:
        _print(asyncio.run(add(bank, question, _embedder(config), author=author, note=note)), as_json=as_json)


def feedback(
    url: Annotated[str, _BANK],
    record: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run as `smcs ask --json` prints it; `-` reads stdin.")
    ],
    gold: Annotated[str | None, typer.Option(help="The correct answer.")] = None,
    right: Annotated[bool | None, typer.Option("--right/--wrong", help="Whether the run's answer was right.")] = None,
    choices: Annotated[list[str] | None, _CHOICE] = None,
    grader: Annotated[str | None, _GRADER] = None,
    task: Annotated[str, typer.Option(help="Task the question belongs to.")] = "feedback",
    subject: Annotated[str, typer.Option(help="Finer label.")] = "",
    author: Annotated[str, _AUTHOR] = "",
    note: Annotated[str, _NOTE] = "",
    config: Annotated[Path | None, _CONFIG] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Turn a run and a verdict, or the correct answer, into a bank question with outcomes for every referencer.

    Graded against the correct answer where it is given. With --wrong alone only those referencers are known to be
    wrong that gave the run's answer; the others stay missing. `smcs bank undo` takes it back.
    """
    from smcs.errors import InputError
    from smcs.evaluate import Feedback, learn
    from smcs.run import Run

    try:
        text = sys.stdin.read() if str(record) == "-" else record.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{str(record)!r} cannot be read: {error}.") from error
    run = Run.from_json(text)
    said = Feedback(
        right=right,
        gold=gold,
        choices=tuple(choices or ()),
        grader=_grader(grader),
        task=task,
        subject=subject,
        author=author,
        note=note,
    )
    with open_named_bank(url) as bank:
        _print(asyncio.run(learn(bank, run, said, _embedder(config))), as_json=as_json)


def _grader(name: str | None) -> GraderName | None:
    from smcs.errors import InputError, suggest
    from smcs.types import GraderName

    known: tuple[GraderName, ...] = get_args(GraderName)
    for grader in known:
        if name == grader:
            return grader
    if name is None:
        return None
    raise InputError(f"Unknown grader {name!r}.{suggest(name, known)}")


def _embedder(config: Path | None) -> Embedder:
    from smcs.config import build_embedder, find_config

    found = find_config(config)
    return build_embedder(found.config.embedder, found.folder)


def _print(growth: Growth, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(growth)))
        return
    near = "" if growth.similarity is None else f" (cosine {growth.similarity:.3f})"
    typer.echo(f"{growth.question_id}: {'added' if growth.is_new else f'the bank has it already{near}'}")
    for outcome in growth.outcomes:
        typer.echo(f"  {outcome.llm}: {outcome.score:g} ({outcome.reason})")
    for llm, why in growth.left_out.items():
        typer.echo(f"  {llm}: nothing recorded, {why}")
    if growth.change is not None:
        typer.echo(f"change {growth.change}: `smcs bank undo` with this number takes it back")
