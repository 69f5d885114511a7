"""The page that shows two runs beside each other and says what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from nicegui import ui

from smcs.gateway.access import read_run
from smcs.gateway.entries import StoredRun
from smcs.gateway.errors import GatewayError
from smcs.run import Run
from smcs.studio.ask.progress import stored_progress
from smcs.studio.ask.run_view import RunView
from smcs.studio.ask.words import plural
from smcs.studio.cells import Cell, Column
from smcs.studio.frame import PageSpec, Studio, breathe, busy, empty_state, link_to, section
from smcs.studio.runs.about import question_of
from smcs.studio.runs.comparing import VERDICTS, ledger_rows, prior_rows, setting_rows, summary_rows
from smcs.studio.runs.difference import Difference, compare
from smcs.studio.runs.elements import WordDifference
from smcs.studio.runs.filters import LIST, compare_address, run_address
from smcs.studio.runs.parts import notes, plain_box, status_chip
from smcs.studio.runs.rows import clock
from smcs.studio.runs.words import TextDifference, difference_of_texts
from smcs.studio.tables import TextTable
from smcs.studio.text import printable

__all__ = ("COMPARE_PAGE",)

_SIDES: Final = ("A", "B")
_COLUMNS: Final = (Column(""), Column("Run A"), Column("Run B"), Column("Difference of B"))
_ESTIMATES: Final = (
    Column("LLM"),
    Column("Run A", numeric=True),
    Column("Run B", numeric=True),
    Column("Difference of B"),
)
_PAIR: Final = "display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr))"


async def build(studio: Studio, parameters: Mapping[str, str]) -> None:
    """Fill the page."""
    ids = parameters.get("a", ""), parameters.get("b", "")
    found = [await _readable(studio, run_id) for run_id in ids]
    a, b = found
    if a is None or b is None:
        _missing(ids, found)
        return
    _heads(a, b)
    await breathe()
    if a.row.id == b.row.id:
        notes(["Both sides are the same run."])
    if a.record is None or b.record is None:
        notes([_no_record(found)])
        with section("What differs"):
            TextTable("What differs between the runs", _COLUMNS, ledger_rows(a, b)).props("data-testid=compare-table")
    else:
        await _differences(a, b, a.record, b.record)
    _whole(studio, a, b)


async def _readable(studio: Studio, run_id: str) -> StoredRun | None:
    try:
        return await read_run(studio.gateway.ledger, run_id, studio.viewer.key)
    except GatewayError as error:
        if error.status != 404:
            raise
        return None


def _missing(ids: tuple[str, str], found: list[StoredRun | None]) -> None:
    absent = [side for side, run_id, stored in zip(_SIDES, ids, found, strict=True) if run_id and stored is None]
    unnamed = [side for side, run_id in zip(_SIDES, ids, strict=True) if not run_id]
    said = [f"There is no run {side} of yours." for side in absent]
    said += [f"Run {side} is not named in the link." for side in unnamed]
    with ui.element("div").classes("smcs-card").props("data-testid=compare-missing"):
        empty_state(" ".join(said), "Pick two runs in the list and compare them there.")
        with ui.row().style("justify-content: center"):
            link_to("Show all runs", LIST).props("data-testid=runs-all")


def _heads(a: StoredRun, b: StoredRun) -> None:
    with ui.element("div").style(_PAIR).props("data-testid=compare-columns"):
        for side, stored in zip(_SIDES, (a, b), strict=True):
            box = ui.element("section").classes("smcs-card").props(f"data-testid=compare-{side.lower()}")
            with box:
                with ui.element("h2"):
                    ui.label(f"Run {side}")
                plain_box(question_of(stored) or "(The question was not kept.)", rem=8).style("margin: 0.4rem 0")
                with ui.element("div").classes("smcs-row"):
                    status_chip(stored.row.status)
                    ui.label(f"{clock(stored.row.created)} UTC").classes("smcs-muted")
                    link_to(f"Open run {side}", run_address(stored.row.id)).props("data-testid=compare-open")
    link_to("Swap A and B", compare_address(b.row.id, a.row.id)).props("data-testid=compare-swap")


def _no_record(found: list[StoredRun | None]) -> str:
    absent = [side for side, stored in zip(_SIDES, found, strict=True) if stored is not None and stored.record is None]
    runs = " and ".join(f"run {side}" for side in absent)
    return f"There is no record of {runs}, so only what the ledger knows is compared."


async def _differences(a: StoredRun, b: StoredRun, before: Run, after: Run) -> None:
    with busy("Comparing …"):
        found = await asyncio.to_thread(compare, before, after)
        words = await asyncio.to_thread(difference_of_texts, printable(before.answer), printable(after.answer))
    if not found.same_question:
        notes(["The two runs answer different questions."])
    _answers(found, words)
    await breathe()
    with section("What differs"):
        rows = summary_rows(found, (a.row.model, b.row.model))
        TextTable("What differs between the runs", _COLUMNS, rows).props("data-testid=compare-table")
    with section("Settings that differ"):
        if found.settings:
            TextTable("Settings that differ", _COLUMNS[:3], setting_rows(found)).props("data-testid=compare-settings")
        else:
            ui.label("None: both runs had the same settings.").classes("smcs-muted")
    await breathe()
    _priors(found)


def _answers(found: Difference, words: TextDifference) -> None:
    with section("Answers"):
        _chip(VERDICTS[found.answers], "compare-verdict")
        ui.label(printable(found.why)).classes("smcs-muted").style("margin: 0.3rem 0")
        if words.removed_words or words.added_words:
            _legend(words)
        if words.pieces:
            with ui.element("div").style(_PAIR + "; margin-top: 0.6rem"):
                for side, added in zip(_SIDES, (False, True), strict=True):
                    with ui.element("div"):
                        with ui.element("h3"):
                            ui.label(f"Answer of run {side}")
                        WordDifference(words, added=added).props(f"data-testid=compare-answer-{side.lower()}")


def _legend(words: TextDifference) -> None:
    legend = (
        f"Marked with a dashed line: {plural(words.removed_words, 'word')} of A that B lacks. With a solid line: "
        f"{plural(words.added_words, 'word')} of B that A lacks."
    )
    ui.label(legend).classes("smcs-muted smcs-small")
    if words.is_coarse:
        coarse = "The answers are long, so parts of them were compared as a whole."
        ui.label(coarse).classes("smcs-muted smcs-small")


def _priors(found: Difference) -> None:
    hint = "Estimated share of right answers on questions like this one."
    with section("LLMs whose estimate differs", hint=hint):
        if found.priors:
            columns = (
                Column("LLM"),
                Column("Run A", numeric=True),
                Column("Run B", numeric=True),
                Column("Difference"),
            )
            TextTable("LLMs whose estimate differs", columns, prior_rows(found)).props("data-testid=compare-priors")
        else:
            ui.label("None.").classes("smcs-muted")


def _chip(cell: Cell, name: str) -> None:
    chip = ui.element("span").classes(f"smcs-chip smcs-chip-{cell.tone}").props(f"data-testid={name}")
    with chip:
        ui.icon(cell.icon).props("aria-hidden=true")
        ui.label(cell.text)


def _whole(studio: Studio, a: StoredRun, b: StoredRun) -> None:
    """Show both runs step by step, as soon as somebody wants to see them."""
    with section("Both runs, step by step"):
        box = ui.element("div").style(_PAIR)

        def draw() -> None:
            button.delete()
            with box:
                for side, stored in zip(_SIDES, (a, b), strict=True):
                    with ui.element("div").style("min-width: 0").props(f"data-testid=compare-steps-{side.lower()}"):
                        with ui.element("h3"):
                            ui.label(f"Run {side}")
                        shown = stored_progress(stored)
                        if shown is None:
                            ui.label("There is no record of this run.").classes("smcs-muted")
                        else:
                            RunView(studio, reactions=False, link=False).show(shown)

        button = ui.button("Show the steps", on_click=draw).props("outline no-caps data-testid=compare-steps")


COMPARE_PAGE: Final = PageSpec(f"{LIST}/compare", "Compare two runs", "compare_arrows", build, in_menu=False)
"""Two runs beside each other."""
