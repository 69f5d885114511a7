"""The door alone: NiceGUI behind it is a page that says who came in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from smcs.gateway.errors import forbidden
from smcs.gateway.ledger import KeyLimits, KeyRecord
from smcs.gateway.state import Gateway
from smcs.studio.door import Door
from smcs.studio.sessions import COOKIE, Sessions

HOST = "127.0.0.1:8300"
KEY = "sk-smcs-the-key"
RECORD = KeyRecord("aaaaaaaaaaaa", "ann", "2026-01-01T00:00:00.000+00:00", KeyLimits())
PAGE = b"<html><script>a()</script><script src=x></script><p>&lt;script&gt;</p></html>"


@dataclass
class FakeLedger:
    valid: bool = True

    async def authenticate(self, text: str) -> KeyRecord | None:
        return RECORD if text == KEY and self.valid else None

    async def key(self, key_id: str) -> KeyRecord | None:
        return RECORD if key_id == RECORD.id and self.valid else None


@dataclass
class FakeGateway:
    needs: bool
    ledger: FakeLedger = field(default_factory=FakeLedger)

    async def needs_key(self) -> bool:
        return self.needs

    def check_host(self, http: HTTPConnection) -> None:
        if http.headers.get("host") != HOST:
            raise forbidden("not here", code="host_not_allowed")


@dataclass
class Inner:
    """What stands behind the door, and what came through."""

    kind: str = "text/html; charset=utf-8"
    seen: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        headers = [(b"content-type", self.kind.encode()), (b"content-length", str(len(PAGE)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": PAGE[:10], "more_body": True})
        await send({"type": "http.response.body", "body": PAGE[10:]})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str


class House:
    """A door with everything around it."""

    def __init__(self, *, needs_key: bool = True) -> None:
        self.inner = Inner()
        self.gateway = FakeGateway(needs_key)
        self.sessions = Sessions()
        self.door = Door(
            self.inner, lambda: cast("Gateway", self.gateway), lambda path: path in ("/", "/runs"), self.sessions
        )

    async def call(
        self, path: str, method: str = "GET", *, query: str = "", form: Mapping[str, str] | None = None, **headers: str
    ) -> Answer:
        body = urlencode(form or {}).encode()
        sent: list[Message] = []

        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        named = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
            "scheme": "http",
            "server": ("127.0.0.1", 8300),
            "root_path": "",
        }
        await self.door(scope, receive, send)
        start = sent[0]
        found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], found, b"".join(each.get("body", b"") for each in sent[1:]).decode())

    async def connect(self, path: str = "/_nicegui_ws/socket.io/", **headers: str) -> bool:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        named = {"host": HOST, **headers}
        raw = [(name.encode(), value.encode()) for name, value in named.items()]
        await self.door({"type": "websocket", "path": path, "headers": raw, "query_string": b""}, receive, send)
        return bool(sent[0]["type"] == "websocket.accept")

    def cookie(self) -> str:
        return f"{COOKIE}={self.sessions.open(RECORD.id)}"


async def test_a_page_asks_for_a_key_and_remembers_where_one_wanted_to_go() -> None:
    answer = await House().call("/runs", query="text=a&status=ok")
    assert answer.status == 303
    assert answer.headers["location"] == "/sign-in?next=%2Fruns%3Ftext%3Da%26status%3Dok"


async def test_signing_in_gives_a_cookie_that_scripts_and_other_sites_cannot_use() -> None:
    house = House()
    form = await house.call("/sign-in", query="next=%2Fruns")
    assert form.status == 200
    assert 'name="next" value="/runs"' in form.body
    assert "script" not in form.headers["content-security-policy"]
    answer = await house.call("/sign-in", "POST", form={"key": f" {KEY} ", "next": "/runs"}, origin=f"http://{HOST}")
    assert answer.status == 303
    assert answer.headers["location"] == "/runs"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert KEY not in cookie
    page = await house.call("/runs", cookie=cookie.partition(";")[0])
    assert page.status == 200
    assert house.inner.seen[-1]["smcs.viewer"].key == RECORD


async def test_a_wrong_key_is_refused_in_words() -> None:
    house = House()
    answer = await house.call("/sign-in", "POST", form={"key": "<b>no</b>", "next": '"><script>'})
    assert answer.status == 401
    assert "not valid" in answer.body
    assert "<b>" not in answer.body
    assert "<script" not in answer.body
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "where",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "/a\r\nset-cookie: x=1",
        "/é",
    ],
)
async def test_signing_in_leads_nowhere_else(where: str) -> None:
    answer = await House().call("/sign-in", "POST", form={"key": KEY, "next": where})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"http://{HOST}.evil.example", "http://127.0.0.1"])
async def test_another_sites_page_can_do_nothing(origin: str) -> None:
    house = House()
    cookie = house.cookie()
    assert (await house.call("/sign-in", "POST", form={"key": KEY}, origin=origin)).status == 403
    assert (await house.call("/sign-out", "POST", origin=origin, cookie=cookie)).status == 405
    assert (await house.call("/_nicegui_ws/socket.io/", "POST", origin=origin, cookie=cookie)).status == 403
    assert not await house.connect(origin=origin, cookie=cookie)
    assert house.inner.seen == []


async def test_a_live_connection_needs_a_session() -> None:
    house = House()
    own = f"http://{HOST}"
    assert not await house.connect(origin=own)
    assert not await house.connect(origin=own, cookie=f"{COOKIE}=forged")
    assert not await house.connect("/anything", origin=own, cookie=house.cookie())
    assert (await house.call("/_nicegui_ws/socket.io/", origin=own)).status == 401
    assert await house.connect(origin=own, cookie=house.cookie())


async def test_a_revoked_key_ends_its_sessions() -> None:
    house = House()
    cookie = house.cookie()
    assert (await house.call("/", cookie=cookie)).status == 200
    house.gateway.ledger.valid = False
    assert (await house.call("/", cookie=cookie)).status == 303
    assert not await house.connect(origin=f"http://{HOST}", cookie=cookie)


async def test_signing_out() -> None:
    house = House()
    cookie = house.cookie()
    assert (await house.call("/sign-out", cookie=cookie)).status == 405
    answer = await house.call("/sign-out", "POST", origin=f"http://{HOST}", cookie=cookie)
    assert answer.headers["location"] == "/sign-in"
    assert (await house.call("/", cookie=cookie)).status == 303


async def test_without_keys_only_this_machine_is_let_in() -> None:
    house = House(needs_key=False)
    assert (await house.call("/")).status == 200
    assert house.inner.seen[-1]["smcs.viewer"].is_admin
    assert (await house.call("/", host="evil.example")).status == 403
    assert await house.connect(origin=f"http://{HOST}")
    assert not await house.connect(origin="http://evil.example", host="evil.example")


async def test_every_script_of_a_page_is_marked_and_nothing_else_may_run() -> None:
    house = House(needs_key=False)
    answer = await house.call("/", accept_encoding="gzip", x_forwarded_prefix="/<script>")
    policy = answer.headers["content-security-policy"]
    nonce = re.search(r"'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert answer.body.count(f'<script nonce="{nonce[1]}"') == 2
    assert "&lt;script&gt;" in answer.body
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    names = {name for name, _ in house.inner.seen[-1]["headers"]}
    assert names.isdisjoint({b"accept-encoding", b"x-forwarded-prefix"})
    again = await house.call("/")
    assert nonce[1] not in again.headers["content-security-policy"]


async def test_what_is_no_page_is_left_as_it_is() -> None:
    house = House(needs_key=False)
    house.inner.kind = "application/x-ndjson"
    answer = await house.call("/runs")
    assert answer.body == PAGE.decode()
    assert "content-security-policy" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing", "/runs/", "/studio/static/../door.py", "/sign-in/"])
async def test_nothing_else_is_behind_the_door(path: str) -> None:
    house = House(needs_key=False)
    answer = await house.call(path)
    assert answer.status == 404
    assert house.inner.seen == []


async def test_the_sign_in_form_is_bounded() -> None:
    answer = await House().call("/sign-in", "POST", form={"key": "x" * 10_000})
    assert answer.status == 413


async def test_own_files_are_served() -> None:
    answer = await House().call("/studio/static/studio.css")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/css")
