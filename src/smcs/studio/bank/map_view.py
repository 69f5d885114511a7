"""The map: questions as points, alike ones close together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from nicegui import ui

from smcs.studio.bank import data
from smcs.studio.bank.addresses import address, question_address, questions_address
from smcs.studio.bank.data import Picture
from smcs.studio.bank.parts import command
from smcs.studio.bank.questions import Wanted
from smcs.studio.bank.shown import Shown
from smcs.studio.frame import breathe, busy, empty_state, link_to, section
from smcs.studio.lean import Select
from smcs.studio.plots import PALETTE, Axis, Plot, PlotClick, Prepared, Series, Table, prepare, show_plot

__all__ = ("build", "groups_by_label", "groups_by_verdict", "map_plot")

_BY: Final = {"subject": "Subject", "task": "Task", "llm": "Whether one LLM is right"}
_FIELD: Final = "flex: 1 1 14rem; min-width: min(100%, 11rem); max-width: 24rem"

Group = tuple[str, str | None, tuple[int, ...]]
"""Name, colour (the next one if `None`), and which points."""


async def build(shown: Shown) -> None:
    """Fill the view."""
    if not shown.is_embedded:
        with ui.element("div").classes("smcs-card").props("data-testid=bank-map-empty"):
            empty_state(
                "A map needs embeddings, and this bank has none.",
                "An embedding is a list of numbers that stands for what a text means. This makes them:",
            )
            command(f"smcs bank embed {shown.quoted}")
        return
    with busy("Laying out the map …"):
        picture = await data.picture(shown.bank)
        by, llm = _chosen(shown, picture)
        groups = await _groups(shown, picture, by, llm)
        drawn = await asyncio.to_thread(_drawn, picture, groups)
    with section(
        "Map of the bank", hint="Every point is a question; questions with a like meaning lie close together."
    ):
        _choosing(shown, by, llm)
        await breathe()
        _show(picture, groups, drawn)
        ui.label(_words(picture)).classes("smcs-muted").props("data-testid=bank-map-words")
        link_to("The same questions as a list", questions_address(Wanted()))


def groups_by_label(names: Sequence[str], rest: str) -> tuple[Group, ...]:
    """Return the points of each of the most common names, and those of all others together.

    Args:
        names: Of each point.
        rest: What the others are called.
    """
    common = [name for name, _ in sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))]
    own = common if len(common) <= len(PALETTE) else common[: len(PALETTE) - 1]
    places: dict[str, list[int]] = {name: [] for name in own}
    others: list[int] = []
    for place, name in enumerate(names):
        places.get(name, others).append(place)
    groups = tuple((name, None, tuple(found)) for name, found in places.items())
    return (*groups, (rest, "muted", tuple(others))) if others else groups


def groups_by_verdict(verdicts: Sequence[bool | None]) -> tuple[Group, ...]:
    """Return the points that an LLM has right, wrong, and those without a graded answer."""
    kinds: tuple[tuple[str, str, bool | None], ...] = (
        ("right", "good", True),
        ("wrong", "bad", False),
        ("no graded answer", "muted", None),
    )
    groups = (
        (name, color, tuple(place for place, verdict in enumerate(verdicts) if verdict is wanted))
        for name, color, wanted in kinds
    )
    return tuple(group for group in groups if group[2])


def map_plot(picture: Picture, groups: Sequence[Group]) -> Plot:
    """Return what is drawn."""
    places = picture.projection.places
    series = tuple(
        Series(
            f"{name} ({len(members):,})",
            tuple(
                (float(places[one, 0]), float(places[one, 1]), f"{picture.labels[one].name}: {picture.texts[one]}")
                for one in members
            ),
            "scatter",
            color=color,
        )
        for name, color, members in groups
    )
    rows = tuple(
        (
            *(picture.ids[one], name, picture.labels[one].task, picture.labels[one].subject),
            *(float(places[one, 0]), float(places[one, 1]), picture.texts[one]),
        )
        for name, _, members in groups
        for one in members
    )
    across, up = picture.projection.kept
    return Plot(
        "Questions by meaning",
        Axis(f"First direction, {across:.0%} of the differences"),
        Axis(f"Second direction, {up:.0%}"),
        series,
        Table(("Id", "Group", "Task", "Subject", "Across", "Up", "Question"), rows),
        note="A click on a point opens the question.",
    )


def _words(picture: Picture) -> str:
    projection = picture.projection
    sampled = (
        f"A sample of {len(picture.ids):,} of the {projection.embedded:,} embedded questions, always the same one. "
        if len(picture.ids) < projection.embedded
        else ""
    )
    left = picture.questions - projection.embedded
    without = f"{left:,} questions without an embedding are not here. " if left else ""
    return (
        f"{sampled}{without}The embedder ({projection.embedder}) turns a text into many numbers. This picture is flat: "
        "it shows the two directions in which the questions differ most (principal components). They keep "
        f"{sum(projection.kept):.0%} of all differences, so points that are close here may still differ in meaning. "
        "LLMs are chosen with all the numbers, never with this picture."
    )


def _chosen(shown: Shown, picture: Picture) -> tuple[str, str | None]:
    """Return what is coloured by, and which LLM; by task where there are more subjects than colours."""
    names = [row.llm for row in shown.info.llms]
    by, llm = shown.parameters.get("by", ""), shown.parameters.get("llm")
    if llm not in names:
        llm = names[0] if names else None
    if by in _BY and (by != "llm" or llm is not None):
        return by, llm
    tasks = len({label.task for label in picture.labels})
    many = len(set(picture.labels)) > len(PALETTE)
    return ("task" if many and tasks > 1 else "subject"), llm


async def _groups(shown: Shown, picture: Picture, by: str, llm: str | None) -> tuple[Group, ...]:
    if by == "llm" and llm is not None:
        return groups_by_verdict(await data.verdicts(shown.bank, picture, llm))
    if by == "task":
        return groups_by_label([label.task or "no task" for label in picture.labels], "other tasks")
    return groups_by_label([label.name for label in picture.labels], "other subjects")


def _choosing(shown: Shown, by: str, llm: str | None) -> None:
    names = [row.llm for row in shown.info.llms]
    ways = dict(_BY) if names else {key: name for key, name in _BY.items() if key != "llm"}

    def show() -> None:
        chosen = names[which.value] if which is not None and which.value is not None else llm
        ui.navigate.to(address("map", by=colour.value, llm=chosen if colour.value == "llm" else None))

    which: Select | None = None
    with ui.element("div").classes("smcs-row"):
        colour = Select(ways, value=by, label="Colour and shape by", on_change=show)
        colour.props("outlined dense data-testid=bank-map-by").style(_FIELD)
        if by == "llm" and llm is not None:
            which = Select(dict(enumerate(names)), value=names.index(llm), label="LLM", on_change=show)
            which.props("outlined dense data-testid=bank-map-llm").style(_FIELD)


@lru_cache(maxsize=3)
def _drawn(picture: Picture, groups: tuple[Group, ...]) -> Prepared:
    """Return the drawing, which takes a third of a second for a full map; a bank has one picture until it changes."""
    return prepare(map_plot(picture, groups))


def _show(picture: Picture, groups: Sequence[Group], drawn: Prepared) -> None:
    def clicked(click: PlotClick) -> None:
        ui.navigate.to(question_address(picture.ids[groups[click.series][2][click.index]]))

    with ui.element("div").props("data-testid=bank-map"):
        show_plot(drawn, height="34rem", on_click=clicked)
