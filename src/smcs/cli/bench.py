"""`smcs bench`: experiments on recorded and live answers."""

from __future__ import annotations

import typer

from smcs.cli._bench_recorded import recorded
from smcs.cli._bench_report import report
from smcs.cli._bench_run import import_answers, run

__all__ = ("app",)

app = typer.Typer(help="Compare strategies on the same answers, and report.", no_args_is_help=True)
app.command("run")(run)
app.command("import-answers")(import_answers)
app.command("report")(report)
app.command("recorded")(recorded)


@app.callback()
def bench() -> None:
    """Compare strategies on the same answers, and report."""
