"""What was spent: unknown costs said, days without requests drawn, budgets in words, and one's own key only."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from smcs.gateway.entries import AttemptSummary, Entry
from smcs.gateway.ledger import Hold, KeyLimits, KeyRecord, KeyUse, Ledger, SpendRow
from smcs.studio.spend.page import read_spending
from smcs.studio.spend.view import (
    PERIODS,
    breakdown_plot,
    budgets,
    daily_plot,
    first_day,
    read_period,
    sums,
    token_plot,
)
from smcs.studio.viewer import Viewer

TODAY = date(2026, 3, 10)


def _row(name: str, usd: float = 1.0, unknown: int = 0, tokens: int = 100) -> SpendRow:
    return SpendRow(name, name, 4, 1, 0, 9, tokens, tokens // 2, None if unknown else usd, usd, unknown)


def _key(name: str, revoked: str | None = None, **limits: float) -> KeyRecord:
    return KeyRecord(name, name, "2026-01-01", KeyLimits(**limits), revoked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("period", "first"),
    [
        ("today", date(2026, 3, 10)),
        ("7d", date(2026, 3, 4)),
        ("30d", date(2026, 2, 9)),
        ("month", date(2026, 3, 1)),
        ("all", None),
        ("<script>", date(2026, 2, 9)),
        (None, date(2026, 2, 9)),
    ],
)
def test_periods(period: str | None, first: date | None) -> None:
    assert first_day(read_period(period), TODAY) == first
    assert read_period(period) in PERIODS


def test_a_sum_says_what_it_does_not_know() -> None:
    whole = sums([_row("a"), _row("b", 0.5)])
    assert (whole.requests, whole.failed, whole.calls, whole.cost, whole.caution) == (8, 2, 18, "$1.50", "")
    partly = sums([_row("a"), _row("b", 0.5, unknown=3)])
    assert partly.cost == "unknown, at least $1.50"
    assert "3 of 8 requests is unknown" in partly.caution
    assert sums([_row("a", 0.0, unknown=4)]).cost == "unknown", "never $0"


def test_days_without_requests_are_drawn_as_nothing() -> None:
    plot = daily_plot([_row("2026-03-10", 2.0), _row("2026-03-08", 1.0, unknown=1)], "7d", TODAY)
    assert plot.x.labels == ("03-04", "03-05", "03-06", "03-07", "03-08", "03-09", "03-10")
    assert plot.series[0].values == (0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0)
    assert (plot.y.unit, plot.note) == ("USD", "UTC days. Only what is known is drawn.")
    assert plot.table.rows[1][:4] == ("2026-03-08", None, 1.0, 1)
    tokens = token_plot([_row("2026-03-10", tokens=10)], "today", TODAY)
    assert [series.values for series in tokens.series] == [(10,), (5,)]
    assert tokens.stacked


def test_everything_begins_with_the_first_day_and_has_an_end() -> None:
    assert daily_plot([_row("2025-12-31"), _row("2026-03-10")], "all", TODAY).x.labels[0] == "2025-12-31"
    assert len(daily_plot([_row("2001-01-01")], "all", TODAY).x.labels) == 400
    assert daily_plot([], "all", TODAY).x.labels == ("03-10",)


def test_a_breakdown_is_of_money_where_any_is_known() -> None:
    rows = [_row(f"m{i}", usd=float(i)) for i in range(40)] + [_row("", usd=0.5, unknown=1)]
    plot = breakdown_plot(rows, "key")
    assert (plot.title, plot.x.unit, plot.y.labels[0]) == ("Money by key", "USD", "m39")
    assert len(plot.y.labels) == 15
    assert len(plot.table.rows) == 41
    assert plot.note == "The first 15 of 41; the table has all."
    assert ("no key", None, 0.5) in [row[:3] for row in plot.table.rows]
    free = breakdown_plot([_row("a", 0.0, tokens=2), _row("b", 0.0, unknown=1, tokens=8)], "llm")
    assert (free.title, free.x.unit, free.y.labels) == ("Tokens by LLM", "", ("b", "a"))


def test_budgets_say_how_far_they_are_used() -> None:
    keys = [
        _key("idle"),
        _key("gone", revoked="2026-01-02", usd_per_day=1),
        _key("ann", usd_per_day=2.0, requests_per_minute=10),
        _key("bob", usd_per_month=1.0, max_concurrent=2),
    ]
    use = {"ann": KeyUse(8, 0, 1.0, 1.0, 0.25, 1), "bob": KeyUse(0, 0, 0.0, 3.0, 0.0, 0)}
    found = budgets(keys, use)
    assert [key.name for key in found] == ["bob", "ann", "idle"], "revoked keys spend nothing any more"
    month, at_once = found[0].budgets
    assert (month.words, month.verdict, month.state, month.share) == ("$3.00 of $1.00", "used up", "bad", 1.0)
    assert (at_once.words, at_once.verdict) == ("0 of 2", "0% used")
    day, minute = found[1].budgets
    assert day.words == "$1.25 of $2.00, $0.2500 of it held by running requests"
    assert (minute.words, minute.verdict, minute.state) == ("8 of 10", "nearly used up", "warn")
    assert found[2].budgets == ()


async def test_without_the_rights_of_an_administrator_one_sees_ones_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smcs.studio.spend.page.utc_today", lambda: TODAY)
    async with Ledger.open(tmp_path / "ledger.db") as ledger:
        _, admin = await ledger.create_key("admin", KeyLimits(admin=True))
        _, ann = await ledger.create_key("ann", KeyLimits(usd_per_day=1.0))
        _, bob = await ledger.create_key("bob", KeyLimits(usd_per_day=1.0))
        for number, (key, usd) in enumerate(((ann, 0.25), (bob, 0.5), (bob, None))):
            call = AttemptSummary(
                f"of-{key.name}", "reference", "ok", prompt_tokens=3, completion_tokens=4, cost_usd=usd
            )
            entry = Entry(
                f"{number:032x}",
                f"{TODAY.isoformat()}T00:00:01+00:00",
                endpoint="studio",
                model=f"m-{key.name}",
                calls=1,
                prompt_tokens=3,
                completion_tokens=4,
                cost_usd=usd,
                known_cost_usd=usd or 0.0,
                attempts=(call,),
            )
            await ledger.settle(await ledger.reserve(key, Hold(0.5, 100)), entry)
        own = await read_spending(ledger, Viewer(ann), "today")
        everything = await read_spending(ledger, Viewer(admin), "all")
        without_keys = await read_spending(ledger, Viewer(None), "month")
    assert sums(own.by_day).cost == "$0.2500"
    assert {row.name for rows in own.broken_down.values() for row in rows} == {"m-ann", "", "of-ann"}
    assert "key" not in own.broken_down
    assert ([key.name for key in own.keys], list(own.use)) == (["ann"], [ann.id])
    assert sums(everything.by_day).cost == "unknown, at least $0.7500"
    assert {row.label for row in everything.broken_down["key"]} == {"ann", "bob"}
    assert [key.name for key in everything.keys] == ["admin", "ann", "bob"]
    assert sums(without_keys.by_day).requests == 3
