"""The lines between the two processes: whatever one says, the other reads."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from helpers_gateway import QUESTION, gateway, pool
from helpers_upstream import upstream
from smcs.gateway.annex.wire import (
    AskCall,
    Call,
    ConfigCall,
    EstimateCall,
    Failed,
    GiveCall,
    Given,
    Happened,
    LookCall,
    Reply,
    SwitchCall,
    Switched,
    decode_call,
    decode_reply,
    encode,
)
from smcs.gateway.errors import GatewayError, rate_limited, unauthorized
from smcs.gateway.inside import Listener, ask, build_request
from smcs.run import CandidatesScored, Degraded, Event, Noted, PriorFound, Replaced, SubsetsDrawn
from smcs.types import Message


async def events_of(folder: Path, model: str) -> list[Event]:
    """Return what a real run says, one of whose LLMs fails."""
    heard: list[Event] = []
    texts: dict[str, dict[str, str]] = {
        "*": {"text": "Seven:\u2028 7 \x7f \n\n is 7."},
        "beta": {"behaviour": "status-503"},
    }
    async with upstream(texts) as up, gateway(folder, llms=pool(up.base_url)) as served:
        await ask(
            served.gateway, build_request(model, [Message("user", QUESTION)]), None, listener=Listener(heard.append)
        )
    return heard


@pytest.mark.parametrize("model", ["smcs", "smcs/smcs", "smcs/moa", "smcs/rps", "alpha"])
async def test_every_event_of_a_run_arrives_as_it_was(model: str, tmp_path: Path) -> None:
    heard = await events_of(tmp_path, model)
    assert len(heard) > 3
    for event in heard:
        line = encode(Happened.of(event))
        assert line.count(b"\n") == 1
        reply = decode_reply(line)
        assert isinstance(reply, Happened)
        assert reply.decode() == event


def test_events_that_runs_rarely_say_arrive_too() -> None:
    rare: list[Event] = [
        Degraded("no bank: \u2028 \n", 0.5),
        Noted("vote", {"a": [1, None, 2.5, "x"]}, 1.0),
        Replaced("alpha", "beta", 0.25),
        SubsetsDrawn((("a", "b"), ()), 0.0),
        CandidatesScored((), 0, 2.0),
        PriorFound((), 5, (), ("a",), 0.125, {"mmlu": 1.0}),
    ]
    assert {type(event) for event in rare} < set(get_args(Event))
    for event in rare:
        reply = decode_reply(encode(Happened.of(event)))
        assert isinstance(reply, Happened)
        assert reply.decode() == event


@pytest.mark.parametrize(
    "error",
    [
        unauthorized("No."),
        rate_limited("Later.\nMuch later.", 2.5, code="slow"),
        GatewayError(402, "", type="t", code="c", param="p", retry_after=0.0, headers={"a": "b"}),
    ],
)
def test_an_error_is_the_same_error_on_the_other_side(error: GatewayError) -> None:
    reply = decode_reply(encode(Failed.of(error)))
    assert isinstance(reply, Failed)
    assert repr(reply.error()) == repr(error)
    assert str(reply.error()) == str(error)


@pytest.mark.parametrize(
    "call",
    [
        AskCall(msgspec.Raw(b'{"model":"smcs"}'), None, "ab" * 16),
        GiveCall(msgspec.Raw(b"{}"), "0123456789ab"),
        SwitchCall("alpha\n", True, "why\x00", None),
        EstimateCall(msgspec.Raw(b"{}"), None),
        ConfigCall(),
        LookCall(),
    ],
)
def test_calls_arrive_as_they_were(call: Call) -> None:
    line = encode(call)
    assert line.count(b"\n") == 1
    back = decode_call(line)
    assert encode(back) == line


@pytest.mark.parametrize("reply", [Given({"bank": {"learned": False}}), Switched()])
def test_replies_arrive_as_they_were(reply: Reply) -> None:
    assert decode_reply(encode(reply)) == reply
