"""The API beside answers: models, embeddings, estimates, runs, feedback, and what operators look at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from smcs import __version__
from smcs.errors import BankError, EmbedderError, InputError, SmcsError
from smcs.evaluate import Feedback, learn
from smcs.gateway.errors import forbidden, from_error, not_found, overloaded
from smcs.gateway.feedback import FeedbackRequest
from smcs.gateway.holding import bounded
from smcs.gateway.http import ClientGoneError, error_response, json_response, read_body
from smcs.gateway.ledger import KeyLimits, KeyRecord, LedgerUnavailableError, StoredRun
from smcs.gateway.models import PassThrough, VirtualModel
from smcs.gateway.plan import plan_request
from smcs.gateway.protocol import (
    ModelCard,
    check_dimensions,
    embeddings_response,
    model_list,
    parse,
    parse_chat,
    parse_embeddings,
)
from smcs.gateway.service import Service
from smcs.gateway.state import Gateway
from smcs.run import Run

__all__ = ("Endpoints",)

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
        out = sorted(name for name, breaker in gateway.service.breakers.items() if breaker.state == "open")
        ready = all(parts.values())
        return json_response(
            {"status": "ready" if ready else "not ready", **parts, "llms_out": out}, status=200 if ready else 503
        )

    async def metrics(self, http: Request) -> Response:
        """Return metrics for Prometheus."""

        async def work(key: KeyRecord | None) -> Response:
            text = await asyncio.to_thread(self._gateway.metrics.render)
            return Response(text, headers={"content-type": _PROMETHEUS})

        return await self._guarded(http, work)

    async def models(self, http: Request) -> Response:
        """List what can be asked with this key."""

        async def work(key: KeyRecord | None) -> Response:
            return json_response(model_list(_card(model) for model in self._usable(key)))

        return await self._guarded(http, work)

    async def model(self, http: Request) -> Response:
        """Describe one model."""

        async def work(key: KeyRecord | None) -> Response:
            name = str(http.path_params["model"])
            model = self._gateway.service.models.find(name)
            if not _limits(key).allows(name):
                raise forbidden(f"This key may not ask for {name!r}.", code="model_not_allowed")
            return json_response(_card(model).to_dict())

        return await self._guarded(http, work)

    async def embeddings(self, http: Request) -> Response:
        """Embed texts with the configured embedder."""

        async def work(key: KeyRecord | None) -> Response:
            request = parse_embeddings(await self._body(http))
            async with self._gateway.service.in_use() as service:
                embedder = service.resources.embedder
                known = {embedder.name, "smcs", "smcs-embedder"}
                if request.model not in known:
                    raise not_found(
                        f"There is no embedding model {request.model!r:.120}. The embedder is {embedder.name!r}.",
                        code="model_not_found",
                        param="model",
                    )
                if not _limits(key).allows(request.model):
                    raise forbidden(f"This key may not ask for {request.model!r}.", code="model_not_allowed")
                vectors = np.asarray(await embedder.embed(request.texts))
                check_dimensions(request, vectors.shape[1])
                return json_response(embeddings_response(request, vectors))

        return await self._guarded(http, work)

    async def estimate(self, http: Request) -> Response:
        """Say what a chat completion would take, without asking anybody."""

        async def work(key: KeyRecord | None) -> Response:
            body = await self._body(http)
            async with self._gateway.service.in_use() as service:
                await service.prepare()
                request = parse_chat(body, passes_through=_passes_through(service))
                if not _limits(key).allows(request.model):
                    raise forbidden(f"This key may not ask for {request.model!r}.", code="model_not_allowed")
                plan = plan_request(request, service)
                expected = (await bounded(plan, request, priced=_limits(key).priced)).estimate
                return json_response({"object": "estimate", "model": request.model, **asdict(expected)})

        return await self._guarded(http, work)

    async def run(self, http: Request) -> Response:
        """Return the record of a run."""

        async def work(key: KeyRecord | None) -> Response:
            stored = await self._stored(str(http.path_params["run_id"]), key)
            return json_response({"object": "run", **msgspec.to_builtins(stored)})

        return await self._guarded(http, work)

    async def feedback(self, http: Request) -> Response:
        """Keep what a user says about an answer, and let the bank learn from it."""

        async def work(key: KeyRecord | None) -> Response:
            said = parse(FeedbackRequest, await self._body(http))
            stored = await self._stored(said.run_id, key)
            kept = await self._gateway.ledger.feedback(
                said.run_id, said.verdict, said.answer, said.comment, "" if key is None else key.id
            )
            learned = await self._learn(stored.record, said)
            return json_response(
                {"object": "feedback", "run_id": kept.run_id, "created": kept.created, "bank": learned}
            )

        return await self._guarded(http, work)

    async def _learn(self, run: Run | None, said: FeedbackRequest) -> dict[str, Any]:
        """Add the question with what is known now; why not, where that cannot be."""
        async with self._gateway.service.in_use() as service:
            bank, config = service.resources.bank, service.config
            if bank is None or config.bank == "seed" or not config.gateway.learn:
                return {"learned": False, "why": "no bank of your own is configured, or `gateway.learn` is off"}
            if run is None or not run.answer:
                return {"learned": False, "why": "the ledger keeps no text of this run"}
            if said.verdict is None and said.answer is None:
                return {"learned": False, "why": "a comment alone says nothing of who was right"}
            right = None if said.answer is not None else said.verdict == "good"
            known = Feedback(
                right=right, gold=said.answer, choices=tuple(said.choices or ()), author="gateway", note=run.id
            )
            try:
                growth = await learn(bank, run, known, service.resources.embedder)
            except (InputError, BankError, EmbedderError) as error:
                return {"learned": False, "why": str(error)}
            return {
                "learned": growth.change is not None,
                "question_id": growth.question_id,
                "is_new": growth.is_new,
                "change": growth.change,
                "outcomes": {outcome.llm: outcome.score for outcome in growth.outcomes},
            }

    async def _stored(self, run_id: str, key: KeyRecord | None) -> StoredRun:
        stored = await self._gateway.ledger.run(run_id)
        if stored is None or (key is not None and stored.row.key_id != key.id):
            raise not_found(f"There is no run {run_id!r:.80} of yours.", code="run_not_found", param="run_id")
        return stored

    def _usable(self, key: KeyRecord | None) -> list[VirtualModel | PassThrough]:
        service, limits = self._gateway.service, _limits(key)
        return [model for model in service.models.usable(service.resources) if limits.allows(model.name)]

    async def _body(self, http: Request) -> bytes:
        return await read_body(http, limit=round(self._gateway.service.config.gateway.max_body_megabytes * 1e6))

    async def _guarded(self, http: Request, work: Callable[[KeyRecord | None], Awaitable[Response]]) -> Response:
        try:
            return await work(await self._gateway.authenticate(http))
        except ClientGoneError:
            return Response(status_code=499)
        except LedgerUnavailableError:
            return error_response(overloaded("The database with keys and runs cannot be reached.", 5.0))
        except SmcsError as error:
            return error_response(from_error(error))


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
