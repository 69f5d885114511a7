"""Where the studio's pages ask, give feedback and switch LLMs: in this process, or in the one that answers the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from smcs.gateway.access import switch_llm
from smcs.gateway.feedback import FeedbackRequest, give
from smcs.gateway.inside import Asked, Listener, ask, estimate
from smcs.gateway.ledger import KeyRecord
from smcs.gateway.protocol import ChatRequest
from smcs.gateway.state import Gateway
from smcs.llms import BreakerState
from smcs.strategies import CallEstimate

__all__ = ("Circuit", "Desk", "OwnDesk", "circuits_of")


@dataclass(frozen=True, slots=True)
class Circuit:
    """What the circuit in front of an LLM says."""

    state: BreakerState
    words: str
    """In one line, with since when and why."""
    failures: int = 0
    """In a row, up to now."""
    last_error: str | None = None


class Desk(Protocol):
    """What pages do with the gateway beside reading from its ledger and bank."""

    @property
    def circuits(self) -> Mapping[str, Circuit]:
        """The circuit of each LLM, by its name."""
        ...

    async def ask(
        self,
        request: ChatRequest,
        key: KeyRecord | None,
        *,
        run_id: str | None = None,
        listener: Listener | None = None,
    ) -> Asked:
        """Answer a question; see `inside.ask`."""
        ...

    async def estimate(self, request: ChatRequest, key: KeyRecord | None) -> CallEstimate:
        """Return what a question is expected to take; see `inside.estimate`."""
        ...

    async def give(self, said: FeedbackRequest, key: KeyRecord | None) -> Mapping[str, Any]:
        """Keep what somebody says about an answer; see `feedback.give`."""
        ...

    async def switch(self, llm: str, *, off: bool, why: str = "", key: KeyRecord | None) -> None:
        """Switch an LLM off or on, at once for all that is asked here; see `access.switch_llm`."""
        ...


class OwnDesk:
    """The desk of a gateway that runs in this process.

    Args:
        gateway: The running gateway.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @property
    def circuits(self) -> Mapping[str, Circuit]:
        """See `Desk`."""
        return circuits_of(self._gateway)

    async def ask(
        self,
        request: ChatRequest,
        key: KeyRecord | None,
        *,
        run_id: str | None = None,
        listener: Listener | None = None,
    ) -> Asked:
        """See `Desk`."""
        return await ask(self._gateway, request, key, run_id=run_id, listener=listener)

    async def estimate(self, request: ChatRequest, key: KeyRecord | None) -> CallEstimate:
        """See `Desk`."""
        async with self._gateway.service.in_use() as service:
            return await estimate(service, request, key)

    async def give(self, said: FeedbackRequest, key: KeyRecord | None) -> Mapping[str, Any]:
        """See `Desk`."""
        return await give(self._gateway, said, key)

    async def switch(self, llm: str, *, off: bool, why: str = "", key: KeyRecord | None) -> None:
        """See `Desk`."""
        await switch_llm(self._gateway, llm, off=off, why=why, key=key)


def circuits_of(gateway: Gateway) -> dict[str, Circuit]:
    """Return the circuit of each LLM of a gateway, by its name."""
    return {
        name: Circuit(breaker.state, breaker.describe(), breaker.failures, breaker.last_error)
        for name, breaker in gateway.service.breakers.items()
    }
