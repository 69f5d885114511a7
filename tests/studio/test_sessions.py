from __future__ import annotations

import pytest

from smcs.studio.sessions import COOKIE, SESSION_SECONDS, Sessions, cookie_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_token_stands_for_its_key_until_it_ends() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    token = sessions.open("aaaaaaaaaaaa")
    assert sessions.key_id(token) == "aaaaaaaaaaaa"
    clock.now = SESSION_SECONDS - 1
    assert sessions.key_id(token) == "aaaaaaaaaaaa"
    clock.now = SESSION_SECONDS
    assert sessions.key_id(token) is None
    clock.now = 0
    assert sessions.key_id(token) is None, "an ended session does not come back"


def test_tokens_are_long_and_differ() -> None:
    sessions = Sessions()
    tokens = {sessions.open("k") for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43


def test_signing_out_ends_one_session_only() -> None:
    sessions = Sessions()
    mine, other = sessions.open("k"), sessions.open("k")
    sessions.close(mine)
    assert sessions.key_id(mine) is None
    assert sessions.key_id(other) == "k"


@pytest.mark.parametrize("token", [None, "", "x", "\ud800", "é" * 10_000])
def test_anything_else_stands_for_nobody(token: str | None) -> None:
    sessions = Sessions()
    sessions.open("k")
    assert sessions.key_id(token) is None
    sessions.close(token)


def test_the_oldest_sessions_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcs.studio.sessions._MOST", 3)
    sessions = Sessions()
    tokens = [sessions.open(str(number)) for number in range(5)]
    assert [sessions.key_id(token) for token in tokens] == [None, None, "2", "3", "4"]


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("", None),
        (f"{COOKIE}=abc", "abc"),
        (f"theme=dark; {COOKIE}=abc; other=1", "abc"),
        (f"{COOKIE}", None),
        ("=; ;;; \x00", None),
        (f"not_{COOKIE}=abc", None),
    ],
)
def test_the_cookie_is_found(header: str, token: str | None) -> None:
    assert cookie_of(header) == token
