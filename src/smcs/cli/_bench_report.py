"""`smcs bench report`: a page, Markdown, CSV and figures from result files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from smcs.bench.report import Report

__all__ = ("report",)


def report(
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULT...", help="Result files of `smcs bench run`, plain or compressed.")
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="ARM", help="Arm to compare the others with (default: the first single LLM, else the first)."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to write (default: beside the first file).")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title (default: the experiments' names).")] = None,
    draws: Annotated[int, typer.Option(min=1, help="Bootstrap draws per interval.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")] = False,
) -> None:
    """Make a report from result files: report.html, report.md, report.csv and figures/. Nothing is run.

    Accuracy with intervals, paired comparisons, budgets, ablations, scaling, candidates, priors, and what is missing.
    """
    from smcs.bench.report import build_report, write_report
    from smcs.bench.report.theme import require_matplotlib
    from smcs.bench.results import read_results

    require_matplotlib()
    files = [(path, read_results(path)) for path in results]
    made = build_report(files, baseline=baseline, title=title, draws=draws, seed=seed)
    folder = out or results[0].with_name(f"{results[0].name.partition('.jsonl')[0]}-report")
    written = write_report(made, folder)
    if as_json:
        import msgspec

        typer.echo(
            json.dumps({"files": [str(path) for path in written], "report": msgspec.to_builtins(made)}, indent=2)
        )
        return
    _print(made)
    typer.echo(f"Wrote {written[0]}, report.md, report.csv and {len(written) - 3} figures beside it.", err=True)


def _print(report: Report) -> None:
    """Print the accuracies and the comparison with the baseline, what is missing first."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from smcs.bench.report.cells import Value, difference_cell, interval_cell, p_cell
    from smcs.cli._console import printable, stderr, stdout

    def write(value: Value) -> str:
        return f"{value.text} ({value.detail})" if value.detail else value.text

    for caution in report.cautions:
        stderr().print(f"Note: {printable(caution)}")
    table = Table("arm", title=Text(printable(report.title)), title_justify="left", box=SIMPLE_HEAD)
    for heading in ("accuracy %", f"minus {report.summary.baseline}", "p"):
        table.add_column(Text(printable(heading)), justify="right", no_wrap=True)
    for arm in report.summary.arms:
        paired = arm.mean.against
        values = (interval_cell(arm.mean.accuracy), difference_cell(paired), p_cell(paired.p_value if paired else None))
        table.add_row(Text(printable(arm.name)), *(write(value) for value in values))
    stdout().print(table)
