"""Answers that may be given again: which ones, to whom, for how long, and in how much memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcs.errors import InputError
from smcs.gateway.cache import CachePolicy, ResponseCache, cacheable, request_key

REQUEST: dict[str, Any] = {
    "model": "smcs",
    "messages": [{"role": "user", "content": "2 + 2?"}],
    "temperature": 0,
    "smcs": {"k": 3, "n": 2},
}


def key(request: dict[str, Any] = REQUEST, *, model: str = "smcs", scope: str = "all", version: str = "1") -> str:
    return request_key(model, request, scope=scope, version=version)


def test_what_makes_no_difference_to_the_answer_makes_none_to_the_key() -> None:
    other: dict[str, Any] = dict(reversed(REQUEST.items()))
    other |= {"smcs": {"n": 2, "k": 3}, "stream": True, "stream_options": {"include_usage": True}, "user": "u"}
    other |= {"metadata": {"a": "b"}, "top_p": None}
    assert key(other) == key()


@pytest.mark.parametrize(
    "change",
    [{"messages": [{"role": "user", "content": "2 + 3?"}]}, {"temperature": 1}, {"seed": 1}, {"max_tokens": 9},
     {"smcs": {"k": 4, "n": 2}}, {"response_format": {"type": "json_object"}}, {"tools": []}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_makes_a_difference_does(change: dict[str, Any]) -> None:
    assert key({**REQUEST, **change}) != key()


def test_model_scope_and_version_are_part_of_the_key() -> None:
    assert len({key(), key(model="smcs-max"), key(scope="k1"), key(version="2")}) == 4
    assert key(scope="ab", version="c") != key(scope="a", version="bc")


def test_running_answers_are_told_apart_by_how_they_travel() -> None:
    streamed = {**REQUEST, "stream": True}
    keys = {request_key("m", each, scope="", version="", with_transport=True) for each in (REQUEST, streamed)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("request_", "policy", "wanted"),
    [({"temperature": 0}, "deterministic", True), ({"temperature": 0.0}, "deterministic", True),
     ({"seed": 0}, "deterministic", True), ({"temperature": 0.7}, "deterministic", False),
     ({}, "deterministic", False), ({"temperature": None, "seed": None}, "deterministic", False),
     ({}, "all", True), ({"temperature": 0}, "off", False)],
)  # fmt: skip
def test_who_wants_a_new_answer_gets_one(request_: dict[str, Any], policy: CachePolicy, wanted: bool) -> None:
    assert cacheable(request_, policy) is wanted


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_given_again_until_it_is_too_old() -> None:
    clock = Clock()
    cache = ResponseCache(100_000, 10.0, clock=clock)
    assert cache.get("k") is None
    assert cache.put("k", b"four", run_id="r1")
    clock.now = 9.0
    found = cache.get("k")
    assert found is not None
    assert (found.body, found.run_id, found.age_seconds) == (b"four", "r1", 9.0)
    clock.now = 10.0
    assert cache.get("k") is None
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_an_answer_may_have_a_time_to_live_of_its_own() -> None:
    clock = Clock()
    cache = ResponseCache(100_000, 10.0, clock=clock)
    cache.put("k", b"four", run_id="r1", ttl_seconds=100.0)
    clock.now = 50.0
    assert cache.get("k") is not None


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = ResponseCache(5_700, 10.0)  # room for four entries of 1,000 bytes and a few hundred of overhead
    for name in "abcd":
        assert cache.put(name, bytes(1_000), run_id=name)
    cache.get("a")
    cache.put("e", bytes(1_000), run_id="e")
    assert [name for name in "abcde" if cache.get(name) is not None] == ["a", "c", "d", "e"]


def test_one_answer_cannot_push_everything_out() -> None:
    cache = ResponseCache(10_000, 10.0)
    cache.put("a", b"small", run_id="a")
    assert not cache.put("b", bytes(5_000), run_id="b")
    assert not cache.put("a", bytes(5_000), run_id="a2")
    assert cache.get("a") is None, "the older answer is not the answer any more"


def test_no_room_keeps_nothing() -> None:
    cache = ResponseCache(0, 10.0)
    assert not cache.put("a", b"", run_id="a")


def test_clearing_forgets_everything() -> None:
    cache = ResponseCache(10_000, 10.0)
    cache.put("a", b"four", run_id="a")
    cache.clear()
    assert (cache.get("a"), len(cache), cache.size_bytes) == (None, 0, 0)


@pytest.mark.parametrize("ttl", [0.0, -1.0, float("inf"), float("nan")])
def test_bounds_are_checked(ttl: float) -> None:
    with pytest.raises(InputError, match="`ttl_seconds`"):
        ResponseCache(1, ttl)
    with pytest.raises(InputError, match="`ttl_seconds`"):
        ResponseCache(1, 1.0).put("a", b"", run_id="", ttl_seconds=ttl)
    with pytest.raises(InputError, match="`max_bytes`"):
        ResponseCache(-1, 1.0)


@settings(max_examples=40)
@given(
    puts=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3_000), st.floats(0.1, 5.0)), max_size=25),
    room=st.integers(0, 8_000),
)
def test_memory_is_bounded_and_what_is_found_is_what_was_put_last(
    puts: list[tuple[str, int, float]], room: int
) -> None:
    clock = Clock()
    cache = ResponseCache(room, 5.0, clock=clock)
    last: dict[str, bytes] = {}
    for number, (name, size, ttl) in enumerate(puts):
        body = str(number).encode().ljust(size)
        cache.put(name, body, run_id=str(number), ttl_seconds=ttl)
        last[name] = body
        clock.now += 0.3
        assert cache.size_bytes <= room
        assert (cache.size_bytes == 0) == (len(cache) == 0)
        for each in last:
            found = cache.get(each)
            assert found is None or found.body == last[each]
