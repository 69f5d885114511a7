"""Ask: a conversation with any model, and how each answer was found."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from nicegui import ui
from nicegui.events import GenericEventArguments

from smcs.errors import SmcsError
from smcs.gateway.access import read_run
from smcs.gateway.errors import GatewayError
from smcs.gateway.inside import build_request
from smcs.gateway.protocol import ChatRequest
from smcs.studio.ask.asking import Model, estimate_line, failure_words, models_for
from smcs.studio.ask.chooser import Chooser
from smcs.studio.ask.parts import plain, say
from smcs.studio.ask.past import Past, Retold, past_of
from smcs.studio.ask.progress import stored_progress
from smcs.studio.ask.turn import Turn
from smcs.studio.frame import PageSpec, Studio, breathe, empty_state, link_to

__all__ = ("PAGE",)

_ESTIMATE_AFTER: Final = 0.8
"""Seconds without a key pressed after which a question is estimated."""
_MAX_QUESTION: Final = 100_000
_ON_ENTER: Final = """(event) => {
  if (event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  emit(event.target.value);
}"""
"""Sends what is in the field, but not while an input method still composes a word."""
_ON_ESCAPE: Final = """(event) => {
  if (!event.defaultPrevented && !event.isComposing && !document.querySelector(".q-menu, .q-dialog")) emit();
}"""
"""Stops, but not where Escape closes something that is open."""
_EXAMPLES: Final = (
    "A train leaves at 14:35 and arrives at 17:10. How long does it take?",
    "Which of Jupiter's moons is the largest, and how does it compare with Mercury?",
    "Write a Python function that returns the second largest number of a list.",
)


async def build(studio: Studio, parameters: Mapping[str, str]) -> None:
    """Fill the page; `model` and `question` choose what its fields hold at first, `after` is the run to go on from.

    Where that cannot be shown, it is `before`, the run that was answered before it.
    """
    models = models_for(studio)
    if not models:
        empty_state(
            "Your key may not ask any model of this server.",
            "Whoever runs it can make another one: smcs keys create NAME --models 'smcs*'",
        )
        return
    conversation = Conversation(studio)
    await conversation.show(models, parameters)
    ui.context.client.on_delete(conversation.stop)


class Conversation:
    """The page's state: what was said so far, what is asked now, and who answers.

    Args:
        studio: Whose viewer asks.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._past = Past()
        self._answered = ""
        """The run that the past ends with."""
        self._turns: list[Turn | Retold] = []
        self._running: Turn | None = None
        self._estimating: asyncio.Task[None] | None = None

    async def show(self, models: Mapping[str, Model], parameters: Mapping[str, str]) -> None:
        """Draw the page.

        Args:
            models: What may be asked for.
            parameters: Of the page's address.
        """
        with ui.element("div").classes("smcs-stack").on("keydown.escape", self.stop, js_handler=_ON_ESCAPE):
            with ui.element("section").classes("smcs-card").props("aria-label='Who is asked'"):
                self._chooser = Chooser(models, self._estimate_soon, wanted=parameters.get("model", ""))
            await breathe()
            self._log = ui.element("div").classes("smcs-stack").style("gap: 1.6rem")
            with self._log:
                await self._begin(parameters.get("after", ""), parameters.get("before", ""))
            await breathe()
            self._composer(parameters.get("question", "")[:_MAX_QUESTION])
        self._show_state()
        self._estimate_soon()

    async def _begin(self, after: str, before: str = "") -> None:
        """Show the conversation that ended with a run, else that with the one before, or how one is begun."""
        if not after:
            self._empty()
            return
        try:
            stored = await read_run(self._studio.gateway.ledger, after, self._studio.viewer.key)
        except GatewayError as error:
            if error.status != 404:
                raise
            stored = None
        shown = None if stored is None else stored_progress(stored)
        if stored is None or shown is None or not shown.texts_are_kept:
            with ui.element("div").classes("smcs-notice").props("role=note data-testid=no-past"):
                plain("The last question cannot be shown: it is still being answered, or was not kept.")
                link_to("Look for it in Runs", "/runs")
            await self._begin(before)
            return
        self._answered = after if shown.answer is not None else before
        self._past, question = past_of(stored)
        self._turns.append(Retold(self._studio, self._past, question, shown))

    def _empty(self) -> None:
        with ui.element("div").classes("smcs-empty").props("data-testid=empty"):
            ui.label("Ask a question, and see how its answer is found.").classes("smcs-empty-what")
            ui.label("Several LLMs answer, their answers are compared or merged, and the best one is shown.").classes(
                "smcs-muted"
            )
            with ui.element("div").classes("smcs-stack").style("gap: .3rem; margin-top: .6rem; width: 100%"):
                for example in _EXAMPLES:
                    ui.button(example, on_click=lambda text=example: self._question.set_value(text)).props(
                        "flat dense no-caps data-testid=example"
                    )

    def _composer(self, question: str) -> None:
        with ui.element("section").classes("smcs-card smcs-composer").props("aria-label='Your question'"):
            self._question = ui.textarea("Your question", value=question, on_change=self._estimate_soon)
            self._question.props(f"autogrow outlined dir=auto maxlength={_MAX_QUESTION} data-testid=question")
            self._question.props("input-style='max-height: 30vh' autofocus").style("width: 100%")
            self._question.on("keydown.enter", self._entered, js_handler=_ON_ENTER)
            self._estimate = plain("").classes("smcs-muted smcs-small").props("data-testid=estimate")
            self._estimate.style("white-space: pre-line; min-height: 1.4em")
            with ui.element("div").classes("smcs-row"):
                self._send = ui.button("Send", icon="send", on_click=self.send).props("unelevated data-testid=send")
                self._stop = ui.button("Stop", icon="stop", on_click=self.stop).props(
                    "outline color=negative data-testid=stop"
                )
                self._new = ui.button("New conversation", on_click=self._begin_anew).props(
                    "flat no-caps data-testid=new-conversation"
                )
                ui.label("Enter sends, Shift+Enter starts a line, Escape stops.").classes("smcs-muted smcs-small")

    async def _entered(self, event: GenericEventArguments) -> None:
        if isinstance(event.args, str):
            self._question.value = event.args
        await self.send()

    async def send(self) -> None:
        """Ask what stands in the field, and show what happens until it is answered."""
        question = str(self._question.value or "").strip()
        if self._running is not None or not question:
            wait = "The question before is still being answered: wait, or stop it."
            say(self._estimate, "Write a question first." if self._running is None else wait)
            return
        try:
            requests = self._requests(question)
        except SmcsError as error:
            say(self._estimate, failure_words(error))
            return
        self._forget_estimate()
        say(self._estimate, "")
        if not self._turns:
            self._log.clear()
        for turn in self._turns:
            turn.collapse()
        with self._log:
            turn = self._running = Turn(self._studio, question, requests)
        self._turns.append(turn)
        self._question.value = ""
        self._show_state()
        turn.into_view()
        self._show_address(requests[0].model, turn.run_id)
        try:
            answers = await turn.watch()
        finally:
            self._running = None
        if self._question.is_deleted:
            return
        self._past = self._past.with_answers(question, answers)
        if answers:
            self._answered = turn.run_id
            self._show_address(requests[0].model, turn.run_id)
        elif not self._question.value:
            self._question.value = question
        self._show_state()
        self._estimate_soon()

    def _show_address(self, model: str, run_id: str) -> None:
        """Have the page's address lead back to this conversation."""
        where = {"model": model, "after": run_id}
        if self._answered not in ("", run_id):
            where["before"] = self._answered
        ui.navigate.history.replace(f"/?{urlencode(where)}")

    def stop(self) -> None:
        """Cancel what is being asked."""
        self._forget_estimate()
        if self._running is not None:
            self._running.stop()

    def _begin_anew(self) -> None:
        self.stop()
        self._past, self._answered = Past(), ""
        ui.navigate.history.replace("/")
        self._turns.clear()
        self._log.clear()
        with self._log:
            self._empty()
        self._show_state()

    def _requests(self, question: str) -> list[ChatRequest]:
        return [
            build_request(model, self._past.messages(model, question), self._chooser.options(model))
            for model in self._chooser.models
        ]

    def _show_state(self) -> None:
        running = self._running is not None
        self._send.set_enabled(not running)
        self._stop.set_enabled(running)
        self._new.set_enabled(bool(self._turns) and not running)

    # What it will take

    def _forget_estimate(self) -> None:
        if self._estimating is not None:
            self._estimating.cancel()
            self._estimating = None

    def _estimate_soon(self) -> None:
        self._forget_estimate()
        if self._running is None:
            self._estimating = asyncio.create_task(self._show_estimate(), name="estimate a question")

    async def _show_estimate(self) -> None:
        await asyncio.sleep(_ESTIMATE_AFTER)
        question = str(self._question.value or "").strip()
        if not question:
            say(self._estimate, "")
            return
        try:
            asked = self._requests(question)
            desk, key = self._studio.desk, self._studio.viewer.key
            lines = [estimate_line(request.model, await desk.estimate(request, key)) for request in asked]
        except SmcsError as error:
            lines = [failure_words(error)]
        say(self._estimate, "\n".join(lines))


PAGE: Final = PageSpec("/", "Ask", "forum", build)
