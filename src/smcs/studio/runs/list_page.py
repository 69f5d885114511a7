"""The page that lists runs. What it shows is in its address, so that a view can be shared and gone back to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nicegui import ui

from smcs.gateway.keys import KeyRecord
from smcs.strategies import STRATEGIES
from smcs.studio.frame import PageSpec, Studio, breathe, empty_state, link_to, section
from smcs.studio.lean import Select
from smcs.studio.runs.elements import RunList
from smcs.studio.runs.export import export_address
from smcs.studio.runs.filters import (
    ASKED_BY_NAME,
    LIST,
    MAX_TEXT,
    NO_KEY,
    STATUSES,
    Filters,
    address,
    read_address,
    scope,
)
from smcs.studio.runs.paging import RunPage, read_page
from smcs.studio.runs.parts import download_link, notes
from smcs.studio.runs.rows import STATUS_VIEWS, key_names, row_view, strategy_label

__all__ = ("PAGE",)

_ANY: Final = ""
_STATUSES: Final[Mapping[str, str]] = {_ANY: "any", **{str(status): STATUS_VIEWS[status].word for status in STATUSES}}
_FIELD: Final = "min-width: 9rem; flex: 1 1 9rem"
_WIDE: Final = "flex: 1 1 100%"


async def build(studio: Studio, parameters: Mapping[str, str]) -> None:
    """Fill the page."""
    ledger, viewer = studio.gateway.ledger, studio.viewer
    wanted = read_address(parameters)
    filters = wanted.filters
    keys = await ledger.list_keys() if viewer.is_admin else ()
    allowed = scope(filters, is_admin=viewer.is_admin, key_id=viewer.key_id, keys=keys)
    page = await read_page(ledger, allowed.where, before=wanted.before, after=wanted.after)
    _FilterBar(studio, filters, keys).show()
    await breathe()
    notes((*wanted.notes, *allowed.notes))
    if not page.rows:
        _nothing(filters, is_first=wanted.before is None)
    else:
        with section("Runs", hint="Every question that was asked, here or through the API, the newest first."):
            names = key_names(keys)
            RunList([row_view(row, filters, names) for row in page.rows], with_keys=bool(keys))
    _turning(page, filters)


def _nothing(filters: Filters, *, is_first: bool) -> None:
    with ui.element("div").classes("smcs-card").props("data-testid=runs-empty"):
        if not is_first:
            empty_state("There is nothing older.", "Go back to newer runs.")
        elif filters.is_empty:
            empty_state(
                "No runs yet. Every question that is asked, here or through the API, will be listed here.",
                "Ask one on the first page, or send one to /v1/chat/completions.",
            )
        else:
            empty_state("No run matches.", "Take a filter away to see more.")
        with ui.row().style("justify-content: center"):
            if filters.is_empty and is_first:
                link_to("Ask a question", "/").props("data-testid=runs-ask")
            else:
                link_to("Show all runs", LIST).props("data-testid=runs-all")


def _turning(page: RunPage, filters: Filters) -> None:
    if page.newer is None and page.older is None:
        return
    with ui.element("nav").props("aria-label='Pages of the list'").classes("smcs-row"):
        if page.newer is not None:
            link_to("← Newer", address(filters, after=page.newer)).props("data-testid=runs-newer rel=prev")
            link_to("Newest", address(filters)).props("data-testid=runs-newest")
        if page.older is not None:
            link_to("Older →", address(filters, before=page.older)).props("data-testid=runs-older rel=next")


@dataclass
class _FilterBar:
    """What can be chosen; nothing happens before Show or Enter is pressed."""

    studio: Studio
    filters: Filters
    keys: Sequence[KeyRecord]
    _values: dict[str, Callable[[], Any]] = field(default_factory=dict, init=False)

    def show(self) -> None:
        """Draw it."""
        with ui.element("div").classes("smcs-card").props("role=search"), ui.element("div").classes("smcs-row"):
            self._text("text", "Search in questions and errors", self.filters.text, "text", _WIDE)
            self._choice("model", "Model", _names(self.studio.service().models, self.filters.model), self.filters.model)
            self._choice("strategy", "Strategy", _strategies(self.filters.strategy), self.filters.strategy)
            self._choice("status", "Status", _STATUSES, self.filters.status or _ANY)
            if self.keys:
                self._choice("key", "Key", _keys(self.keys, self.filters.key), self.filters.key)
            self._text("since", "From day (UTC)", _iso(self.filters.since), "date", _FIELD)
            self._text("until", "To day (UTC)", _iso(self.filters.until), "date", _FIELD)
            ui.button("Show", on_click=self._apply).props("unelevated no-caps icon=search data-testid=filter-apply")
            if not self.filters.is_empty:
                link_to("Clear", LIST).props("data-testid=filter-clear")
            with download_link("Export", export_address(self.filters)).props("data-testid=runs-export"):
                ui.tooltip("All runs that match, with their records, as JSON lines")

    def _text(self, name: str, label: str, value: str, kind: str, style: str) -> None:
        entry = ui.input(label, value=value).style(style).on("keydown.enter", self._apply)
        entry.props(f"outlined dense type={kind} data-testid=filter-{name}")
        if kind == "date":
            entry.props("stack-label")
        else:
            entry.props(f"clearable maxlength={MAX_TEXT} dir=auto")
        self._values[name] = lambda: entry.value

    def _choice(self, name: str, label: str, options: Mapping[str, str], value: str) -> None:
        shown = dict(options) if value in options else {**options, value: value}
        choice = Select(shown, label=label, value=value, with_input=len(shown) > 12).style(_FIELD)
        choice.props(f"outlined dense options-dense data-testid=filter-{name}")
        self._values[name] = lambda: choice.value

    def _apply(self) -> None:
        given = {name: str(value() or "") for name, value in self._values.items()}
        ui.navigate.to(address(read_address(given).filters))


def _names(known: Mapping[str, object], value: str) -> dict[str, str]:
    """Return the models that can be asked for now; one that a link asks for is added, as it may be of the past."""
    names = dict.fromkeys((*known, *([value] if value else [])))
    return {_ANY: "any", **{name: name for name in names}}


def _strategies(value: str) -> dict[str, str]:
    options = {_ANY: "any", **{name: name for name in STRATEGIES}, ASKED_BY_NAME: strategy_label("")}
    return options if value in options else {**options, value: value}


def _keys(keys: Sequence[KeyRecord], value: str) -> dict[str, str]:
    """Return the keys to choose from: by name where that means this key, else by id."""
    names = key_names(keys)
    in_use = {key.name: key.id for key in keys if key.revoked is None}
    options = {key.name if in_use.get(key.name) == key.id else key.id: names[key.id] for key in keys}
    options = {_ANY: "any", NO_KEY: "no key", **options}
    return options if value in options else {**options, value: value}


def _iso(day: object) -> str:
    return "" if day is None else str(day)


PAGE: Final = PageSpec(LIST, "Runs", "history", build)
"""The list of runs."""
