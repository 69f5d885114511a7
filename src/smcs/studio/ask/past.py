"""What was said before in a conversation, and how it is taken up again from a stored run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nicegui import ui

from smcs.gateway.entries import StoredRun, asked_last
from smcs.studio.ask.parts import plain
from smcs.studio.ask.run_view import RunView
from smcs.studio.ask.state import Progress
from smcs.studio.frame import Studio
from smcs.studio.text_view import show_text
from smcs.types import Message

__all__ = ("Exchange", "Past", "Retold", "past_of", "show_question")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answers."""

    question: str
    answers: Mapping[str, str]
    """By the model that gave it, at least one; "" where that is not known."""

    def answer(self, model: str = "") -> str:
        """Return what a model said; of one that said nothing, what the first one did."""
        return self.answers.get(model) or next(iter(self.answers.values()))


@dataclass(frozen=True, slots=True)
class Past:
    """What was said so far."""

    opening: tuple[Message, ...] = ()
    """What stands before the first question: instructions of who began the conversation elsewhere."""
    exchanges: tuple[Exchange, ...] = ()

    def with_answers(self, question: str, answers: Mapping[str, str]) -> Past:
        """Return the past with one more exchange; the same where nobody answered."""
        if not answers:
            return self
        return replace(self, exchanges=(*self.exchanges, Exchange(question, dict(answers))))

    def messages(self, model: str, question: str) -> tuple[Message, ...]:
        """Return a conversation that goes on with a question; each model has said what it said itself, where it did.

        Args:
            model: Who is asked.
            question: What is asked now.
        """
        said = list(self.opening)
        for each in self.exchanges:
            said += (Message("user", each.question), Message("assistant", each.answer(model)))
        return (*said, Message("user", question))


def past_of(stored: StoredRun) -> tuple[Past, str]:
    """Return what was said up to a stored run, its own exchange included where it was answered, and its question.

    A stored conversation is the one its model was shown. Turns that follow on each other without an answer between
    them are one question.
    """
    record = stored.record
    if record is None or not asked_last(record):
        return Past(), stored.row.question or ""
    past, asked = Past(), ""
    for message in record.query.messages:
        if message.role == "user":
            asked = f"{asked}\n\n{message.content}" if asked else message.content
        elif message.role == "assistant" and asked:
            past, asked = past.with_answers(asked, {"": message.content}), ""
        elif not past.exchanges and not asked:
            past = replace(past, opening=(*past.opening, message))
    answers = {stored.row.model: record.answer} if record.answered_by else {}
    return past.with_answers(asked, answers), asked


def show_question(question: str) -> None:
    """Show what the viewer asked."""
    box = ui.element("div").props("data-testid=question-asked")
    with box.style("border-left: 3px solid var(--smcs-accent); padding: .1rem .8rem"):
        ui.label("Your question").classes("smcs-muted smcs-small")
        plain(question).style("white-space: pre-wrap")


class Retold:
    """A conversation as it is stored: earlier answers as texts, the last one with how it was found.

    Args:
        studio: Whose viewer looks at it.
        past: What was said up to the last run, its own exchange included where it was answered.
        question: Of the last run.
        shown: The last run.
    """

    def __init__(self, studio: Studio, past: Past, question: str, shown: Progress) -> None:
        for each in past.exchanges if shown.answer is None else past.exchanges[:-1]:
            with ui.element("article").classes("smcs-stack").props("aria-label='A question and its answer'"):
                show_question(each.question)
                with ui.element("section").classes("smcs-card").props("data-testid=earlier-answer"):
                    show_text(each.answer())
        with ui.element("article").classes("smcs-stack").props("aria-label='A question and its answer'"):
            show_question(question)
            self._view = RunView(studio)
            self._view.show(shown)

    def collapse(self) -> None:
        """Make room for the next question."""
        self._view.collapse()
