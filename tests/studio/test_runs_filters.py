from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.gateway.entries import RunFilter
from smcs.gateway.keys import KeyRecord
from smcs.gateway.limits import KeyLimits
from smcs.studio.runs.filters import (
    ASKED_BY_NAME,
    MAX_TEXT,
    NO_KEY,
    STATUSES,
    Filters,
    address,
    compare_address,
    read_address,
    run_address,
    scope,
)

ID = "0123456789abcdef0123456789abcdef"
PLACE = ("2025-11-22T12:00:00.125+00:00", ID)


def query(path: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(path.partition("?")[2], keep_blank_values=True))


def key(key_id: str, name: str, *, created: str = "2025-01-01", revoked: str | None = None) -> KeyRecord:
    return KeyRecord(key_id, name, created, KeyLimits(), revoked)


def test_address_without_filters_is_bare() -> None:
    assert address(Filters()) == "/runs"
    assert Filters().is_empty
    assert run_address(ID) == f"/runs/{ID}"


def test_address_is_read_back() -> None:
    filters = Filters(
        text="a & b=c? سؤال #1 %",
        model="smcs/moa",
        strategy="moa",
        status="failed",
        key="ann@team",
        since=date(2025, 1, 31),
        until=date(2025, 2, 1),
    )
    for before, after in ((PLACE, None), (None, PLACE), (None, None)):
        wanted = read_address(query(address(filters, before=before, after=after)))
        assert wanted.filters == filters
        assert (wanted.before, wanted.after, wanted.notes) == (before, after, ())
    assert query(run_address(ID, filters)) == query(address(filters))


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_can_be_asked_for(status: str) -> None:
    assert read_address({"status": status}).filters.status == status


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"status": "OK; drop table"}, "status"),
        ({"status": "9" * 5000}, "status"),
        ({"since": "yesterday"}, "first day"),
        ({"since": "2025-02-30"}, "first day"),
        ({"since": "99999-01-01"}, "first day"),
        ({"until": "2025-1-1"}, "last day"),
        ({"until": "<script>x"}, "last day"),
        ({"before": "x"}, "place"),
        ({"before": f"2025-11-22T12:00:00.125~{ID}0"}, "place"),
        ({"after": f"~{ID}"}, "place"),
        ({"text": "x" * 10_000}, str(MAX_TEXT)),
        ({"model": "m" * 10_000}, "model"),
        ({"since": "2025-02-01", "until": "2025-01-01"}, "first day is after"),
    ],
)
def test_what_cannot_be_used_is_said(given: dict[str, str], said: str) -> None:
    wanted = read_address(given)
    assert len(wanted.notes) == 1
    assert said in wanted.notes[0].lower()
    assert len(wanted.notes[0]) < 250


def test_bad_parameters_leave_the_good_ones() -> None:
    wanted = read_address({"status": "nope", "model": "smcs", "since": "x", "page": "-1e999", "before": "\x00"})
    assert wanted.filters == Filters(model="smcs")
    assert wanted.before is None
    assert len(wanted.notes) == 3


@given(
    st.dictionaries(
        st.sampled_from(["text", "model", "strategy", "status", "key", "since", "until", "before"]), st.text()
    )
)
def test_any_address_can_be_read_and_written(given_query: dict[str, str]) -> None:
    wanted = read_address(given_query)
    again = read_address(query(address(wanted.filters, before=wanted.before)))
    assert again.filters == wanted.filters
    assert again.before == wanted.before
    allowed = scope(wanted.filters, is_admin=True, key_id="", keys=())
    assert allowed.where.text is None or "\x00" not in allowed.where.text


def test_place_before_wins_over_place_after() -> None:
    both = {"before": f"2025-11-22T12:00:00.125~{ID}", "after": f"2025-11-22T12:00:00.125~{ID}"}
    wanted = read_address(both)
    assert (wanted.before, wanted.after) == (PLACE, None)


def test_filters_of_an_administrator() -> None:
    keys = (
        key("a" * 12, "ann", created="2025-01-01", revoked="2025-02-01"),
        key("b" * 12, "ann", created="2025-03-01"),
        key("c" * 12, "old", created="2025-01-01", revoked="2025-01-02"),
    )

    def key_id(name: str) -> tuple[str | None, int]:
        allowed = scope(Filters(key=name), is_admin=True, key_id="", keys=keys)
        return allowed.where.key_id, len(allowed.notes)

    assert key_id("") == (None, 0)
    assert key_id("ann") == ("b" * 12, 0)
    assert key_id("a" * 12) == ("a" * 12, 0)
    assert key_id("old") == ("c" * 12, 0)
    assert key_id(NO_KEY) == ("", 0)
    assert key_id("bob") == (None, 1)


@pytest.mark.parametrize("forged", ["", "-", "bob", "b" * 12, "*", "%", "' or 1=1 --"])
def test_forged_key_never_widens_what_others_see(forged: str) -> None:
    keys = (key("b" * 12, "bob"),)
    allowed = scope(Filters(key=forged), is_admin=False, key_id="a" * 12, keys=keys)
    assert allowed.where == RunFilter(key_id="a" * 12)
    assert bool(allowed.notes) == bool(forged)


def test_days_become_moments_of_utc() -> None:
    where = scope(Filters(since=date(2025, 12, 31), until=date(2025, 12, 31)), is_admin=True, key_id="", keys=()).where
    assert where.since == "2025-12-31T00:00:00.000+00:00"
    assert where.until == "2026-01-01T00:00:00.000+00:00"
    last = scope(Filters(since=date.min, until=date.max), is_admin=True, key_id="", keys=()).where
    assert last.since == "0001-01-01T00:00:00.000+00:00"
    assert last.until is None


def test_llm_asked_by_name_has_no_strategy() -> None:
    assert scope(Filters(strategy=ASKED_BY_NAME), is_admin=True, key_id="", keys=()).where.strategy == ""
    assert scope(Filters(strategy="moa"), is_admin=True, key_id="", keys=()).where.strategy == "moa"
    assert scope(Filters(), is_admin=True, key_id="", keys=()).where.strategy is None


def test_comparison_has_an_address() -> None:
    assert compare_address("a", "b&c") == "/runs/compare?a=a&b=b%26c"
