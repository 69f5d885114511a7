"""Who is asked, and with what options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from nicegui import ui

from smcs.gateway.protocol import SmcsOptions
from smcs.studio.ask.asking import Model, options_of, steers
from smcs.studio.ask.parts import plain, say, shortened
from smcs.studio.lean import Select

__all__ = ("Chooser",)

_LABEL: Final = 110
_DEFAULT: Final = "smcs"
_NOBODY: Final = ""


class Chooser:
    """The model, one to compare it with, and the options of the request.

    Args:
        models: What may be asked for, at least one.
        changed: Called when anything was chosen.
        wanted: The model chosen at first, if it is one of them.
    """

    def __init__(self, models: Mapping[str, Model], changed: Callable[[], None], *, wanted: str = "") -> None:
        self._models = models
        self._changed = changed
        first = next(name for name in (wanted, _DEFAULT, *models) if name in models)
        labels = {name: shortened(f"{name} · {model.description}", _LABEL) for name, model in models.items()}
        with ui.element("div").classes("smcs-grid"):
            self._model = Select(labels, value=first, label="Model", with_input=True, on_change=self._change)
            self._model.props("outlined dense options-dense data-testid=model").style("min-width: 0")
            self._other = Select(
                {_NOBODY: "nobody", **labels},
                value=_NOBODY,
                label="Compare with",
                with_input=True,
                on_change=self._change,
            )
            self._other.props("outlined dense options-dense data-testid=compare").style("min-width: 0")
        self._about = plain("").classes("smcs-muted smcs-small").props("data-testid=model-description")
        self._about.style("white-space: pre-line")
        with ui.expansion("Options").props("dense data-testid=options").style("margin-left: -1rem"):
            self._options()
        self._show()

    def _options(self) -> None:
        with ui.element("div").classes("smcs-row").style("gap: .8rem; padding: .3rem 0"):
            self._k = self._number("LLMs asked (K)", 256, "k", whole=True)
            self._n = self._number("Merged answers (n)", 128, "n", whole=True)
            self._usd = self._number("Most US dollars", 1e6, "max-usd")
            self._seconds = self._number("Most seconds", 86_400, "max-seconds")
        ui.label(
            "Left empty, the model's own settings count. Limits can only be lowered here. "
            "K and n mean nothing to a single LLM."
        ).classes("smcs-muted smcs-small")

    def _number(self, label: str, most: float, marker: str, *, whole: bool = False) -> ui.number:
        field = ui.number(label, min=1 if whole else 0, max=most, step=1 if whole else None, on_change=self._change)
        return field.props(f"outlined dense clearable data-testid=option-{marker}").style("width: 11rem")

    @property
    def models(self) -> tuple[str, ...]:
        """Those that are to be asked: one, or two to compare."""
        chosen = (str(self._model.value), str(self._other.value or _NOBODY))
        return tuple(name for name in chosen if name in self._models)

    def options(self, model: str) -> SmcsOptions | None:
        """Return the options for one of the models.

        Raises:
            InputError: One is out of bounds.
        """
        values = {
            "k": self._k.value,
            "n": self._n.value,
            "max_usd": self._usd.value,
            "max_seconds": self._seconds.value,
        }
        return options_of(self._models.get(model), values)

    def _change(self) -> None:
        self._show()
        self._changed()

    def _show(self) -> None:
        chosen = [self._models[name] for name in self.models]
        say(self._about, "\n".join(f"{model.name}: {model.description}" for model in chosen))
        useful = any(steers(model) for model in chosen)
        for field in (self._k, self._n):
            field.set_enabled(useful)
