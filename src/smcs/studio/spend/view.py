"""What was spent, as figures, plots and budgets: pure functions of the ledger's sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

from smcs.gateway.ledger import KeyRecord, KeyUse, SpendBy, SpendRow
from smcs.studio.frame import format_count, format_usd
from smcs.studio.plots import Axis, Plot, Series, Table

__all__ = (
    "BREAKDOWNS",
    "PERIODS",
    "Budget",
    "KeyBudgets",
    "Period",
    "Sums",
    "breakdown_plot",
    "budgets",
    "daily_plot",
    "first_day",
    "read_period",
    "sums",
    "token_plot",
    "utc_today",
)

Period = Literal["today", "7d", "30d", "month", "all"]
"""What is added up."""

PERIODS: Final[Mapping[Period, str]] = {
    "today": "Today",
    "7d": "The last 7 days",
    "30d": "The last 30 days",
    "month": "This month",
    "all": "Everything",
}
BREAKDOWNS: Final[Mapping[SpendBy, str]] = {"key": "Key", "model": "Model", "strategy": "Strategy", "llm": "LLM"}
"""What spending is broken down by, and how that is called."""

_BARS: Final = 15
_DAYS_BEFORE: Final[Mapping[Period, int]] = {"today": 0, "7d": 6, "30d": 29}
_NEARLY: Final = 0.8
_MOST_DAYS: Final = 400
"""Days of a plot over everything; the data has all."""


@dataclass(frozen=True, slots=True)
class Sums:
    """A period in figures."""

    requests: int
    failed: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    known_usd: float
    unknown: int
    """Requests whose cost is unknown."""

    @property
    def cost(self) -> str:
        """Money, as far as it is known."""
        return format_usd(None if self.unknown else self.known_usd, self.known_usd)

    @property
    def caution(self) -> str:
        """What is not in the sum; empty where all of it is known."""
        if not self.unknown:
            return ""
        share = f"{self.unknown:,} of {self.requests:,} requests"
        return (
            f"The cost of {share} is unknown: an LLM they called has no 'price' in the config, or did not say how many "
            "tokens it took. Sums hold what is known."
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """How far one limit of a key is used."""

    name: str
    used: float
    limit: float
    words: str
    """Used and limit with their units."""

    @property
    def share(self) -> float:
        """Used of the limit, 0 to 1."""
        return min(1.0, self.used / self.limit)

    @property
    def state(self) -> Literal["good", "warn", "bad"]:
        """How it stands."""
        share = self.used / self.limit
        return "bad" if share >= 1 else "warn" if share >= _NEARLY else "good"

    @property
    def verdict(self) -> str:
        """How it stands, in words."""
        return {"good": f"{self.used / self.limit:.0%} used", "warn": "nearly used up", "bad": "used up"}[self.state]


@dataclass(frozen=True, slots=True)
class KeyBudgets:
    """A key and its limits; none of them, where it has none."""

    name: str
    budgets: tuple[Budget, ...]


def read_period(text: str | None) -> Period:
    """Return a period from an address; the last 30 days for anything else."""
    default: Period = "30d"
    return next((period for period in PERIODS if period == text), default)


def first_day(period: Period, today: date) -> date | None:
    """Return the first UTC day of a period; `None` where it has no beginning."""
    if period == "all":
        return None
    return today.replace(day=1) if period == "month" else today - timedelta(days=_DAYS_BEFORE[period])


def sums(rows: Sequence[SpendRow]) -> Sums:
    """Add up rows that have nothing in common, such as those of different days."""
    return Sums(
        requests=sum(row.runs for row in rows),
        failed=sum(row.failed for row in rows),
        calls=sum(row.calls for row in rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        known_usd=sum(row.known_cost_usd for row in rows),
        unknown=sum(row.unknown for row in rows),
    )


def daily_plot(rows: Sequence[SpendRow], period: Period, today: date) -> Plot:
    """Return money by day.

    Args:
        rows: By day.
        period: Days without a request are days of nothing.
        today: The present UTC day.
    """
    days, by_day = _days(rows, period, today)
    known = tuple(by_day[day].known_cost_usd if day in by_day else 0.0 for day in days)
    note = "UTC days. Only what is known is drawn." if any(row.unknown for row in rows) else "UTC days."
    series = (Series("Money", known),)
    return Plot("Money by day", _day_axis(days), Axis("Cost", "USD", low=0), series, _table(rows, "Day"), note)


def token_plot(rows: Sequence[SpendRow], period: Period, today: date) -> Plot:
    """Return tokens by day; see `daily_plot`."""
    days, by_day = _days(rows, period, today)
    read = tuple(by_day[day].prompt_tokens if day in by_day else 0 for day in days)
    written = tuple(by_day[day].completion_tokens if day in by_day else 0 for day in days)
    return Plot(
        "Tokens by day",
        _day_axis(days),
        Axis("Tokens", low=0),
        (Series("read", read), Series("written", written)),
        _table(rows, "Day"),
        "UTC days. Tokens of calls that reported them.",
        stacked=True,
    )


def breakdown_plot(rows: Sequence[SpendRow], by: SpendBy) -> Plot:
    """Return what took most: money where any is known, else tokens."""
    what = BREAKDOWNS[by]
    priced = any(row.known_cost_usd for row in rows)
    ordered = sorted(rows, key=lambda row: -_amount(row, priced=priced))
    shown = ordered[:_BARS]
    values = tuple(_amount(row, priced=priced) for row in shown)
    rest = f"The first {_BARS} of {len(ordered):,}; the table has all. " if len(ordered) > _BARS else ""
    unknown = sum(bool(row.unknown) for row in shown)
    missing = f"{unknown} of these have calls whose cost is unknown; only what is known is drawn." if unknown else ""
    return Plot(
        f"{'Money' if priced else 'Tokens'} by {what if what == 'LLM' else what.lower()}",
        Axis("Cost", "USD", low=0) if priced else Axis("Tokens", low=0),
        Axis(what, kind="category", labels=tuple(_label(row, by) for row in shown)),
        (Series("Money" if priced else "Tokens", values),),
        _table(ordered, what, by),
        (rest + (missing if priced else "")).strip(),
    )


def budgets(keys: Sequence[KeyRecord], use: Mapping[str, KeyUse]) -> tuple[KeyBudgets, ...]:
    """Return how far each valid key's limits are used, the most used first and those without limits last."""
    found = [
        KeyBudgets(key.name, _budgets(key, use.get(key.id, KeyUse(0, 0, 0.0, 0.0, 0.0, 0))))
        for key in keys
        if key.revoked is None
    ]
    return tuple(
        sorted(found, key=lambda each: (-max((b.used / b.limit for b in each.budgets), default=-1.0), each.name))
    )


def _budgets(key: KeyRecord, use: KeyUse) -> tuple[Budget, ...]:
    limits = key.limits
    held = f", {format_usd(use.usd_held)} of it held by running requests" if use.usd_held else ""
    money = (
        ("Money today", use.usd_today, limits.usd_per_day),
        ("Money this month", use.usd_this_month, limits.usd_per_month),
    )
    counts = (
        ("Requests this minute", use.requests_this_minute, limits.requests_per_minute),
        ("Tokens this minute", use.tokens_this_minute, limits.tokens_per_minute),
        ("Requests at once", use.running, limits.max_concurrent),
    )
    made = [
        Budget(name, used + use.usd_held, limit, f"{format_usd(used + use.usd_held)} of {format_usd(limit)}{held}")
        for name, used, limit in money
        if limit is not None
    ]
    made += [
        Budget(name, used, limit, f"{format_count(used)} of {format_count(limit)}")
        for name, used, limit in counts
        if limit is not None
    ]
    return tuple(made)


def _days(rows: Sequence[SpendRow], period: Period, today: date) -> tuple[list[str], dict[str, SpendRow]]:
    by_day = {row.name: row for row in rows}
    first = first_day(period, today)
    if first is None:
        first = min((date.fromisoformat(day) for day in by_day), default=today)
        first = max(first, today - timedelta(days=_MOST_DAYS - 1))
    return [(first + timedelta(days=number)).isoformat() for number in range((today - first).days + 1)], by_day


def _day_axis(days: Sequence[str]) -> Axis:
    """The days, without their year where it is the same."""
    one_year = len({day[:4] for day in days}) == 1
    return Axis("Day", kind="category", labels=tuple(day[5:] if one_year else day for day in days))


def _amount(row: SpendRow, *, priced: bool) -> float:
    return row.known_cost_usd if priced else row.prompt_tokens + row.completion_tokens


def _label(row: SpendRow, by: SpendBy | None) -> str:
    if row.label:
        return row.label
    return {"key": "no key", "strategy": "one LLM, handed through"}.get(by or "", "unknown")


def _table(rows: Sequence[SpendRow], what: str, by: SpendBy | None = None) -> Table:
    of_llm = by == "llm"
    columns = (
        what,
        "Cost (USD)",
        "Known cost (USD)",
        "Unknown costs (calls)" if of_llm else "Unknown costs (requests)",
        "Requests",
        "Failed calls" if of_llm else "Failed requests",
        "Calls",
        "Tokens read",
        "Tokens written",
    )
    return Table(
        columns,
        tuple(
            (
                _label(row, by),
                row.cost_usd,
                row.known_cost_usd,
                row.unknown,
                row.runs,
                row.failed,
                row.calls,
                row.prompt_tokens,
                row.completion_tokens,
            )
            for row in rows
        ),
    )


def utc_today() -> date:
    """Return the present UTC day."""
    return datetime.now(UTC).date()
