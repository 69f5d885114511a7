"""The form that asks a recorded question again, and opens what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nicegui import ui

from smcs.errors import SmcsError
from smcs.gateway.entries import StoredRun
from smcs.gateway.models import PassThrough, VirtualModel
from smcs.run import Run
from smcs.strategies import STRATEGIES
from smcs.studio.ask.words import ABLATION_WORDS
from smcs.studio.frame import Studio, problem
from smcs.studio.lean import Select
from smcs.studio.runs.again import Again, Knob, cannot_be_asked, knobs, of_run, read_form, to_request
from smcs.studio.runs.filters import compare_address
from smcs.studio.runs.rerun import Rerun
from smcs.types import Ablation

__all__ = ("show_again",)

_REFRESH_SECONDS: Final = 0.25
_NUMBER: Final = "flex: 1 1 8rem; min-width: 8rem"
_NAME: Final = "flex: 2 1 12rem; min-width: min(100%, 12rem)"
_MANY: Final = 15
"""Options from which on a list can be searched."""


def show_again(studio: Studio, stored: StoredRun) -> None:
    """Show the form, or why there is none."""
    run = stored.record
    why = cannot_be_asked(run)
    if run is None or why:
        ui.label(why).classes("smcs-muted").props("data-testid=rerun-impossible")
        return
    _Form(studio, run, of_run(run, stored.row.model))


class _Form:
    """One form; it asks one question at a time."""

    def __init__(self, studio: Studio, run: Run, before: Again) -> None:
        self._studio = studio
        self._run = run
        self._rerun = Rerun(studio.desk, studio.viewer.key)
        self._fields: dict[str, Select | ui.input] = {}
        self._boxes: dict[Knob, ui.checkbox] = {}
        models = self._models()
        own = {"": "the model's own", **{name: spec.title for name, spec in STRATEGIES.items()}}
        with ui.element("div").classes("smcs-row"):
            self._choice("model", "Model", models, before.model if before.model in models else next(iter(models), ""))
            self._choice("strategy", "Strategy", own, "")
        with ui.element("div").classes("smcs-row").style("margin-top: 0.6rem"):
            self._text("k", "LLMs that answer (K)", before.k)
            self._text("n", "Candidates (n)", before.n)
            self._text("temperature", "Temperature, 0 to 2", before.temperature)
            self._text("seed", "Seed; empty draws one", before.seed)
        self._ablations(before.without)
        self._actions()
        for name in ("model", "strategy"):
            self._fields[name].on_value_change(self._update)
        self._update()
        ui.context.client.on_delete(self._rerun.stop)

    def _models(self) -> dict[str, str]:
        """Return what this viewer may ask for and what can answer."""
        return {model.name: model.name for model in self._studio.gateway.usable_models(self._studio.viewer.key)}

    def _choice(self, name: str, label: str, options: dict[str, str], value: str) -> None:
        choice = Select(options, label=label, value=value, with_input=len(options) > _MANY).style(_NAME)
        self._fields[name] = choice.props(f"outlined dense options-dense data-testid=rerun-{name}")

    def _text(self, name: str, label: str, value: float | None) -> None:
        entry = ui.input(label, value="" if value is None else str(value)).style(_NUMBER)
        self._fields[name] = entry.props(f"outlined dense inputmode=decimal maxlength=20 data-testid=rerun-{name}")

    def _ablations(self, before: tuple[Ablation, ...]) -> None:
        with ui.element("fieldset").style("border: 0; padding: 0; margin: 0.7rem 0 0; min-width: 0"):
            with ui.element("legend").classes("smcs-muted smcs-small"):
                ui.label("Leave out a part of the method, to see what it is worth")
            with ui.element("div").classes("smcs-row"):
                for part, words in ABLATION_WORDS.items():
                    box = ui.checkbox(f"without {words}", value=part in before)
                    self._boxes[part] = box.props(f"dense data-testid=rerun-without-{part}")

    def _actions(self) -> None:
        with ui.element("div").classes("smcs-row").style("margin-top: 0.8rem"):
            self._go = ui.button("Ask again and compare", on_click=self._ask)
            self._go.props("unelevated no-caps icon=replay data-testid=rerun")
            self._stop = ui.button("Stop", on_click=self._rerun.stop)
            self._stop.props("outline no-caps icon=stop data-testid=rerun-stop").set_visibility(False)
            self._told = ui.label("").props("role=status aria-live=polite data-testid=rerun-status")
            self._told.classes("smcs-muted")
        self._wrong = ui.element("div").props("data-testid=rerun-problem")
        self._timer = ui.timer(_REFRESH_SECONDS, self._tell, active=False)

    def _value(self, name: str) -> str:
        return str(self._fields[name].value or "")

    def _model(self) -> VirtualModel | PassThrough | None:
        return self._studio.service().models.get(self._value("model"))

    def _update(self) -> None:
        """Let only those fields be used that mean something for the chosen model and strategy."""
        usable = knobs(self._model(), self._value("strategy"))
        controls: Mapping[Knob, Select | ui.input | ui.checkbox] = {
            "strategy": self._fields["strategy"],
            "k": self._fields["k"],
            "n": self._fields["n"],
            **self._boxes,
        }
        for name, control in controls.items():
            control.set_enabled(name in usable)

    def _tell(self) -> None:
        self._told.text = self._rerun.words

    async def _ask(self) -> None:
        if self._rerun.is_running:
            return
        self._wrong.clear()
        self._show_running(True)
        try:
            without = tuple(part for part in ABLATION_WORDS if self._boxes[part].value)
            again = read_form({name: self._value(name) for name in self._fields}, without)
            run_id = await self._rerun.run(to_request(self._run, again, self._model()))
        except SmcsError as error:
            self._told.text = ""
            with self._wrong:
                problem(str(error))
            return
        finally:
            self._show_running(False)
        if run_id is None:
            self._told.text = "Stopped. What was asked until then is in the list."
            return
        self._told.text = "Answered. Opening the comparison …"
        ui.navigate.to(compare_address(self._run.id, run_id))

    def _show_running(self, runs: bool) -> None:
        self._timer.active = runs
        self._go.set_enabled(not runs)
        self._stop.set_visibility(runs)
