"""`POST /v1/embeddings`: texts to vectors, within the limits of the key and in the ledger like every request.

An embedder does not say how many tokens it read, so they are estimated from the size of the texts, and that is said
wherever they stand. What runs on this machine costs nothing; what an endpoint costs is unknown.
"""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from smcs.config.schema import OpenAIEmbedderConfig
from smcs.embedders import Embedder, Vectors
from smcs.errors import SmcsError
from smcs.gateway.accounting import GONE
from smcs.gateway.errors import GatewayError, broken, forbidden, from_error, not_found, rate_limited
from smcs.gateway.http import ClientGoneError, json_response, while_connected
from smcs.gateway.ledger import Entry, Hold, KeyLimits, LedgerUnavailableError, Reservation, RunStatus
from smcs.gateway.models import embedder_names
from smcs.gateway.protocol import EmbeddingsRequest, check_dimensions, embeddings_response
from smcs.gateway.state import Gateway
from smcs.gateway.visits import Visit
from smcs.strategies.tokens import CHARACTERS_PER_TOKEN

__all__ = ("Embedding",)

_log = logging.getLogger(__name__)

_RUN_ID: Final = "x-smcs-run-id"


class Embedding:
    """One request for vectors.

    Args:
        gateway: The shared state.
        http: The request.
        visit: What is noted of it; its key is known.
    """

    def __init__(self, gateway: Gateway, http: Request, visit: Visit) -> None:
        self._gateway = gateway
        self._http = http
        self._visit = visit
        self._id = uuid.uuid4().hex

    async def respond(self, request: EmbeddingsRequest) -> Response:
        """Embed; the request is in the ledger before the response is sent.

        Raises:
            ClientGoneError: Nobody waits for it any more; it is in the ledger.
            GatewayError: The model is unknown (404), not for this key (403) or not of these dimensions (400); there
                was no place (503), or the embedder failed (502).
            LedgerUnavailableError: The database failed.
            LimitReached: A limit of the key would be passed.
        """
        visit = self._visit
        visit.model = request.model
        async with self._gateway.service.in_use() as service:
            embedder = service.resources.embedder
            limits = KeyLimits() if visit.key is None else visit.key.limits
            _check_model(request, embedder, limits)
            usd = None if isinstance(service.config.embedder, OpenAIEmbedderConfig) else 0.0
            if usd is None and limits.priced:
                raise rate_limited(
                    "This key has a limit in USD, and what the embedder costs is unknown. Use a key without one.",
                    None,
                    "insufficient_quota",
                )
            tokens = _estimated_tokens(request.texts)
            hold = Hold(usd, tokens, endpoint=visit.endpoint, model=request.model)
            reservation = await self._gateway.ledger.reserve(visit.key, hold)
            body = await self._embedded(request, embedder, reservation, self._entry(request, tokens, usd))
            return json_response(body, headers={_RUN_ID: self._id})

    async def _embedded(
        self, request: EmbeddingsRequest, embedder: Embedder, reservation: Reservation, entry: Entry
    ) -> bytes:
        """Embed what something was held for, and settle that however it ends."""
        key_id = reservation.key_id
        begun = False

        async def work() -> Vectors:
            nonlocal begun
            async with self._gateway.admission.slot(key_id):
                begun = True
                return np.asarray(await embedder.embed(request.texts))

        try:
            vectors = await while_connected(self._http.receive, work())
            check_dimensions(request, vectors.shape[1])
        except (ClientGoneError, asyncio.CancelledError):
            await self._cut_off(reservation, entry)
            raise
        except Exception as error:
            if not begun:
                await self._release(reservation)
                raise
            raise await self._failed(reservation, entry, error) from error
        await self._settle(reservation, entry, "ok", 200)
        usd = entry.cost_usd
        about: dict[str, Any] = {"run_id": self._id, "usage": "estimated", "cost_usd": usd}
        return await asyncio.to_thread(
            embeddings_response, request, vectors, tokens=entry.prompt_tokens, estimated=True, about=about
        )

    def _entry(self, request: EmbeddingsRequest, tokens: int, usd: float | None) -> Entry:
        return Entry(
            self._id,
            datetime.fromtimestamp(self._visit.created, UTC).isoformat(timespec="milliseconds"),
            endpoint=self._visit.endpoint,
            model=request.model,
            key_id="" if self._visit.key is None else self._visit.key.id,
            calls=1,
            prompt_tokens=tokens,
            completion_tokens=0,
            cost_usd=usd,
            user=request.user,
            metadata={"tokens": "estimated"},
        )

    async def _settle(
        self,
        reservation: Reservation,
        entry: Entry,
        status: RunStatus,
        http_status: int,
        error: GatewayError | None = None,
    ) -> None:
        why, code = (None, None) if error is None else (str(error), error.code)
        ended = replace(entry, status=status, http_status=http_status, error=why, seconds=self._visit.seconds)
        await self._visit.settle(reservation, ended, code)

    async def _cut_off(self, reservation: Reservation, entry: Entry) -> None:
        gone = GatewayError(GONE, "the client left, or the server was stopped", code="cancelled")
        with suppress(LedgerUnavailableError):  # the ledger has logged it, and there is nobody to tell
            await asyncio.shield(self._settle(reservation, entry, "cancelled", GONE, gone))

    async def _failed(self, reservation: Reservation, entry: Entry, error: Exception) -> GatewayError:
        """Write down a request that failed while it ran; return what is told of it."""
        if not isinstance(error, SmcsError):
            _log.error("a request broke", exc_info=error)
        told = from_error(error) if isinstance(error, SmcsError) else broken()
        await self._settle(reservation, entry, "failed", told.status, told)
        return replace(told, headers={**told.headers, _RUN_ID: self._id})

    async def _release(self, reservation: Reservation) -> None:
        try:
            await self._gateway.ledger.release(reservation)
        except LedgerUnavailableError as unavailable:
            _log.warning("reservation %s stands until its lease ends: %s", reservation.id, unavailable)


def _check_model(request: EmbeddingsRequest, embedder: Embedder, limits: KeyLimits) -> None:
    if request.model not in embedder_names(embedder):
        raise not_found(
            f"There is no embedding model {request.model!r:.120}. The embedder is {embedder.name!r}.",
            code="model_not_found",
            param="model",
        )
    if not limits.allows(request.model):
        raise forbidden(f"This key may not ask for {request.model!r}.", code="model_not_allowed")
    if embedder.dimensions is not None:
        check_dimensions(request, embedder.dimensions)


def _estimated_tokens(texts: Sequence[str]) -> int:
    """Return how many tokens texts are likely to have; by their bytes, as a character of Chinese is most of a token."""
    return sum(math.ceil(len(text.encode()) / CHARACTERS_PER_TOKEN) for text in texts)
