"""How the LLMs did in the newest runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers_ledger import Ledgers, full_run
from smcs.errors import InputError
from smcs.gateway.ledger import Entry, Hold
from smcs.gateway.llm_use import llm_use
from smcs.types import Attempt, Usage


async def test_how_the_llms_did(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    run = full_run(
        attempts=(
            *(
                Attempt("a", "reference", "ok", usage=Usage(10, 5), cost_usd=0.5, seconds=seconds)
                for seconds in (1.0, 2.0, 4.0)
            ),
            Attempt("a", "aggregation", "error", error="HTTP 500", seconds=30.0),
            Attempt("b", "reference", "timeout", error="late", cost_usd=0.0, seconds=9.0),
            Attempt("b", "reference", "empty", cost_usd=0.0),
            Attempt("b", "reference", "cancelled", cost_usd=0.0),
            Attempt("c", "reference", "skipped", tries=0, cost_usd=0.0),
        )
    )
    for i in range(3):
        made = Entry.of_run(replace(run, id=f"{i:032x}"), endpoint="/", model="smcs", cached=i == 2)
        await ledger.settle(await ledger.reserve(None, Hold(None, 0)), replace(made, created=f"2025-11-2{i}T00:00:00Z"))
    a, b = await ledger.llm_use()
    assert (a.llm, a.runs, a.calls, a.failures, a.failed, a.cancelled) == ("a", 2, 8, {"error": 2}, 2, 0)
    assert (a.median_seconds, a.p95_seconds, a.error_rate) == (2.0, 4.0, 0.25)
    assert (a.prompt_tokens, a.completion_tokens) == (60, 30)
    assert (a.cost_usd, a.known_cost_usd, a.unknown) == (None, 3.0, 2)
    assert (b.llm, b.calls, b.failures, b.cancelled) == ("b", 6, {"timeout": 2, "empty": 2}, 2)
    assert (b.median_seconds, b.p95_seconds, b.error_rate, b.cost_usd) == (None, None, 1.0, 0.0)
    assert [each.calls for each in await ledger.llm_use("2025-11-21")] == [4, 3]
    assert await ledger.llm_use("2025-11-22") == ()
    newest = await ledger._read(lambda found: llm_use(found, None, most=2))
    assert [each.calls for each in newest] == [4, 3]
    with pytest.raises(InputError, match="A moment is written"):
        await ledger.llm_use("yesterday")
