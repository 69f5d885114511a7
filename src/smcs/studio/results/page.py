"""The page of experiments: the list of them, or one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from nicegui import ui

from smcs.bench.report import Report
from smcs.bench.report.cells import Section, Table, Value
from smcs.bench.report.provenance import facts
from smcs.bench.report.sections import sections
from smcs.errors import InputError
from smcs.studio.cells import Cell, Column
from smcs.studio.frame import PageSpec, Studio, breathe, busy, empty_state, link_to, problem, section
from smcs.studio.lean import Select
from smcs.studio.plots import show_plot
from smcs.studio.results.catalogue import CATALOGUE, Broken
from smcs.studio.results.download import download_address
from smcs.studio.results.drawing import plot_of
from smcs.studio.results.folder import FoundFile, find_file, list_files, results_folder
from smcs.studio.results.listing import ResultRow, address, newest_first, result_row
from smcs.studio.tables import TextTable

__all__ = ("PAGE", "ResultList")

_LISTED: Final = 200
_SHOW_SECONDS: Final = 0.3
"""Between two drawings of the list while files are read."""


class ResultList(ui.element, component="result_list.js"):
    """The list of experiments, as a table or cards."""

    def __init__(self, rows: Sequence[ResultRow]) -> None:
        super().__init__()
        self._props["rows"] = tuple(asdict(row) for row in rows)

    def set(self, rows: Sequence[ResultRow]) -> None:
        """Show other rows."""
        self._props["rows"] = tuple(asdict(row) for row in rows)
        self.update()


async def build(studio: Studio, parameters: Mapping[str, str]) -> None:
    """Fill the page."""
    folder = results_folder(studio.service().found)
    name = parameters.get("file")
    if name is None:
        await _show_list(folder)
        return
    link_to("← All experiments", "/results").props("data-testid=results-back")
    try:
        file = await asyncio.to_thread(find_file, folder, name)
    except InputError as error:
        problem(str(error))
        return
    place = ui.element("div").classes("smcs-stack")

    async def work_out() -> None:
        with place:
            await _show_one(file, parameters.get("baseline") or None)

    ui.timer(0.01, work_out, once=True)


async def _show_one(file: FoundFile, baseline: str | None) -> None:
    with busy("Reading the file and working out the report; this takes some seconds the first time …"):
        report = await CATALOGUE.report(file, baseline)
    if isinstance(report, Broken):
        problem(report.why)
    else:
        await _show_report(file, report, baseline)


async def _show_list(folder: Path) -> None:
    files = await asyncio.to_thread(list_files, folder)
    if not files:
        with ui.element("div").classes("smcs-card").props("data-testid=results-empty"):
            empty_state(
                "No experiments yet. What smcs bench run writes (.jsonl, .jsonl.gz) will be listed here.",
                f"Run 'smcs bench run --help', and put its files in the folder {folder.name!r} beside the config, or "
                "name another one under 'gateway.results'.",
            )
        return
    shown = files[:_LISTED]
    rows = [result_row(file, None) for file in shown]
    with section("Experiments", hint="What smcs bench run wrote, the newest first."):
        listed = ResultList(rows)
        if len(files) > len(shown):
            ui.label(f"The newest {len(shown):,} of {len(files):,} files.").classes("smcs-muted")
        status = ui.label().props("role=status").classes("smcs-muted smcs-small")

    async def read() -> None:
        drawn = time.monotonic()
        for number, file in enumerate(shown):
            rows[number] = result_row(file, await CATALOGUE.summary(file))
            if time.monotonic() - drawn > _SHOW_SECONDS:
                drawn = time.monotonic()
                listed.set(rows)
                status.set_text(f"Reading, {number + 1:,} of {len(shown):,} …")
        listed.set(newest_first(rows))
        status.set_text("")

    ui.timer(0.01, read, once=True)


async def _show_report(file: FoundFile, report: Report, baseline: str | None) -> None:
    with ui.element("h2").style("font-size: 1.25rem").props("data-testid=results-title dir=auto"):
        ui.label(report.title)
    with ui.element("div").classes("smcs-row"):
        arms = {arm.name: arm.name for arm in report.summary.arms}
        chosen = Select(arms, value=report.summary.baseline, label="Compare with")
        chosen.props("dense outlined data-testid=results-baseline").style("min-width: 12rem; max-width: 100%")
        chosen.on_value_change(lambda event: ui.navigate.to(address(file.name, str(event.value))))
        for kind, words in (("file", "Result file"), ("csv", "Figures (CSV)"), ("md", "Report (Markdown)")):
            link = link_to(words, download_address(file.name, kind, baseline)).props("download")
            link.props(f"data-testid=results-download-{kind}")
    if report.cautions:
        with ui.element("div").classes("smcs-notice").props("role=note data-testid=results-cautions"):
            ui.icon("info").props("aria-hidden=true")
            with ui.element("div"):
                ui.label("Before you read the figures").style("font-weight: 600")
                for caution in report.cautions:
                    ui.label(caution).props("dir=auto")
    for part in sections(report):
        await breathe()
        _show_section(report, part)
    await breathe()
    _show_provenance(report)


def _show_section(report: Report, part: Section) -> None:
    with section(part.title) as card:
        card.props["data-testid"] = f"results-{part.key}"
        ui.label(part.text).classes("smcs-muted smcs-small").props("dir=auto").style("margin-bottom: 0.6rem")
        plot = plot_of(report, part)
        if plot is not None:
            show_plot(plot)
        for table in part.tables:
            if len(part.tables) > 1:
                ui.label(table.caption).style("font-weight: 600; margin-top: 0.6rem").props("dir=auto")
            _show_table(table)


def _show_table(table: Table) -> None:
    numeric = [
        place > 0 and all(row[place].order is not None or row[place].text in ("-", "unknown") for row in table.rows)
        for place in range(len(table.columns))
    ]
    columns = [Column(name, numeric=number) for name, number in zip(table.columns, numeric, strict=True)]
    TextTable(table.caption, columns, [[_cell(value) for value in row] for row in table.rows])


def _cell(value: Value) -> Cell | str:
    text = f"{value.text} ({value.detail})" if value.detail else value.text
    return Cell(text, icon="star", tone="good") if value.best else text


def _show_provenance(report: Report) -> None:
    with section("Provenance", hint="Under what the results were made."):
        for name, sittings in report.files:
            for number, header in enumerate(sittings, start=1):
                sitting = f", sitting {number}" if len(sittings) > 1 else ""
                ui.label(f"{name}{sitting}").style("font-weight: 600").props("dir=auto")
                TextTable(f"Provenance of {name}{sitting}", (Column("What"), Column("Value")), facts(header))


PAGE: Final = PageSpec("/results", "Results", "insights", build)
