"""Growth: how the bank came to be what it is, and what was done to it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

from nicegui import ui

from smcs.bank import Change
from smcs.studio.bank import data
from smcs.studio.bank.addresses import address, page_number
from smcs.studio.bank.growth import Growth, did, what_of
from smcs.studio.bank.parts import command, turning
from smcs.studio.bank.shown import Shown
from smcs.studio.cells import Column
from smcs.studio.frame import breathe, busy, empty_state, section
from smcs.studio.plots import Axis, Plot, Series, Table, show_plot
from smcs.studio.tables import TextTable

__all__ = ("build", "outcome_plot", "question_plot")

_PAGE = 50


async def build(shown: Shown) -> None:
    """Fill the view."""
    with busy("Reading the bank's log …"):
        growth = await data.grown(shown.bank)
    if not growth.changes:
        with ui.element("div").classes("smcs-card").props("data-testid=bank-no-growth"):
            empty_state(
                "Nothing was changed yet.",
                "Imports, added questions, new LLMs and feedback on answers will be listed here, each with its date.",
            )
        return
    with section("Growth", hint="What the bank's log says."), ui.element("div").classes("smcs-grid"):
        with ui.element("div").props("data-testid=bank-growth"):
            show_plot(question_plot(growth))
        await breathe()
        show_plot(outcome_plot(growth))
    await breathe()
    _events(shown, growth)


def question_plot(growth: Growth) -> Plot:
    """Return how many questions there were after each change."""
    found = [(_moment(point.created), point.questions) for point in growth.points]
    return Plot(
        "Questions",
        Axis("Time, UTC", kind="time"),
        Axis("Questions in the bank", low=0),
        (Series("Questions", _steps(found), "line"),),
        Table(("Time (UTC)", "Questions"), tuple((moment.isoformat(), count) for moment, count in found)),
    )


def outcome_plot(growth: Growth) -> Plot:
    """Return how many outcomes logged changes had added by each of them."""
    found = [(_moment(point.created), point.outcomes) for point in growth.points]
    undated = growth.outcomes - growth.dated
    note = (
        f"{growth.dated:,} of {growth.outcomes:,} outcomes have a date. The other {undated:,} come from grading LLMs "
        "(smcs bank build, add-llm), which is not in the log."
    )
    return Plot(
        "Outcomes that came by imports and feedback",
        Axis("Time, UTC", kind="time"),
        Axis("Outcomes with a date", low=0),
        (Series("Outcomes", _steps(found), "line"),),
        Table(("Time (UTC)", "Outcomes with a date"), tuple((moment.isoformat(), count) for moment, count in found)),
        note=note if undated else "",
    )


def _steps(found: Sequence[tuple[datetime, int]]) -> tuple[tuple[datetime, int], ...]:
    """Return points with what there was right before each: a count stays until the next change."""
    befores = [(moment, count) for (_, count), (moment, _) in itertools.pairwise(found)]
    between = [point for pair in zip(befores, found[1:], strict=True) for point in pair]
    return (*found[:1], *between)


def _events(shown: Shown, growth: Growth) -> None:
    pages = -(-len(growth.changes) // _PAGE)
    page = min(page_number(shown.parameters), pages)
    part = growth.changes[(page - 1) * _PAGE : page * _PAGE]
    with section("Changes", hint="Newest first."):
        names = ("When (UTC)", "What", "How much", "By", "Note")
        columns = (Column("Change", numeric=True), *(Column(name) for name in names))
        TextTable("Changes of the bank", columns, [_row(change) for change in part], marker="bank-change-row")
        turning(page, pages, address("growth", page=page - 1), address("growth", page=page + 1), "changes")
        last = next((change for change in growth.changes if change.undone_by is None), None)
        if last is not None and not shown.is_seed:
            with ui.element("div").style("margin-top: .8rem"):
                ui.label(f"This takes change {last.id} back; for another one, put its number there:")
                command(f"smcs bank undo {shown.quoted} {last.id}")


def _row(change: Change) -> tuple[str, ...]:
    when = _moment(change.created).strftime("%Y-%m-%d %H:%M:%S")
    return str(change.id), when, did(change), what_of(change), change.author, data.shortened(change.note)


def _moment(created: float) -> datetime:
    return datetime.fromtimestamp(created, UTC)
