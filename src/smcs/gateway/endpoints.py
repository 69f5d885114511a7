"""The API beside answers: models, embeddings, estimates, runs, feedback, and what operators look at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from smcs import __version__
from smcs.errors import SmcsError
from smcs.gateway.access import read_run
from smcs.gateway.accounting import GONE
from smcs.gateway.embedding import Embedding
from smcs.gateway.errors import broken, forbidden, stopping
from smcs.gateway.feedback import FeedbackRequest, give
from smcs.gateway.http import ClientGoneError, error_response, json_response, read_body
from smcs.gateway.inquiry import told
from smcs.gateway.inside import estimate
from smcs.gateway.ledger import KeyLimits, KeyRecord, LedgerUnavailableError
from smcs.gateway.models import PassThrough, VirtualModel
from smcs.gateway.protocol import (
    ModelCard,
    model_list,
    parse,
    parse_chat,
    parse_embeddings,
)
from smcs.gateway.service import Service
from smcs.gateway.state import Gateway
from smcs.gateway.visits import Visit

__all__ = ("Endpoints",)

_log = logging.getLogger(__name__)

_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_EPOCH: Final = 1_752_796_800
"""What models are said to be created at, since the API wants a time: the day the method's paper came out."""


class Endpoints:
    """Handlers over one gateway; each takes a request and returns a response, whatever goes wrong."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def health(self, http: Request) -> Response:
        """Say that the process lives."""
        return json_response({"status": "ok", "version": __version__})

    async def ready(self, http: Request) -> Response:
        """Say whether a request would be answered without waiting for anything first."""
        gateway = self._gateway
        parts = {"pool": gateway.service.ready, "accepting": not gateway.stopping}
        try:
            await gateway.ledger.totals()
            parts["database"] = True
        except LedgerUnavailableError:
            parts["database"] = False
        breakers = gateway.service.breakers
        out = sorted(name for name, breaker in breakers.items() if breaker.state == "open")
        off = sorted(breakers.keys() & gateway.ledger.switched_off.keys())
        ready = all(parts.values())
        said = {"status": "ready" if ready else "not ready", **parts, "llms_out": out, "llms_off": off}
        return json_response(said, status=200 if ready else 503)

    async def metrics(self, http: Request) -> Response:
        """Return metrics for Prometheus."""
        visit = Visit(self._gateway, http, quiet=True)

        async def work(key: KeyRecord | None) -> Response:
            text = await asyncio.to_thread(self._gateway.metrics.render)
            return Response(text, headers={"content-type": _PROMETHEUS})

        return await self._guarded(http, work, visit)

    async def models(self, http: Request) -> Response:
        """List what can be asked with this key."""

        async def work(key: KeyRecord | None) -> Response:
            return json_response(model_list(_card(model) for model in self._gateway.usable_models(key)))

        return await self._guarded(http, work)

    async def model(self, http: Request) -> Response:
        """Describe one model."""
        visit = Visit(self._gateway, http)

        async def work(key: KeyRecord | None) -> Response:
            name = visit.model = str(http.path_params["model"])
            service = self._gateway.service
            model = service.models.find(name)
            if not _limits(key).allows(name):
                raise forbidden(f"This key may not ask for {name!r}.", code="model_not_allowed")
            service.check_not_off(model.llm)
            return json_response(_card(model).to_dict())

        return await self._guarded(http, work, visit)

    async def embeddings(self, http: Request) -> Response:
        """Embed texts with the configured embedder."""
        visit = Visit(self._gateway, http)

        async def work(key: KeyRecord | None) -> Response:
            request = parse_embeddings(await self._body(http))
            return await Embedding(self._gateway, http, visit).respond(request)

        return await self._guarded(http, work, visit)

    async def estimate(self, http: Request) -> Response:
        """Say what a chat completion would take, without asking anybody."""
        visit = Visit(self._gateway, http)

        async def work(key: KeyRecord | None) -> Response:
            body = await self._body(http)
            async with self._gateway.service.in_use() as service:
                await service.prepare()
                request = parse_chat(body, passes_through=_passes_through(service))
                visit.model = request.model
                expected = await estimate(service, request, key)
                return json_response({"object": "estimate", "model": request.model, **asdict(expected)})

        return await self._guarded(http, work, visit)

    async def run(self, http: Request) -> Response:
        """Return the record of a run."""

        async def work(key: KeyRecord | None) -> Response:
            stored = await read_run(self._gateway.ledger, str(http.path_params["run_id"]), key)
            return json_response({"object": "run", **msgspec.to_builtins(stored)})

        return await self._guarded(http, work)

    async def feedback(self, http: Request) -> Response:
        """Keep what a user says about an answer, and let the bank learn from it."""

        async def work(key: KeyRecord | None) -> Response:
            said = parse(FeedbackRequest, await self._body(http))
            return json_response(await give(self._gateway, said, key))

        return await self._guarded(http, work)

    async def _body(self, http: Request) -> bytes:
        return await read_body(http, limit=round(self._gateway.service.config.gateway.max_body_megabytes * 1e6))

    async def _guarded(
        self, http: Request, work: Callable[[KeyRecord | None], Awaitable[Response]], visit: Visit | None = None
    ) -> Response:
        """Do what a request with a valid key asks for, and note how it ended.

        Only a stopping server cancels it: the client is told so.
        """
        visit = visit or Visit(self._gateway, http)
        try:
            visit.key = await self._gateway.authenticate(http)
            response = await work(visit.key)
        except ClientGoneError:
            visit.given_up(GONE)
            return Response(status_code=GONE)
        except asyncio.CancelledError:
            failure = stopping()
            visit.given_up(failure.status)
            return error_response(failure)
        except SmcsError as error:
            failure = told(error)
            visit.failed(failure)
            return error_response(failure)
        except Exception:  # noqa: BLE001 - whatever it is must not go unnoted
            _log.exception("a request broke")
            failure = broken()
            visit.failed(failure)
            return error_response(failure)
        visit.answered()
        return response


def _limits(key: KeyRecord | None) -> KeyLimits:
    return KeyLimits() if key is None else key.limits


def _passes_through(service: Service) -> Callable[[str], bool]:
    return lambda name: isinstance(service.models.get(name), PassThrough)


def _card(model: VirtualModel | PassThrough) -> ModelCard:
    if isinstance(model, VirtualModel):
        about: dict[str, Any] = {"kind": "virtual", "strategy": model.spec.name, "title": model.spec.title}
    else:
        known = asdict(model.member.capabilities)
        about = {
            "kind": "llm",
            "context_window": model.member.context_window,
            "capabilities": {name: value for name, value in known.items() if value is not None},
        }
    return ModelCard(model.name, _EPOCH, description=model.description, smcs=about)
