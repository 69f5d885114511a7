"""How the LLMs of a pool stand, as rows of a table: pure functions of what config, circuits, ledger and users say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Final, Literal

from smcs.gateway.desk import Circuit
from smcs.gateway.ledger import LLMUse, Switch
from smcs.llms import Member
from smcs.studio.cells import Tone
from smcs.studio.frame import format_count, format_seconds
from smcs.studio.pool.authors import Authors
from smcs.types import Capabilities

__all__ = (
    "LLMRow",
    "PoolFacts",
    "PoolPage",
    "StatusFilter",
    "last_aggregator",
    "pool_page",
    "pool_rows",
    "summary",
)

StatusFilter = Literal["all", "ready", "trouble", "off"]
"""Which LLMs are listed."""

_ABILITIES: Final[Mapping[str, str]] = {
    "logprobs": "log-probabilities",
    "max_n": "several answers per call",
    "seed": "repeatable by seed",
    "prefix_cache": "cached beginnings",
    "concurrent_prefix": "beginnings shared by calls at once",
    "tools": "tools",
    "vision": "images",
}


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """Everything that is known of a pool at one moment."""

    members: Mapping[str, Member]
    """All LLMs, those that only aggregate included."""
    mergers: Collection[str]
    """Those that only aggregate."""
    aggregators: Sequence[str]
    """In the order in which they are asked."""
    declared: Mapping[str, Collection[str]]
    """By LLM, the capabilities that its config names."""
    circuits: Mapping[str, Circuit]
    switches: Mapping[str, Switch]
    use: Mapping[str, LLMUse]
    authors: Authors | None = None
    """Who wrote the answers of late; `None` while that is being read."""


@dataclass(frozen=True, slots=True)
class LLMRow:
    """One LLM, in the words of the page."""

    name: str
    _: KW_ONLY
    role: str
    status: str
    tone: Tone
    icon: str
    why: str
    """What the status rests on; empty where there is nothing to say."""
    is_off: bool
    speed: str
    slow: str
    """95th percentile of its seconds."""
    errors: str
    calls: str
    price: str
    context: str
    can: tuple[str, ...]
    """What it can do, cannot do, and what nobody knows, a line each."""
    wrote: str
    kind: Literal["ready", "trouble", "off"] = field(default="ready")


@dataclass(frozen=True, slots=True)
class PoolPage:
    """The rows that a view shows."""

    rows: tuple[LLMRow, ...]
    matching: int
    page: int
    """From 1."""
    pages: int


def pool_rows(facts: PoolFacts) -> tuple[LLMRow, ...]:
    """Return a row for each LLM, in the order of the pool."""
    return tuple(_row(name, member, facts) for name, member in facts.members.items())


def pool_page(rows: Sequence[LLMRow], *, text: str, status: StatusFilter, page: int, size: int = 25) -> PoolPage:
    """Return the rows that match, one page of them.

    Args:
        rows: All of them.
        text: Part of the name, in any case; empty matches all.
        status: See `StatusFilter`.
        page: Which page, from 1; a number past the end is the last page.
        size: Rows of a page.
    """
    wanted = text.strip().casefold()
    found = [row for row in rows if wanted in row.name.casefold() and status in ("all", row.kind)]
    pages = max(1, -(-len(found) // size))
    page = min(max(1, page), pages)
    return PoolPage(tuple(found[(page - 1) * size : page * size]), len(found), page, pages)


def summary(rows: Sequence[LLMRow]) -> str:
    """Say in one line how the pool stands."""
    counts = {kind: sum(row.kind == kind for row in rows) for kind in ("ready", "trouble", "off")}
    parts = [f"{counts['ready']:,} of {len(rows):,} ready"]
    parts += [f"{counts['trouble']:,} in trouble"] * bool(counts["trouble"])
    parts += [f"{counts['off']:,} switched off"] * bool(counts["off"])
    return ", ".join(parts)


def last_aggregator(name: str, facts: PoolFacts) -> bool:
    """Return whether an LLM is the only aggregator that is not switched off."""
    on = [each for each in facts.aggregators if each not in facts.switches]
    return on == [name]


def _row(name: str, member: Member, facts: PoolFacts) -> LLMRow:
    use, switch = facts.use.get(name), facts.switches.get(name)
    kind, status, tone, icon, why = _status(facts.circuits.get(name), switch, use)
    price = member.price
    return LLMRow(
        name,
        role=_role(name, facts),
        status=status,
        tone=tone,
        icon=icon,
        why=why,
        is_off=switch is not None,
        speed=_seconds(use, "median_seconds"),
        slow=_seconds(use, "p95_seconds"),
        errors=_errors(use),
        calls="no calls yet" if use is None or not use.calls else format_count(use.calls),
        price="unknown" if price is None else f"{_money(price.input)} / {_money(price.output)}",
        context="unknown" if member.context_window is None else format_count(member.context_window),
        can=_abilities(member.capabilities, facts.declared.get(name, ())),
        wrote=_wrote(name, facts.authors),
        kind=kind,
    )


def _role(name: str, facts: PoolFacts) -> str:
    answers, merges = name not in facts.mergers, name in facts.aggregators
    return "answers, aggregates" if answers and merges else "aggregates" if merges else "answers" if answers else "idle"


def _status(
    circuit: Circuit | None, switch: Switch | None, use: LLMUse | None
) -> tuple[Literal["ready", "trouble", "off"], str, Tone, str, str]:
    if switch is not None:
        since = f"since {switch.created[:16].replace('T', ' ')} UTC"
        why = f"{since}: {switch.why}" if switch.why else since
        return "off", switch.words, "muted", "power_settings_new", why
    if circuit is not None and circuit.state == "open":
        return "trouble", "left alone", "bad", "block", circuit.words
    if circuit is not None and circuit.state == "half-open":
        return "trouble", "being tried again", "warn", "hourglass_top", circuit.words
    if circuit is not None and circuit.failures:
        last = "the last call failed" if circuit.failures == 1 else f"the last {circuit.failures} calls failed"
        why = f"{last}: {circuit.last_error}" if circuit.last_error else last
        return "trouble", "failing", "warn", "warning", why
    if use is not None and use.error_rate == 1:
        return "trouble", "unreachable", "bad", "cloud_off", "no call of late was answered"
    return "ready", "ready", "good", "check_circle", ""


def _seconds(use: LLMUse | None, name: Literal["median_seconds", "p95_seconds"]) -> str:
    value: float | None = None if use is None else getattr(use, name)
    return "–" if value is None else format_seconds(value)  # noqa: RUF001 - a dash, not a minus


def _errors(use: LLMUse | None) -> str:
    rate = None if use is None else use.error_rate
    if use is None or rate is None:
        return "–"  # noqa: RUF001 - a dash, not a minus
    return f"{rate:.1%} ({use.failed:,})" if use.failed else "none"


def _money(usd_per_million: float) -> str:
    return "free" if usd_per_million == 0 else f"${usd_per_million:,.4g}"


def _abilities(known: Capabilities, declared: Collection[str]) -> tuple[str, ...]:
    groups: dict[str, list[str]] = {"yes": [], "no": [], "unknown": []}
    for field_name, words in _ABILITIES.items():
        value = getattr(known, field_name)
        source = "declared" if field_name in declared else "probed"
        if value is None:
            groups["unknown"].append(words)
        elif field_name == "max_n":
            group, shown = ("yes", f"{words} (up to {value}, {source})") if value > 1 else ("no", f"{words} ({source})")
            groups[group].append(shown)
        else:
            groups["yes" if value else "no"].append(f"{words} ({source})")
    return tuple(f"{group}: {', '.join(names)}" for group, names in groups.items() if names)


def _wrote(name: str, authors: Authors | None) -> str:
    if authors is None:
        return "…"
    if not authors.answers:
        return "no answers yet"
    return f"{authors.by_llm.get(name, 0) / authors.answers:.0%}"
