"""One question and its answers: each model asked runs in a task of its own, folded as it goes and shown beside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from nicegui import ui

from smcs.errors import SmcsError
from smcs.gateway.inside import Listener
from smcs.gateway.protocol import ChatRequest
from smcs.run import Run
from smcs.studio.ask.asking import failure_words
from smcs.studio.ask.parts import plain
from smcs.studio.ask.past import show_question
from smcs.studio.ask.progress import Fold, of_run
from smcs.studio.ask.run_view import RunView
from smcs.studio.frame import Studio

__all__ = ("Turn",)

_SECONDS: float = 0.2
"""Between two updates of what is shown, where there is anything new."""

_CLOCK_SECONDS: float = 1.0
"""Between two updates where only time has passed."""


@dataclass(eq=False)
class _Side:
    """One model being asked."""

    request: ChatRequest
    run_id: str
    fold: Fold
    view: RunView
    task: asyncio.Task[Run | None]
    begun: float
    shown: float = 0.0
    """When it was last shown, on the monotonic clock."""

    @property
    def run(self) -> Run | None:
        """The record; `None` as long as there is none."""
        return self.task.result() if self.task.done() and not self.task.cancelled() else None

    @property
    def is_due(self) -> bool:
        """Whether there is something new to show."""
        return self.task.done() or self.fold.has_news or time.monotonic() - self.shown >= _CLOCK_SECONDS


class Turn:
    """Asks one or two models the same, and shows them side by side in the element it is made in.

    Args:
        studio: Whose viewer asks.
        question: What is asked, as it is shown.
        requests: One for each model.
    """

    def __init__(self, studio: Studio, question: str, requests: Sequence[ChatRequest]) -> None:
        self._studio = studio
        self._sides: list[_Side] = []
        with ui.element("article").classes("smcs-stack") as self._box:
            self._box.props("aria-label='A question and its answer'")
            self._box.style("scroll-margin-top: 4rem")
            show_question(question)
            with ui.element("div").classes("smcs-grid" if len(requests) > 1 else "smcs-stack"):
                for request in requests:
                    with ui.element("div").classes("smcs-stack").style("min-width: 0") as box:
                        box.props["data-testid"] = f"side-{len(self._sides)}"
                        if len(requests) > 1:
                            plain(request.model).style("font-weight: 650")
                        self._begin(request)

    def _begin(self, request: ChatRequest) -> None:
        fold = Fold()
        view = RunView(self._studio)
        view.show(fold.progress())
        run_id = uuid4().hex
        task = asyncio.create_task(self._ask(request, fold, run_id), name="ask from the studio")
        self._sides.append(_Side(request, run_id, fold, view, task, time.monotonic()))

    @property
    def run_id(self) -> str:
        """Of the first model that answered; as long as none has, of the first."""
        return next((side.run_id for side in self._sides if side.run is not None), self._sides[0].run_id)

    def into_view(self) -> None:
        """Have the browser show its beginning."""
        self._box.run_method("scrollIntoView", {"block": "start"})

    async def _ask(self, request: ChatRequest, fold: Fold, run_id: str) -> Run | None:
        """Return the record; `None` where there is no answer, and the fold says why."""
        begun = time.monotonic()
        try:
            asked = await self._studio.desk.ask(
                request,
                self._studio.viewer.key,
                run_id=run_id,
                listener=Listener(fold.add),
            )
        except asyncio.CancelledError:
            fold.end("stopped", elapsed=time.monotonic() - begun)
            raise
        except SmcsError as error:
            fold.end("failed", failure_words(error), elapsed=time.monotonic() - begun)
            return None
        return asked.run

    async def watch(self) -> dict[str, str]:
        """Show what happens until all is over.

        Returns:
            The answers by model, the first model's first; without those that gave none.
        """
        pending = {side.task for side in self._sides}
        while pending:
            done, pending = await asyncio.wait(pending, timeout=_SECONDS)
            for side in self._sides:
                if side.task in pending | done and side.is_due and not self._box.is_deleted:
                    self._show(side)
        return {side.request.model: side.run.answer for side in self._sides if side.run is not None}

    def _show(self, side: _Side) -> None:
        side.shown = time.monotonic()
        elapsed = time.monotonic() - side.begun
        side.view.show(side.fold.progress(elapsed) if side.run is None else of_run(side.run))

    def stop(self) -> None:
        """Cancel what still runs, with every call to an LLM."""
        for side in self._sides:
            side.task.cancel()

    def collapse(self) -> None:
        """Make room for the next question."""
        for side in self._sides:
            side.view.collapse()
