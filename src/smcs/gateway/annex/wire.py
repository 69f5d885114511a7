"""What the two processes say to each other: one JSON value a line, each way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, get_args

import msgspec

from smcs.gateway.desk import Circuit
from smcs.gateway.errors import GatewayError
from smcs.gateway.serving import Packed
from smcs.run import Event, Run
from smcs.strategies import CallEstimate

__all__ = (
    "MOST_BYTES",
    "PREFIX",
    "Answered",
    "AskCall",
    "Call",
    "ConfigCall",
    "EstimateCall",
    "Estimated",
    "Failed",
    "GiveCall",
    "Given",
    "Happened",
    "InForce",
    "Look",
    "LookCall",
    "Reply",
    "SwitchCall",
    "Switched",
    "decode_call",
    "decode_reply",
    "encode",
)


PREFIX: Final = "desk-"
"""How the names of these sockets begin; each process that answers the API has one."""

MOST_BYTES: Final = 1 << 30
"""Of a line."""


class _Line(msgspec.Struct, frozen=True, tag_field="kind"):
    """A line."""


class AskCall(_Line, frozen=True, tag="ask"):
    """Answer a question; events come while it goes on, then `Answered`."""

    body: msgspec.Raw
    """As a client would send it."""
    key_id: str | None
    run_id: str


class GiveCall(_Line, frozen=True, tag="give"):
    """Keep what somebody says about an answer; `Given` comes."""

    body: msgspec.Raw
    key_id: str | None


class SwitchCall(_Line, frozen=True, tag="switch"):
    """Switch an LLM off or on; `Switched` comes."""

    llm: str
    off: bool
    why: str
    key_id: str | None


class EstimateCall(_Line, frozen=True, tag="estimate"):
    """Say what a question is expected to take; `Estimated` comes."""

    body: msgspec.Raw
    key_id: str | None


class ConfigCall(_Line, frozen=True, tag="config"):
    """Say which config is in force; `InForce` comes."""


class LookCall(_Line, frozen=True, tag="look"):
    """Say how things stand; `Look` comes."""


Call = AskCall | EstimateCall | GiveCall | SwitchCall | ConfigCall | LookCall
"""The first and only line from the studio's process on each connection."""


class Happened(_Line, frozen=True, tag="event"):
    """An event of the run."""

    name: str
    """Its class."""
    event: msgspec.Raw

    @classmethod
    def of(cls, event: Event) -> Happened:
        """Return the line of an event."""
        return cls(type(event).__name__, msgspec.Raw(msgspec.json.encode(event)))

    def decode(self) -> Event:
        """Return the event."""
        event: Event = _EVENTS[self.name].decode(self.event)
        return event


class Answered(_Line, frozen=True, tag="answered"):
    """The question was answered."""

    run_id: str
    run: Run


class Given(_Line, frozen=True, tag="given"):
    """It is kept."""

    told: dict[str, Any]
    """The body of a response of `/v1/feedback`."""


class Switched(_Line, frozen=True, tag="switched"):
    """It is done."""


class Estimated(_Line, frozen=True, tag="estimated"):
    """What it is expected to take."""

    estimate: CallEstimate


class InForce(_Line, frozen=True, tag="config"):
    """A config."""

    config: Packed


class Look(_Line, frozen=True, tag="look"):
    """How things stand."""

    version: str
    """Of the config in force."""
    ready: bool
    """Whether the first question would wait for nothing."""
    needs_key: bool
    """Whether a request needs a key to be answered."""
    circuits: dict[str, Circuit]
    """By LLM."""


class Failed(_Line, frozen=True, tag="failed"):
    """It was refused or failed: the fields of a `GatewayError`."""

    status: int
    message: str
    type: str
    code: str | None
    param: str | None
    retry_after: float | None
    headers: Mapping[str, str]

    @classmethod
    def of(cls, error: GatewayError) -> Failed:
        """Return the line of an error."""
        return cls(**{each.name: getattr(error, each.name) for each in fields(error)})

    def error(self) -> GatewayError:
        """Return the error."""
        return GatewayError(**msgspec.structs.asdict(self))


Reply = Happened | Answered | Estimated | Given | Switched | InForce | Look | Failed
"""A line from the process that answers the API."""

_EVENTS: Final = {kind.__name__: msgspec.json.Decoder(kind) for kind in get_args(Event)}
_calls: Final = msgspec.json.Decoder(Call)
_replies: Final = msgspec.json.Decoder(Reply)


def encode(line: Call | Reply) -> bytes:
    """Return a line with its end."""
    return msgspec.json.encode(line) + b"\n"


def decode_call(line: bytes) -> Call:
    """Return what the studio's process wants."""
    call: Call = _calls.decode(line)
    return call


def decode_reply(line: bytes) -> Reply:
    """Return what the process that answers the API says."""
    reply: Reply = _replies.decode(line)
    return reply
