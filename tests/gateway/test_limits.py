"""What a key may use, as arithmetic: windows, holds and charges."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_ledger import NOON
from smcs.errors import InputError
from smcs.gateway.limits import (
    NANO,
    Hold,
    KeyLimits,
    KeyState,
    LimitReached,
    admitted,
    hold_nano,
    nano_usd,
    settled,
    spared,
)

DAY = 86_400.0


def refused(limits: KeyLimits, state: KeyState, hold: Hold, now: float = NOON) -> LimitReached:
    with pytest.raises(LimitReached) as caught:
        admitted(limits, state, hold, now)
    return caught.value


def spent(state: KeyState, now: float = NOON, *, nano: int = 0, held_nano: int = 0) -> KeyState:
    return settled(state, held_nano=held_nano, held_tokens=0, nano=nano, tokens=0, now=now)


def test_a_request_is_counted_and_its_worst_case_held() -> None:
    state = admitted(KeyLimits(usd_per_day=1.0), KeyState("k"), Hold(0.25, 100), NOON)
    assert (state.requests, state.running, state.held_nano, state.held_tokens) == (1, 1, NANO // 4, 100)
    assert (state.day_nano, state.tokens) == (0, 0)


def test_what_it_took_replaces_what_was_held() -> None:
    state = admitted(KeyLimits(usd_per_day=1.0), KeyState("k"), Hold(0.25, 100), NOON)
    done = settled(state, held_nano=NANO // 4, held_tokens=100, nano=7, tokens=30, now=NOON + 1)
    assert (done.running, done.held_nano, done.held_tokens) == (0, 0, 0)
    assert (done.day_nano, done.month_nano, done.tokens, done.requests) == (7, 7, 30, 1)


@pytest.mark.parametrize(
    ("limits", "hold", "name", "after"),
    [
        ({"requests_per_minute": 1}, Hold(0.0, 0), "requests_per_minute", 60.0),
        ({"max_concurrent": 1}, Hold(0.0, 0), "max_concurrent", 1.0),
        ({"tokens_per_minute": 150}, Hold(0.0, 100), "tokens_per_minute", 1.0),
        ({"usd_per_day": 0.3}, Hold(0.25, 0), "usd_per_day", 1.0),
        ({"usd_per_month": 0.3}, Hold(0.25, 0), "usd_per_month", 1.0),
    ],
)
def test_the_second_request_at_once_passes_the_limit(limits: Any, hold: Hold, name: str, after: float) -> None:
    allowed = KeyLimits(**limits)
    first = admitted(allowed, KeyState("k"), hold, NOON)
    error = refused(allowed, first, hold)
    assert (error.limit, error.retry_after) == (name, after)


def test_windows_end_with_the_clock() -> None:
    limits = KeyLimits(requests_per_minute=1, usd_per_day=1.0, usd_per_month=2.0)
    state = spent(admitted(limits, KeyState("k"), Hold(0.0, 0), NOON), nano=NANO)
    assert refused(limits, state, Hold(0.0, 0), NOON + 10).retry_after == 50
    error = refused(limits, state, Hold(0.5, 0), NOON + 60)
    assert (error.limit, error.retry_after) == ("usd_per_day", DAY / 2 - 60)
    tomorrow = spent(admitted(limits, state, Hold(1.0, 0), NOON + DAY), NOON + DAY, held_nano=NANO, nano=NANO)
    error = refused(limits, tomorrow, Hold(0.5, 0), NOON + 2 * DAY)
    assert (error.limit, error.retry_after) == ("usd_per_month", DAY / 2 + 6 * DAY)
    assert admitted(limits, tomorrow, Hold(0.5, 0), NOON + 9 * DAY).month_nano == 0


def test_a_clock_that_is_behind_does_not_empty_a_window() -> None:
    limits = KeyLimits(requests_per_minute=1, usd_per_day=1.0)
    state = spent(admitted(limits, KeyState("k"), Hold(0.0, 0), NOON), nano=NANO)
    assert refused(limits, state, Hold(0.0, 0), NOON - 61).limit == "requests_per_minute"
    assert state.at(NOON - 2 * DAY) == state


def test_what_can_never_fit_is_told_how_to() -> None:
    assert "more than the $1 per day of this key: set `max_usd`" in str(
        refused(KeyLimits(usd_per_day=1.0), KeyState("k"), Hold(1.5, 0))
    )
    assert "more than the 50 per minute of this key: lower `max_tokens`" in str(
        refused(KeyLimits(tokens_per_minute=50), KeyState("k"), Hold(0.0, 51))
    )


@pytest.mark.parametrize("limits", [KeyLimits(usd_per_day=1.0), KeyLimits(usd_per_month=1.0)])
def test_an_unknown_price_is_not_free(limits: KeyLimits) -> None:
    assert "unknown" in str(refused(limits, KeyState("k"), Hold(None, 0)))
    assert admitted(KeyLimits(max_concurrent=1), KeyState("k"), Hold(None, 5), NOON).held_tokens == 5


def test_a_charge_is_taken_back_from_its_own_windows_only() -> None:
    state = spent(KeyState("k"), nano=100)
    assert (spared(state, nano=100, charged=NOON).day_nano, spared(state, nano=100, charged=NOON).month_nano) == (0, 0)
    next_day = spent(state, NOON + DAY, nano=5)
    back = spared(next_day, nano=100, charged=NOON)
    assert (back.day_nano, back.month_nano) == (5, 5)
    next_month = state.at(NOON + 20 * DAY)
    assert spared(next_month, nano=100, charged=NOON) == next_month


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["requests_per_minute", "usd_per_day", "max_concurrent"])
def test_limits_are_above_zero(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"`{name}` must be above 0"):
        KeyLimits(**{name: value})  # type: ignore[arg-type]


def test_models_are_names_or_patterns() -> None:
    assert KeyLimits().allows("anything")
    limits = KeyLimits(("smcs*", "qwen"))
    assert [limits.allows(name) for name in ("smcs", "smcs/moa", "qwen", "qwen2", "Smcs")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert not limits.counted
    with pytest.raises(InputError, match="`models` must hold"):
        KeyLimits(("",))


@pytest.mark.parametrize(("usd", "tokens"), [(-0.1, 0), (math.nan, 0), (math.inf, 0), (0.0, -1)])
def test_a_hold_is_a_real_amount(usd: float, tokens: int) -> None:
    with pytest.raises(InputError):
        Hold(usd, tokens)


def test_absurd_money_does_not_overflow() -> None:
    assert nano_usd(1e300) == nano_usd(math.inf) == nano_usd(math.nan) == 10**15
    assert nano_usd(0.1) + nano_usd(0.2) == nano_usd(0.3)
    assert hold_nano(Hold(None, 0)) == 0


steps = st.lists(
    st.tuples(
        st.integers(0, 400_000_000),
        st.integers(0, 40),
        st.floats(0, 1),
        st.integers(0, 100_000),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=50)
@given(steps=steps, concurrent=st.integers(1, 5), tokens=st.integers(1, 100), rate=st.integers(1, 5))
def test_no_sequence_of_requests_passes_a_limit(
    steps: list[tuple[int, int, float, int, bool]], concurrent: int, tokens: int, rate: int
) -> None:
    limits = KeyLimits(
        requests_per_minute=rate,
        tokens_per_minute=tokens,
        usd_per_day=1.0,
        usd_per_month=2.0,
        max_concurrent=concurrent,
    )
    state, now, shortest = KeyState("k"), NOON, 1.0
    live: list[tuple[int, int]] = []
    by_minute: dict[int, list[int]] = {}
    by_day: dict[int, int] = {}
    for nano, used, share, later, ends in steps:
        now += later
        if ends and live:
            held_nano, held_tokens = live.pop()
            took, read = int(held_nano * share), int(held_tokens * share)
            state = settled(state, held_nano=held_nano, held_tokens=held_tokens, nano=took, tokens=read, now=now)
            by_minute.setdefault(int(now // 60), [0, 0])[1] += read
            by_day[int(now // DAY)] = by_day.get(int(now // DAY), 0) + took
        try:
            state = admitted(limits, state, Hold(nano / NANO, used), now)
        except LimitReached as error:
            shortest = min(shortest, error.retry_after)
            continue
        live.append((nano, used))
        by_minute.setdefault(int(now // 60), [0, 0])[0] += 1
    assert shortest > 0
    assert state.running == len(live) <= concurrent
    assert (state.held_nano, state.held_tokens) == (sum(nano for nano, _ in live), sum(used for _, used in live))
    assert all(requests <= rate and read <= tokens for requests, read in by_minute.values())
    assert all(took <= NANO for took in by_day.values())
