"""A question asked in the gateway's own process, which goes the way of a request that came over HTTP.

The key's models and limits, the fair queue, the ledger, metrics, traces and the log are the same. Two things are not:
the answer is never one that was kept or made for somebody else, since whoever compares two runs wants two; and the
whole record comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from smcs.gateway.accounting import Account
from smcs.gateway.errors import invalid_request, stopping
from smcs.gateway.exchange import Listener
from smcs.gateway.history import RUN_ID
from smcs.gateway.holding import bounded
from smcs.gateway.inquiry import Inquiry, check_models
from smcs.gateway.ledger import KeyLimits, KeyRecord
from smcs.gateway.plan import plan_request
from smcs.gateway.protocol import ChatRequest, SmcsOptions, parse_chat
from smcs.gateway.service import Service
from smcs.gateway.state import Gateway
from smcs.run import Event, Run
from smcs.strategies import CallEstimate
from smcs.types import Message, Sampling

__all__ = ("ENDPOINT", "Asked", "Listener", "ask", "build_request", "estimate", "guarded")

_log = logging.getLogger(__name__)

ENDPOINT: Final = "studio"
"""What stands for the path in the ledger, the log and the metrics."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was answered."""

    run_id: str
    run: Run
    """Its record, as it also stands in the ledger unless that leaves texts out."""


def build_request(
    model: str,
    messages: Sequence[Message],
    options: SmcsOptions | None = None,
    *,
    sampling: Sampling | None = None,
    answers: int | None = None,
    user: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> ChatRequest:
    """Return a request as a client would send it, checked in the same way.

    Args:
        model: Name of a virtual model, or of an LLM.
        messages: The conversation, the question last.
        options: How the LLMs shall collaborate.
        sampling: Sampling parameters.
        answers: Choices wanted, 1 to 16.
        user: Kept with the run.
        metadata: Kept with the run: at most 16 labels.

    Raises:
        GatewayError: 400 or 413; something in it is not valid.
    """
    wanted = sampling or Sampling()
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "n": answers,
        "user": user,
        "metadata": None if metadata is None else dict(metadata),
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "max_tokens": wanted.max_tokens,
        "presence_penalty": wanted.presence_penalty,
        "frequency_penalty": wanted.frequency_penalty,
        "seed": wanted.seed,
        "stop": list(wanted.stop) or None,
        "response_format": wanted.response_format,
        "smcs": None if options is None else options.model_dump(exclude_none=True) or None,
    }
    given = {name: value for name, value in body.items() if value is not None}
    try:
        encoded = msgspec.json.encode(given)
    except UnicodeEncodeError as error:
        raise invalid_request("The text holds half a character: a surrogate without its other half.") from error
    return parse_chat(encoded)


async def ask(
    gateway: Gateway,
    request: ChatRequest,
    key: KeyRecord | None,
    *,
    run_id: str | None = None,
    listener: Listener | None = None,
) -> Asked:
    """Answer a question; it is in the ledger when this returns or raises.

    Cancelling whoever awaits it cancels every call to an LLM, and the ledger has "cancelled".

    Args:
        gateway: The running gateway.
        request: What is asked; see `build_request`.
        key: Whose question it is; `None` where the server asks for no key.
        run_id: Id for the run, 32 hexadecimal digits, where the caller wants to know it beforehand.
        listener: Whose `event` hears of the run while it goes on, the texts of all LLMs included, in a task of the
            gateway's own. One that raises is not called again, and the run goes on. `raw` is not used.

    Raises:
        GatewayError: It was refused or failed; status, words and code are those of the HTTP API. 503 if the server
            stops.
    """
    if run_id is not None and not RUN_ID.fullmatch(run_id):
        raise invalid_request(f"A run's id is 32 hexadecimal digits, got {run_id!r:.80}.")
    account = Account(gateway, ENDPOINT, run_id=run_id)
    heard = None if listener is None else guarded(listener)
    return await gateway.attend(_answered(gateway, account, request, key, heard), "ask")


async def estimate(service: Service, request: ChatRequest, key: KeyRecord | None) -> CallEstimate:
    """Return what a request is expected to take; no LLM is called.

    Args:
        service: What would answer; in use.
        request: What would be asked.
        key: Whose question it would be; `None` where the server asks for no key.

    Raises:
        SmcsError: It would be refused.
    """
    limits = KeyLimits() if key is None else key.limits
    await service.prepare()
    check_models(request, limits)
    plan = plan_request(request, service)
    service.check_not_off(plan.spec.named(plan.settings))
    return (await bounded(plan, request, priced=limits.priced)).estimate


async def _answered(
    gateway: Gateway, account: Account, request: ChatRequest, key: KeyRecord | None, listener: Listener | None
) -> Asked:
    inquiry = Inquiry(gateway, account)
    try:
        account.key = await gateway.still_valid(key)
        async with gateway.service.in_use() as service:
            plan = await inquiry.open(request, service)
            outcome = await inquiry.run(plan, request, listener)
            run = inquiry.answer_of(outcome)
            if run is None:
                raise await inquiry.failed(outcome)
            await account.settle(run, plan, cached=False)
            return Asked(run.id, run)
    except asyncio.CancelledError:
        await inquiry.given_up()
        raise stopping() from None
    except Exception as error:
        failure = await inquiry.ended(error)
        if failure is error:
            raise
        raise failure from error


def guarded(listener: Listener) -> Listener:
    """Return a listener that is told of events alone, and that may break."""
    listens = True

    def event(event: Event) -> None:
        nonlocal listens
        if not listens:
            return
        try:
            listener.event(event)
        except Exception:  # noqa: BLE001 - a broken view must not cost an answer that is being paid for
            listens = False
            _log.exception("a listener broke; the run goes on without it")

    return Listener(event)
