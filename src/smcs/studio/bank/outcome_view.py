"""One question: what is asked, what is right, and what every LLM made of it."""

from __future__ import annotations

from nicegui import ui

from smcs.studio.bank.addresses import address
from smcs.studio.bank.catalogue import Label
from smcs.studio.bank.intervals import RIGHT
from smcs.studio.bank.questions import OneQuestion
from smcs.studio.frame import empty_state, format_seconds, format_usd, link_to, section
from smcs.studio.text_view import show_text
from smcs.types import Outcome, Question

__all__ = ("show_question", "verdict_of")

_NAMED = 40


def verdict_of(outcome: Outcome) -> tuple[str, str, str]:
    """Return an outcome in a word, with the name of an icon and the class of its colour."""
    if outcome.score is None:
        return "not graded", "help_outline", ""
    if outcome.score in (0.0, 1.0):
        return ("right", "check", "smcs-chip-good") if outcome.score else ("wrong", "close", "smcs-chip-bad")
    kind = "smcs-chip-good" if outcome.score >= RIGHT else "smcs-chip-bad"
    return f"{100 * outcome.score:.0f}% right", "percent", kind


def show_question(found: OneQuestion) -> None:
    """Show a question with all its outcomes."""
    question = found.question
    with section("Question", hint=Label(question.task, question.subject).name):
        show_text(question.text)
        _options(question)
        with ui.element("div").classes("smcs-row smcs-small").style("margin-top: .6rem"):
            ui.label(f"Id {question.id}").classes("smcs-muted").props("dir=auto").style("overflow-wrap: anywhere")
            ui.label(f"Graded by: {question.grader or 'no grader'}").classes("smcs-muted")
    title = f"{len(found.outcomes):,} outcome{'s' * (len(found.outcomes) != 1)}"
    with section(title, hint="Each LLM's answer with its grade. Open one to read the whole answer."):
        if not found.outcomes:
            empty_state("No LLM was asked this question yet.", "Building or adding an LLM asks it.")
        for outcome in found.outcomes:
            _outcome(outcome)
        if found.missing:
            names = ", ".join(found.missing[:_NAMED])
            rest = f" and {len(found.missing) - _NAMED:,} more" if len(found.missing) > _NAMED else ""
            ui.label(f"Not asked, so unknown: {names}{rest}.").classes("smcs-muted").props("dir=auto")


def _options(question: Question) -> None:
    if not question.choices:
        gold = question.gold if question.gold is not None else "no single answer; a program checks it"
        with ui.element("div").classes("smcs-row").style("margin-top: .6rem"):
            ui.label("Correct answer").classes("smcs-chip smcs-chip-good")
            ui.label(gold).props("dir=auto data-testid=bank-gold").style("white-space: pre-wrap")
        return
    with ui.element("ul").props("aria-label=Options").style("list-style: none; padding: 0; margin: .6rem 0 0"):
        for number, choice in enumerate(question.choices):
            letter = chr(ord("A") + number)
            with ui.element("li").classes("smcs-row").style("flex-wrap: nowrap; align-items: baseline"):
                ui.label(f"{letter}.").style("font-weight: 600")
                ui.label(choice).props("dir=auto").style("overflow-wrap: anywhere")
                if letter == question.gold:
                    ui.label("✓ correct answer").classes("smcs-chip smcs-chip-good").props("data-testid=bank-gold")
    if question.gold is None:
        ui.label("The correct answer is not known.").classes("smcs-muted")


def _outcome(outcome: Outcome) -> None:
    word, icon, kind = verdict_of(outcome)
    with (
        ui.element("div")
        .style("border-top: 1px solid var(--smcs-line); padding: .45rem 0")
        .props("data-testid=bank-outcome")
    ):
        with ui.element("div").classes("smcs-row"):
            link_to(outcome.llm, address("llm", llm=outcome.llm)).props("dir=auto").style("font-weight: 600")
            with ui.element("span").classes(f"smcs-chip {kind}"):
                ui.icon(icon).props("aria-hidden=true")
                ui.label(word)
            for line in _details(outcome):
                ui.label(line).classes("smcs-muted smcs-small").props("dir=auto").style("overflow-wrap: anywhere")
        if outcome.response:
            _response(outcome.response)
        else:
            ui.label("The text of this answer is not stored.").classes("smcs-muted smcs-small")


def _details(outcome: Outcome) -> list[str]:
    lines = [f"read as: {outcome.extracted}"] if outcome.extracted else []
    lines += [outcome.reason] * bool(outcome.reason)
    lines += [f"mean of {outcome.samples} answers"] * (outcome.samples > 1)
    if outcome.usage.completion_tokens is not None:
        lines.append(f"{outcome.usage.completion_tokens:,} tokens written")
    lines += [format_usd(outcome.cost_usd)] * (outcome.cost_usd is not None)
    lines += [format_seconds(outcome.seconds)] * (outcome.seconds is not None)
    return lines


def _response(text: str) -> None:
    """Show an answer folded; it is sent to the browser when it is opened."""
    fold = ui.expansion("Read the answer").props("dense").style("min-width: 0")
    opened: list[bool] = []

    def fill() -> None:
        if fold.value and not opened:
            opened.append(True)
            with fold:
                show_text(text)

    fold.on_value_change(fill)
