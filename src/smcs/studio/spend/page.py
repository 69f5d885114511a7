"""The page of money and tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from nicegui import ui

from smcs.gateway.ledger import KeyRecord, KeyUse, Ledger, SpendBy, SpendRow
from smcs.studio.frame import PageSpec, Studio, breathe, empty_state, figure, format_count, let_paint, section
from smcs.studio.lean import Select
from smcs.studio.plots import show_plot, show_table
from smcs.studio.spend.view import (
    BREAKDOWNS,
    PERIODS,
    Budget,
    KeyBudgets,
    Period,
    breakdown_plot,
    budgets,
    daily_plot,
    first_day,
    read_period,
    sums,
    token_plot,
    utc_today,
)
from smcs.studio.viewer import Viewer

__all__ = ("PAGE", "Spending", "read_spending")

_BARS_SHOWN: Final = 30


@dataclass(frozen=True, slots=True)
class Spending:
    """What the page shows of a period."""

    period: Period
    today: date
    """Of UTC, when it was read."""
    by_day: tuple[SpendRow, ...]
    broken_down: Mapping[SpendBy, tuple[SpendRow, ...]]
    keys: tuple[KeyRecord, ...]
    use: Mapping[str, KeyUse]


async def read_spending(ledger: Ledger, viewer: Viewer, period: Period) -> Spending:
    """Return what a viewer may see of a period: everything for administrators, else what their own key took.

    Raises:
        LedgerUnavailableError: The database failed.
    """
    key_id = None if viewer.is_admin else viewer.key_id
    today = utc_today()
    first = first_day(period, today)
    since = None if first is None else first.isoformat()
    by_days: SpendBy = "day"
    wanted: list[SpendBy] = [by_days, *(by for by in BREAKDOWNS if viewer.is_admin or by != "key")]
    async with asyncio.TaskGroup() as group:
        reading = {by: group.create_task(ledger.spend(by=by, since=since, key_id=key_id)) for by in wanted}
        use = group.create_task(ledger.key_use())
        listed = group.create_task(ledger.list_keys()) if viewer.is_admin else None
    rows = {by: tuple(task.result()) for by, task in reading.items()}
    own = () if viewer.key is None else (viewer.key,)
    keys = own if listed is None else listed.result()
    known = {key.id for key in keys}
    return Spending(
        period,
        today,
        rows.pop(by_days),
        rows,
        keys,
        {key_id: each for key_id, each in use.result().items() if key_id in known},
    )


async def build(studio: Studio, parameters: Mapping[str, str]) -> None:
    """Fill the page."""
    period = read_period(parameters.get("period"))
    spending = await read_spending(studio.gateway.ledger, studio.viewer, period)
    _choosing(studio, period)
    if spending.by_day:
        _show_sums(spending)
        await let_paint()
        await _show_days(spending)
        _show_breakdown(spending)
        await breathe()
    else:
        _show_nothing(period)
    _show_budgets(budgets(spending.keys, spending.use))


def _choosing(studio: Studio, period: Period) -> None:
    with ui.element("div").classes("smcs-row"):
        chosen = Select(dict(PERIODS), value=period, label="Period").props("dense outlined data-testid=spend-period")
        chosen.style("min-width: 12rem").on_value_change(lambda event: ui.navigate.to(f"/spend?period={event.value}"))
        whose = "All keys." if studio.viewer.is_admin else "What your own key took; administrators see all keys."
        ui.label(f"{whose} Days are UTC days.").classes("smcs-muted")


def _show_nothing(period: Period) -> None:
    with ui.element("div").classes("smcs-card").props("data-testid=spend-empty"):
        if period == "all":
            empty_state(
                "Nothing was spent yet. Money and tokens of every request will be added up here.",
                "Ask a question on the first page, or send one to /v1/chat/completions.",
            )
        else:
            empty_state(f"Nothing was spent: {PERIODS[period].lower()}.", "Choose a longer period above.")


def _show_sums(spending: Spending) -> None:
    total = sums(spending.by_day)
    with ui.element("div").classes("smcs-figures").props("data-testid=spend-totals"):
        figure(total.cost, "money")
        figure(format_count(total.requests), "requests", f"{total.failed:,} failed" if total.failed else "")
        figure(format_count(total.calls), "calls to LLMs")
        figure(format_count(total.prompt_tokens), "tokens read")
        figure(format_count(total.completion_tokens), "tokens written")
    if total.caution:
        with ui.element("div").classes("smcs-notice").props("role=note data-testid=spend-unknown"):
            ui.icon("help_outline").props("aria-hidden=true")
            ui.label(total.caution)


async def _show_days(spending: Spending) -> None:
    with section("By day"), ui.element("div").classes("smcs-grid").props("data-testid=spend-days"):
        for plot_of in (daily_plot, token_plot):
            show_plot(plot_of(spending.by_day, spending.period, spending.today))
            await breathe()


def _show_breakdown(spending: Spending) -> None:
    names = {by: BREAKDOWNS[by] for by in spending.broken_down}
    first = next(iter(names))
    with section("Where it went"):
        chosen = ui.toggle(names, value=first).props(
            "no-caps unelevated data-testid=spend-by aria-label='Broken down by'"
        )
        place = ui.element("div").props("data-testid=spend-breakdown").style("margin-top: 0.75rem")

    def show() -> None:
        by = next((each for each in names if each == chosen.value), first)
        plot = breakdown_plot(spending.broken_down[by], by)
        place.clear()
        with place:
            show_plot(plot)
            show_table(plot.table)

    chosen.on_value_change(show)
    show()


def _show_budgets(keys: Sequence[KeyBudgets]) -> None:
    hint = "What each key may use, and how much of it is used now. Running requests hold the most they may cost."
    with section("Budgets", hint=hint), ui.element("div").classes("smcs-stack").props("data-testid=spend-budgets"):
        limited = [key for key in keys if key.budgets]
        if not keys:
            empty_state(
                "There are no keys, so nothing is limited.",
                "'smcs keys create NAME --usd-day 5' makes a key with a budget.",
            )
            return
        for key in limited[:_BARS_SHOWN]:
            with ui.element("div"):
                ui.label(key.name).style("font-weight: 600").props("dir=auto")
                with ui.element("div").classes("smcs-grid").style("gap: 0.5rem 1rem"):
                    for budget in key.budgets:
                        _show_budget(key.name, budget)
        if len(limited) > _BARS_SHOWN:
            ui.label(f"The {_BARS_SHOWN} most used of {len(limited):,} keys with limits.").classes("smcs-muted")
        if free := [key.name for key in keys if not key.budgets]:
            more = f" and {len(free) - _BARS_SHOWN:,} more" if len(free) > _BARS_SHOWN else ""
            ui.label(f"Without limits: {', '.join(free[:_BARS_SHOWN])}{more}.").classes("smcs-muted").props("dir=auto")


def _show_budget(key: str, budget: Budget) -> None:
    with ui.element("div").props("data-testid=spend-budget"):
        with ui.element("div").style("display: flex; justify-content: space-between; gap: 0.5rem; flex-wrap: wrap"):
            ui.label(budget.name)
            ui.label(f"{budget.words} · {budget.verdict}").style("font-variant-numeric: tabular-nums")
        bar = ui.linear_progress(budget.share, show_value=False, size="0.5rem", color=None)
        bar.style(_BAR_STYLES[budget.state]).props("rounded instant-feedback")
        bar.props["aria-label"] = f"{budget.name} of {key}: {budget.words}"


_BAR_STYLES: Final[Mapping[str, str]] = {state: f"color: var(--smcs-{state})" for state in ("good", "warn", "bad")}

PAGE: Final = PageSpec("/spend", "Spend", "payments", build)
