"""The page of one run: how the answer was found, what the request took, what was said about it, and asking it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from nicegui import ui

from smcs.errors import SmcsError
from smcs.gateway.access import owns, read_run, share_run, unshare_run
from smcs.gateway.entries import StoredRun
from smcs.gateway.errors import GatewayError
from smcs.gateway.history import RUN_ID
from smcs.gateway.keys import KeyRecord
from smcs.studio.ask.progress import stored_progress
from smcs.studio.ask.reaction import Reaction
from smcs.studio.ask.run_view import RunView
from smcs.studio.ask.words import plural
from smcs.studio.cells import Column
from smcs.studio.frame import PageSpec, Studio, breathe, empty_state, link_to, problem, section
from smcs.studio.runs.about import (
    attempt_rows,
    facts,
    feedback_line,
    missing_record,
    question_of,
    texts_note,
)
from smcs.studio.runs.again_form import show_again
from smcs.studio.runs.export import run_export_address
from smcs.studio.runs.filters import (
    LIST,
    Filters,
    address,
    compare_address,
    read_address,
    run_address,
    scope,
)
from smcs.studio.runs.paging import neighbours
from smcs.studio.runs.parts import download_link, notes, plain_box, status_chip, text_button
from smcs.studio.runs.rows import ago, clock, key_names
from smcs.studio.tables import TextTable
from smcs.studio.text import printable
from smcs.types import Role

__all__ = ("RUN_PAGE", "no_such_run")

_ATTEMPTS: Final = (
    Column("LLM"),
    Column("What for"),
    Column("How it ended"),
    Column("Took", numeric=True),
    Column("Tokens read", numeric=True),
    Column("Tokens written", numeric=True),
    Column("Cost", numeric=True),
    Column("Why"),
)
_FACTS: Final = (
    "display: grid; grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr); gap: 0.3rem 1.2rem; margin: 0"
)
_COPY: Final = """
const link = window.location.origin + PATH;
try { await navigator.clipboard.writeText(link); return [link, true]; } catch (error) { return [link, false]; }
"""
_COPY_SECONDS: Final = 5.0
_ROLES: Final[Mapping[Role, str]] = {"system": "Instructions", "user": "User", "assistant": "Model"}


async def build(studio: Studio, parameters: Mapping[str, str]) -> None:
    """Fill the page."""
    try:
        stored = await read_run(studio.gateway.ledger, parameters.get("run_id", ""), studio.viewer.key)
    except GatewayError as error:
        if error.status != 404:
            raise
        no_such_run()
        return
    await _RunPage(studio, stored, read_address(parameters).filters).show()


def no_such_run() -> None:
    """Say that there is no such run, or none that the viewer may see, which is the same to them."""
    with ui.element("div").classes("smcs-card").props("data-testid=run-missing"):
        empty_state(
            "There is no such run of yours.",
            "The link may be mistyped, the run may have been removed, or it is somebody else's and was not shared.",
        )
        with ui.row().style("justify-content: center"):
            link_to("Show all runs", LIST).props("data-testid=runs-all")


@dataclass
class _RunPage:
    studio: Studio
    stored: StoredRun
    filters: Filters

    async def show(self) -> None:
        """Draw the page."""
        ledger, stored = self.studio.gateway.ledger, self.stored
        keys = await ledger.list_keys()
        names = key_names(keys)
        is_shared = await ledger.is_shared(stored.row.id)
        await self._navigation(keys)
        self._head(is_shared=is_shared)
        await breathe()
        self._answer()
        await breathe()
        self._about(names)
        self._feedback(names)
        await breathe()
        with section("Ask again with other settings", hint="The same conversation, and then what differs."):
            show_again(self.studio, stored)
        await breathe()
        self._compare()

    async def _navigation(self, keys: Sequence[KeyRecord]) -> None:
        viewer, row = self.studio.viewer, self.stored.row
        where = scope(self.filters, is_admin=viewer.is_admin, key_id=viewer.key_id, keys=keys).where
        newer, older = await neighbours(self.studio.gateway.ledger, where, row.cursor)
        with ui.element("nav").props("aria-label='Neighbours in the list'").classes("smcs-row"):
            back = "All runs" if self.filters.is_empty else "The runs that match"
            link_to(back, address(self.filters)).props("data-testid=run-back")
            if newer is not None:
                link_to("← Newer run", run_address(newer.id, self.filters)).props("data-testid=run-newer rel=prev")
            if older is not None:
                link_to("Older run →", run_address(older.id, self.filters)).props("data-testid=run-older rel=next")

    def _head(self, *, is_shared: bool) -> None:
        row = self.stored.row
        with section("Question"):
            question = question_of(self.stored) or "(The question was not kept.)"
            plain_box(question, rem=20).props("data-testid=run-question")
            self._before()
            with ui.element("div").classes("smcs-row").style("margin-top: 0.8rem"):
                status_chip(row.status)
                ui.label(f"{clock(row.created)} UTC, {ago(row.created, datetime.now(UTC))}").classes("smcs-muted")
            with ui.element("div").classes("smcs-row").style("margin-top: 0.6rem"):
                copy = text_button("Copy link", "link").props("data-testid=copy-link")
                copy.on_click(lambda: _copy(run_address(row.id)))
                if self.studio.viewer.key is not None:
                    self._share(is_shared=is_shared)
                download_link("Download JSON", run_export_address(row.id)).props("data-testid=run-download")
                if self.stored.record is not None and self.stored.record.answer:
                    link_to("Go on asking", f"/?after={row.id}").props("data-testid=go-on")

    def _before(self) -> None:
        """Show what was said before the question, where anything was."""
        record = self.stored.record
        earlier = () if record is None else record.query.messages[:-1]
        if not earlier:
            return
        said = ui.expansion(f"The conversation before it ({plural(len(earlier), 'message')})")
        with said.props("dense data-testid=run-before").style("margin-left: -1rem"):
            for message in earlier:
                ui.label(_ROLES[message.role]).classes("smcs-muted smcs-small")
                plain_box(message.content, rem=12)

    def _share(self, *, is_shared: bool) -> None:
        """Let its owner share it; the others see that it is shared."""
        viewer, row = self.studio.viewer, self.stored.row
        box = ui.element("div").classes("smcs-row").props("role=status")

        async def change(*, to: bool) -> None:
            try:
                if to:
                    await share_run(self.studio.gateway.ledger, row.id, viewer.key)
                else:
                    await unshare_run(self.studio.gateway.ledger, row.id, viewer.key)
            except SmcsError as error:
                ui.notify(str(error), type="negative")
                return
            draw(shared=to)

        def draw(*, shared: bool) -> None:
            box.clear()
            with box:
                if shared:
                    with ui.element("span").classes("smcs-chip smcs-chip-accent").props("data-testid=shared"):
                        ui.icon("group").props("aria-hidden=true")
                        ui.label("Shared: whoever has a key and the link can read it")
                if owns(viewer.key, row):
                    button = text_button("Stop sharing" if shared else "Share with the team", "group")
                    button.on_click(lambda: change(to=not shared)).props("data-testid=share")

        draw(shared=is_shared)

    def _answer(self) -> None:
        stored = self.stored
        notes(filter(None, [texts_note(stored)]))
        shown = stored_progress(stored)
        if shown is not None:
            RunView(self.studio, link=False).show(shown)
            return
        with section("What is known of it"):
            why = missing_record(stored, self.studio.service().config.gateway.record)
            with ui.element("div").classes("smcs-notice").props("data-testid=no-record"):
                ui.icon("info").props("aria-hidden=true")
                ui.label(printable(why)).props("dir=auto")
            if stored.row.error:
                with ui.element("div").style("margin-top: 0.6rem"):
                    problem(printable(stored.row.error))
            if stored.attempts:
                with ui.element("div").style("margin-top: 0.8rem"):
                    table = TextTable("Calls to LLMs", _ATTEMPTS, attempt_rows(stored.attempts))
                    table.props("data-testid=attempts")
            if stored.row.status in ("ok", "degraded"):
                Reaction(self.studio).about(stored.row.id)

    def _about(self, names: Mapping[str, str]) -> None:
        with section("About this request"):
            listing = ui.element("dl").props("data-testid=run-facts").style(_FACTS)
            with listing:
                for fact in facts(self.stored, names, datetime.now(UTC)):
                    with ui.element("dt").classes("smcs-muted").style("overflow-wrap: anywhere"):
                        ui.label(printable(fact.name)).props("dir=auto")
                    with ui.element("dd").style("margin: 0; overflow-wrap: anywhere"):
                        ui.label(printable(fact.value)).props("dir=auto")
                        if fact.hint:
                            ui.label(fact.hint).classes("smcs-muted smcs-small")

    def _feedback(self, names: Mapping[str, str]) -> None:
        if not self.stored.feedback:
            return
        with section("What was said about the answer"):
            for said in self.stored.feedback:
                with ui.element("div").props("data-testid=feedback"):
                    line = feedback_line(said, names, datetime.now(UTC))
                    ui.label(printable(line)).classes("smcs-muted").props("dir=auto")
                    for name, text in (("Correct answer", said.answer), ("Comment", said.comment)):
                        if text:
                            plain_box(f"{name}: {text}", rem=12)

    def _compare(self) -> None:
        def go() -> None:
            other = RUN_ID.search(str(entry.value or ""))
            if other is None:
                entry.props("error error-message='A link or an id of 32 digits from 0 to f'")
                return
            ui.navigate.to(compare_address(self.stored.row.id, other.group()))

        with section("Compare with another run"), ui.element("div").classes("smcs-row"):
            entry = ui.input("Link or id of the other run").style("flex: 1 1 16rem; min-width: min(100%, 16rem)")
            entry.props("outlined dense maxlength=500 data-testid=compare-with").on("keydown.enter", go)
            text_button("Compare", "compare_arrows").on_click(go).props("data-testid=compare-go")


async def _copy(path: str) -> None:
    """Put a link into the clipboard; where the browser forbids it, show it."""
    try:
        link, copied = await ui.run_javascript(_COPY.replace("PATH", json.dumps(path)), timeout=_COPY_SECONDS)
    except TimeoutError:
        link, copied = path, False
    if copied:
        ui.notify("The link is in the clipboard.", type="positive")
        return
    with ui.dialog(value=True), ui.card():
        ui.label("Your browser does not let this page use the clipboard. Copy the link from here:")
        ui.input("Link", value=str(link)).props("readonly outlined dense").style("width: 100%")


RUN_PAGE: Final = PageSpec(f"{LIST}/{{run_id}}", "Run", "history", build, in_menu=False)
"""One run."""
