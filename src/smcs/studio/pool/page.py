"""The page of the LLMs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from nicegui import ui
from nicegui.events import GenericEventArguments

from smcs.errors import SmcsError
from smcs.gateway.ledger import LLMUse
from smcs.gateway.service import Service
from smcs.llms import Member
from smcs.studio.frame import PageSpec, Studio, breathe, empty_state, link_to, problem, section
from smcs.studio.lean import Select
from smcs.studio.pool.authors import Authors, count_authors
from smcs.studio.pool.trial import QUESTION, Trial, try_llm
from smcs.studio.pool.view import (
    LLMRow,
    PoolFacts,
    StatusFilter,
    last_aggregator,
    pool_page,
    pool_rows,
    summary,
)

__all__ = ("PAGE", "PoolList", "read_facts")

_DAYS: Final = 7
_STATUSES: Final[Mapping[StatusFilter, str]] = {
    "all": "All",
    "ready": "Ready",
    "trouble": "In trouble",
    "off": "Switched off",
}
_REFRESH_SECONDS: Final = 5.0
_REFRESH_USE_SECONDS: Final = 60.0
"""Between two looks at 2,000 runs: 20 viewers cost less than 1% of a core."""

_LONGEST_WHY: Final = 500


class PoolList(ui.element, component="pool_list.js"):
    """The rows of the page, as a table or cards; emits "test" and "switch" with an LLM's name.

    Args:
        admin: Whether LLMs may be switched.
    """

    def __init__(self, *, admin: bool) -> None:
        super().__init__()
        self._props["rows"] = ()
        self._props["admin"] = admin

    def set(self, rows: Sequence[LLMRow]) -> None:
        """Show other rows; equal ones cost nothing."""
        shown = tuple(asdict(row) for row in rows)
        if shown != self._props["rows"]:
            self._props["rows"] = shown
            self.update()


async def read_facts(studio: Studio) -> PoolFacts:
    """Return what is known of the pool, but for who wrote the answers.

    Raises:
        LedgerUnavailableError: The database failed.
    """
    use = await studio.gateway.ledger.llm_use(datetime.now(UTC) - timedelta(days=_DAYS))
    await studio.gateway.ledger.switches()
    return _facts(studio, {each.llm: each for each in use}, None)


def _facts(studio: Studio, use: Mapping[str, LLMUse], authors: Authors | None) -> PoolFacts:
    """Return what this process knows without asking the database."""
    service = studio.service()
    return PoolFacts(
        members=_members(service),
        mergers=frozenset(service.resources.mergers),
        aggregators=service.resources.aggregators,
        declared={llm.name: set(llm.capabilities.model_dump(exclude_none=True)) for llm in service.config.pool},
        circuits=studio.desk.circuits,
        switches=dict(studio.gateway.ledger.switched_off),
        use=use,
        authors=authors,
    )


def _members(service: Service) -> Mapping[str, Member]:
    members = {**service.resources.pool, **service.resources.mergers}
    order = [llm.name for llm in service.config.pool]
    return {name: members[name] for name in order if name in members}


class _PoolView:
    """The page while it is open."""

    def __init__(self, studio: Studio, facts: PoolFacts) -> None:
        self._studio = studio
        self._facts = facts
        self._rows: tuple[LLMRow, ...] = ()
        self._testing: set[str] = set()

    async def show(self) -> None:
        """Build it."""
        hint = f"Times, errors and calls are those of the newest runs of the last {_DAYS} days, 2,000 at most."
        with section("The pool", hint=hint):
            self._line = ui.label().props("role=status aria-live=polite data-testid=pool-summary")
            with ui.element("div").classes("smcs-row").style("margin: 0.5rem 0"):
                self._text = ui.input("Find an LLM", on_change=self._first_page).props(
                    "dense outlined clearable debounce=250 maxlength=200 data-testid=pool-filter"
                )
                self._status = Select(dict(_STATUSES), value="all", label="Status", on_change=self._first_page)
                self._status.props("dense outlined data-testid=pool-status").style("min-width: 10rem")
            self._list = PoolList(admin=self._studio.viewer.is_admin)
            self._list.on("test", self._test).on("switch", self._switch)
            self._none = empty_state("No LLM matches.", "Clear the filter to see all of them.")
            self._paging = ui.pagination(1, 1, value=1, direction_links=True, on_change=lambda: self._render())
            self._paging.props("data-testid=pool-pages aria-label='Pages of LLMs'")
        await breathe()
        with section("Test calls", hint="Each one is a request of yours: it is in the ledger and counts for your key."):
            ui.label(f"The question: {QUESTION}").classes("smcs-muted")
            self._trials = ui.element("div").classes("smcs-stack").props("role=status aria-live=polite")
            with self._trials:
                self._untried = ui.label("Press Test beside an LLM.").classes("smcs-muted")
        self._fold()

    async def count(self) -> None:
        """Fill in who wrote the answers, which takes a moment."""
        try:
            authors = await count_authors(self._studio.gateway.ledger)
        except SmcsError as error:
            ui.notify(f"Who wrote the answers is not known: {error}", type="warning")
            return
        self._facts = replace(self._facts, authors=authors)
        self._fold()

    def refresh(self) -> None:
        """Look again at circuits and switches."""
        self._facts = _facts(self._studio, self._facts.use, self._facts.authors)
        self._fold()

    async def refresh_use(self) -> None:
        """Look again at how the calls went."""
        try:
            self._facts = replace(await read_facts(self._studio), authors=self._facts.authors)
        except SmcsError as error:
            self._line.set_text(f"Not up to date: {error}")
            return
        self._fold()

    def _fold(self) -> None:
        self._rows = pool_rows(self._facts)
        self._line.set_text(summary(self._rows))
        self._render()

    def _first_page(self) -> None:
        self._paging.value = 1
        self._render()

    def _render(self) -> None:
        everything: StatusFilter = "all"
        status = next((each for each in _STATUSES if each == self._status.value), everything)
        page = pool_page(self._rows, text=self._text.value or "", status=status, page=self._paging.value or 1)
        self._list.set(page.rows)
        self._list.set_visibility(bool(page.rows))
        self._none.set_visibility(not page.rows)
        self._paging.max = page.pages
        self._paging.set_visibility(page.pages > 1)

    def _known(self, event: GenericEventArguments) -> str | None:
        name = event.args
        return name if isinstance(name, str) and name in self._facts.members else None

    async def _test(self, event: GenericEventArguments) -> None:
        name = self._known(event)
        if name is None or name in self._testing:
            return
        self._testing.add(name)
        self._untried.set_visibility(False)
        with self._trials, ui.element("div").classes("smcs-card").props("data-testid=pool-trial") as card:
            card.move(target_index=0)
            ui.label(name).style("font-weight: 600").props("dir=auto")
            waiting = ui.row().classes("smcs-muted")
            with waiting:
                ui.spinner(size="sm")
                ui.label("Waiting for the answer …")
        try:
            trial = await try_llm(self._studio.desk, name, self._studio.viewer.key)
        finally:
            self._testing.discard(name)
        waiting.delete()
        with card:
            _show_trial(trial)

    async def _switch(self, event: GenericEventArguments) -> None:
        name = self._known(event)
        if name is None or not self._studio.viewer.is_admin:
            return
        off = name not in self._facts.switches
        why = await _ask_why(name, last_aggregator(name, self._facts)) if off else ""
        if why is None:
            return
        gateway = self._studio.gateway
        try:
            key = await gateway.still_valid(self._studio.viewer.key)
            await self._studio.desk.switch(name, off=off, why=why, key=key)
            await gateway.ledger.switches()
        except SmcsError as error:
            ui.notify(str(error), type="negative")
            return
        ui.notify(f"{name} is {'off' if off else 'on'}.")
        self.refresh()


def _show_trial(trial: Trial) -> None:
    if trial.ok:
        ui.label(trial.text or "The answer is empty.").props("dir=auto data-testid=pool-trial-text").style(
            "white-space: pre-wrap; overflow-wrap: anywhere"
        )
    else:
        problem(trial.text)
    ui.label(trial.figures).classes("smcs-muted smcs-small")
    if trial.run_id:
        link_to("Its run", f"/runs/{trial.run_id}")


async def _ask_why(name: str, is_last: bool) -> str | None:
    """Return why an LLM is to be switched off; `None` where it is not to be."""
    with ui.dialog() as dialog, ui.card().style("max-width: 32rem; gap: 0.8rem").props("data-testid=pool-confirm"):
        ui.label(f"Switch {name} off?").style("font-weight: 650; font-size: 1.05rem; overflow-wrap: anywhere")
        ui.label("It is not asked any more, on every server of this ledger, until somebody switches it on again.")
        if is_last:
            with ui.element("div").classes("smcs-notice").props("role=alert data-testid=pool-last-aggregator"):
                ui.icon("warning").props("aria-hidden=true")
                ui.label(
                    "It is the only aggregator: questions that need one will still be given to it, and their runs are "
                    "marked as degraded. Name another in 'aggregators' of the config first."
                )
        why = ui.input("Why (others see it; may be left empty)").props(f"outlined dense maxlength={_LONGEST_WHY}")
        why.style("width: 100%")
        with ui.row().style("justify-content: flex-end; width: 100%"):
            ui.button("Keep it on", on_click=lambda: dialog.submit(None)).props("flat autofocus")
            confirm = ui.button("Switch off", on_click=lambda: dialog.submit(why.value or ""))
            confirm.props("color=negative data-testid=pool-switch-off")
    said = await dialog
    dialog.delete()
    return said if isinstance(said, str) else None


async def build(studio: Studio, _parameters: Mapping[str, str]) -> None:
    """Fill the page."""
    view = _PoolView(studio, await read_facts(studio))
    await view.show()
    ui.timer(0.05, view.count, once=True)
    ui.timer(_REFRESH_SECONDS, view.refresh)
    ui.timer(_REFRESH_USE_SECONDS, view.refresh_use, immediate=False)


PAGE: Final = PageSpec("/pool", "LLMs", "memory", build)
