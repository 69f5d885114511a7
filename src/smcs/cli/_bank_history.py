"""`smcs bank history`, `undo`, `remove` and `merge`: what was done to a bank, and taking things out of it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smcs.cli._banks import open_named_bank

if TYPE_CHECKING:
    from smcs.bank import Change

__all__ = ("history", "merge", "remove", "undo")

_SHOWN = 3

_BANK = typer.Argument(metavar="BANK", help="Path or database URL.")
_NOTE = typer.Option(help="Why; kept in the bank's history.")
_AUTHOR = typer.Option(help="Who does it; kept in the bank's history.")
_JSON = typer.Option("--json", help="Print JSON.")


def history(
    url: Annotated[
        str | None,
        typer.Argument(metavar="BANK", help="Path, database URL, or `seed`; the bank of the config if left out."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """List what was added, replaced, removed, merged, imported and undone, the oldest first.

    Outcomes of ordinary grading and embeddings are not listed.
    """
    with open_named_bank(url, config) as bank:
        changes = bank.history()
    if as_json:
        typer.echo(json.dumps([_report(change) for change in changes], indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    from smcs.cli._console import printable, stdout

    if not changes:
        typer.echo("Nothing was changed yet.")
        return
    table = Table("change", "when (UTC)", "kind", "what", "by", "note")
    for change in changes:
        kind = f"{change.kind} of {change.undoes}" if change.undoes is not None else change.kind
        kind += f" (undone by {change.undone_by})" if change.undone_by is not None else ""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(change.created))
        cells = (str(change.id), when, kind, _counts(change), change.author, change.note)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    stdout().print(table)


def undo(
    url: Annotated[str, _BANK],
    change_id: Annotated[int, typer.Argument(metavar="CHANGE", help="Its number, as `smcs bank history` lists it.")],
    note: Annotated[str, _NOTE] = "",
    author: Annotated[str, _AUTHOR] = "",
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Reverse a change, unless something was built on it since. Undoing an undo does it again."""
    with open_named_bank(url) as bank:
        change = bank.undo(change_id, note=note, author=author)
    _show(change, f"Change {change_id} is undone", as_json=as_json)


def remove(
    url: Annotated[str, _BANK],
    questions: Annotated[
        list[str] | None, typer.Option("--question", metavar="ID", help="Question to remove; may be repeated.")
    ] = None,
    llm: Annotated[str | None, typer.Option("--llm", metavar="NAME", help="LLM to remove with its outcomes.")] = None,
    note: Annotated[str, _NOTE] = "",
    author: Annotated[str, _AUTHOR] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Remove questions, or an LLM, with all that was recorded for them. `smcs bank undo` brings them back."""
    from smcs.errors import ConfigError

    ids = list(dict.fromkeys(questions or []))
    if bool(ids) == (llm is not None):
        raise ConfigError("Name what to remove: either --question ID (may be repeated) or --llm NAME.")
    with open_named_bank(url) as bank:
        if llm is None:
            bank.questions(ids)
            what = (
                f"{len(ids)} question{'s' * (len(ids) > 1)} ({', '.join(ids[:_SHOWN])}{', ...' * (len(ids) > _SHOWN)})"
            )
        else:
            what = f"LLM {llm} and its {len(bank.answered(llm)):,} outcomes"
        if not yes and not typer.confirm(f"Remove {what} from {bank.url}?", err=True):
            typer.echo("Nothing was removed.", err=True)
            raise typer.Exit(1)
        with bank.logged("remove", note=note, author=author) as made:
            if llm is None:
                bank.remove_questions(ids)
            else:
                bank.remove_llm(llm)
    if made.change is not None:
        _show(made.change, f"Removed {what}", as_json=as_json)


def merge(
    url: Annotated[str, _BANK],
    keep: Annotated[str, typer.Argument(metavar="KEEP", help="Id of the question that stays.")],
    duplicates: Annotated[list[str], typer.Argument(metavar="DUPLICATE...", help="Ids of the same question.")],
    note: Annotated[str, _NOTE] = "",
    author: Annotated[str, _AUTHOR] = "",
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Remove duplicates of a question, which takes over the outcomes that it lacks. `smcs bank undo` reverses it."""
    with open_named_bank(url) as bank, bank.logged("merge", note=note, author=author) as made:
        moved = bank.merge_questions(keep, duplicates)
    if made.change is not None:
        _show(made.change, f"Merged {len(duplicates)} into {keep}; {moved} outcomes moved", as_json=as_json)


def _show(change: Change, sentence: str, *, as_json: bool) -> None:
    typer.echo(
        json.dumps(_report(change), indent=2) if as_json else f"{sentence}: {_counts(change)} (change {change.id})."
    )


def _report(change: Change) -> dict[str, Any]:
    return {**asdict(change), "counts": dict(change.counts)}


def _counts(change: Change) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in change.counts.items())
