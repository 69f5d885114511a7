"""The steps before anybody answers: the similar questions, and who was asked because of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nicegui import ui

from smcs.run import SupportQuestion
from smcs.studio.ask.parts import NO_FIGURE, chip, hint, plain, step
from smcs.studio.ask.state import PoolRow, Progress, Support
from smcs.studio.ask.words import plural
from smcs.studio.plot_data import Table
from smcs.studio.plots import data_button

__all__ = ("PoolStep", "SupportStep", "pool_table")

_NEAREST: Final = 3
_SOURCES: Final = 6
_POOL: Final = 12
_ASKED: Final = 60
"""Rows shown at first where so many are asked."""
_MORE: Final = 100
_TEXT: Final = 400
_NAME: Final = 120


class SupportStep:
    """The bank questions that are most like this one."""

    def __init__(self) -> None:
        explained = "Questions with known answers that are most like yours. They say which LLM is good at this."
        with step("Similar questions", explained) as self._box:
            self._box.props("data-testid=step-support")
            self._body = ui.element("div").classes("smcs-stack").style("gap: .5rem")
        self._shown: Support | None = None

    def show(self, progress: Progress) -> None:
        """Show what was found."""
        support = progress.support
        if support == self._shown:
            return
        self._shown = support
        self._box.set_visibility(support is not None)
        self._body.clear()
        if support is not None:
            with self._body:
                self._fill(support)

    def _fill(self, support: Support) -> None:
        ui.label(f"{plural(support.size, 'question')} of the bank, by source (share of the total similarity):")
        with ui.element("div").classes("smcs-row").style("gap: .35rem"):
            for name, share in support.sources[:_SOURCES]:
                chip(f"{name or 'no source'} · {share:.0%}")
            if len(support.sources) > _SOURCES:
                rest = 1 - sum(share for _, share in support.sources[:_SOURCES])
                chip(f"{len(support.sources) - _SOURCES} others · {rest:.0%}")
        if not support.nearest:
            hint("The question could not be compared with those of the bank, so the whole bank counts.")
            return
        rows = ui.element("div").props("role=list").classes("smcs-stack").style("gap: .4rem")
        _questions(rows, support.nearest[:_NEAREST])
        rest_of = support.nearest[_NEAREST:]
        if rest_of:

            def more() -> None:
                _questions(rows, rest_of)
                button.delete()

            button = ui.button(f"Show the nearest {len(support.nearest)}", on_click=more)
            button.props("flat dense no-caps data-testid=more-support").style("align-self: flex-start")


def _questions(rows: ui.element, questions: tuple[SupportQuestion, ...]) -> None:
    with rows:
        for each in questions:
            with ui.element("div").props("role=listitem").style("display: flex; gap: .75rem; align-items: baseline"):
                similarity = ui.label(f"{each.similarity:.2f}").classes("smcs-num").style("flex: none; width: 3rem")
                similarity.props("title='Similarity to your question: 1 is the same, 0 has nothing in common'")
                with ui.element("div").style("min-width: 0"):
                    plain(each.text or "The text is not kept.", _TEXT)
                    plain("/".join(filter(None, (each.task, each.subject))) or each.id, _NAME).classes(
                        "smcs-muted smcs-small"
                    )


class PoolStep:
    """The LLMs of the pool with what is expected of each, and who was asked."""

    def __init__(self) -> None:
        explained = (
            "How often each LLM is expected to be right on questions like yours: "
            "its graded answers to the similar questions, the most similar ones counting most."
        )
        with step("Who was asked", explained) as self._box:
            self._box.props("data-testid=step-pool")
            self._table = ui.element("div")
            data_button(lambda: "Who was asked", lambda: pool_table(self._rows or ()))
            self._more = ui.button(on_click=self._all).props("flat dense no-caps data-testid=more-pool")
        self._rows: tuple[PoolRow, ...] | None = None
        self._most = _POOL

    def show(self, progress: Progress) -> None:
        """Show who could be asked."""
        if progress.pool == self._rows:
            return
        self._rows = progress.pool
        self._draw()

    def _all(self) -> None:
        self._most += _MORE
        self._draw()

    def _draw(self) -> None:
        rows = self._rows
        self._box.set_visibility(rows is not None)
        if rows is None:
            return
        wanted = [row for at, row in enumerate(rows) if at < self._most or _has_part(row)]
        shown = wanted[: max(self._most, _ASKED)]
        self._more.set_visibility(len(shown) < len(rows))
        self._more.set_text(f"Show {min(_MORE, len(rows) - len(shown))} more of {plural(len(rows), 'LLM')}")
        self._table.clear()
        with self._table, ui.element("div").props("role=list").classes("smcs-stack").style("gap: .3rem"):
            for row in shown:
                _bar(row)


def _has_part(row: PoolRow) -> bool:
    return row.recruited or bool(row.replaced_by or row.replaces)


def pool_table(rows: Sequence[PoolRow]) -> Table:
    """Return the figures of the pool: shares are 0 to 1, and empty where nothing is known."""
    columns = ("LLM", "Expected share right", "Prior", "Probability of being drawn first", "Asked", "Out")
    return Table(
        columns,
        tuple(
            (row.llm, row.accuracy, row.prior, row.weight, "yes" if row.recruited else "no", row.out) for row in rows
        ),
    )


def _bar(row: PoolRow) -> None:
    with (
        ui.element("div")
        .props("role=listitem data-testid=pool-row")
        .style(
            "display: grid; grid-template-columns: minmax(5rem, 1.2fr) minmax(2rem, 3fr) 3.2rem minmax(4rem, 1fr);"
            "gap: .6rem; align-items: center"
        )
    ):
        name = plain(row.llm, _NAME)
        if row.recruited:
            name.style("font-weight: 600")
        with (
            ui.element("div")
            .props("aria-hidden=true")
            .style("background: var(--smcs-sunken); border-radius: 4px; height: .7rem; overflow: hidden")
        ) as track:
            track.props["title"] = _explained(row)
            if row.accuracy is not None:
                color = "accent" if row.recruited else "muted"
                ui.element("div").style(
                    f"width: {100 * row.accuracy:.1f}%; height: 100%; background: var(--smcs-{color})"
                )
        share = ui.label(NO_FIGURE if row.accuracy is None else f"{row.accuracy:.0%}").classes("smcs-num")
        share.props["title"] = _explained(row)
        _part(row)


def _explained(row: PoolRow) -> str:
    if row.accuracy is None:
        return "Nothing is known of its answers to questions like this one"
    how = "expected to be right, estimated from few graded answers" if row.predicted else "expected to be right"
    weight = "" if row.weight is None else f"; drawn first into a subset with a probability of {row.weight:.0%}"
    return f"{row.accuracy:.1%} {how}{weight}"


def _part(row: PoolRow) -> None:
    with ui.element("div").style("min-width: 0; display: flex; flex-wrap: wrap; gap: .25rem"):
        if row.out:
            chip(f"out: {row.out}", "warn")
        elif row.replaced_by:
            chip(f"failed, {row.replaced_by} instead", "bad")
        elif row.recruited:
            chip(f"asked for {row.replaces}" if row.replaces else "asked", "accent")
        if row.predicted and not row.out:
            chip("few grades")
