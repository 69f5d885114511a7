"""The Bank page: which bank it is about, its views, and what is shown where there is nothing to show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from nicegui import ui

from smcs.studio.bank import data, gap_view, growth_view, llm_view, map_view, overview_view, question_view
from smcs.studio.bank.addresses import VIEWS, View, address, read_view
from smcs.studio.bank.parts import command, notice
from smcs.studio.bank.shown import Shown
from smcs.studio.frame import PageSpec, Studio, breathe, busy, empty_state

__all__ = ("PAGE",)

_BUILDERS: Final[Mapping[View, Callable[[Shown], Awaitable[None]]]] = {
    "overview": overview_view.build,
    "questions": question_view.build,
    "map": map_view.build,
    "llm": llm_view.build,
    "gaps": gap_view.build,
    "growth": growth_view.build,
}


async def build(studio: Studio, parameters: Mapping[str, str]) -> None:
    """Fill the page."""
    async with studio.service().in_use() as service:
        bank = service.resources.bank
        if bank is None:
            _no_bank()
            return
        view = read_view(parameters)
        _tabs(view)
        await breathe()
        if service.config.bank == "seed":
            _seed(studio)
        with busy("Counting what is in the bank …"):
            info = await data.overview(bank)
            outdated = await data.is_outdated(bank, info)
        if outdated:
            notice(
                "The bank has changed since these figures were counted. They are counted again in the background: "
                "open this page again in a while to see the new ones."
            ).props("data-testid=bank-outdated role=status")
        shown = Shown(studio, service, bank, info, parameters)
        if not info.questions and view != "growth":
            _no_questions(shown)
        else:
            await _BUILDERS[view](shown)


def _tabs(shown: View) -> None:
    with ui.element("nav").props("aria-label='Views of the bank'").classes("smcs-row").style("gap: .35rem"):
        for view, name in VIEWS.items():
            link = ui.link(name, address(view)).classes("smcs-chip").props(f"data-testid=bank-tab-{view}")
            link.style("text-decoration: none; padding: .25rem .9rem; font-size: .92rem")
            if view == shown:
                link.classes("smcs-chip-accent").props("aria-current=page").style("font-weight: 600")


def _no_bank() -> None:
    with ui.element("div").classes("smcs-card").props("data-testid=bank-none"):
        empty_state(
            "No question bank is configured: every LLM counts as equally good.",
            "A bank says which LLM is good at what. Put 'bank: seed' into smcs.yaml for the small one that ships with "
            "smcs, or build one from your own questions, name it there, and start the server again.",
        )
        command("smcs bank build --tasks=mmlu_pro --bank=bank.db")


def _no_questions(shown: Shown) -> None:
    with ui.element("div").classes("smcs-card").props("data-testid=bank-empty"):
        empty_state(
            "This bank has no questions yet.",
            "Ask the LLMs of the pool the questions of a task, or import what others have published.",
        )
        command(f"smcs bank build --tasks=mmlu_pro --bank={shown.quoted}")


def _seed(studio: Studio) -> None:
    with notice(
        "This is the small bank that ships with smcs. It is read-only: feedback on answers does not change it. For a "
        "bank that grows, copy it and name the copy in smcs.yaml (bank: bank.db)."
    ).props("data-testid=bank-seed"):
        if studio.viewer.is_admin:
            command("smcs bank export seed seed.jsonl.gz --embedder all && smcs bank import seed.jsonl.gz bank.db")


PAGE: Final = PageSpec("/bank", "Bank", "library_books", build)
