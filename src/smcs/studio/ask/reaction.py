"""What a viewer says about an answer, and what the question bank learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from nicegui import ui

from smcs.errors import SmcsError
from smcs.gateway.feedback import FeedbackRequest
from smcs.studio.ask.parts import plain, say
from smcs.studio.ask.words import listed
from smcs.studio.frame import Studio

__all__ = ("Reaction", "learned_line")

_MAX_ANSWER = 20_000


class Reaction:
    """Thumbs and the correct answer; hidden until there is a run to speak of."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._run_id = ""
        self._busy = False
        with ui.element("section").props("aria-label='Your opinion of the answer'").classes("smcs-stack") as self._box:
            with ui.element("div").classes("smcs-row"):
                self._good = ui.button(icon="thumb_up", on_click=lambda: self._judge("good"))
                self._good.props("flat round dense aria-label='The answer is right' data-testid=thumb-up")
                self._bad = ui.button(icon="thumb_down", on_click=lambda: self._judge("bad"))
                self._bad.props("flat round dense aria-label='The answer is wrong' data-testid=thumb-down")
                self._answer = ui.input("The correct answer is …").props(
                    f"dense outlined maxlength={_MAX_ANSWER} dir=auto data-testid=correct-answer"
                )
                self._answer.style("flex: 1 1 12rem; min-width: 0").on("keydown.enter.prevent", self._correct)
                self._save = ui.button("Save", on_click=self._correct).props(
                    "outline dense no-caps data-testid=save-answer"
                )
            self._said = plain("").props("role=status aria-live=polite data-testid=learned").classes("smcs-muted")
        self._box.set_visibility(False)

    def about(self, run_id: str) -> None:
        """Speak of this run."""
        if run_id == self._run_id:
            return
        self._run_id = run_id
        self._box.set_visibility(True)

    async def _judge(self, verdict: Literal["good", "bad"]) -> None:
        if not await self._give(FeedbackRequest(run_id=self._run_id, verdict=verdict)):
            return
        for button, name in ((self._good, "good"), (self._bad, "bad")):
            button.props(f"aria-pressed={'true' if name == verdict else 'false'}")

    async def _correct(self) -> None:
        text = str(self._answer.value or "").strip()[:_MAX_ANSWER]
        if not text:
            say(self._said, "Write the correct answer first.")
            return
        await self._give(FeedbackRequest(run_id=self._run_id, answer=text))

    async def _give(self, said: FeedbackRequest) -> bool:
        """Return whether it is noted now."""
        if self._busy:
            return False
        self._busy = True
        say(self._said, "Saving …")
        try:
            told = await self._studio.desk.give(said, self._studio.viewer.key)
        except SmcsError as error:
            say(self._said, f"It could not be saved: {error}")
            return False
        finally:
            self._busy = False
        say(self._said, learned_line(told))
        return True


def learned_line(told: Mapping[str, Any]) -> str:
    """Return what became of what was said, given the body of a response of `/v1/feedback`."""
    bank = told.get("bank")
    if not isinstance(bank, Mapping) or not bank.get("learned"):
        why = bank.get("why") if isinstance(bank, Mapping) else None
        reason = str(why or "it knew this already").rstrip(".")
        return f"Noted. The question bank did not learn from it: {reason}."
    outcomes = bank.get("outcomes")
    graded = outcomes if isinstance(outcomes, Mapping) else {}
    right = [name for name, score in graded.items() if isinstance(score, int | float) and score > 0.5]
    wrong = [name for name, score in graded.items() if isinstance(score, int | float) and score <= 0.5]
    said = [f"right: {listed(right)}"] if right else []
    said += [f"wrong: {listed(wrong)}"] if wrong else []
    kind = "a new question" if bank.get("is_new") else "more about a question it knew"
    who = f" ({'; '.join(said)})" if said else ""
    return f"Thank you. The question bank learned {kind}{who}."
