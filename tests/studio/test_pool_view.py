"""How the LLMs stand: every status in words, unknown never as zero, and 500 of them in pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from smcs.gateway.desk import Circuit
from smcs.gateway.ledger import LLMUse, Switch
from smcs.llms import LLM, Member
from smcs.studio.pool.authors import Authors
from smcs.studio.pool.view import PoolFacts, last_aggregator, pool_page, pool_rows, summary
from smcs.types import AttemptStatus, Capabilities, Price

NOBODY = cast("LLM", None)


def _use(llm: str, calls: int = 10, cancelled: int = 0, **failures: int) -> LLMUse:
    return LLMUse(
        llm,
        runs=calls,
        calls=calls,
        failures=cast("dict[AttemptStatus, int]", failures),
        cancelled=cancelled,
        median_seconds=1.25,
        p95_seconds=180.0,
        prompt_tokens=0,
        completion_tokens=0,
        cost_usd=0.0,
        known_cost_usd=0.0,
        unknown=0,
    )


def _facts(*members: Member, **changes: Any) -> PoolFacts:
    named = {member.name: member for member in members or (Member("alpha", NOBODY),)}
    facts = PoolFacts(named, mergers=(), aggregators=(), declared={}, circuits={}, switches={}, use={})
    return replace(facts, **changes)


def test_what_nobody_knows_is_unknown() -> None:
    (row,) = pool_rows(_facts())
    assert (row.price, row.context, row.calls) == ("unknown", "unknown", "no calls yet")
    assert {row.speed, row.slow, row.errors} == {"–"}  # noqa: RUF001
    assert row.wrote == "…"
    (unknown,) = row.can
    assert unknown.startswith("unknown: log-probabilities, several answers per call, repeatable by seed")
    assert unknown.endswith("tools, images")


def test_what_is_known_stands_with_its_unit_and_source() -> None:
    known = Capabilities(logprobs=True, max_n=8, seed=False, tools=True)
    member = Member("alpha", NOBODY, price=Price(0.0, 2.5), context_window=128_000, capabilities=known)
    use = {"alpha": _use("alpha", calls=12, cancelled=2, error=1, timeout=1)}
    authors = Authors(8, {"alpha": 2})
    (row,) = pool_rows(_facts(member, use=use, declared={"alpha": {"tools"}}, authors=authors))
    assert (row.price, row.context, row.wrote) == ("free / $2.5", "128,000", "25%")
    assert (row.speed, row.slow) == ("1.2 s", "3.0 min")
    assert (row.errors, row.calls) == ("20.0% (2)", "12"), "calls that were given up say nothing of it"
    assert row.can[0] == (
        "yes: log-probabilities (probed), several answers per call (up to 8, probed), tools (declared)"
    )
    assert row.can[1] == "no: repeatable by seed (probed)"
    assert pool_rows(_facts(member, authors=Authors(0, {})))[0].wrote == "no answers yet"


def test_roles() -> None:
    members = [Member(name, NOBODY) for name in ("both", "merges", "answers", "idle")]
    rows = pool_rows(_facts(*members, mergers={"merges", "idle"}, aggregators=("merges", "both")))
    assert [row.role for row in rows] == ["answers, aggregates", "aggregates", "answers", "idle"]


@pytest.mark.parametrize(
    ("circuit", "switch", "use", "status", "kind", "why"),
    [
        (None, None, None, "ready", "ready", ""),
        (Circuit("closed", "circuit closed"), None, _use("alpha"), "ready", "ready", ""),
        (Circuit("open", "circuit open since 12:00"), None, None, "left alone", "trouble", "circuit open since 12:00"),
        (Circuit("half-open", "trying"), None, None, "being tried again", "trouble", "trying"),
        (Circuit("closed", "", 2, "HTTP 503"), None, None, "failing", "trouble", "the last 2 calls failed: HTTP 503"),
        (None, None, _use("alpha", error=10), "unreachable", "trouble", "no call of late was answered"),
        (
            Circuit("open", "circuit open"),
            Switch("alpha", "k", "ann", "2026-01-02T03:04:05+00:00", "too dear"),
            None,
            "switched off by ann",
            "off",
            "since 2026-01-02 03:04 UTC: too dear",
        ),
    ],
)
def test_every_status_says_why(
    circuit: Circuit | None, switch: Switch | None, use: LLMUse | None, status: str, kind: str, why: str
) -> None:
    facts = _facts(
        circuits={"alpha": circuit} if circuit else {},
        switches={"alpha": switch} if switch else {},
        use={"alpha": use} if use else {},
    )
    (row,) = pool_rows(facts)
    assert (row.status, row.kind, row.why, row.is_off) == (status, kind, why, switch is not None)


def test_five_hundred_llms_are_found_and_turned() -> None:
    facts = _facts(*(Member(f"llm-{i:03d}", NOBODY) for i in range(500)))
    rows = pool_rows(facts)
    assert summary(rows) == "500 of 500 ready"
    last = pool_page(rows, text="", status="all", page=999)
    assert (last.page, last.pages, last.matching) == (20, 20, 500)
    assert last.rows[-1].name == "llm-499"
    found = pool_page(rows, text=" LLM-49 ", status="ready", page=1)
    assert [row.name for row in found.rows] == [f"llm-49{i}" for i in range(10)]
    assert pool_page(rows, text="", status="off", page=-3) == pool_page(rows, text="nobody", status="all", page=1)


def test_the_last_aggregator_is_known() -> None:
    off = Switch("b", "", "", "2026-01-02T03:04:05+00:00", "")
    assert not last_aggregator("a", _facts(aggregators=("a", "b")))
    assert last_aggregator("a", _facts(aggregators=("a", "b"), switches={"b": off}))
    assert not last_aggregator("c", _facts(aggregators=("a",)))
