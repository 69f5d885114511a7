"""A run, live or stored, as people see it: the answer first, then how it was found."""

from __future__ import annotations

from typing import Final, Protocol

from nicegui import ui

from smcs.studio.ask.cards import AnswersStep, MergesStep
from smcs.studio.ask.evidence import PoolStep, SupportStep
from smcs.studio.ask.outcome import CostStep, ScoresStep, TimelineStep
from smcs.studio.ask.parts import heading, plain, say
from smcs.studio.ask.reaction import Reaction
from smcs.studio.ask.state import Progress
from smcs.studio.ask.words import phase_line, plural, why_it_won
from smcs.studio.frame import Studio, format_count, format_seconds, format_usd, link_to
from smcs.studio.text_view import TextView, show_text

__all__ = ("RunView",)

_NOT_KEPT: Final = "This server keeps no texts of questions and answers, only figures."


class _Step(Protocol):
    def show(self, progress: Progress) -> None: ...


class RunView:
    """Shows a run in the element it is made in.

    `show` may be called up to five times a second; it changes only what is different from the last time.

    Args:
        studio: Whose viewer looks at it.
        details: Whether the steps are open at first.
        reactions: Whether the viewer may say what they think of the answer.
        link: Whether it leads to the run's own page.
    """

    def __init__(self, studio: Studio, *, details: bool = True, reactions: bool = True, link: bool = True) -> None:
        self._shown: Progress | None = None
        self._links = link
        with ui.element("div").classes("smcs-stack").props("data-testid=run-view") as self._box:
            self._answer()
            self._reaction = Reaction(studio) if reactions else None
            self._how(details=details)

    def _answer(self) -> None:
        with ui.element("section").classes("smcs-card"):
            with ui.element("div").classes("smcs-card-head"):
                heading("Answer", 2)
                self._facts = ui.label().classes("smcs-muted smcs-hint").props("data-testid=facts")
                self._link = ui.element("div")
            with ui.element("div").classes("smcs-row smcs-muted").style("gap: .5rem"):
                self._spinner = ui.spinner(size="sm").props("aria-hidden=true")
                self._phase = plain("").props("role=status aria-live=polite data-testid=phase")
            with ui.element("div").classes("smcs-problem").props("role=alert data-testid=run-error") as self._error:
                ui.icon("error_outline").props("aria-hidden=true")
                self._error_text = plain("").style("white-space: pre-line")
            self._error.set_visibility(False)
            with ui.element("div").props("data-testid=answer").style("margin: .4rem 0"):
                self._text: TextView = show_text()
            self._why = plain("").classes("smcs-muted").props("data-testid=why")
            with ui.element("div").classes("smcs-notice").props("data-testid=degradations") as self._less:
                ui.icon("info_outline").props("aria-hidden=true")
                with ui.element("div").style("min-width: 0"):
                    ui.label("Something did not go as planned:").style("font-weight: 600")
                    self._reasons = ui.element("ul").style("margin: 0; padding-left: 1.1rem")
            self._less.set_visibility(False)

    def _how(self, *, details: bool) -> None:
        with ui.element("section").classes("smcs-card") as self._details:
            self._opened = ui.expansion("How it was found", value=details, on_value_change=self._show_steps)
            self._opened.props("data-testid=how header-class=q-px-none").style("width: 100%; font-weight: 400")
        with self._opened, ui.element("div").classes("smcs-stack").style("gap: 1.4rem; width: 100%"):
            self._remarks = ui.element("div").props("data-testid=remarks")
            self._steps: tuple[_Step, ...] = (
                SupportStep(),
                PoolStep(),
                AnswersStep(),
                MergesStep(),
                ScoresStep(),
                TimelineStep(),
                CostStep(),
            )
        self._details.set_visibility(False)

    def collapse(self) -> None:
        """Close the steps, to make room for what comes next."""
        self._opened.value = False

    def show(self, progress: Progress) -> None:
        """Show a run as it stands."""
        old, self._shown = self._shown, progress
        if progress is old:
            return
        with self._box:
            self._show_answer(progress, old)
            self._details.set_visibility(progress.pool is not None or bool(progress.answers or progress.merges))
            self._show_steps()
            self._show_link(progress)
            if self._reaction is not None and progress.phase == "done":
                self._reaction.about(progress.run_id)

    def _show_answer(self, progress: Progress, old: Progress | None) -> None:
        say(self._phase, phase_line(progress))
        if progress.phase == "done":
            self._phase.classes("smcs-hidden")
        self._spinner.set_visibility(not progress.has_ended)
        say(self._facts, _facts(progress))
        say(self._error_text, progress.error)
        self._error.set_visibility(bool(progress.error))
        if old is None or progress.answer != old.answer or progress.has_ended != old.has_ended:
            answer = progress.answer
            text = _NOT_KEPT if not progress.texts_are_kept else "" if answer is None else answer.text
            self._text.set(text, live=answer is not None and not progress.has_ended)
        say(self._why, why_it_won(progress))
        if old is None or progress.degradations != old.degradations:
            self._less.set_visibility(bool(progress.degradations))
            _list(self._reasons, progress.degradations)
        if old is None or progress.remarks != old.remarks:
            self._remarks.clear()
            with self._remarks:
                for line in progress.remarks:
                    plain(line)

    def _show_link(self, progress: Progress) -> None:
        if self._links and progress.has_ended and progress.run_id:
            self._links = False
            with self._link:
                link_to("This run's own page", f"/runs/{progress.run_id}").props("data-testid=run-link")

    def _show_steps(self) -> None:
        if self._shown is not None and self._opened.value:
            for step in self._steps:
                step.show(self._shown)


def _list(box: ui.element, lines: tuple[str, ...]) -> None:
    box.clear()
    with box:
        for line in lines:
            with ui.element("li"):
                plain(line)


def _facts(progress: Progress) -> str:
    """Return what a run took so far, in a line."""
    totals = progress.totals
    said = [format_seconds(progress.seconds)]
    if totals.calls:
        usage, known = totals.usage, totals.known_usage
        least = "" if None not in (usage.prompt_tokens, usage.completion_tokens) else "at least "
        tokens = (known.prompt_tokens or 0) + (known.completion_tokens or 0)
        said += [plural(totals.calls, "call"), f"{least}{format_count(tokens)} tokens"]
        said.append(f"cost {format_usd(totals.cost_usd, totals.known_cost_usd)}")
    return " · ".join(said)
