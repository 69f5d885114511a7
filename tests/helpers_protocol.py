"""Requests, runs and a reader of server-sent events, for tests of the gateway's protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smcs.gateway.errors import GatewayError
from smcs.gateway.protocol import ChatRequest, SmcsInfo, parse_chat
from smcs.run import Query, Run
from smcs.types import Usage

__all__ = ("CREATED", "INFO", "RUN_ID", "chat", "chat_body", "encoded", "events_of", "refused", "run_record")

RUN_ID = "0123456789abcdef0123456789abcdef"
CREATED = 1_700_000_000

INFO = SmcsInfo(
    RUN_ID,
    "smcs_guarded",
    answered_by="large",
    degraded=("2 of 8 candidates came back",),
    calls=15,
    seconds=2.34567,
    cost_usd=None,
    known_cost_usd=0.0125,
)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def chat_body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "smcs", "messages": list(messages) or [{"role": "user", "content": "What is 6 x 7?"}], **fields}


def chat(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    return parse_chat(encoded(chat_body(*messages, **fields)))


def refused(body: Any) -> GatewayError:
    """Return what a chat body is refused with; it is rendered as one line in OpenAI's shape."""
    with pytest.raises(GatewayError) as caught:
        parse_chat(body if isinstance(body, bytes) else encoded(body))
    error = caught.value.body()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "\n" not in error["message"]
    return caught.value


def events_of(stream: bytes) -> list[tuple[str | None, Any]]:
    """Return name and decoded data of each event of a stream; "[DONE]" stays a string."""
    assert stream.endswith(b"\n\n")
    found: list[tuple[str | None, Any]] = []
    for block in stream.decode().removesuffix("\n\n").split("\n\n"):
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        data = "\n".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
        if data:
            found.append((names[0] if names else None, data if data == "[DONE]" else json.loads(data)))
    return found


def run_record(**changes: Any) -> Run:
    fields: dict[str, Any] = {
        "id": RUN_ID,
        "strategy": "smcs_guarded",
        "created": "2026-01-01T00:00:00.000+00:00",
        "query": Query.of("What is 6 x 7?"),
        "settings": {"k": 2},
        "answer": "42",
        "answered_by": "large",
        "seconds": 2.34567,
        "degraded": (),
        "calls": 3,
        "usage": Usage(30, 6, None),
        "cost_usd": 0.25,
        "known_cost_usd": 0.25,
    }
    return Run(**{**fields, **changes})
