"""A question to the gateway, however it came: checked, held for, queued, run, and written down once."""

from __future__ import annotations

import asyncio
import logging
import time

from smcs.errors import SmcsError
from smcs.gateway.accounting import Account
from smcs.gateway.errors import (
    GatewayError,
    broken,
    forbidden,
    from_error,
    ledger_unavailable,
    rate_limited,
    upstream_failed,
)
from smcs.gateway.exchange import Exchange, Listener, Outcome
from smcs.gateway.holding import bounded
from smcs.gateway.ledger import Hold, KeyLimits, LedgerUnavailableError, LimitReached
from smcs.gateway.models import PassThrough
from smcs.gateway.plan import Plan, plan_request
from smcs.gateway.protocol import ChatRequest
from smcs.gateway.service import Service
from smcs.gateway.state import Gateway
from smcs.run import Run

__all__ = ("Inquiry", "check_models", "told")

_log = logging.getLogger(__name__)


class Inquiry:
    """What happens to one request between whoever asks and the strategy that answers.

    `open` it, `run` it, and `settle` what came of it; whatever is raised on the way goes to `ended` or `given_up`.

    Args:
        gateway: The shared state.
        account: Its books.
    """

    def __init__(self, gateway: Gateway, account: Account) -> None:
        self._gateway = gateway
        self._account = account
        self._exchange: Exchange | None = None
        self._over: asyncio.Event | None = None

    @property
    def so_far(self) -> Run | None:
        """The record of a run that has begun and not ended."""
        return None if self._exchange is None else self._exchange.so_far

    async def open(self, request: ChatRequest, service: Service) -> Plan:
        """Decide how a request of the account's key is answered, and hold what that may take.

        Args:
            request: What was asked.
            service: What answers; it must be in use until the end.

        Raises:
            GatewayError: The key may not ask for the model (403), there is none of that name (404), it is switched off
                (503), or it cannot do what is asked (400).
            LedgerUnavailableError: The database failed.
            LimitReached: A limit of the key would be passed.
            UserError: A strategy, profile or parameter that was asked for is wrong.
        """
        account = self._account
        account.request = request
        key = account.key
        limits = KeyLimits() if key is None else key.limits
        check_models(request, limits)
        if not isinstance(service.models.get(request.model), PassThrough):
            await service.prepare()
        plan = plan_request(request, service)
        service.check_not_off(plan.spec.named(plan.settings))
        if not limits.counted and not (plan.forwards and plan.settings.max_usd is not None):
            await account.hold(Hold(0.0, 0))
            return plan
        most = await bounded(plan, request, priced=limits.priced)
        await account.hold(most.hold)
        return most.plan

    async def run(self, plan: Plan, request: ChatRequest, listener: Listener | None) -> Outcome:
        """Wait for a place, and answer; failures of the run are in the outcome.

        Raises:
            GatewayError: 503, there was no place.
        """
        waiting = time.perf_counter()
        self._over = asyncio.Event()
        try:
            async with self._gateway.admission.slot(self._account.key_id):
                self._gateway.metrics.observe_wait(time.perf_counter() - waiting)
                self._exchange = Exchange(plan, request, self._account.run_id, listener)
                return await self._exchange.run()
        finally:
            self._over.set()

    def answer_of(self, outcome: Outcome) -> Run | None:
        """Return the record of an answered request, under its own id; `None` where there is no answer."""
        return None if outcome.error is not None or outcome.run is None else self._account.named(outcome.run)

    async def failed(self, outcome: Outcome, *, cached: bool = False) -> GatewayError:
        """Write down a run without an answer; return what is told of it."""
        error = outcome.error or upstream_failed("There is no answer.")
        return await self._account.failed(outcome.run, error, cached=cached)

    async def given_up(self) -> None:
        """Write down that whoever asked does not wait, once the run that was begun for it has ended.

        With others who asked for the same it goes on, and whoever began it pays for it.
        """
        if self._over is not None:
            await self._over.wait()
        await self._account.given_up(self.so_far)

    async def ended(self, error: Exception) -> GatewayError:
        """Write down a request that ended in an error, free what was held for it, and return what is told of it."""
        if isinstance(error, SmcsError):
            return await self._account.refused(told(error))
        _log.error("a request broke", exc_info=error)
        try:
            failed = await self._account.failed(self.so_far, broken())
        except LedgerUnavailableError as unavailable:
            failed = told(unavailable)
        return await self._account.refused(failed)


def told(error: SmcsError) -> GatewayError:
    """Return what is told of an error, whoever asked."""
    match error:
        case LimitReached():
            money = error.limit in ("usd_per_day", "usd_per_month")
            code = "insufficient_quota" if money else error.limit
            return rate_limited(error.message, error.retry_after, code)
        case LedgerUnavailableError():
            return ledger_unavailable()
        case _:
            return from_error(error)


def check_models(request: ChatRequest, limits: KeyLimits) -> None:
    """Refuse a model, strategy or profile that a key may not ask for.

    Raises:
        GatewayError: 403, one of them is not the key's.
    """
    strategy, profile = request.options.strategy, request.options.profile
    asked = [request.model]
    asked += [] if strategy is None else [f"smcs/{strategy}"]
    asked += [] if profile is None else [f"smcs-{profile}"]
    for model in asked:
        if not limits.allows(model):
            raise forbidden(f"This key may not ask for {model!r}.", code="model_not_allowed")
