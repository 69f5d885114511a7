"""`smcs tasks`: the benchmarks that ship, those that other packages bring, and your own."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from smcs.tasks import Split, Task
    from smcs.types import Question

__all__ = ("app",)

app = typer.Typer(help="List and show the tasks that questions come from.", no_args_is_help=True)

_Data = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder with NAME.jsonl.gz, or such a file; else SMCS_DATA, else the hub."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_tasks(data: _Data = None, as_json: _Json = False) -> None:
    """List tasks: what each is, its grader, its splits and their sizes, and where it would be loaded from."""
    from smcs.tasks import find_task, task_names

    rows = [_row(find_task(name), data) for name in task_names()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("task", "what", "grader", "splits", "from")
    for row in rows:
        sizes = ", ".join(f"{split['name']} {_size(split['size'])}" for split in row["splits"])
        table.add_row(*map(escape, (row["name"], row["title"], row["grader"], sizes, row["from"])))
    Console().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name of a task, or the path of your own (.yaml or a data file).")],
    split: Annotated[str, typer.Option("--split", help="Split to count, and to take the example from.")] = "",
    data: _Data = None,
    hub: Annotated[bool, typer.Option("--hub", help="Download it from the hub if it is not here.")] = False,
    grader: Annotated[str | None, typer.Option("--grader", help="How a data file of your own is graded.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="KEY=COLUMN", help="Column of a data file of your own; may be repeated."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Show a task: source, licence, prompt with an example, grader, and how many questions each subject has.

    No example is shown of a task whose authors ask that its items stay out of plain text.
    """
    from smcs.tasks import find_task

    task = find_task(name, grader=_grader(grader), columns=_columns(column or ()))
    wanted = task.split(split) if split else task.splits[0]
    here = task.own is not None or task.local_file(data) is not None
    questions = task.load(wanted.name, data=data) if here or hub else ()
    report = _report(task, wanted, questions, data)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print(report)


def _grader(name: str | None) -> Any:
    from typing import get_args

    from smcs.errors import ConfigError, suggest
    from smcs.types import GraderName

    names = get_args(GraderName)
    if name is not None and name not in names:
        raise ConfigError(f"Unknown grader {name!r}.{suggest(name, names)}")
    return name


def _columns(pairs: list[str] | tuple[str, ...]) -> dict[str, str]:
    from smcs.errors import ConfigError

    columns = {}
    for pair in pairs:
        key, equals, column = pair.partition("=")
        if not (key and equals and column):
            raise ConfigError(f"--column must be KEY=COLUMN, such as question=prompt, got {pair!r}.")
        columns[key] = column
    return columns


def _row(task: Task, data: Path | None) -> dict[str, Any]:
    from smcs.errors import ConfigError

    try:
        file = task.local_file(data)
    except ConfigError:
        file = None
    elsewhere = "hub" if task.hub else "a package" if task.own else "--data only"
    return {
        "name": task.name,
        "title": task.title,
        "grader": task.grader,
        "splits": [{"name": split.name, "size": split.size, "note": split.note} for split in task.splits],
        "local": None if file is None else str(file),
        "from": elsewhere if file is None else "local file",
    }


def _report(task: Task, split: Split, questions: tuple[Question, ...], data: Path | None) -> dict[str, Any]:
    from smcs.tasks import stratified

    example = None
    if questions and not task.private:
        example = "\n\n".join(message.content for message in task.messages(stratified(questions)[0]))
    file = task.local_file(data)
    return {
        "name": task.name,
        "title": task.title,
        "about": task.about,
        "source": task.source,
        "licence": task.licence,
        "private": task.private,
        "grader": task.grader,
        "prompt": task.prompt,
        "sampling": {key: value for key, value in asdict(task.defaults).items() if value not in (None, ())},
        "splits": [asdict(split) for split in task.splits],
        "local": None if file is None else str(file),
        "split": split.name,
        "questions": len(questions) if questions else None,
        "graders": dict(Counter(question.grader or "" for question in questions).most_common()),
        "subjects": dict(Counter(question.subject for question in questions).most_common()),
        "example": example,
    }


def _print(report: dict[str, Any]) -> None:
    from smcs.cli._console import printable, stdout

    console = stdout()
    console.print(f"{report['name']}: {report['title']}", style="bold")
    for label in ("about", "source", "licence", "grader"):
        if report[label]:
            console.print(f"{label:<9} {report[label]}", soft_wrap=True)
    sampling = ", ".join(f"{key} {value}" for key, value in report["sampling"].items())
    console.print(f"{'sampling':<9} {sampling}")
    for split in report["splits"]:
        note = f" ({split['note']})" if split["note"] else ""
        console.print(f"{'split':<9} {split['name']}: {_size(split['size'])} questions{note}", soft_wrap=True)
    console.print(f"\nPrompt\n{report['prompt']}", soft_wrap=True)
    if report["questions"] is None:
        console.print("\nIts questions are not on this machine: give --data or SMCS_DATA, or --hub to download them.")
        return
    console.print(f"\n{report['split']}: {report['questions']:,} questions here")
    for subject, count in report["subjects"].items():
        console.print(f"{count:>7,}  {printable(subject) or '-'}", soft_wrap=True)
    if report["private"]:
        console.print("\nNo example: its authors ask that items never appear in plain text.")
    elif report["example"]:
        console.print(f"\nExample\n{printable(report['example'])}", soft_wrap=True)


def _size(size: int | None) -> str:
    return "?" if size is None else f"{size:,}"
