"""The bank in figures, and the heat map of LLMs and subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nicegui import ui

from smcs.bank import EmbedderInfo
from smcs.studio.bank.addresses import heat_address, questions_address, read_heat
from smcs.studio.bank.caching import forget
from smcs.studio.bank.catalogue import Label
from smcs.studio.bank.heat import Cell, Heat, HeatChoice, heat_of
from smcs.studio.bank.parts import command, turning
from smcs.studio.bank.questions import Wanted
from smcs.studio.bank.shown import Shown
from smcs.studio.frame import breathe, empty_state, figure, format_count, let_paint, link_to, section
from smcs.studio.plots import Axis, HeatMap, PlotClick, Table, show_plot

__all__ = ("build", "heat_map")

_FIELD = "flex: 1 1 12rem; min-width: 10rem"


async def build(shown: Shown) -> None:
    """Fill the view."""
    _figures(shown)
    if not shown.info.llms:
        with ui.element("div").classes("smcs-card").props("data-testid=bank-no-llms"):
            empty_state(
                "No LLM has been graded on these questions yet.",
                "Grade an LLM of the pool, or import outcomes that others have published.",
            )
            command(f"smcs bank add-llm --bank={shown.quoted} --fraction=1 NAME")
        return
    await let_paint()
    choice = read_heat(shown.parameters)
    heat = heat_of(shown.info, choice)
    with section("Accuracy by LLM and subject", hint="How many answers of each LLM were right, subject by subject."):
        _choosing(choice, heat)
        if not heat.llms or not heat.labels:
            empty_state("Nothing has these names.", "Take a filter away to see more.")
        else:
            await breathe()
            _map(heat)
        before, after = (_moved(choice, heat.page + step) for step in (-1, 1))
        turning(heat.page, heat.pages, heat_address(before), heat_address(after), "LLMs")


def heat_map(heat: Heat) -> HeatMap:
    """Return what is drawn of a part of the heat map.

    Cells stand LLM by LLM, each with all subjects. What there is more of is in rows, where names can be read.
    """
    llms = Axis("LLM, most accurate first", kind="category", labels=tuple(row.llm for row in heat.llms))
    subjects = Axis("Subject", kind="category", labels=_short_names(heat.labels))
    turned = len(heat.labels) > len(heat.llms)
    shown = [(place, row, cell) for row, line in enumerate(heat.cells) for place, cell in enumerate(line)]
    columns = ("LLM", "Task", "Subject", "Accuracy", "95% from", "95% to", "Graded", "Ungraded", "Missing", "Questions")
    rows = tuple(
        (
            *(cell.figures.llm, cell.figures.task, cell.figures.subject, cell.figures.accuracy, cell.low, cell.high),
            *(cell.figures.graded, cell.figures.ungraded, cell.figures.missing, cell.figures.questions),
        )
        for _, _, cell in shown
    )
    return HeatMap(
        "Share of right answers",
        llms if turned else subjects,
        subjects if turned else llms,
        tuple(
            (*((row, place) if turned else (place, row)), cell.figures.accuracy, f"{_task(cell)}{cell.text}")
            for place, row, cell in shown
        ),
        Table(columns, rows),
        note="Intervals are Wilson's: with few graded answers they are wide. A dash is a cell without a graded answer, "
        "which says nothing about the LLM. A click lists the questions.",
        value_name="Share right",
    )


def _short_names(labels: Sequence[Label]) -> tuple[str, ...]:
    """Return subjects without their task where that tells them apart: there is little room beside a drawing."""
    count = Counter(label.subject for label in labels)
    return tuple(label.subject if label.subject and count[label.subject] == 1 else label.name for label in labels)


def _task(cell: Cell) -> str:
    return f"{cell.figures.task}; " if cell.figures.task else ""


def _figures(shown: Shown) -> None:
    info = shown.info
    tasks = {row.task for row in info.subjects}
    labels = {(row.task, row.subject) for row in info.subjects}
    asked = info.questions * len(info.llms)
    with ui.element("div").classes("smcs-figures").props("data-testid=bank-figures"):
        subjects = f"{len(tasks):,} tasks, {len(labels):,} subjects" if info.llms else ""
        figure(format_count(info.questions), "questions with a known answer", subjects)
        figure(format_count(len(info.llms)), "LLMs")
        figure(format_count(info.outcomes), "outcomes", "one LLM's answer to one question, with its grade")
        share = f"{100 * info.missing / asked:.1f}% of all; unknown, never counted as wrong" if asked else ""
        figure(format_count(info.missing), "missing outcomes", share)
        embedder = next((one for one in info.embedders if one.default), None)
        figure(*_embedder(embedder))

    def count_again() -> None:
        forget(shown.bank)
        ui.navigate.reload()

    with ui.element("div").classes("smcs-row"):
        if shown.studio.viewer.is_admin:
            again = ui.button("Count again", icon="refresh", on_click=count_again)
            again.props("flat dense no-caps data-testid=bank-count-again")
        if embedder is None or embedder.embedded < info.questions:
            ui.label("Questions without a vector are not found by meaning and give no priors. This makes them:")
            command(f"smcs bank embed {shown.quoted}")


def _embedder(embedder: EmbedderInfo | None) -> tuple[str, str, str]:
    if embedder is None:
        return "none", "embedder", "no question can be found by meaning yet"
    stale = f", {embedder.stale:,} outdated" if embedder.stale else ""
    hint = f"by {embedder.name}, {embedder.dimensions:,} numbers each{stale}"
    return format_count(embedder.embedded), "questions with an embedding", hint


def _choosing(choice: HeatChoice, heat: Heat) -> None:
    def show(*, everything: bool = choice.everything) -> None:
        ui.navigate.to(heat_address(HeatChoice(llm.value or "", subject.value or "", everything)))

    with ui.element("div").classes("smcs-row").style("margin-bottom: .6rem"):
        llm = ui.input("LLM contains", value=choice.llm).props("dense outlined clearable data-testid=bank-heat-llm")
        subject = ui.input("Subject contains", value=choice.subject).props("dense outlined clearable")
        for field in (llm, subject):
            field.style(_FIELD).on("keydown.enter", lambda: show())
        ui.button("Filter", on_click=lambda: show()).props("outline no-caps data-testid=bank-heat-filter")
        if choice.everything or heat.labels_in_all > len(heat.labels):
            words = "Show the largest subjects" if choice.everything else f"Show all {heat.labels_in_all:,} subjects"
            more = ui.button(words, on_click=lambda: show(everything=not choice.everything))
            more.props("flat no-caps data-testid=bank-heat-all")
    if heat.labels_in_all > len(heat.labels):
        ui.label(f"The {len(heat.labels)} subjects with the most questions.").classes("smcs-muted smcs-small")


def _map(heat: Heat) -> None:
    def clicked(click: PlotClick) -> None:
        row, column = divmod(click.index, len(heat.labels))
        label = heat.labels[column]
        ui.navigate.to(
            questions_address(Wanted(task=label.task, subject=label.subject, llm=heat.llms[row].llm, was="any"))
        )

    with ui.element("div").classes("smcs-scroll").props("data-testid=bank-heat-map tabindex=0 role=region") as box:
        box.props["aria-label"] = "Heat map of accuracy by LLM and subject"
        columns = min(len(heat.llms), len(heat.labels))
        with ui.element("div").style(f"min-width: {10 + 2.2 * columns:.0f}rem"):
            show_plot(heat_map(heat), on_click=clicked)
    link_to("Find questions by LLM and subject", questions_address(Wanted()))


def _moved(choice: HeatChoice, page: int) -> HeatChoice:
    return HeatChoice(choice.llm, choice.subject, choice.everything, page)
