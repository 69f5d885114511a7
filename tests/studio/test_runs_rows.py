from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from helpers_ledger import full_run
from smcs.gateway.entries import AttemptSummary, Feedback, RunRow, StoredRun
from smcs.gateway.keys import KeyRecord
from smcs.gateway.limits import KeyLimits
from smcs.run import Query, Run
from smcs.studio.runs.about import (
    attempt_rows,
    facts,
    feedback_line,
    missing_record,
    question_of,
    texts_note,
)
from smcs.studio.runs.filters import STATUSES, Filters
from smcs.studio.runs.rows import STATUS_VIEWS, ago, clock, key_names, row_view
from smcs.types import Message

ID = "0123456789abcdef0123456789abcdef"
NOW = datetime(2025, 11, 22, 12, 0, 0, tzinfo=UTC)


def row(**changes: Any) -> RunRow:
    base = RunRow(
        ID,
        "2025-11-22T11:59:00.000+00:00",
        endpoint="/v1/chat/completions",
        model="smcs",
        strategy="smcs_guarded",
        key_id="a" * 12,
        status="ok",
        http_status=200,
        streamed=False,
        cached=False,
        degraded=(),
        calls=15,
        prompt_tokens=1000,
        completion_tokens=200,
        cached_tokens=0,
        cost_usd=0.25,
        known_cost_usd=0.25,
        charged_usd=0.25,
        seconds=2.5,
        question="add  3\nand 4",
        error=None,
        user=None,
    )
    return replace(base, **changes)


def stored(record: Run | None = None, **changes: Any) -> StoredRun:
    base = StoredRun(row(), (), {}, {}, (), record, None if record else "none was kept")
    return replace(base, **changes)


def test_row_has_units_and_leads_back_to_its_list() -> None:
    view = row_view(row(), Filters(model="smcs"), {"a" * 12: "ann"})
    assert view.href == f"/runs/{ID}?model=smcs"
    assert (view.question, view.kept, view.key) == ("add 3 and 4", True, "ann")
    assert (view.calls, view.cost, view.seconds) == ("15", "$0.2500", "2.5 s")
    assert view.created == "2025-11-22 11:59:00"


def test_row_of_which_little_is_known() -> None:
    bare = row(question=None, strategy="", model="", key_id="", cost_usd=None, known_cost_usd=0.0, error="HTTP 500\nx")
    view = row_view(bare, Filters(), {})
    assert not view.kept
    assert "not kept" in view.question
    assert (view.cost, view.key, view.model) == ("unknown", "no key", "unknown")
    assert "\n" not in view.error


def test_every_status_has_word_icon_tone_and_hint() -> None:
    assert set(STATUS_VIEWS) == set(STATUSES)
    assert len({view.word for view in STATUS_VIEWS.values()}) == len(STATUSES)
    assert len({view.icon for view in STATUS_VIEWS.values()}) == len(STATUSES)
    assert all(view.hint for view in STATUS_VIEWS.values())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"),
        (2, "just now"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (7200, "2 hours ago"),
        (86_400 * 1234, "1,234 days ago"),
    ],
)
def test_how_long_ago(seconds: float, words: str) -> None:
    assert ago((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == words


def test_moments_that_cannot_be_read() -> None:
    assert ago("sometime", NOW) == "at an unknown time"
    assert ago("2025-11-22T11:59:00", NOW) == "1 minute ago"
    assert clock("2025-11-22T11:59:00.123+00:00") == "2025-11-22 11:59:00"


def test_revoked_keys_are_told_apart() -> None:
    keys = (KeyRecord("a", "ann", "", KeyLimits()), KeyRecord("b", "ann", "", KeyLimits(), revoked="x"))
    assert key_names(keys) == {"a": "ann", "b": "ann (revoked)"}


def test_facts_say_what_is_known() -> None:
    known = stored(row=row(user="u-1", cost_usd=None, known_cost_usd=0.1, charged_usd=2.0, cached_tokens=7))
    told = {fact.name: fact.value for fact in facts(replace(known, metadata={"team": "blue"}), {"a" * 12: "ann"}, NOW)}
    assert told["Asked"] == "2025-11-22 11:59:00 UTC, 1 minute ago"
    assert (told["Key"], told["User"], told["Label 'team'"]) == ("ann", "u-1", "blue")
    assert told["Cost"] == "unknown, at least $0.1000"
    assert told["Taken out of the key's budget"] == "$2.00"
    assert told["Tokens"] == "1,000 read (7 of them out of a prefix cache), 200 written"
    assert "Taken out of the key's budget" not in {fact.name for fact in facts(stored(), {}, NOW)}


@pytest.mark.parametrize(
    ("changes", "attempts", "no_record", "kept", "said"),
    [
        ({"status": "failed"}, (), "none was kept", "full", "before any LLM was asked"),
        ({"status": "cancelled"}, (), "none was kept", "full", "left before"),
        ({"status": "lost"}, (), "none was kept", "full", "died"),
        ({}, (), "none was kept", "none", "keeps no records"),
        ({}, (), "none was kept", "full", "prune"),
        ({}, (), "Not a run record of this version of smcs: x.", "full", "version of smcs: x"),
        (
            {"status": "failed"},
            (AttemptSummary("a", "reference", "error"),),
            "none was kept",
            "none",
            "keeps no records",
        ),
    ],
)
def test_why_there_is_no_record(
    changes: dict[str, Any], attempts: tuple[AttemptSummary, ...], no_record: str, kept: str, said: str
) -> None:
    without = stored(row=row(**changes), attempts=attempts, no_record=no_record)
    assert said in missing_record(without, kept)


def test_record_with_and_without_texts() -> None:
    whole = stored(full_run())
    assert (missing_record(whole, "full"), texts_note(whole)) == ("", "")
    assert question_of(whole) == full_run().query.text
    blank = stored(full_run(query=Query("", (Message("user", ""),)), answer=""))
    assert "no-texts" in texts_note(blank)
    assert question_of(blank) == "add  3\nand 4"
    assert texts_note(stored()) == ""


def test_calls_as_cells() -> None:
    calls = (
        AttemptSummary("a", "reference", "ok", prompt_tokens=1000, completion_tokens=2, cost_usd=0.5, seconds=1.5),
        AttemptSummary("b", "aggregation", "timeout", seconds=0.2, tries=3, error="HTTP 504:\nlate"),
    )
    assert attempt_rows(calls) == (
        ("a", "answer", "ok", "1.5 s", "1,000", "2", "$0.5000", ""),
        ("b", "merge", "too late (3 tries)", "200 ms", "unknown", "unknown", "unknown", "HTTP 504: late"),
    )


def test_feedback_in_words() -> None:
    said = Feedback(ID, "a" * 12, "2025-11-22T11:00:00.000+00:00", "bad", "7", None)
    assert feedback_line(said, {"a" * 12: "ann"}, NOW) == "ann said it was bad, 1 hour ago"
    assert feedback_line(replace(said, key_id="", verdict=None), {}, NOW) == "no key said, 1 hour ago"
